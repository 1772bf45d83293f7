"""``radloop bench compare``: systems that were scored on the same reports, pair by pair and metric by metric.

The interval of a difference is that of the paired bootstrap, its p value that of approximate randomisation; Holm's
procedure covers all pairs and metrics. Per finding the reports are counted on which one is right and the other is not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np

from corpora.errors import ConfigError, DataError
from corpora.runs import atomic_writer, begin, discard_work, output_target, write_manifest
from reportgen.resampling import drawn, holm, randomised
from reportgen.tables import read_scores
from reportgen.types import Scored

_LABEL: Final = "F1 "
# of these neither more nor less is better
_NO_SIDE: Final = ("length ratio",)
_SAME: Final = {
    "protocol_sha256": "were scored under other protocols",
    "references_sha256": "have other references",
    "ids_sha256": "have other studies",
}


def compare(runs: Sequence[Path], *, replicates: int = 10_000, seed: int = 0) -> dict[str, Any]:
    """Every pair of the systems in ``runs``.

    Raises ``ConfigError`` (``bench.compare``) for fewer than two, ``DataError``: ``bench.other`` for runs that cannot
    be compared, and as ``reportgen.tables.read_scores``.
    """
    if len(runs) < 2:
        raise ConfigError("bench.compare", "a comparison needs two run folders or more")
    begun = time.perf_counter()
    systems = _systems(runs)
    results = []
    for (one, first), (other, second) in combinations(systems.items(), 2):
        results += list(_pair(one, first, other, second, replicates, seed))
    for result, adjusted in zip(results, holm([result["p"] for result in results]), strict=True):
        result["p_holm"] = adjusted
    findings = [
        _findings(one, first, other, second)
        for (one, first), (other, second) in combinations(systems.items(), 2)
    ]  # fmt: skip
    return {
        "systems": {name: {s.name: _number(s.total()) for s in scored} for name, scored in systems.items()},
        "replicates": replicates,
        "seed": seed,
        "differences": results,
        "says": list(_says(results)),
        "findings": findings,
        "seconds": round(time.perf_counter() - begun, 3),
    }


def _systems(runs: Sequence[Path]) -> dict[str, list[Scored]]:
    """The system of each run, by its name; studies in the order of the first run."""
    systems: dict[str, list[Scored]] = {}
    first_meta: dict[str, Any] = {}
    order: list[str] = []
    for run in runs:
        meta, ids, scored = read_scores(run)
        row = next(iter(scored))
        if not first_meta:
            first_meta, order = meta, ids[row]
        _refuse_other(first_meta, meta, runs[0], run)
        place = {study: at for at, study in enumerate(ids[row])}
        at = np.array([place[study] for study in order], dtype=np.int64)
        systems[_name(row, run, systems)] = [_reordered(one, at) for one in scored[row]]
    return systems


def _refuse_other(first: dict[str, Any], meta: dict[str, Any], one: Path, other: Path) -> None:
    for key, said in _SAME.items():
        if meta.get(key) != first.get(key):
            raise DataError(
                "bench.other", f"the runs {said}: their numbers cannot be compared", where=f"{one}, {other}",
                hint="score both with the same --protocol and --references",
            )  # fmt: skip


def _name(row: str, run: Path, known: dict[str, list[Scored]]) -> str:
    return row if row not in known else f"{row} ({run})"


def _reordered(one: Scored, at: Any) -> Scored:
    return Scored(one.name, one.values[at], one.sums[at], one.finisher, {}, one.reason, one.higher_is_better)


def _pair(
    one: str, first: list[Scored], other: str, second: list[Scored], replicates: int, seed: int
) -> Iterator[dict[str, Any]]:
    by_name = {scored.name: scored for scored in second}
    both = [(a, by_name[a.name]) for a in first if a.name in by_name and not a.name.startswith(_LABEL)]
    both = [(a, b) for a, b in both if not a.reason and not b.reason]
    some, others = [a for a, _ in both], [b for _, b in both]
    values = randomised(some, others, replicates, seed)
    # the same seed draws the same reports for both: the bootstrap is paired
    draws = zip(drawn(some, replicates, seed), drawn(others, replicates, seed), strict=True)
    for (a, b), p, (left, right) in zip(both, values, draws, strict=True):
        differences = (left - right)[~np.isnan(left - right)]
        lo, hi = np.quantile(differences, [0.025, 0.975]) if len(differences) else (np.nan, np.nan)
        yield {
            "one": one, "other": other, "metric": a.name, "difference": _number(a.total() - b.total()),
            "lo": _number(lo), "hi": _number(hi), "p": p, "p_holm": None, "higher_is_better": a.higher_is_better,
            **_wins(a, b),
        }  # fmt: skip


def _wins(a: Scored, b: Scored) -> dict[str, int]:
    """Reports on which each has the better score; those without a score of both count for neither."""
    difference = (a.values - b.values) * (1 if a.higher_is_better else -1)
    known = difference[~np.isnan(difference)]
    wins, losses = int((known > 1e-9).sum()), int((known < -1e-9).sum())
    return {"win": wins, "tie": len(known) - wins - losses, "loss": losses, "unscored": len(difference) - len(known)}


def _findings(one: str, first: list[Scored], other: str, second: list[Scored]) -> dict[str, Any]:
    """Per label the reports on which one system is right and the other wrong, and those where they agree."""
    by_name = {scored.name: scored for scored in second}
    table = {}
    for a in first:
        if a.name.startswith(_LABEL) and a.name in by_name:
            # (hits, said, meant): right where said and meant agree
            right = a.sums[:, 1] == a.sums[:, 2]
            theirs = by_name[a.name].sums[:, 1] == by_name[a.name].sums[:, 2]
            win, loss = int((right & ~theirs).sum()), int((~right & theirs).sum())
            table[a.name.removeprefix(_LABEL)] = {"win": win, "tie": len(right) - win - loss, "loss": loss}
    return {"one": one, "other": other, "labels": table}


def _says(results: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """For each pair which metrics favour whom after Holm, and which cannot tell."""
    pairs = dict.fromkeys((result["one"], result["other"]) for result in results)
    for one, other in pairs:
        mine = [result for result in results if (result["one"], result["other"]) == (one, other)]
        mine = [result for result in mine if result["metric"] not in _NO_SIDE]
        favours: dict[str, list[str]] = {one: [], other: [], "neither": []}
        for result in mine:
            if result["p_holm"] is None or result["p_holm"] >= 0.05 or not result["difference"]:
                favours["neither"].append(result["metric"])
            else:
                better = (result["difference"] > 0) == result["higher_is_better"]
                favours[one if better else other].append(result["metric"])
        yield {"one": one, "other": other, "favours": favours}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def to_markdown(data: dict[str, Any]) -> str:
    """The comparison as text: a table for each pair, what each metric says, wins and losses per finding."""
    lines = ["# " + " against ".join(data["systems"]), ""]
    lines.append(f"{data['replicates']} bootstraps and randomisations; p by Holm over all lines")
    for says, findings in zip(data["says"], data["findings"], strict=True):
        one, other = says["one"], says["other"]
        lines += ["", f"## {one} less {other}", "", "| metric | difference | 95 % | p | p (Holm) | win/tie/loss |"]
        lines.append("|---|---|---|---|---|---|")
        for result in data["differences"]:
            if (result["one"], result["other"]) == (one, other):
                lines.append(_line(result))
        for name, metrics in says["favours"].items():
            lines += ["", f"For {name}: {', '.join(metrics) or 'no metric'}."]
        if findings["labels"]:
            lines += ["", "| finding | win | tie | loss |", "|---|---|---|---|"]
            lines += [f"| {k} | {v['win']} | {v['tie']} | {v['loss']} |" for k, v in findings["labels"].items()]
    return "\n".join(lines) + "\n"


def _line(result: dict[str, Any]) -> str:
    interval = "" if result["lo"] is None else f"[{result['lo']:.4f}, {result['hi']:.4f}]"
    numbers = [_shown(result["difference"], 4), interval, _shown(result["p"], 4), _shown(result["p_holm"], 4)]
    counts = f"{result['win']}/{result['tie']}/{result['loss']}"
    return f"| {result['metric']} | " + " | ".join([*numbers, counts]) + " |"


def _shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def write(out: Path, data: dict[str, Any], runs: Sequence[Path], command: Sequence[str]) -> None:
    """Write ``compare.json`` and ``compare.md``, and the manifest. Raises ``RunError``."""
    target = output_target(out, "compare.json")
    begin(target)
    with atomic_writer(target.table) as file:
        json.dump(data, file, indent=2, ensure_ascii=False)
        file.write("\n")
    with atomic_writer(target.out / "compare.md") as file:
        file.write(to_markdown(data))
    discard_work(target)
    write_manifest(
        target.manifest, command=command, config={"replicates": data["replicates"]},
        inputs=[run / "sums.parquet" for run in runs], counts={"systems": len(runs)}, wall_seconds=data["seconds"],
        seed=data["seed"], packages=("numpy",),
    )  # fmt: skip
