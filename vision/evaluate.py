"""Predictions against labels: every measure with its interval, thresholds from validation, groups, two systems.

radloop vision evaluate predictions.parquet labels.csv --thresholds-from validation.parquet -o evaluation
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np

from corpora.errors import ConfigError, DataError
from corpora.label_table import LabelMatrix, read_label_matrix
from corpora.runs import OutputTarget, atomic_writer, begin, discard_work, output_target, write_manifest
from corpora.statistics.thresholds import Cut, choose
from corpora.types import Reject
from vision.evaluate_compare import Comparison, compare
from vision.evaluate_groups import Group, People, groups, people_of_corpus, people_of_table
from vision.evaluate_input import BLANK, UNCERTAIN, Cohort, Predictions, cohort, read_predictions
from vision.evaluate_measures import Settings, Table, measure

Watch = Callable[[str], None]
#: Replicates of a group: there are many groups, and an interval needs no more.
GROUP_REPLICATES: Final = 2000
_HALF: Final = "0.5"


@dataclass(frozen=True, slots=True)
class Choices:
    """What an evaluation was asked for; every output names it.

    ``uncertain`` and ``blank`` say how such a truth counts. ``sensitivity`` and ``specificity`` are the targets of
    thresholds.
    """

    uncertain: str = "ignore"
    blank: str = "negative"
    unit: str = "study"
    sensitivity: float = 0.9
    specificity: float = 0.9
    replicates: int = 10_000
    seed: int = 0
    confidence: float = 0.95

    def checked(self) -> Choices:
        """Itself. Raises ``ConfigError`` (``config.value``) for a choice there is none of."""
        wrong = [
            name
            for name, good in (
                ("uncertain", self.uncertain in UNCERTAIN), ("blank", self.blank in BLANK),
                ("unit", self.unit in ("study", "image")), ("sensitivity", 0 < self.sensitivity <= 1),
                ("specificity", 0 < self.specificity <= 1), ("confidence", 0 < self.confidence < 1),
                ("replicates", 0 <= self.replicates <= 1_000_000), ("seed", self.seed >= 0),
            )
            if not good
        ]  # fmt: skip
        if wrong:
            raise ConfigError("config.value", f"no such {wrong[0]}: {getattr(self, wrong[0])!r}", where=f"--{wrong[0]}")
        return self

    def said(self) -> str:
        """How the truth counts, in a sentence."""
        uncertain = {"ignore": "left out", "positive": "positive", "negative": "negative"}[self.uncertain]
        blank = {"ignore": "left out", "negative": "negative"}[self.blank]
        return f"uncertain truth: {uncertain}; blank truth: {blank}; unit: {self.unit}"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured. ``cuts`` by rule, one a label; ``groups`` with their tables; ``comparison`` if two systems
    were compared."""

    choices: Choices
    cohort: Cohort
    cuts: Mapping[str, Sequence[Cut]]
    cuts_from: str
    table: Table
    groups: Sequence[tuple[Group, int, Table]]
    comparison: Comparison | None
    notes: tuple[str, ...]
    rejects: tuple[Reject, ...]
    rows: int


def evaluate(
    predictions: Path | str,
    labels: Path | str,
    *,
    thresholds_from: Path | str | None = None,
    threshold_labels: Path | str | None = None,
    subgroups: Path | str | None = None,
    corpus: Path | str | None = None,
    against: Path | str | None = None,
    choices: Choices = Choices(),
    watch: Watch = lambda step: None,
) -> Evaluation:
    """Evaluate the predictions of a system.

    ``thresholds_from`` are predictions of validation studies, whose truth is in ``threshold_labels`` or in ``labels``;
    ``subgroups`` is a table, ``corpus`` a corpus that say who the patients are; ``against`` are the predictions of a
    second system. Raises ``DataError`` as ``read_predictions``, ``read_label_matrix`` and ``cohort``;
    ``evaluate.overlap`` if thresholds would be chosen on studies or patients that are tested; ``ConfigError``.
    """
    choices.checked()
    watch("reading")
    truth = read_label_matrix(labels)
    found = read_predictions(predictions, truth.labels)
    people = _people(subgroups, corpus)
    tested = _cohort(found, truth, people, choices)
    cuts, cuts_from = _cuts(tested, thresholds_from, threshold_labels, truth, people, choices)
    settings = Settings(choices.replicates, choices.seed, choices.confidence)
    watch("measuring")
    table = measure(tested, cuts, settings)
    watch("groups")
    parts = _grouped(tested, found, truth, people, cuts, choices)
    comparison = None
    if against is not None:
        watch("comparing")
        other = _cohort(read_predictions(against, truth.labels), truth, people, choices)
        comparison = compare(tested, other, settings)
    notes = (*tested.notes, *people.notes, *_empty_labels(tested))
    rows = len(found.studies) + len(found.rejects)
    return Evaluation(choices, tested, cuts, cuts_from, table, parts, comparison, notes, found.rejects, rows)


