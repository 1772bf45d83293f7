"""What an evaluation reads: predictions, the truth, who the patients are; and how they are laid side by side."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.label_columns import id_place
from corpora.label_table import BLANK_CELL, LabelMatrix, no_ids
from corpora.types import Provenance, Reject

#: What a truth is that counts in nothing.
LEFT_OUT: Final = -1
UNCERTAIN: Final = {"ignore": LEFT_OUT, "positive": 1, "negative": 0}
BLANK: Final = {"ignore": LEFT_OUT, "negative": 0}
_NESTED: Final = ("probabilities", "labels")


@dataclass(frozen=True, slots=True)
class Predictions:
    """Probabilities of rows (studies or images) by label, (rows, labels), NaN where a cell is empty; and the rows that
    could not be used."""

    path: Path
    studies: tuple[str, ...]
    images: tuple[str | None, ...]
    patients: tuple[str | None, ...]
    labels: tuple[str, ...]
    values: NDArray[np.float64]
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True, slots=True)
class Cohort:
    """Units with their truth (units, labels; 1, 0 or ``LEFT_OUT``), scores (units, labels) and clusters (units,).

    ``unit`` is ``study`` or ``image``; ``cluster`` names what is resampled. A cell without a score is left out.
    """

    labels: tuple[str, ...]
    ids: tuple[str, ...]
    studies: tuple[str, ...]
    patients: tuple[str | None, ...]
    truth: NDArray[np.int8]
    scores: NDArray[np.float64]
    clusters: NDArray[np.intp]
    unit: str
    cluster: str
    notes: tuple[str, ...] = ()

    @property
    def n_clusters(self) -> int:
        return int(self.clusters.max(initial=-1)) + 1

    def take(self, units: Sequence[int] | NDArray[np.intp]) -> Cohort:
        """Some of the units, with clusters numbered anew."""
        at = np.asarray(units, dtype=np.intp)
        _, clusters = np.unique(self.clusters[at], return_inverse=True)
        return replace(
            self, ids=tuple(self.ids[i] for i in at), studies=tuple(self.studies[i] for i in at),
 patients=tuple(self.patients[i] for i in at),
            truth=self.truth[at], scores=self.scores[at], clusters=clusters,
        )  # fmt: skip


def read_predictions(path: Path | str, labels: Sequence[str]) -> Predictions:
    """The probabilities of ``labels`` in a .csv, .parquet or .jsonl table; labels that it lacks are left out.

    A row has ``study_id``, perhaps ``image_id`` and ``patient_id``. A row with a cell that is no probability is
    rejected. Raises ``DataError``: ``data.file``, ``data.format``, ``data.column`` without a column of ids or of any
    of the labels, ``data.duplicate`` for a study (or image) that comes twice, ``data.empty``, ``data.csv``,
    ``data.json``, ``data.parquet``, ``data.encoding``.
    """
    file = _prediction_file(Path(path))
    kept: list[tuple[str, str | None, str | None, list[float]]] = []
    rejects: list[Reject] = []
    found: dict[str, None] = {}
    for number, row in enumerate(table_rows(file), 1):
        study, image, patient, cells = _split(row, file, number)
        found |= dict.fromkeys(label for label in labels if label in cells)
        values = [_probability(cells.get(label)) for label in labels]
        bad = [label for label, value in zip(labels, values, strict=True) if value is None]
        if bad:
            message = f"the cell of {bad[0]!r} is no probability"
            rejects.append(Reject("predictions.value", message, Provenance(str(file), number), study))
        else:
            kept.append((study, image, patient, [math.nan if value is None else value for value in values]))
    if not kept and not rejects:
        raise DataError("data.empty", "the table has no predictions", where=str(file))
    if not found:
        raise DataError("data.column", "no column of the predictions is one of the labels", where=str(file),
                        hint=f"the labels are {', '.join(labels)}")  # fmt: skip
    _refuse_twice([(study, image) for study, image, *_ in kept], file)
    matrix = np.array([values for *_, values in kept], dtype=np.float64).reshape(len(kept), len(labels))
    named = [at for at, label in enumerate(labels) if label in found]
    return Predictions(
        file, tuple(row[0] for row in kept), tuple(row[1] for row in kept), tuple(row[2] for row in kept),
        tuple(labels[at] for at in named), matrix[:, named], tuple(rejects),
    )  # fmt: skip


def _prediction_file(path: Path) -> Path:
    if path.is_dir():
        # a trained network's folder has those of its validation part
        held = [path / f"{stem}{end}" for stem in ("predictions", "validate") for end in (".parquet", ".csv", ".jsonl")]
        found = [file for file in held if file.is_file()]
        if not found:
            raise DataError("data.file", "the folder holds no predictions", where=str(path))
        return found[0]
    return path


def table_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a .csv, .parquet or .jsonl table by column name. Raises ``DataError`` as ``read_predictions``."""
    readers = {".csv": _csv_rows, ".jsonl": _json_rows, ".parquet": _parquet_rows}
    if not path.is_file():
        raise DataError("data.file", "there is no such table", where=str(path))
    if path.suffix.lower() not in readers:
        raise DataError("data.format", "a table is .csv, .jsonl or .parquet", where=str(path))
    try:
        yield from readers[path.suffix.lower()](path)
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "the table is not UTF-8", where=str(path)) from error
    except OSError as error:
        raise DataError("data.file", error.strerror or "cannot be read", where=str(path)) from error


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        try:
            names = [name.strip() for name in next(rows, [])]
            for row in rows:
                if row and len(row) != len(names):
                    message = "the row has not as many cells as the header"
                    raise DataError("data.csv", message, where=f"{path}, line {rows.line_num}")
                if row:
                    yield dict(zip(names, row, strict=True))
        except csv.Error as error:
            raise DataError("data.csv", f"not CSV: {error}", where=f"{path}, line {rows.line_num}") from error


