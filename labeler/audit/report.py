"""The report of an audit: estimates, agreement of readers, and what was missed, as JSON, lines and a page to print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from corpora.statistics.types import Estimate
from labeler.audit.cells import STATES, places
from labeler.audit.estimate import AuditEstimates, FrameCounts, estimate
from labeler.audit.frame import Frame, check_labels_unchanged, load_frame
from labeler.audit.readers import Agreement, agreement
from labeler.audit.sample import sample_of
from labeler.audit.store import open_store
from labeler.audit.types import Phase, Sample

FILE: Final = "estimates.json"


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Everything that `radloop audit estimate` says of an audit; ``sample`` is what it was made from."""

    sample: Sample
    estimates: AuditEstimates
    agreement: Agreement
    phase: str


def report(audit: Path | str, *, phase: Phase = "blind", confidence: float = 0.95) -> AuditReport:
    """Estimate from what was read so far.

    Raises ``DataError``: as ``load_draw``, and ``audit.labels_changed`` for a label table that changed since.
    """
    check_labels_unchanged(audit)
    sample = sample_of(audit, phase=phase)
    with open_store(audit) as store:
        readings = store.readings()
    counts = frame_counts(load_frame(audit), [each.name for each in sample.strata])
    found = estimate(sample, counts, confidence=confidence)
    return AuditReport(sample, found, agreement(readings, sample.labels, confidence), phase)


def frame_counts(frame: Frame, strata: list[str]) -> FrameCounts:
    """What the machine said of all texts and reports of the frame, in the strata of a draw."""
    order = np.array([strata.index(name) if name in strata else len(strata) for name in frame.strata])
    stratum, said = order[frame.stratum], places(frame.machine).astype(np.int64)
    _, first = np.unique(frame.cluster, return_index=True)

    def tally(rows: Any) -> Any:
        whole = (len(strata) + 1) * len(STATES)
        tables = (np.bincount(stratum[rows] * len(STATES) + column[rows], minlength=whole) for column in said.T)
        return np.stack([table.reshape(-1, len(STATES))[: len(strata)] for table in tables]).astype(np.float64)

    differing = None
    if frame.second is not None:
        apart = (frame.machine != frame.second)[first]
        counts = (np.bincount(stratum[first][row], minlength=len(strata) + 1)[: len(strata)] for row in apart.T)
        differing = np.stack([*counts]).astype(np.float64)
    return FrameCounts(tally(first), tally(slice(None)), differing)


def to_json(found: AuditReport) -> dict[str, Any]:
    """The report in JSON's types. An estimate is an object: value, lo, hi, n, method, reason; undefined is null."""
    estimates = asdict(found.estimates)
    return {"phase": found.phase, "labels": list(found.sample.labels), "meta": dict(found.sample.meta),
            "states": list(STATES), **estimates, "agreement": asdict(found.agreement)}  # fmt: skip


def lines_of(found: AuditReport) -> Iterator[str]:
    """The report for a terminal: per label and overall, then readers."""
    e = found.estimates
    share = f"{100 * e.confidence:g} %"
    yield f"{e.read:,} texts read of {e.texts:,}; in brackets {share} intervals (Korn-Graubard; exact ones with --json)"
    yield ""
    wide = max((len(each) for each in e.per_label), default=5) + 2
    yield f"{'label':<{wide}}{'precision':<20}{'recall':<20}{'F1':<20}{'prevalence':<20}"
    for label, each in e.per_label.items():
        cells = (cell(each.scores[name]) for name in ("precision", "recall", "f1", "prevalence"))
        yield f"{label:<{wide}}" + "".join(f"{text:<20}" for text in cells)
    for kind in ("micro", "macro"):
        names = ("precision", "recall", "f1", "prevalence")
        yield f"{kind:<{wide}}" + "".join(f"{cell(e.overall[f'{kind}_{name}']):<20}" for name in names)
    yield from _difference_lines(e.differences, wide)
    yield from _reader_lines(found.agreement, wide)
    yield from (f"note: {note}" for note in (*e.notes, *found.agreement.notes))


def _difference_lines(differences: Mapping[str, Mapping[str, Any]], wide: int) -> Iterator[str]:
    if differences:
        yield ""
        yield f"{'first less second':<{wide}}{'F1':<26}{'p, Holm':<10}"
    for label, each in differences.items():
        f1 = each["f1"]
        yield f"{label:<{wide}}{cell(f1.difference):<26}{'-' if f1.adjusted is None else f'{f1.adjusted:.3f}':<10}"


def _reader_lines(found: Agreement, wide: int) -> Iterator[str]:
    yield ""
    yield f"{sum(found.readers.values()):,} readings by {len(found.readers)} readers, {found.double:,} texts read twice"
    if found.double:
        yield f"{'readers':<{wide}}{'agreement':<20}{'AC1':<20}{'positive agreement':<20}"
        for label, each in found.per_label.items():
            cells = (cell(each[name]) for name in ("agreement", "ac1", "specific_positive"))
            yield f"{label:<{wide}}" + "".join(f"{text:<20}" for text in cells)
    for what, table in (("same on repeats", found.repeats), ("unchanged by the reveal", found.revealed)):
        yield from (f"{reader}: {what} {cell(each['same'])}, n {each['same'].n:,}" for reader, each in table.items())


def cell(found: Estimate) -> str:
    """An estimate in little room: ``.853 [.79, .90]``.

    >>> cell(Estimate(0.8526, 0.79, 0.901, 10, ""))
    '.853 [.79, .90]'
    """
    if found.value is None:
        return "-"
    if found.lo is None or found.hi is None:
        return number(found.value, 3)
    return f"{number(found.value, 3)} [{number(found.lo, 2)}, {number(found.hi, 2)}]"


def number(value: float, digits: int) -> str:
    """A share without its leading zero.

    >>> number(-0.25, 2), number(1.0, 2)
    ('-.25', '1.00')
    """
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"
