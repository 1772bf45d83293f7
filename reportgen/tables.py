"""What a scored system is written as; see ``reportgen.bench`` for the files."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from corpora.errors import DataError
from corpora.runs import atomic_writer
from corpora.statistics.types import Estimate
from reportgen.bench import Bench
from reportgen.scoring import Row
from reportgen.types import Scored

#: Of the per-label columns only the JSON and CSV tables have all.
_LABEL: Final = "F1 "


def write_run(folder: Path, bench: Bench) -> None:
    """Write all files of a run but its manifest. Raises ``RunError`` as ``atomic_writer``."""
    from reportgen.page import page

    data = to_json(bench)
    texts = {
        "table.json": json.dumps(data, indent=2, ensure_ascii=False) + "\n",
        "table.md": to_markdown(data),
        "table.tex": to_latex(data),
        "report.html": page(bench, data),
        "unscored.jsonl": "".join(_lines(_unscored(bench))),
        "errors.jsonl": "".join(_lines(_errors(bench))),
    }
    for name, text in texts.items():
        with atomic_writer(folder / name) as file:
            file.write(text)
    with atomic_writer(folder / "table.csv") as file:
        csv.writer(file, lineterminator="\n").writerows(_csv_rows(data))
    write_scores(folder, bench)


def to_json(bench: Bench) -> dict[str, Any]:
    """The whole table: per row and metric value, interval, counts, reason, significance against the constant."""
    return {
        "protocol": bench.protocol.name,
        **bench.fingerprints,
        "references": bench.known.name if bench.known else "of your own",
        "reports": len(bench.rows[0].pairs),
        "without_reference": len(bench.without_reference),
        "notes": list(bench.notes),
        "rows": [_row_json(row) for row in bench.rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    cells = zip(row.scored, row.estimates, row.against, strict=True)
    return {
        "name": row.name,
        "distinct": row.distinct,
        "empty": row.empty,
        "seconds": dict(row.seconds),
        "metrics": {one.name: _cell(one, estimate, p) for one, estimate, p in cells},
    }


def _cell(one: Scored, estimate: Estimate, p: float | None) -> dict[str, Any]:
    return {
        "value": estimate.value, "lo": estimate.lo, "hi": estimate.hi, "n": estimate.n, "unscored": one.unscored,
        "reason": estimate.reason, "method": estimate.method, "higher_is_better": one.higher_is_better,
        "p_against_constant": p,
    }  # fmt: skip


def shown_metrics(data: dict[str, Any]) -> list[str]:
    """The metrics that a page shows: all but the F1 of single labels."""
    return [name for name in data["rows"][0]["metrics"] if not name.startswith(_LABEL)]


def cell_text(cell: dict[str, Any], *, interval: bool = True) -> str:
    """A cell as text: value, interval, a star where it differs from the constant report (p < .05)."""
    if cell["value"] is None:
        return "not scored"
    star = "*" if cell["p_against_constant"] is not None and cell["p_against_constant"] < 0.05 else ""
    if not interval or cell["lo"] is None:
        return f"{cell['value']:.4f}{star}"
    return f"{cell['value']:.4f}{star} [{cell['lo']:.3f}, {cell['hi']:.3f}]"


def to_markdown(data: dict[str, Any]) -> str:
    """The table with a line a metric and a column a row; the notes below."""
    rows = data["rows"]
    heads = ["", *(_md(row["name"]) for row in rows)]
    lines = [f"# {_md(rows[0]['name'])} under {data['protocol']}", ""]
    lines += ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for name in data["rows"][0]["metrics"]:
        cells = [cell_text(row["metrics"][name]) for row in rows]
        lines.append(f"| {_md(name)} | " + " | ".join(cells) + " |")
    lines.append("| different drafts | " + " | ".join(str(row["distinct"]) for row in rows) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for note in _remarks(data))]) + "\n"


def _remarks(data: dict[str, Any]) -> Iterator[str]:
    yield f"{data['reports']} reports; references: {data['references']} (sha256 {data['references_sha256'][:16]})"
    yield "in brackets the 95 % interval of the bootstrap by report; * differs from the constant report, p < .05"
    yield from data["notes"]
    if data["without_reference"]:
        yield f"{data['without_reference']} studies have an empty reference and are left out"
    for name, cell in data["rows"][0]["metrics"].items():
        if cell["value"] is None:
            yield f"{name}: {cell['reason']}"
        elif cell["unscored"]:
            yield f"{name}: {cell['unscored']} reports without a score of their own"


def to_latex(data: dict[str, Any]) -> str:
    """A table for a paper: a line a row, a column a metric, without intervals."""
    names = shown_metrics(data)
    heads = " & ".join(["", *map(_tex, names)])
    lines = [f"% {data['protocol']}, references {data['references_sha256'][:16]}, {data['reports']} reports"]
    lines += [r"\begin{tabular}{l" + "r" * len(names) + "}", r"\hline", heads + r" \\", r"\hline"]
    for row in data["rows"]:
        cells = [cell_text(row["metrics"][name], interval=False).replace("*", "$^*$") for name in names]
        lines.append(" & ".join([_tex(row["name"]), *cells]) + r" \\")
    return "\n".join([*lines, r"\hline", r"\end{tabular}"]) + "\n"


def _md(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _tex(text: str) -> str:
    escaped = "".join(
        {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}.get(c, c) for c in text
    )
    return "".join("\\" + c if c in "_%&#$" else c for c in escaped)


def _csv_rows(data: dict[str, Any]) -> Iterator[list[Any]]:
    yield ["row", "metric", "value", "lo", "hi", "n", "unscored", "p_against_constant", "reason"]
    for row in data["rows"]:
        for name, cell in row["metrics"].items():
            values = [cell[key] for key in ("value", "lo", "hi", "n", "unscored", "p_against_constant", "reason")]
            yield [row["name"], name, *("" if value is None else value for value in values)]


def _unscored(bench: Bench) -> Iterator[dict[str, Any]]:
    for study_id in bench.without_reference:
        yield {"row": "", "study_id": study_id, "metric": "", "reason": "empty reference"}
    for row in bench.rows:
        for one in row.scored:
            if one.reason:
                yield {"row": row.name, "study_id": None, "metric": one.name, "reason": one.reason}
            # most reports have none of a label; the table counts them
            if one.reason or one.name.startswith(_LABEL):
                continue
            for at in np.flatnonzero(np.isnan(one.values)).tolist():
                reason = one.reasons.get(at, "no value")
                yield {"row": row.name, "study_id": row.pairs[at].study_id, "metric": one.name, "reason": reason}


def _errors(bench: Bench) -> Iterator[dict[str, Any]]:
    system = bench.rows[0]
    for one in system.scored:
        for at, errors in one.evidence.items():
            if at >= 0:
                yield {"study_id": system.pairs[at].study_id, "metric": one.name, "errors": errors}


def _lines(records: Iterator[dict[str, Any]]) -> Iterator[str]:
    for record in records:
        yield json.dumps(record, ensure_ascii=False) + "\n"


# scores that other commands read


def write_scores(folder: Path, bench: Bench) -> None:
    """Write ``scores.parquet`` and ``sums.parquet``: rows of all systems, one below the other."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [one.name for one in bench.rows[0].scored]
    first = {
        "row": pa.array([row.name for row in bench.rows for _ in row.pairs]),
        "study_id": pa.array([pair.study_id for row in bench.rows for pair in row.pairs]),
    }
    values = {name: np.concatenate([row.scored[at].values for row in bench.rows]) for at, name in enumerate(names)}
    sums = {name: np.vstack([row.scored[at].sums for row in bench.rows]) for at, name in enumerate(names)}
    kept = {
        one.name: {"finisher": one.finisher, "higher_is_better": one.higher_is_better,
                   "reason": {row.name: row.scored[at].reason for row in bench.rows}}
        for at, one in enumerate(bench.rows[0].scored)
    }  # fmt: skip
    tables = {
        "scores.parquet": pa.table(first | {name: pa.array(v, from_pandas=True) for name, v in values.items()}),
        "sums.parquet": pa.table(first | {name: _lists(v) for name, v in sums.items()}).replace_schema_metadata(
            {"radloop": json.dumps({"metrics": kept, **bench.fingerprints, "protocol": bench.protocol.name})}
        ),
    }
    for name, table in tables.items():
        with atomic_writer(folder / name, "wb") as file:
            pq.write_table(table, file, compression="zstd")


