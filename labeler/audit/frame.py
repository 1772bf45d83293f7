"""The folder of an audit: what was planned, the frame of texts, and what was drawn from it.

    AUDIT/
      audit.json       the plan: label table and its hash, labels, shares, strata with what is to be drawn of each
      frame.parquet    one row a report: its cluster, stratum, permanent random number, machine labels
      draw.json        what was drawn from which frame
      draw.parquet     one row a drawn text, in reading order
      audit.sqlite     what readers did
      manifest.json    written by the plan, and again by the draw

A cluster is a set of reports with the same text, the same labels by machine and the same site: one unit of the draw,
which is read once. Its lexically first report stands for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError, RunError
from corpora.runs import atomic_writer, hash_input
from labeler.audit.types import BLANK_CODE, Stratum

if TYPE_CHECKING:
    import pyarrow as pa

VERSION: Final = 1
PLAN, FRAME, DRAW, DRAWN = "audit.json", "frame.parquet", "draw.json", "draw.parquet"
#: States of a label in the order in which tables of the audit list them, with their codes.
CODES: Final[dict[str, int]] = {"positive": 1, "negative": 0, "uncertain": -1, "blank": BLANK_CODE}


@dataclass(frozen=True, slots=True)
class PlannedStratum:
    """A stratum as planned: texts and reports in it, the least that the gates ask for, and what is to be drawn."""

    name: str
    size: int
    reports: int
    floor: int
    planned: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What an audit is of, and how its texts are drawn; see `radloop audit plan`.

    ``labels`` is the path of the label table, ``labels_sha256`` the hash of its bytes; ``names`` are its labels in
    order. ``read`` says how ``reports`` is read (format, encoding, columns). ``fraction`` and ``least`` are the gates:
    that share of all texts, of every stratum, and of every label in every state, there at least ``least`` texts or all.
    ``double`` is the share read by two readers, ``repeats`` that shown twice to one. ``errors`` are the error rates
    that were assumed, ``widths`` the intervals expected under them.
    """

    labels: str
    labels_sha256: str
    names: tuple[str, ...]
    seed: str
    fraction: float
    least: int
    budget: int
    strata: tuple[PlannedStratum, ...]
    frame_sha256: str = ""
    schema: str | None = None
    sections: str = "findings,impression"
    second_labels: str | None = None
    second_sha256: str | None = None
    reports: str | None = None
    read: Mapping[str, str | None] = field(default_factory=dict)
    labeler: str | None = None
    evidence: str | None = None
    sites: str | None = None
    site_column: str | None = None
    double: float = 0.2
    repeats: float = 0.03
    errors: Mapping[str, float] = field(default_factory=dict)
    widths: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Frame:
    """All reports of an audit, as arrays over N reports, L labels.

    ``cluster`` [N] numbers the texts from 0; ``stratum`` [N] indexes ``strata``; ``prn`` [N] is the permanent random
    number of the report that stands for the cluster; ``machine`` and ``second`` [N, L] hold states as codes of
    ``labeler.audit.types``; ``site`` [N] indexes ``sites``, -1 without; ``text_sha`` are hashes of the texts read.
    """

    names: tuple[str, ...]
    ids: tuple[str, ...]
    cluster: NDArray[Any]
    strata: tuple[str, ...]
    stratum: NDArray[Any]
    prn: NDArray[Any]
    machine: NDArray[Any]
    disagree: NDArray[Any]
    sites: tuple[str, ...] = ()
    site: NDArray[Any] | None = None
    second: NDArray[Any] | None = None
    text_sha: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drawn text: the report that stands for it, how many it stands for, and how it is to be read.

    ``position`` is its place in the reading order; ``double``: by two readers; ``repeat``: twice by the first of them.
    """

    study_id: str
    cluster: int
    reports: int
    stratum: str
    probability: float
    position: int
    double: bool
    repeat: bool
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draw:
    """What was drawn, in reading order, from the frame with the hash ``frame_sha256``."""

    seed: str
    frame_sha256: str
    labels_sha256: str
    strata: tuple[Stratum, ...]
    drawn_at: str
    texts: tuple[Drawn, ...]

    def by_id(self) -> dict[str, Drawn]:
        """The drawn texts by the report that stands for them."""
        return {each.study_id: each for each in self.texts}


# reading


def load_plan(audit: Path | str) -> Plan:
    """The plan of an audit.

    Raises ``DataError``: ``data.missing`` without a folder or a plan in it, ``audit.damaged`` for a file that is no
    plan; ``RunError``: ``audit.newer`` for one that a newer radloop wrote.
    """
    path = Path(audit) / PLAN
    data = _json(path, "run `radloop audit plan LABELS -o AUDIT` first")
    if isinstance(data.get("version"), int) and data["version"] > VERSION:
        message = f"the audit is of version {data['version']}, this radloop knows {VERSION}"
        raise RunError("audit.newer", message, where=str(path), hint="use the newer radloop that made it")
    try:
        strata = tuple(PlannedStratum(**each) for each in data.pop("strata"))
        listed = {name: tuple(data.pop(name)) for name in ("names", "notes")}
        return Plan(strata=strata, **listed, **data)
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error


def load_frame(audit: Path | str) -> Frame:
    """The frame of an audit.

    Raises ``DataError``: as ``load_plan``, ``audit.damaged`` for a frame that cannot be read, and
    ``audit.frame_changed`` if it is not the one that was planned.
    """
    plan = load_plan(audit)
    path = Path(audit) / FRAME
    table = _parquet(path)
    if plan.frame_sha256 != str(hash_input(path)["sha256"]):
        raise DataError(
            "audit.frame_changed", "the frame is not the one that was planned", where=str(path),
            hint="restore it from a copy, or plan the audit anew in another folder",
        )  # fmt: skip
    try:
        return _frame_of(table, plan.names, [each.name for each in plan.strata])
    except (KeyError, ValueError, AttributeError) as error:
        raise _damaged(path) from error


def _frame_of(table: pa.Table, names: Sequence[str], planned: Sequence[str]) -> Frame:
    def column(name: str) -> NDArray[Any]:
        values: NDArray[Any] = table.column(name).combine_chunks().to_numpy(zero_copy_only=False)
        return values

    def states(prefix: str) -> NDArray[Any]:
        return np.stack([column(f"{prefix}:{name}") for name in names], axis=1)

    found, places = _encoded(table, "stratum")
    # in the order of the plan, whatever comes first in the table
    stratum = np.array([planned.index(name) for name in found], dtype=np.int32)[places]
    sites, site = _encoded(table, "site")
    return Frame(
        tuple(names), tuple(table.column("study_id").to_pylist()), column("cluster"), tuple(planned), stratum,
        column("prn"),
        states("m"), column("disagree"), sites, site if sites else None,
        states("s") if f"s:{names[0]}" in table.column_names else None,
        tuple(table.column("text").to_pylist()),
    )  # fmt: skip


def _encoded(table: pa.Table, name: str) -> tuple[tuple[str, ...], NDArray[Any]]:
    coded = table.column(name).combine_chunks().dictionary_encode()
    return tuple(coded.dictionary.to_pylist()), coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)


def load_draw(audit: Path | str) -> Draw:
    """What was drawn.

    Raises ``DataError``: ``audit.not_drawn`` before the first draw, ``audit.damaged``, and ``audit.frame_changed`` if
    it was drawn from another frame than the planned one.
    """
    plan = load_plan(audit)
    path = Path(audit) / DRAW
    if not path.is_file():
        hint = "run `radloop audit draw AUDIT`"
        raise DataError("audit.not_drawn", "nothing is drawn yet", where=str(audit), hint=hint)
    data = _json(path)
    rows = _parquet(Path(audit) / DRAWN).to_pylist()
    try:
        strata = tuple(Stratum(**each) for each in data["strata"])
        texts = tuple(Drawn(**row | {"members": tuple(row["members"])}) for row in rows)
        draw = Draw(data["seed"], data["frame_sha256"], data["labels_sha256"], strata, data["drawn_at"], texts)
    except (KeyError, TypeError) as error:
        raise _damaged(path) from error
    if draw.frame_sha256 != plan.frame_sha256:
        raise DataError("audit.frame_changed", "it was drawn from another frame than the planned one", where=str(path))
    return draw


def check_labels_unchanged(audit: Path | str) -> None:
    """Raises ``DataError`` (``audit.labels_changed``) if the label table is no longer the one that is audited."""
    plan = load_plan(audit)
    path = Path(plan.labels)
    hint = "an audit is of one table: restore it, or plan an audit of the new one in another folder"
    if not path.is_file():
        raise DataError("audit.labels_changed", "the audited label table is gone", where=str(path), hint=hint)
    if str(hash_input(path)["sha256"]) != plan.labels_sha256:
        raise DataError(
            "audit.labels_changed", "the label table has changed since the plan", where=str(path), hint=hint
        )


# writing


def write_plan(audit: Path, plan: Plan) -> None:
    """Write ``audit.json``. Raises ``RunError`` as ``corpora.runs.atomic_writer``."""
    write_json(audit / PLAN, asdict(plan))


def write_frame(audit: Path, frame: Frame) -> str:
    """Write ``frame.parquet``; the SHA-256 of its bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        "study_id": pa.array(frame.ids, pa.string()),
        "cluster": pa.array(frame.cluster.astype(np.int32)),
        "site": _names_of(frame.sites, frame.site, len(frame.ids)),
        "stratum": _names_of(frame.strata, frame.stratum, len(frame.ids)),
        "prn": pa.array(frame.prn),
        "text": pa.array(frame.text_sha or [None] * len(frame.ids), pa.string()),
        "disagree": pa.array(frame.disagree),
    }
    for prefix, states in (("m", frame.machine), ("s", frame.second)):
        if states is not None:
            columns |= {f"{prefix}:{name}": pa.array(states[:, at]) for at, name in enumerate(frame.names)}
    with atomic_writer(audit / FRAME, "wb") as file:
        pq.write_table(pa.table(columns), file, compression="zstd")
    return str(hash_input(audit / FRAME)["sha256"])