def _people(subgroups: Path | str | None, corpus: Path | str | None) -> People:
    of_corpus = People() if corpus is None else people_of_corpus(corpus)
    if subgroups is None:
        return of_corpus
    of_table = people_of_table(subgroups)
    studies = {study: {**of_corpus.studies.get(study, {}), **of_table.studies.get(study, {})}
               for study in {**of_corpus.studies, **of_table.studies}}  # fmt: skip
    images = {**of_corpus.images, **of_table.images}
    return People({**of_corpus.patients, **of_table.patients}, studies, images, of_table.notes)


def _cohort(found: Predictions, truth: LabelMatrix, people: People, choices: Choices, unit: str = "") -> Cohort:
    return cohort(
        found, truth, unit=unit or choices.unit, uncertain=choices.uncertain, blank=choices.blank,
        patients=people.patients,
    )  # fmt: skip


def _empty_labels(tested: Cohort) -> list[str]:
    lacking = [label for at, label in enumerate(tested.labels)
               if not (tested.truth[:, at] == 1).any() or not (tested.truth[:, at] == 0).any()]  # fmt: skip
    return [f"labels with only one class, which have no AUROC: {', '.join(lacking)}"] * bool(lacking)


def _cuts(
    tested: Cohort, path: Path | str | None, labels: Path | str | None, truth: LabelMatrix, people: People,
    choices: Choices,
) -> tuple[dict[str, list[Cut]], str]:  # fmt: skip
    """Thresholds by rule: chosen on validation where there is one, else a half."""
    if path is None:
        half = [Cut(0.5, _HALF)] * len(tested.labels)
        return {_HALF: half}, "none given: 0.5 for every label, which nothing was chosen on"
    truth = truth if labels is None else read_label_matrix(labels)
    chosen_on = _cohort(read_predictions(path, truth.labels), truth, people, choices)
    _refuse_overlap(tested, chosen_on, Path(path))
    rules = (("youden", None), ("sensitivity", choices.sensitivity), ("specificity", choices.specificity))
    cuts = {
        rule if target is None else f"{rule} {target:g}": [
            _chosen(chosen_on, label, rule, target) for label in tested.labels
        ]
        for rule, target in rules
    }
    return cuts, f"{len(chosen_on.ids):,} {chosen_on.unit} units of {Path(path).name}"


def _chosen(on: Cohort, label: str, rule: str, target: float | None) -> Cut:
    if label not in on.labels:
        return Cut(None, rule, reason="the validation has no predictions of this label")
    at = on.labels.index(label)
    return choose(on.truth[:, at], np.nan_to_num(on.scores[:, at]), rule, target)


def _refuse_overlap(tested: Cohort, chosen_on: Cohort, path: Path) -> None:
    shared = len({*tested.studies} & {*chosen_on.studies})
    patients = len(({*tested.patients} & {*chosen_on.patients}) - {None})
    if shared or patients:
        what = f"{shared:,} studies" if shared else f"{patients:,} patients"
        raise DataError(
            "evaluate.overlap", f"{what} are tested and would choose the thresholds too", where=str(path),
            hint="choose thresholds on validation predictions of other patients",
        )  # fmt: skip


def _grouped(
    tested: Cohort, found: Predictions, truth: LabelMatrix, people: People, cuts: Mapping[str, Sequence[Cut]],
    choices: Choices,
) -> list[tuple[Group, int, Table]]:  # fmt: skip
    """Each group with its number of units and its table: those of views and vendors by image, where there are rows of
    images."""
    if not people.studies:
        return []
    settings = Settings(min(GROUP_REPLICATES, choices.replicates), choices.seed, choices.confidence)
    by_image = tested
    has_images = any(found.images)
    if has_images and choices.unit == "study":
        by_image = _cohort(found, truth, people, choices, "image")
    parts = [(tested, group) for group in groups(tested, people, False if has_images else None)]
    parts += [(by_image, group) for group in groups(by_image, people, True)] if has_images else []
    return [(group, len(group.units), measure(of.take(group.units), cuts, settings)) for of, group in parts]


