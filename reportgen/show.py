"""``radloop bench show``: the leaderboard as pages, one a protocol and reference set, that need no network."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from corpora.runs import atomic_writer, write_manifest, writing
from reportgen.page import environment
from reportgen.tables import cell_text, shown_metrics

_FIRST: Final = ("radloop-clinical", "ce-macro-14", "ce-micro-findings", "ROUGE_L", "BLEU_4", "bleu2")


def show(folder: Path, site: Path, *, command: Sequence[str] = ()) -> dict[str, Any]:
    """Write the site of all finished runs in ``folder``, at any depth, and return what is on it.

    Systems stand together only under one protocol and one set of references. Raises ``DataError``: ``data.missing``,
    ``bench.no_runs`` if there is none; ``RunError`` if the site cannot be written.
    """
    begun = time.monotonic()
    if not folder.is_dir():
        raise DataError("data.missing", "there is no such folder", where=str(folder))
    skipped: list[dict[str, str]] = []
    boards: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for run, data in _runs(folder, skipped):
        key = (data["protocol"], data["protocol_sha256"], data["references_sha256"])
        boards.setdefault(key, []).append(data | {"folder": str(run.relative_to(folder))})
    if not boards:
        raise DataError(
            "bench.no_runs", "no finished run of `radloop bench score` is in it", where=str(folder),
            hint="a finished run has a table.json and a manifest.json",
        )  # fmt: skip
    with writing(site):
        site.mkdir(parents=True, exist_ok=True)
        (site / "manifest.json").unlink(missing_ok=True)
    listed = [_board(site, folder, at, key, runs) for at, (key, runs) in enumerate(sorted(boards.items()), 1)]
    _write(site / "index.html", "index.html", boards=listed)
    shown = [folder / run["folder"] / "table.json" for runs in boards.values() for run in runs]
    write_manifest(
        site / "manifest.json", command=command, config={}, inputs=shown,
        counts={"runs": len(shown), "skipped": len(skipped)}, wall_seconds=time.monotonic() - begun,
    )  # fmt: skip
    return {"boards": listed, "skipped": skipped}


def _runs(folder: Path, skipped: list[dict[str, str]]) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.rglob("table.json")):
        run = path.parent
        if not (run / "manifest.json").is_file():
            skipped.append({"folder": str(run), "reason": "no manifest.json: it was not finished"})
            continue
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            yield run, {key: data[key] for key in ("protocol", "protocol_sha256", "references_sha256", "references",
                                                   "reports", "rows", "notes")}  # fmt: skip
        except (ValueError, KeyError, TypeError, OSError):
            skipped.append({"folder": str(run), "reason": "table.json cannot be read"})


def _board(
    site: Path, folder: Path, number: int, key: tuple[str, str, str], runs: list[dict[str, Any]]
) -> dict[str, Any]:  # fmt: skip
    """Write one page: systems by their first metric, the baselines of the first run among them."""
    names = shown_metrics(runs[0])
    order = next((name for name in _FIRST if name in names), names[0])
    rows = [row | {"folder": run["folder"], "baseline": False} for run in runs for row in run["rows"][:1]]
    rows += [row | {"folder": "", "baseline": True} for row in runs[0]["rows"][1:]]
    rows.sort(key=lambda row: _rank(row["metrics"].get(order)))
    lines = [
        {
            "name": row["name"], "baseline": row["baseline"], "distinct": row["distinct"],
            "run": "" if row["baseline"] else Path(os.path.relpath(folder / row["folder"], site)).as_posix(),
            "cells": [cell_text(row["metrics"][name]) if name in row["metrics"] else "not scored" for name in names],
        }
        for row in rows
    ]  # fmt: skip
    page = f"board-{number}.html"
    board = {
        "page": page, "protocol": key[0], "protocol_sha256": key[1], "references_sha256": key[2],
        "references": runs[0]["references"], "reports": runs[0]["reports"], "systems": len(runs), "order": order,
        "ranking": [row["name"] for row in rows],
    }  # fmt: skip
    from reportgen.page import intervals_plots

    plots = intervals_plots({"rows": [row for row in rows if set(names) <= row["metrics"].keys()] or rows[:1]})
    notes = [note for run in runs for note in run["notes"]]
    _write(site / page, "board.html", board=board, names=names, lines=lines, plots=plots, notes=dict.fromkeys(notes))
    return board


def _rank(cell: dict[str, Any] | None) -> tuple[bool, float]:
    """Unscored last; the better, the further up."""
    if cell is None or cell["value"] is None:
        return (True, 0.0)
    return (False, -cell["value"] if cell["higher_is_better"] else cell["value"])


def _write(path: Path, template: str, **values: Any) -> None:
    with atomic_writer(path) as file:
        file.write(environment().get_template(template).render(**values))
