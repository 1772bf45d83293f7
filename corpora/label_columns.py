"""Which column of a label table names the study and which hold labels; and when two spellings of an id are one.

Every reader of label tables asks here, so that a table which one command takes is taken by all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Sequence
from functools import lru_cache
from typing import Final

from corpora.readers.columns import IDS, PATIENTS, TEXTS, fold

# a table of films has their names for ids, if it has no others
_FILMS: Final = ("path", "image_id", "image_index", "image")
_IDS: Final = (*IDS, *_FILMS)
_ABOUT: Final = frozenset({
    *_IDS, *PATIENTS, *TEXTS, "report_impression", "split", "sex", "gender", "age", "view", "view_position",
    "frontal/lateral", "ap/pa",
})  # fmt: skip
_MIMIC: Final = re.compile(r"s?\d{8}")


def id_place(names: Sequence[str]) -> int | None:
    """Which of these columns holds the study ids; None if none does.

    >>> id_place(["subject_id", "study_id", "Edema"]), id_place(["Path", "Sex", "Edema"]), id_place(["Edema"])
    (1, 0, None)
    """
    return _id_place(tuple(names))


@lru_cache(maxsize=256)
def _id_place(names: tuple[str, ...]) -> int | None:
    keys = [fold(name) for name in names]
    return next((keys.index(wanted) for wanted in _IDS if wanted in keys), None)


def may_hold_labels(name: str) -> bool:
    """Whether a column of this name can be a label: not an id, a report, or something about the patient or film."""
    return bool(name.strip()) and fold(name) not in _ABOUT


def spelled_as(known: Collection[str], ids: Iterable[str]) -> list[str]:
    """``ids`` as ``known`` spells them: MIMIC-CXR's tables write 50414267 for the study of the file s50414267.txt.

    Only where not one of the ids is known as it stands, and with the letter, or without it, one is.

    >>> spelled_as({"s50414267", "s50000001"}, ["50414267", "59999999"]), spelled_as({"a"}, ["1"])
    (['s50414267', 's59999999'], ['1'])
    """
    given = list(ids)
    if any(one in known for one in given):
        return given
    other = [(one[1:] if one[0] == "s" else f"s{one}") if _MIMIC.fullmatch(one) else one for one in given]
    return other if len(set(other)) == len(set(given)) and any(one in known for one in other) else given


def name_in(wanted: Container[str], study_id: str) -> str | None:
    """How ``wanted`` spells the study of a source, with MIMIC-CXR's letter or without; None if it is not there.

    >>> name_in({"50414267"}, "s50414267"), name_in({"s1"}, "s1"), name_in({"a"}, "b")
    ('50414267', 's1', None)
    """
    if study_id in wanted:
        return study_id
    bare = study_id[1:] if _MIMIC.fullmatch(study_id) and study_id[0] == "s" else ""
    return bare if bare and bare in wanted else None
