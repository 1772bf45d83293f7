"""Where an audit stands: who read how much and how fast, what is still open, which gates do not hold yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final

from labeler.audit.coverage import Coverage, GateState, coverage, lacking_lines
from labeler.audit.frame import DRAW, load_frame, load_plan
from labeler.audit.types import Reading

# a longer gap between two submissions is a break, not a slow reading
_BREAK_SECONDS: Final = 900.0
_MOST_LINES: Final = 8


@dataclass(frozen=True, slots=True)
class ReaderStatus:
    """One reader: texts read, hidden repeats among them not counted; decisions taken; median seconds from one
    submission to the next, breaks left out (None with fewer than two); the last submission."""

    reader: str
    read: int
    repeats: int
    revealed: int
    decisions: int
    seconds: float | None
    last: str


@dataclass(frozen=True, slots=True)
class Status:
    """Where an audit stands. ``doubles_open`` are texts that two must read and fewer have; ``differing`` are texts
    whose readers differ in labels that nobody decided; ``cells_differing`` counts these labels."""

    drawn: int
    read: int
    reports: int
    reports_read: int
    doubles: int
    doubles_open: int
    repeats: int
    repeats_open: int
    differing: tuple[str, ...]
    cells_differing: int
    unjudged: int
    readers: tuple[ReaderStatus, ...]
    lacking: tuple[GateState, ...]
    gates: int
    labels_changed: bool

    @property
    def left_seconds(self) -> float | None:
        """About how long the texts that nobody has read will take one reader; None without a pace to go by."""
        paces = [each.seconds for each in self.readers if each.seconds is not None]
        return median(paces) * (self.drawn - self.read) if paces else None


def status(audit: Path | str) -> Status:
    """Where an audit stands. Raises as ``labeler.audit.coverage.coverage``: ``audit.not_drawn`` before the draw."""
    return status_of(coverage(audit), changed=_labels_changed(audit))


def _labels_changed(audit: Path | str) -> bool:
    from corpora.errors import DataError
    from labeler.audit.frame import check_labels_unchanged

    try:
        check_labels_unchanged(audit)
    except DataError:
        return True
    return False


def status_of(found: Coverage, *, changed: bool = False) -> Status:
    """The status of what was read so far."""
    texts, truths = found.draw.texts, found.truths
    read = [each for each in texts if each.study_id in truths]
    doubles = [each.study_id for each in texts if each.double]
    repeated = {each.study_id for each in found.readings if each.repeat}
    differing = [each.study_id for each in read if truths[each.study_id].differing]
    return Status(
        drawn=len(texts),
        read=len(read),
        reports=sum(each.reports for each in texts),
        reports_read=sum(each.reports for each in read),
        doubles=len(doubles),
        doubles_open=sum(each not in truths or len(truths[each].readers) < 2 for each in doubles),
        repeats=sum(each.repeat for each in texts),
        repeats_open=sum(each.repeat and each.study_id not in repeated for each in texts),
        differing=tuple(differing),
        cells_differing=sum(len(truths[each].differing) for each in differing),
        unjudged=sum(len(truths[each.study_id].unjudged) for each in read),
        readers=tuple(_reader(name, own) for name, own in sorted(_by_reader(found.readings).items())),
        lacking=tuple(found.lacking()),
        gates=len(found.gates),
        labels_changed=changed,
    )


def _by_reader(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        found[reading.reader].append(reading)
    return found


def _reader(name: str, own: Sequence[Reading]) -> ReaderStatus:
    blind = [each for each in own if each.phase == "blind"]
    return ReaderStatus(
        name,
        read=sum(not each.repeat for each in blind),
        repeats=sum(each.repeat for each in blind),
        revealed=sum(each.phase == "revealed" for each in own),
        decisions=sum(each.phase == "adjudicated" for each in own),
        seconds=_pace([each.at for each in blind]),
        last=max((each.at for each in own), default=""),
    )


def _pace(times: Sequence[str]) -> float | None:
    at = sorted(filter(None, map(_time, times)))
    gaps = [later - earlier for earlier, later in pairwise(at)]
    paces = [gap for gap in gaps if 0 < gap <= _BREAK_SECONDS]
    return round(median(paces), 1) if paces else None


def _time(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def to_json(found: Status) -> dict[str, Any]:
    """A status in JSON's types."""
    data = {name: getattr(found, name) for name in Status.__dataclass_fields__ if name not in ("readers", "lacking")}
    data |= {"differing": list(found.differing), "left_seconds": found.left_seconds}
    data |= {"readers": [asdict(each) for each in found.readers]}
    return data | {"lacking": [each.to_json() for each in found.lacking]}


def lines_of(found: Status) -> list[str]:
    """A status for people."""
    lines = [
        f"{found.read:,} of {found.drawn:,} drawn texts read ({found.reports_read:,} of {found.reports:,} reports)",
        f"{found.doubles - found.doubles_open:,} of {found.doubles:,} texts read by two, "
        f"{found.repeats - found.repeats_open:,} of {found.repeats:,} shown again",
    ]
    for each in found.readers:
        pace = "" if each.seconds is None else f", {each.seconds:g} s a text"
        decisions = f", {each.decisions:,} decided" if each.decisions else ""
        lines.append(f"  {each.reader}: {each.read:,} read{decisions}{pace}; last {each.last or 'never'}")
    if found.left_seconds:
        lines.append(f"about {found.left_seconds / 3600:.1f} hours of reading are left")
    if found.differing:
        lines.append(f"{len(found.differing):,} texts wait for a decision ({found.cells_differing:,} labels differ)")
    if found.unjudged:
        lines.append(f"{found.unjudged:,} labels could not be judged")
    lines.append(
        f"all {found.gates:,} gates hold" if not found.lacking else f"{len(found.lacking):,} of {found.gates:,} gates "
        f"do not hold yet:"
    )  # fmt: skip
    lines += [f"  {line}" for line in lacking_lines(found.lacking, _MOST_LINES)]
    if found.labels_changed:
        lines.append("the label table is no longer the one that is audited: nothing can be certified")
    return lines


def not_drawn_lines(audit: Path | str) -> list[str] | None:
    """What is to be said of an audit that is planned and not drawn; None if it is drawn."""
    if (Path(audit) / DRAW).is_file():
        return None
    plan = load_plan(audit)
    load_frame(audit)
    return [f"planned, not drawn: {plan.budget:,} texts are to be read; `radloop audit draw {audit}` draws them"]
