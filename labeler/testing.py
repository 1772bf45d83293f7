"""What every labeler must hold, as one call for the tests of a labeler of your own.

    from labeler.testing import check_labeler

    def test_my_labeler_is_a_labeler():
        check_labeler(my_package.load_mine)

A batch relies on each of these: on them rests that its outputs do not depend on order, workers or interruptions.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Final

from corpora.labels import POSITIVE, STATE_NAMES
from corpora.types import Report
from labeler.base import Labeler
from labeler.types import Cue, LabelVector, Mention

Factory = Callable[[], Labeler]

_SECTIONS: Final = "findings,impression"
_TEXTS: Final = (
    "FINDINGS: The heart is normal in size. No pleural effusion or pneumothorax. IMPRESSION: No acute disease.",
    "IMPRESSION: 1. Small left pleural effusion. 2. Possible pneumonia, cannot exclude edema. 3. Old rib fracture.",
    "INDICATION: fracture? FINDINGS: Endotracheal tube 3.5 cm above the carina.  Lungs clear.No effusion.",
    "no effusion but a fracture",
)
_EMPTY: Final = ("", " ", "\n\n\t", "FINDINGS:", "IMPRESSION:\n")
_HOSTILE: Final = (
    "\0\x01\x02 effusion \x7f\x85 \ufeff fracture \u2028\u2029",
    "לא effusion נמצא \u202efracture\u202c انصباب جنبي",
    "\U0001f480 effusion \U0001f9d1\u200d\u2695\ufe0f. fracture e\u0301\u0323\u0301 \U0001d4d4ffusion",
    "FINDINGS:\r\nNo effusion.\rIMPRESSION:\r\n\r\nFracture.",
    "FINDINGS: IMPRESSION: FINDINGS: effusion IMPRESSION: FINDINGS:",
    "((((((((( effusion ]]]]]]]]]] ????!!!!.... ;;;; fracture \"\"''``",
    "effusion" * 2000,
    "No " * 2000 + "fracture",
    "effusion or fracture, " * 500,
    "A" * 20_000 + " effusion",
    "\u0130\u0130\u0130 effusion \u0130 FRACTURE \ufb03",
    "<b>effusion</b> &amp; {{fracture}} %s \\n ${x} '; DROP TABLE labels; --",
)


def check_labeler(factory: Factory, texts: Sequence[str] = (), sections: str = _SECTIONS) -> None:
    """Assert that what ``factory`` makes is a labeler as a batch needs it, on texts of our own and on yours.

    ``factory`` takes no arguments and can be imported by name, as worker processes do. Holds: a schema with distinct
    labels and a name; vectors in its order; the same labels for the same report, whatever was labeled before, in
    another instance and in another process; ``states`` as in the vector; mentions and cues inside the text; nothing
    found in an empty report; any text survived. Raises ``AssertionError`` that says what does not hold.
    """
    labeler = factory()
    _check_schema(labeler)
    reports = [Report(f"report {number}", text) for number, text in enumerate([*_TEXTS, *_EMPTY, *_HOSTILE, *texts])]
    vectors = [labeler(report, sections) for report in reports]
    for report, vector in zip(reports, vectors, strict=True):
        _check_vector(labeler, report, vector)
        _check_mentions(report, vector)
        assert labeler.states([report], sections) == [vector.states], (
            f"{_name(report)}: states() differs from the vector"
        )
        plain = labeler(report.text, sections)
        assert (plain.states, plain.mentions) == (vector.states, vector.mentions), (
            f"{_name(report)}: a text and a report of this text get different labels"
        )
    together = labeler.states(reports, sections)
    assert together == [vector.states for vector in vectors], "reports read together get other states than one by one"
    _check_empty(vectors[len(_TEXTS) : len(_TEXTS) + len(_EMPTY)])
    _check_memory(labeler, factory(), reports, vectors, sections)
    _check_worker(factory, reports, vectors, sections)


def _name(report: Report) -> str:
    # the text itself may be somebody's
    return f"{report.study_id} ({len(report.text)} characters)"


def _check_schema(labeler: Labeler) -> None:
    schema = labeler.schema
    assert labeler.made_by, "made_by is empty: it names the labeler and its version"
    assert schema.name, "the schema has no name"
    assert schema.labels, "the schema has no labels"
    assert len(set(schema.labels)) == len(schema.labels), "the schema has two labels of one name"
    assert schema.no_finding is None or schema.no_finding in schema.labels, "no_finding is none of the labels"


def _check_vector(labeler: Labeler, report: Report, vector: LabelVector) -> None:
    where = _name(report)
    assert vector.study_id == report.study_id, f"{where}: the vector is of another study"
    assert vector.schema == labeler.schema.name, f"{where}: the vector is of another schema"
    assert vector.labels == labeler.schema.labels, f"{where}: the labels are not those of the schema in its order"
    assert vector.made_by == labeler.made_by, f"{where}: the vector was made by another labeler"
    assert len(vector.states) == len(vector.labels), f"{where}: not one state for each label"
    assert all(map(_is_state, vector.states)), f"{where}: a state is none of 1, 0, -1 and None"


def _is_state(state: object) -> bool:
    # True and 1.0 equal 1, and are written differently
    return state is None or (type(state) is int and state in STATE_NAMES)


def _check_mentions(report: Report, vector: LabelVector) -> None:
    where = _name(report)
    for mention in vector.mentions:
        assert mention.label in vector.labels, f"{where}: a mention is of no label of the schema"
        assert _is_state(mention.state), f"{where}: the state of a mention is none of 1, 0, -1 and None"
        assert mention.rule, f"{where}: a mention does not say which rule decided"
        spans: tuple[Mention | Cue, ...] = (mention, *mention.cues)
        for span in spans:
            inside = 0 <= span.start < span.end <= len(report.text)
            assert inside, f"{where}: a span is empty or outside the text: {span.start} to {span.end}"


def _check_empty(vectors: Sequence[LabelVector]) -> None:
    for vector in vectors:
        assert not vector.mentions, "an empty report has mentions"
        assert POSITIVE not in vector.states, "an empty report has a positive label"


def _check_memory(
    labeler: Labeler, fresh: Labeler, reports: Sequence[Report], vectors: Sequence[LabelVector], sections: str
) -> None:
    for report, vector in reversed(list(zip(reports, vectors, strict=True))):
        again = f"{_name(report)}: labeled once more, after other reports, it comes out otherwise"
        assert labeler(report, sections) == vector, again
        assert fresh.states([report], sections) == [vector.states], (
            f"{_name(report)}: another instance labels it otherwise"
        )


def _check_worker(factory: Factory, reports: Sequence[Report], vectors: Sequence[LabelVector], sections: str) -> None:
    try:
        pickle.dumps(factory)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            there = pool.submit(_label_there, factory, list(reports), sections).result()
    except (pickle.PicklingError, AttributeError, TypeError, BrokenProcessPool) as error:
        raise AssertionError(f"a worker process cannot import the factory by its name: {error}") from error
    for report, vector, other in zip(reports, vectors, there, strict=True):
        assert other == vector, f"{_name(report)}: another process labels it otherwise"


def _label_there(factory: Factory, reports: Sequence[Report], sections: str) -> list[LabelVector]:
    labeler = factory()
    return [labeler(report, sections) for report in reports]