def _names_of(names: Sequence[str], places: NDArray[Any] | None, length: int) -> Any:
    import pyarrow as pa

    if places is None:
        return pa.nulls(length, pa.string())
    at = pa.array(places.astype(np.int32), mask=places < 0)
    return pa.array(list(names), pa.string()).take(at)


def write_draw(audit: Path, draw: Draw) -> None:
    """Write ``draw.parquet``, then ``draw.json``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("study_id", pa.string()), ("cluster", pa.int32()), ("reports", pa.int32()), ("stratum", pa.string()),
            ("probability", pa.float64()), ("position", pa.int32()), ("double", pa.bool_()), ("repeat", pa.bool_()),
            ("members", pa.list_(pa.string())),
        ]
    )  # fmt: skip
    rows = {name: [getattr(each, name) for each in draw.texts] for name in schema.names}
    with atomic_writer(audit / DRAWN, "wb") as file:
        pq.write_table(pa.table(rows, schema=schema), file, compression="zstd")
    data = {
        "seed": draw.seed,
        "frame_sha256": draw.frame_sha256,
        "labels_sha256": draw.labels_sha256,
        "drawn_at": draw.drawn_at,
        "strata": [asdict(each) for each in draw.strata],
    }
    write_json(audit / DRAW, data)


def write_json(path: Path, data: object) -> None:
    """Write an object as JSON for people and programs, whole or not at all."""
    with atomic_writer(path) as file:
        json.dump(data, file, indent=2, ensure_ascii=False)
        file.write("\n")


def _json(path: Path, hint: str = "") -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError("data.missing", "there is no such file", where=str(path), hint=hint) from error
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(data, dict):
        raise _damaged(path)
    return data


def _parquet(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise DataError("data.missing", "there is no such file", where=str(path)) from error
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> DataError:
    return DataError(
        "audit.damaged", "the file is not as radloop writes it", where=str(path), hint="restore it from a copy"
    )
