"""Where an audit's inputs are: the reports of a label table, sites, and a hybrid labeler's own disagreements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError, RegistryError

_READ: Final = ("format", "encoding", "id_column", "text_column", "findings_column", "impression_column")
_IDS: Final = ("study_id", "id")


@dataclass(frozen=True, slots=True)
class Origin:
    """What the manifest of a label table says of how it was made; empty where it says nothing.

    ``named`` is the source of the reports as it was named, ``reports`` where it is now, if it still is there.
    """

    named: str | None = None
    reports: str | None = None
    sections: str | None = None
    schema: str | None = None
    labeler: str | None = None
    read: Mapping[str, str | None] = field(default_factory=dict)

    def read_as(self, source: str) -> Mapping[str, str | None]:
        """How to read a source: as that of the labels was, if it is of the same kind."""
        same = self.named is not None and Path(self.named).suffix.lower() == Path(source).suffix.lower()
        return self.read if same else {}


def origin_of(table: Path) -> Origin:
    """What the manifest beside a label table says; nothing where there is none that can be read."""
    manifests = (table.with_name(f"{table.name}.manifest.json"), table.parent / "manifest.json")
    data: Any = next(filter(None, map(_manifest, manifests)), {})
    config, inputs = data.get("config", {}), data.get("inputs", [])
    if not isinstance(config, dict) or "label_schema" not in config:
        return Origin()
    named = inputs[0].get("path") if inputs and isinstance(inputs[0], dict) else None
    named = named if isinstance(named, str) and named != "-" else None
    there = named is not None and Path(named).exists()
    read = {name: config.get(name) for name in _READ if config.get(name) is not None}
    return Origin(
        named, str(Path(named).resolve()) if named is not None and there else None, config.get("sections"),
        config["label_schema"], config.get("labeler"), read,
    )  # fmt: skip


def _manifest(path: Path) -> Any:
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def schema_labels(schema: str | None) -> tuple[str, ...]:
    """The labels of a schema in order; none where it is not known here."""
    from labeler.schemas import load_schema

    if schema is None:
        return ()
    try:
        return load_schema(schema).schema.labels
    except (RegistryError, DataError, OSError):
        return ()


def site_of(path: Path, column: str, ids: Sequence[str]) -> list[str]:
    """The site of each report, from a CSV, Parquet or JSONL table with ids and a column of sites.

    Raises ``DataError``: ``data.file``, ``data.column``, ``data.duplicate``, and ``audit.site`` for a report without
    one.
    """
    keys, values = _two_columns(path, column)
    if len(set(keys)) != len(keys):
        raise DataError("data.duplicate", "a study id occurs twice in the table of sites", where=str(path))
    by_id = dict(zip(keys, values, strict=True))
    sites = [str(by_id.get(each) or "").strip() for each in ids]
    if lacking := [each for each, site in zip(ids, sites, strict=True) if not site]:
        message = f"{len(lacking):,} of {len(ids):,} reports have no site, first {lacking[0][:40]!r}"
        raise DataError("audit.site", message, where=f"{path}, column {column!r}")
    return sites


def _two_columns(path: Path, column: str) -> tuple[list[str], list[Any]]:
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.json as pa_json
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".parquet":
            table = pq.read_table(path)
        elif path.suffix.lower() == ".jsonl":
            table = pa_json.read_json(path)
        else:
            with csv.open_csv(path) as reader:
                names = reader.schema.names
            text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
            parse = csv.ParseOptions(newlines_in_values=True, delimiter="\t" if path.suffix == ".tsv" else ",")
            table = csv.read_csv(path, convert_options=text, parse_options=parse)
    except FileNotFoundError as error:
        raise DataError("data.file", "no such file", where=str(path)) from error
    except (pa.ArrowException, OSError) as error:
        raise DataError("data.file", "the table of sites cannot be read", where=str(path)) from error
    key = next((name for name in table.column_names if name.strip().lower() in _IDS), None)
    if key is None or table.column_names.count(column) != 1:
        lacking = "study_id" if key is None else column
        raise DataError("data.column", f"no column {lacking!r}", where=str(path))
    return [str(each) for each in table.column(key).to_pylist()], table.column(column).to_pylist()


def hybrid_disagreements(path: Path) -> set[tuple[str, str]]:
    """Study and label of all that the rules and the network of a hybrid labeler read differently, from its evidence.

    In the file that `radloop label run --evidence` writes, mentions of such a label say whose they are. Raises
    ``DataError``: ``data.file``, ``data.json``.
    """
    found: set[tuple[str, str]] = set()
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                found |= _of_line(line, path, number)
    except OSError as error:
        raise DataError("data.file", error.strerror or "cannot be read", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "not UTF-8 text", where=str(path)) from error
    return found


def _of_line(line: str, path: Path, number: int) -> set[tuple[str, str]]:
    # most lines need no look inside
    if '"rule": "' not in line or not (".v" in line or "network " in line):
        return set()
    try:
        row = json.loads(line)
        study_id, mentions = str(row["study_id"]), row["mentions"]
        return {(study_id, str(each["label"])) for each in mentions if _is_voice(str(each["rule"]))}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = "not a line of evidence as `radloop label run --evidence` writes it"
        raise DataError("data.json", message, where=f"{path}, line {number}") from error


def _is_voice(rule: str) -> bool:
    first, _, rest = rule.partition(" ")
    return (first == "network" and rest[:1] in (".", "0", "1")) or (first.endswith(":") and ".v" in first)
