"""``radloop bench score``: one system's drafts, scored under a protocol, beside the rows that it should beat.

DIR/
  table.md, table.csv, table.json, table.tex     the table, with intervals and significance
  report.html                                    the same with plots and the worst drafts
  scores.parquet                                 row, study_id, a column for each metric
  sums.parquet                                   what intervals and tests are made of (see reportgen.types.Scored)
  unscored.jsonl                                 what has no score, and why
  errors.jsonl                                   what the clinical score charges, with the sentences
  manifest.json                                  last
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from corpora.errors import ConfigError, DataError
from corpora.labels import State
from corpora.runs import begin, discard_work, output_target, write_manifest
from reportgen.baselines import baseline_rows
from reportgen.inputs import Texts, read_texts
from reportgen.join import ids_sha256, join, texts_sha256
from reportgen.protocols import Protocol, ReferenceSet, load_protocol, protocol_sha256, reference_set
from reportgen.resampling import estimates, randomised
from reportgen.scoring import Row, Scorer, with_drafts
from reportgen.types import Pair

_TABLE: Final = "scores.parquet"
Watch = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bench:
    """A scored system: its rows (the system first), the protocol, and what was left out before anything was scored."""

    protocol: Protocol
    rows: tuple[Row, ...]
    known: ReferenceSet | None
    without_reference: tuple[str, ...]
    fingerprints: dict[str, str]
    notes: tuple[str, ...]


def score(
    predictions: Path | str,
    references: Path | str,
    protocol: str,
    out: Path,
    *,
    name: str = "",
    train: Path | str | None = None,
    labels: Path | None = None,
    any_references: bool = False,
    replicates: int = 1000,
    randomisations: int = 10_000,
    seed: int = 0,
    overrides: Sequence[str] = (),
    command: Sequence[str] = (),
    watch: Watch = lambda what: None,
) -> Bench:
    """Score the drafts in ``predictions`` against ``references`` under a protocol, and write the run folder ``out``.

    ``train`` are training reports, for the baselines and for protocols that cut references; ``labels`` is a label
    table of the references. Raises ``DataError``, ``ConfigError``, ``RegistryError``, ``RunError``.
    """
    from reportgen.tables import write_run

    if replicates < 0 or randomisations < 0 or seed < 0:
        raise ConfigError("config.value", "replicates, randomisations and seed are not negative")
    begun = time.perf_counter()
    chosen = load_protocol(protocol, overrides)
    drafts = read_texts(predictions, "drafts", sections=chosen.sections)
    meant = read_texts(references, "references", sections=chosen.sections)
    known = reference_set(chosen, meant, any_references=any_references)
    trained = meant.train if train is None else _training(train, chosen)
    bench = score_texts(
        drafts, meant, chosen, name=name or Path(predictions).stem, train=trained, known=known,
        labels=_label_states(labels, chosen) if labels else {}, replicates=replicates,
        randomisations=randomisations, seed=seed, watch=watch,
    )  # fmt: skip
    target = output_target(out, _TABLE)
    if not target.is_folder:
        raise ConfigError("config.value", "the output is a folder", where=str(out))
    begin(target)
    write_run(target.out, bench)
    discard_work(target)
    inputs = [path for path in (predictions, references, train, labels) if path is not None]
    write_manifest(
        target.manifest, command=command, config=chosen.model_dump(), inputs=inputs, counts=counts(bench),
        wall_seconds=time.perf_counter() - begun, seed=seed, packages=("numpy", "rapidfuzz"), leave_out=[target.out],
    )  # fmt: skip
    return bench


def score_texts(
    drafts: Texts,
    references: Texts,
    protocol: Protocol,
    *,
    name: str,
    train: dict[str, str],
    known: ReferenceSet | None = None,
    labels: dict[str, Sequence[State]] | None = None,
    replicates: int = 1000,
    randomisations: int = 10_000,
    seed: int = 0,
    watch: Watch = lambda what: None,
) -> Bench:
    """As ``score``, of texts that were read; writes nothing."""
    pairs, without = _with_reference(join(drafts, references))
    scorer = Scorer(protocol, train, known, labels or {}, watch)
    rows = [scorer.row(name, pairs)]
    for baseline, texts in baseline_rows(pairs, train, seed).items():
        rows.append(scorer.row(baseline, with_drafts(pairs, texts), baseline=True))
    watch("intervals and significance")
    rows = [_with_statistics(row, rows[1], replicates, randomisations, seed) for row in rows]
    fingerprints = {
        "protocol_sha256": protocol_sha256(protocol),
        "references_sha256": texts_sha256(references.texts),
        "ids_sha256": ids_sha256(pair.study_id for pair in pairs),
    }
    return Bench(protocol, tuple(rows), known, tuple(without), fingerprints, tuple(_notes(protocol, rows[0], known)))


def _with_reference(pairs: Sequence[Pair]) -> tuple[list[Pair], list[str]]:
    """The pairs that can be scored, and the studies whose reference is empty."""
    kept, without = [], []
    for pair in pairs:
        references = tuple(text for text in pair.references if text.strip())
        if references:
            kept.append(replace(pair, references=references))
        else:
            without.append(pair.study_id)
    if not kept:
        raise DataError("bench.empty", "every reference is empty: there is nothing to score against")
    return kept, without


def _with_statistics(row: Row, constant: Row, replicates: int, randomisations: int, seed: int) -> Row:
    found = tuple(estimates(row.scored, replicates, seed))
    if row is constant or not randomisations:
        return replace(row, estimates=found, against=(None,) * len(found))
    return replace(row, estimates=found, against=tuple(randomised(row.scored, constant.scored, randomisations, seed)))


def _training(source: Path | str, protocol: Protocol) -> dict[str, str]:
    """Training reports: the split of an annotation, else all reports of the file."""
    found = read_texts(source, "references", sections=protocol.sections, split="test")
    if found.train:
        return found.train
    return {name: texts[0] for name, texts in zip(found.ids, found.texts, strict=True)}


def _label_states(path: Path, protocol: Protocol) -> dict[str, Sequence[State]]:
    """The labels of references, in the order of the schema. Raises ``DataError`` (``bench.labels``) for one missing."""
    from labeler.base import load
    from labeler.score_io import STATES, read_labels

    table = read_labels(path)
    wanted = load(protocol.labels.labeler, protocol.labels.label_schema).schema.labels
    missing = [label for label in wanted if label not in table.columns and not table.sparse]
    if missing:
        raise DataError("bench.labels", f"the table has no column {missing[0]!r}", where=str(path))
    columns = [table.columns.get(label) for label in wanted]
    for label, column in zip(wanted, columns, strict=True):
        if column is not None and column.bad is not None:
            raise DataError("bench.labels", f"a cell of {label!r} is no state", where=f"{path}, row {column.bad[0]}")
    rows = (
        [None if column is None else STATES[column.codes[at]] for column in columns] for at in range(len(table.ids))
    )
    return dict(zip(table.ids, rows, strict=True))


def _notes(protocol: Protocol, system: Row, known: ReferenceSet | None) -> list[str]:
    notes = [f"labels by {protocol.labels.labeler}, uncertain counts as {protocol.labels.uncertain}"]
    notes += [f"{text}: {what}" for text, what in system.done.items()]
    if protocol.references and known is None:
        notes.append("the references are not those of the protocol: not comparable with published numbers")
    if system.distinct < 0.1 * len(system.pairs):
        notes.append(f"only {system.distinct} different drafts for {len(system.pairs)} studies")
    if system.empty:
        notes.append(
            f"{system.empty} drafts are empty, without a word: no score of their own, 0 in the mean of the set"
        )
    return notes


def counts(bench: Bench) -> dict[str, int]:
    """What the manifest counts."""
    system = bench.rows[0]
    return {
        "reports": len(system.pairs),
        "distinct_drafts": system.distinct,
        "empty_drafts": system.empty,
        "without_reference": len(bench.without_reference),
        "metrics": len(system.scored),
        "metrics_not_scored": sum(bool(one.reason) for one in system.scored),
    }
