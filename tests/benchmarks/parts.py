"""The parts of the benchmark: Open-i, a corpus of MIMIC-CXR's size, start-up."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import corpus, measure
from tests.benchmarks.results import Line, Results, compare

OPENI: Final = "Open-i"
MIMIC: Final = "MIMIC-sized"
START_UP: Final = "start-up"
OURS: Final = "radloop, rules.v1"
COLD: Final = "spaCy's tokenizer alone, cold"
WARM: Final = "spaCy's tokenizer alone, warm"
PEERS: Final[dict[str, dict[str, Any]]] = {
    "peer, the lexicon's phrases, nlp.pipe": {"phrases": "lexicon", "pipe": True},
    "peer, the lexicon's phrases, one by one": {"phrases": "lexicon", "pipe": False},
    "peer, 60 phrases, nlp.pipe": {"phrases": "short", "pipe": True},
    "peer, 60 phrases, one by one": {"phrases": "short", "pipe": False},
}
_HELPS: Final = 5
_THREE_REPORTS: Final = (
    corpus.Row("a1", "Heart size is normal. The lungs are clear.", "No acute disease."),
    corpus.Row("a2", "Small left effusion. Possible pneumonia at the right base.", "Follow up in six weeks."),
    corpus.Row("a3", "", "Line tip in the SVC. No pneumothorax."),
)

Run = Callable[[], dict[str, Any]]


def openi(options: Namespace, folder: Path, results: Results) -> None:
    """Open-i as a CSV of findings and impressions, on one core."""
    source = _openi_table(options, folder, results)
    if source is None:
        return
    ours: dict[str, Run] = {OURS: partial(_ours, source, folder, cores=1)}
    lines = _in_turns(OPENI, ours | _peers(source, folder) | _tokenizers(source), options.repeats)
    results.peers[OPENI] = _against_the_fastest(lines.values(), lines)
    _judge_ratio(lines[OURS], 1.5)
    results.lines += lines.values()
    if options.stages:
        results.stages.append(_stages(OPENI, source, folder))


def mimic(options: Namespace, folder: Path, results: Results) -> None:
    """A corpus made of Open-i's sentences: the labeler on all of it, with one and two workers, the peer on a sample."""
    base = _openi_table(options, folder, results)
    if base is None:
        return
    source, sample = folder / "mimic.csv", folder / "mimic-sample.csv"
    results.corpora[MIMIC] = _made(base, source, options)
    corpus.copy_head(source, sample, options.sample)
    lines = _in_turns(MIMIC, {OURS: partial(_ours, source, folder, cores=1)}, 1)
    two = _two_cores(source, folder, full=options.reports >= corpus.MIMIC_REPORTS)
    lines |= _in_turns(f"{MIMIC}, sample", _peers(sample, folder), options.repeats)
    lines |= _in_turns(MIMIC, _tokenizers(source), 1)
    results.peers[MIMIC] = _against_the_fastest(lines.values(), lines)
    _judge_ratio(lines[OURS], 2.0)
    results.lines += [*lines.values(), two, _most_memory([lines[OURS], two])]
    if options.stages:
        results.stages.append(_stages(f"{MIMIC}, sample", sample, folder))


def start_up(options: Namespace, folder: Path, results: Results) -> None:
    """Commands as a user types them, from nothing to the end."""
    table = folder / "three.csv"
    corpus.write_rows(table, _THREE_REPORTS)
    out = folder / "out.csv"
    lines = [
        _command("radloop --help", ["--help"], _HELPS, 0.5),
        _command("radloop label run, three reports", ["label", "run", table, "-o", out], options.repeats),
    ]
    if options.source.exists():
        what = "radloop label run, the Open-i archive"
        lines.append(_command(what, ["label", "run", options.source, "-o", out], options.repeats, 10.0))
    else:
        results.skipped[f"{START_UP}, the archive"] = f"there is no {options.source.name}; --source says where it is"
    results.lines += lines


PARTS: Final[dict[str, Callable[[Namespace, Path, Results], None]]] = {
    "openi": openi, "mimic": mimic, "start-up": start_up,
}  # fmt: skip


def _openi_table(options: Namespace, folder: Path, results: Results) -> Path | None:
    """The base reports as a CSV, written once; None, with the reason noted, where there are none."""
    table = folder / "openi.csv"
    if not options.source.exists():
        results.skipped["Open-i and what is made of it"] = (
            f"there is no {options.source.name}; --source says where it is"
        )
        return None
    if not table.exists():
        rows = corpus.openi_rows(options.source)
        corpus.write_rows(table, rows)
        results.corpora[OPENI] = {"reports": len(rows), "bytes": table.stat().st_size}
    return table


