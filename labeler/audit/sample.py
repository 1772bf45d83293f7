"""The sample of an audit: what was drawn, what machines said of it, and what readers found.

One truth for each text and label: a decision between readers where there is one; else what all who read it say; and
nothing where they differ and nobody decided, or somebody could not judge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from labeler.audit.frame import Draw, Frame, load_draw, load_frame
from labeler.audit.store import open_store
from labeler.audit.types import BLANK_CODE, UNREAD, Answer, Phase, Reading, Sample

Array = NDArray[Any]

_NOT_JUDGED: Final = "cannot_judge"


@dataclass(frozen=True, slots=True)
class Truth:
    """What readers found in a text, by label as codes; where there is none, why.

    ``codes`` hold ``UNREAD`` for labels in ``differing`` (readers differ, nobody decided) and ``unjudged`` (nobody who
    read it could judge). ``readers`` submitted a reading of it; ``adjudicated`` are labels that were decided.
    """

    codes: tuple[int, ...]
    readers: tuple[str, ...] = ()
    adjudicated: frozenset[str] = frozenset()
    differing: frozenset[str] = frozenset()
    unjudged: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Read:
    by_reader: dict[str, Mapping[str, Answer]] = field(default_factory=dict)
    decided: Mapping[str, Answer] = field(default_factory=dict)


def sample_of(audit: Path | str, *, phase: Phase = "blind") -> Sample:
    """The sample of an audit, all drawn texts in reading order; ``truth`` is ``UNREAD`` where there is none yet.

    ``phase``: what readers said before they saw machine labels (``blind``), or what they left after (``revealed``);
    decisions between readers stand above both. ``meta`` counts texts (``drawn``, ``read``, ``double_read``) and cells
    (``differing``, ``unjudged``). Raises as ``load_draw`` and ``open_store``.
    """
    draw, frame = load_draw(audit), load_frame(audit)
    with open_store(audit) as store:
        truths = truths_of(store.readings(), frame.names, phase=phase)
    return make_sample(draw, frame, truths)


def make_sample(draw: Draw, frame: Frame, truths: Mapping[str, Truth]) -> Sample:
    """The sample of a draw and what was found in its texts."""
    ids = [each.study_id for each in draw.texts]
    rows = rows_of(frame, ids)
    names = [each.name for each in draw.strata]
    none = Truth((UNREAD,) * len(frame.names))
    found = [truths.get(each, none) for each in ids]
    meta = {
        "drawn": len(ids),
        "read": sum(bool(each.readers) for each in found),
        "double_read": sum(len(each.readers) > 1 for each in found),
        "differing": sum(len(each.differing) for each in found),
        "unjudged": sum(len(each.unjudged) for each in found),
    }
    return Sample(
        frame.names, tuple(ids), draw.strata, np.array([names.index(each.stratum) for each in draw.texts], np.int64),
        np.array([each.reports for each in draw.texts], np.int64), frame.machine[rows],
        np.array([each.codes for each in found], np.int8).reshape(len(ids), len(frame.names)),
        None if frame.second is None else frame.second[rows], meta,
    )  # fmt: skip


def rows_of(frame: Frame, ids: Sequence[str]) -> Array:
    """The place of each of ``ids`` in the frame."""
    place = {name: row for row, name in enumerate(frame.ids)}
    return np.array([place[each] for each in ids], dtype=np.int64)


def truths_of(readings: Iterable[Reading], labels: Sequence[str], *, phase: Phase = "blind") -> dict[str, Truth]:
    """What readers found, by the report that stands for a text. Hidden repeats do not count."""
    read: dict[str, _Read] = {}
    for reading in readings:
        text = read.setdefault(reading.study_id, _Read())
        if reading.phase == "adjudicated":
            text.decided = {**text.decided, **reading.answers}
        elif reading.repeat:
            continue
        elif reading.phase == "blind":
            text.by_reader.setdefault(reading.reader, reading.answers)
        elif phase == "revealed":
            text.by_reader[reading.reader] = {**text.by_reader.get(reading.reader, {}), **reading.answers}
    return {study_id: _truth(text, labels) for study_id, text in read.items() if text.by_reader or text.decided}


def _truth(text: _Read, labels: Sequence[str]) -> Truth:
    codes, differing, unjudged, adjudicated = [], set(), set(), set()
    for label in labels:
        if label in text.decided:
            adjudicated.add(label)
            said = {text.decided[label]}
        else:
            said = {answers[label] for answers in text.by_reader.values() if label in answers}
        if len(said) > 1:
            differing.add(label)
        elif said == {_NOT_JUDGED}:
            unjudged.add(label)
        codes.append(code_of(next(iter(said))) if len(said) == 1 else UNREAD)
    return Truth(
        tuple(codes), tuple(text.by_reader), frozenset(adjudicated), frozenset(differing), frozenset(unjudged)
    )  # fmt: skip


def code_of(answer: Answer) -> int:
    """An answer as a code.

    >>> code_of(None), code_of(-1), code_of("cannot_judge")
    (2, -1, 3)
    """
    if answer is None:
        return BLANK_CODE
    return UNREAD if answer == _NOT_JUDGED else int(answer)