def _lists(sums: Any) -> Any:
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(sums.ravel()), sums.shape[1])


def read_scores(folder: Path) -> tuple[dict[str, Any], dict[str, list[str]], dict[str, list[Scored]]]:
    """What ``sums.parquet`` holds: its metadata, the study ids of each row, the scores of each row.

    Raises ``DataError``: ``data.missing``, ``data.incomplete`` for a folder without manifest, ``data.parquet``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not folder.is_dir():
        raise DataError("data.missing", "there is no such folder", where=str(folder))
    if not (folder / "manifest.json").is_file():
        raise DataError("data.incomplete", "the run has no manifest.json: it was not finished", where=str(folder))
    try:
        sums = pq.read_table(folder / "sums.parquet")
        values = pq.read_table(folder / "scores.parquet")
        meta = json.loads(sums.schema.metadata[b"radloop"])
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        raise DataError("data.parquet", "the scores cannot be read", where=str(folder)) from None
    rows = np.array(sums.column("row").to_pylist(), dtype=object)
    ids = np.array(sums.column("study_id").to_pylist(), dtype=object)
    scored: dict[str, list[Scored]] = {}
    for row in dict.fromkeys(rows.tolist()):
        at = rows == row
        scored[row] = [_read(name, row, kept, sums, values, at) for name, kept in meta["metrics"].items()]
    return meta, {row: ids[rows == row].tolist() for row in scored}, scored


def _read(name: str, row: str, kept: dict[str, Any], sums: Any, values: Any, at: Any) -> Scored:
    column = sums.column(name).combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False).reshape(len(at), -1)[at]
    each = values.column(name).to_numpy().astype(np.float64)[at]
    return Scored(name, each, flat, kept["finisher"], {}, kept["reason"].get(row, ""), kept["higher_is_better"])