def to_json(found: Evaluation) -> dict[str, Any]:
    """The evaluation in JSON's types; an estimate is value, lo, hi, n, method, reason."""
    comparison = None
    if found.comparison is not None:
        comparison = {"units": found.comparison.units, "notes": list(found.comparison.notes),
                      "auroc": {name: asdict(row) for name, row in found.comparison.rows.items()}}  # fmt: skip
    return {
        "truth": found.choices.said(),
        "choices": asdict(found.choices),
        "units": len(found.cohort.ids),
        "resampled_by": found.cohort.cluster,
        "clusters": found.cohort.n_clusters,
        "thresholds_from": found.cuts_from,
        "thresholds": {
            rule: {label: asdict(cut) for label, cut in zip(found.cohort.labels, cuts, strict=True)}
            for rule, cuts in found.cuts.items()
        },
        **_table_json(found.table),
        "groups": [
            {"grouping": group.grouping, "value": group.value, "units": n, **_table_json(table)}
            for group, n, table in found.groups
        ],
        "comparison": comparison,
        "undefined": undefined(found.table),
        "rejected": len(found.rejects),
        "notes": list(found.notes),
    }  # fmt: skip


def _table_json(table: Table) -> dict[str, Any]:
    return {"per_label": {name: asdict(row) for name, row in table.labels.items()},
            "macro": asdict(table.macro), "micro": asdict(table.micro)}  # fmt: skip


def undefined(table: Table) -> dict[str, int]:
    """How many values of a table are undefined, by reason."""
    counts: dict[str, int] = {}
    for row in table.rows().values():
        for scores in (row.scores, *row.at.values()):
            for estimate in scores.values():
                if estimate.value is None:
                    counts[estimate.reason] = counts.get(estimate.reason, 0) + 1
    return counts


def write(
    found: Evaluation,
    out: Path | str,
    *,
    inputs: Iterable[Path | str],
    command: Sequence[str] = (),
    begun: float | None = None,
) -> OutputTarget:
    """Write the folder of an evaluation: JSON, page, tables, plots, failures, and the manifest last.

    Raises ``RunError`` as ``corpora.runs``; ``ConfigError`` (``config.value``) if ``out`` names a table.
    """
    from vision.evaluate_page import page
    from vision.plots import figures
    from vision.tables import long_rows, tables

    begun = monotonic() if begun is None else begun
    target = output_target(out, "evaluation.json")
    if not target.is_folder:
        raise ConfigError("config.value", "an evaluation is a folder, not a table", where=str(out))
    begin(target)
    files: dict[str, str | bytes] = {"evaluation.csv": long_rows(found), **tables(found)}
    drawn = figures(found)
    files |= drawn
    files["evaluation.html"] = page(found, {name: str(svg) for name, svg in drawn.items() if name.endswith(".svg")})
    files["evaluation.json"] = json.dumps(to_json(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if found.rejects:
        files["failures.jsonl"] = "".join(_failure(reject) for reject in found.rejects)
    for name, content in files.items():
        path = target.out / name
        path.parent.mkdir(exist_ok=True)
        with atomic_writer(path, "wb" if isinstance(content, bytes) else "w") as file:
            file.write(content)
    discard_work(target)
    write_manifest(
        target.manifest, command=command, config=asdict(found.choices), inputs=inputs,
        counts={"rows": found.rows, "units": len(found.cohort.ids), "rejected": len(found.rejects),
                "undefined": sum(undefined(found.table).values())},
        wall_seconds=monotonic() - begun, seed=found.choices.seed, packages=("numpy", "scipy", "matplotlib"),
    )  # fmt: skip
    return target


def _failure(reject: Reject) -> str:
    row = {"code": reject.code, "message": reject.message, "study_id": reject.study_id,
           "file": reject.provenance.file, "row": reject.provenance.row}  # fmt: skip
    return json.dumps(row, ensure_ascii=False) + "\n"