def _json_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise DataError("data.json", "the line is not a JSON object", where=f"{path}, line {number}")
            nested: dict[str, Any] = next((record[key] for key in _NESTED if isinstance(record.get(key), dict)), {})
            yield record | nested


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise DataError("data.parquet", "the table is not Parquet, or is damaged", where=str(path)) from error


def study_of(row: Mapping[str, Any], path: Path, number: int) -> str:
    """The study id of a row. Raises ``DataError`` (``data.column``, ``data.id``)."""
    names = [str(name) for name in row]
    place = id_place(names)
    if place is None:
        raise no_ids(path)
    study = text_or_none(row[names[place]])
    if study is None:
        raise DataError("data.id", "the row has no study id", where=f"{path}, row {number}")
    return study


def text_or_none(value: object) -> str | None:
    """A cell as text; None for an empty one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value).strip()
    return text or None


def _split(row: Mapping[str, Any], path: Path, number: int) -> tuple[str, str | None, str | None, Mapping[str, Any]]:
    names = {str(name).strip().lower(): name for name in row}
    image, patient = (text_or_none(row.get(names.get(key, key))) for key in ("image_id", "patient_id"))
    return study_of(row, path, number), image, patient, row


def _probability(cell: object) -> float | None:
    """The number in a cell, NaN if it is empty, None if it holds no probability."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return math.nan
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return None
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def _refuse_twice(keys: Iterable[tuple[str, str | None]], path: Path) -> None:
    seen: set[tuple[str, str | None]] = set()
    for key in keys:
        if key in seen:
            raise DataError(
                "data.duplicate", f"predictions of {key[1] or key[0]!r} come twice", where=str(path),
                hint="several rows of one study need a column image_id that tells them apart",
            )  # fmt: skip
        seen.add(key)


def cohort(
    predictions: Predictions,
    truth: LabelMatrix,
    *,
    unit: str = "study",
    uncertain: str = "ignore",
    blank: str = "negative",
    patients: Mapping[str, str] | None = None,
) -> Cohort:
    """Predictions beside the truth of their studies.

    ``unit`` study takes the mean over a study's rows, image each row. ``uncertain`` is ``ignore``, ``positive`` or
    ``negative``, ``blank`` is ``ignore`` or ``negative``. ``patients`` is the patient of a study, where the predictions
    do not say. Raises ``DataError`` (``data.missing``) if no study is in both.
    """
    labels = predictions.labels
    truth = truth.named_as(set(predictions.studies))
    states = truth.only(labels).states
    rows = [at for at, study in enumerate(predictions.studies) if study in truth.rows]
    if not rows:
        message = "no study of the predictions is in the table of labels"
        raise DataError("data.missing", message, where=f"{predictions.path}, {truth.path}",
                        hint=f"such as {predictions.studies[0][:40] if predictions.studies else ''!r} "
                             f"and {truth.ids[0][:40]!r}")  # fmt: skip
    groups: dict[str, list[int]] = {}
    for at in rows:
        study = predictions.studies[at]
        key = study if unit == "study" else predictions.images[at] or study
        groups.setdefault(key, []).append(at)
    scores = np.stack([_mean(predictions.values[members]) for members in groups.values()])
    first = [members[0] for members in groups.values()]
    studies = tuple(predictions.studies[at] for at in first)
    known = states[[truth.rows[study] for study in studies]]
    cells = np.where(known == -1, UNCERTAIN[uncertain], np.where(known == BLANK_CELL, BLANK[blank], known))
    cells[np.isnan(scores)] = LEFT_OUT
    names = [predictions.patients[at] or (patients or {}).get(predictions.studies[at]) for at in first]
    by_patient = any(names)
    place: dict[tuple[str, str], int] = {}
    clusters = [
        place.setdefault(("patient", name) if name else ("study", study), len(place))
        for name, study in zip(names, studies, strict=True)
    ]
    notes = _notes(predictions, truth, set(studies), np.isnan(scores), by_patient, names)
    return Cohort(
        labels, tuple(groups), studies, tuple(names), cells.astype(np.int8), scores,
        np.array(clusters, dtype=np.intp), unit,
        "patient" if by_patient else "study", notes,
    )  # fmt: skip


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    held = ~np.isnan(values)
    count = held.sum(axis=0)
    mean = np.full(values.shape[1], np.nan)
    np.divide(np.where(held, values, 0).sum(axis=0), count, out=mean, where=count > 0)
    return mean


def _notes(
    predictions: Predictions, truth: LabelMatrix, studies: set[str], empty: NDArray[np.bool_], by_patient: bool,
    names: Sequence[str | None],
) -> tuple[str, ...]:  # fmt: skip
    unlabelled = len(set(predictions.studies) - studies)
    unpredicted = sum(study not in studies for study in truth.ids)
    lacking = [label for label in truth.labels if label not in predictions.labels]
    notes = [f"{unlabelled:,} studies of the predictions have no row in the labels, not evaluated"] * bool(unlabelled)
    notes += [f"{unpredicted:,} studies of the labels have no prediction, not evaluated"] * bool(unpredicted)
    notes += [f"labels without a column of predictions, not evaluated: {', '.join(lacking)}"] * bool(lacking)
    notes += [f"{int(empty.sum()):,} empty cells of the predictions, left out"] * bool(empty.any())
    notes += ["no patient ids: resampled by study, so intervals are too narrow if patients recur"] * (not by_patient)
    unknown = sum(name is None for name in names)
    notes += [f"{unknown:,} units without a patient id: each study counts as a patient"] * bool(by_patient and unknown)
    return tuple(notes)
