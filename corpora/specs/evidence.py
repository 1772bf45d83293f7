"""What a check may look at, and what it says: evidence in, outcomes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from corpora.specs.facts import StudyFacts
from corpora.specs.model import Criterion, SpecFile

if TYPE_CHECKING:
    from corpora.boxes import Found
    from corpora.quality import FilmMeasures
    from corpora.specs.duplicates import Alike
    from corpora.specs.labels import LabelTable

Verdict = Literal["pass", "fail", "not judged"]


@dataclass(frozen=True, slots=True)
class Films:
    """Films that were looked at: measures by study and path; studies with a film that could not be read, and why.

    ``of`` is how many films the corpus has; ``whole`` whether all of them were asked for.
    """

    measures: Mapping[tuple[str, str], FilmMeasures] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    of: int = 0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the checks of one corpus look at; None for what is not there.

    ``compare`` takes groups of images with like hashes apart by a look at the films.
    """

    spec: SpecFile
    studies: Sequence[StudyFacts]
    aggregates: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    labels: LabelTable | None = None
    boxes: Found | None = None
    certificate: tuple[Path, Mapping[str, Any]] | None = None
    scan: tuple[Path, Mapping[str, Any]] | None = None
    films: Films | None = None
    compare: Callable[[Sequence[Alike]], list[Alike]] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one criterion.

    ``measured`` is the number compared with the threshold (None if there is none), ``shown`` and ``threshold`` are for
    people; ``offending`` are the ids of all studies that stand against it, in the order of the corpus; ``details`` are
    the counts behind it.
    """

    verdict: Verdict
    measured: float | None = None
    shown: str = ""
    threshold: str = ""
    reason: str = ""
    offending: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def share_text(value: float) -> str:
    """A share as a percentage that does not round a miss away.

    >>> share_text(0.999999), share_text(1.0), share_text(0.1234)
    ('99.9999 %', '100 %', '12.3 %')
    """
    percent = 100 * value
    for digits in range(1, 7):
        text = f"{percent:.{digits}f}"
        if float(text) not in (0, 100) or float(text) == percent:
            return f"{text.rstrip('0').rstrip('.')} %"
    return f"{percent:g} %"


def number_text(value: float) -> str:
    """A count with thousands marked.

    >>> number_text(40000), number_text(2.5)
    ('40,000', '2.5')
    """
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,g}"


def bounds_text(at_least: float | None, at_most: float | None, *, share: bool) -> str:
    """The threshold for people: ``at least 40,000``."""
    show = share_text if share else number_text
    parts = [f"at least {show(at_least)}"] if at_least is not None else []
    parts += [f"at most {show(at_most)}"] if at_most is not None else []
    return " and ".join(parts)


def within(value: float, at_least: float | None, at_most: float | None) -> bool:
    """Whether a value keeps the bounds."""
    return (at_least is None or value >= at_least) and (at_most is None or value <= at_most)


def missing(criterion: Criterion, reason: str, threshold: str = "") -> Outcome:
    """The outcome where the evidence is not there: fail or not judged, as the specification says."""
    return Outcome(criterion.without, reason=reason, threshold=threshold)


def share_outcome(
    criterion: Any, good: int, of: int, offending: Iterable[str], details: Mapping[str, Any], note: str = ""
) -> Outcome:
    """The outcome of a ``Bounded`` criterion on a share; ``of`` must not be 0."""
    value = good / of
    verdict: Verdict = "pass" if within(value, criterion.at_least, criterion.at_most) else "fail"
    return Outcome(
        verdict, value, f"{share_text(value)} ({good:,} of {of:,})",
        bounds_text(criterion.at_least, criterion.at_most, share=True), note,
        tuple(dict.fromkeys(offending)), {"good": good, "of": of, **details},
    )  # fmt: skip
