"""Elements of a data set, read and set without a crash whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pydicom import Dataset, Sequence
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from corpora.deid.values import TEXTS


@lru_cache(maxsize=8192)
def described(tag: int) -> tuple[str, str]:
    """Keyword and value representation in the dictionary; empty for what it does not have."""
    if not dictionary_has_tag(tag):
        return "", ""
    return keyword_for_tag(tag), dictionary_VR(tag).split(" ")[0]


def texts_in(value: Any) -> Iterator[str]:
    """The texts of a value, one or several, without those that are empty."""
    for each in value if isinstance(value, MultiValue | list | tuple) else [value]:
        text = str(each).replace("\0", "").strip() if each is not None and not isinstance(each, bytes) else ""
        if text:
            yield text


def value_of(dataset: Dataset, keyword: str) -> Any:
    """The value of an element by its keyword; None where there is none, or none that can be read."""
    try:
        return dataset.get(keyword)
    except Exception:  # a damaged element says nothing
        return None


def set_value(dataset: Dataset, tag: BaseTag, kind: str, value: Any) -> None:
    """Put a value of this representation in the place of an element."""
    dataset[tag] = DataElement(tag, kind, value, already_converted=isinstance(value, Sequence))


def text_of(dataset: Dataset, tag: BaseTag) -> str:
    """The first text of an element; empty where there is none."""
    return next(all_texts(dataset, tag), "")


def all_texts(dataset: Dataset, tag: BaseTag) -> Iterator[str]:
    """The texts of an element; none of one that cannot be read."""
    try:
        value = dataset[tag].value
    except Exception:  # a damaged element says nothing
        return
    if isinstance(value, bytes):
        value = value.decode("latin-1").split("\\")
    yield from texts_in(value)


def is_text(dataset: Dataset, tag: BaseTag) -> bool:
    """Whether the file says of an element that it is text, or does not say."""
    said = getattr(dataset.get_item(tag), "VR", None)
    return said is None or said in TEXTS or said == "CS"