def _made(base: Path, out: Path, options: Namespace) -> dict[str, Any]:
    _say(f"writing {options.reports:,} reports")
    facts = corpus.write_made(out, list(corpus.read_rows(base)), options.reports, options.seed)
    made = asdict(facts)
    for name in ("new", "new_wording"):
        made[f"{name}_share"] = made[name] / facts.sentences
    _say(
        f"{made['new_share']:.1%} of {facts.sentences:,} sentences are new, {made['new_wording_share']:.1%} in wording"
    )
    return {**made, "seed": options.seed, "bytes": out.stat().st_size}


def _ours(source: Path, folder: Path, cores: int) -> dict[str, Any]:
    result = measure.fresh("labeler", source=str(source), out=str(folder / "ours.csv"), cores=cores)
    if result["rejected"]:
        raise measure.MeasureError(f"{result['rejected']} reports of {source.name} were rejected")
    return result


def _peers(source: Path, folder: Path) -> dict[str, Run]:
    out = str(folder / "peer.csv")
    return {name: partial(measure.fresh, "peer", source=str(source), out=out, **how) for name, how in PEERS.items()}


def _tokenizers(source: Path) -> dict[str, Run]:
    return {
        name: partial(measure.fresh, "tokenizer", source=str(source), passes=passes)
        for name, passes in ((COLD, 1), (WARM, 2))
    }


def _in_turns(text: str, runs: Mapping[str, Run], repeats: int) -> dict[str, Line]:
    """Every run ``repeats`` times, in turns, so that a slow moment of the machine does not fall on one alone."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            _say(f"{text}: {name}")
            results[name].append(run())
    return {name: _line(text, name, measure.best(found)) for name, found in results.items()}


def _line(text: str, what: str, result: Mapping[str, Any]) -> Line:
    names = ("reports", "seconds", "cpu_seconds", "startup_seconds", "peak_mib", "spread", "repeats")
    return Line(text, what, cores=1, **{name: result[name] for name in names})


def _against_the_fastest(lines: Iterable[Line], named: Mapping[str, Line]) -> str:
    """Compare ``lines`` with the fastest form of the peer, and say which that is."""
    fastest = max((name for name in PEERS), key=lambda name: named[name].reports_per_second or 0.0)
    compare(lines, named[fastest])
    return fastest


def _judge_ratio(line: Line, least: float) -> None:
    line.bar = f">= {least} x peer"
    line.met = line.ratio is not None and line.ratio >= least


def _two_cores(source: Path, folder: Path, *, full: bool) -> Line:
    """Two workers, from the start of Python to its end; the bar is for the full size."""
    cores = min(2, os.cpu_count() or 1)
    _say(f"{MIMIC}: {OURS}, {cores} workers")
    result = _ours(source, folder, cores)
    seconds = result["whole_seconds"]
    return Line(
        MIMIC, f"{OURS}, {cores} workers, all told", seconds, result["cpu_seconds"], cores=cores,
        reports=result["reports"], peak_mib=result["peak_mib"], bar="< 60 s",
        met=seconds < 60 if full and cores == 2 else None,
    )  # fmt: skip


def _most_memory(lines: Iterable[Line]) -> Line:
    peaks = [line.peak_mib for line in lines if line.peak_mib is not None]
    most = max(peaks, default=None)
    met = None if most is None else most < 1024
    return Line(MIMIC, f"{OURS}, memory of all its processes", peak_mib=most, bar="< 1,024 MiB", met=met)


def _command(what: str, arguments: list[str | Path], repeats: int, limit: float | None = None) -> Line:
    _say(f"{START_UP}: {what}")
    script = Path(sys.executable).with_name("radloop")
    program = [script] if script.exists() else [sys.executable, "-c", "from corpora.cli import main; main()"]
    runs = [measure.run([*program, *arguments]) for _ in range(repeats)]
    # a look at memory now and then says little of what is over so soon
    result = measure.best(
        {"seconds": done.spent.wall, "cpu_seconds": done.spent.cpu, "peak_mib": None} for done in runs
    )
    line = Line(START_UP, what, **result)
    if limit is not None:
        line.bar, line.met = f"< {limit:g} s", result["seconds"] < limit
    return line


def _stages(text: str, source: Path, folder: Path) -> dict[str, Any]:
    _say(f"{text}: stages")
    profile = measure.fresh("stages", source=str(source), out=str(folder / "ours.csv"))
    alone = measure.fresh("tokenizer", source=str(source), passes=1)
    return {"text": text, **profile, "tokenizer_cold": alone["cpu_seconds"] / alone["reports"]}


def _say(what: str) -> None:
    print(what, file=sys.stderr)
