"""A data set cleaned, element by element, whatever depth it lies at.

What the table of Annex E lists is removed (X), emptied (Z), given a dummy (D), remapped (U), cleaned (C) or kept (K).
What it does not list stays only if its kind of value cannot tell who somebody is (``configs/deid/beyond.yaml``), and
what stays is compared with the names and ids of the same header. Pixels are not looked at here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydicom import Dataset, Sequence
from pydicom._uid_dict import UID_dictionary
from pydicom.tag import BaseTag, Tag

from corpora.deid.elements import all_texts, described, is_text, set_value, text_of, texts_in, value_of
from corpora.deid.identity import CATEGORIES, Known, is_a_name, tells, words_of
from corpora.deid.key import Key
from corpora.deid.profile import Profile
from corpora.deid.table import iod_of, resolve
from corpora.deid.values import (
    BYTES,
    DATES,
    DUMMIES,
    TEXTS,
    capped_age,
    is_code_string,
    is_number,
    looks_like_id,
    moved,
)

#: A cleaner of free text: the text and what the header knows, to what is left of it.
CleanText = Callable[[str, "Iterable[Known]"], str]
_PATIENT_IDS: Final = frozenset({"PatientID", "OtherPatientIDs"})
_ACCESSIONS: Final = frozenset({"AccessionNumber"})
_OVERLAYS: Final = 0x6000
_CURVES: Final = 0x5000
_PRIVATE_CREATOR: Final = range(0x10, 0x100)
_DEEPEST: Final = 100


@dataclass(slots=True)
class Tally:
    """What was done to a data set: by kind of action (as MIDI-B counts them) and by code of the table.

    ``changes`` names each element that was touched (its path, keyword and what became of it), never its value.
    """

    actions: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    changes: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for a whole data set while it is cleaned."""

    profile: Profile
    key: Key
    clean_text: CleanText
    known: tuple[Known, ...]
    words: frozenset[str]
    iod: str | None
    patient: str
    days: int
    tally: Tally


def context_of(dataset: Dataset, profile: Profile, key: Key, clean_text: CleanText) -> Context:
    """What a header says of people, and what follows from that for its cleaning."""
    known = tuple(dict.fromkeys(collect(dataset)))
    values = {each.keyword: each.value for each in reversed(known)}
    patient = next((values[name] for name in ("PatientID", "PatientName", "StudyInstanceUID") if name in values), "")
    sop_class = str(value_of(dataset, "SOPClassUID") or "")
    return Context(
        profile, key, clean_text, known, words_of(known), iod_of(sop_class), patient, key.days(patient), Tally()
    )


def collect(dataset: Dataset, depth: int = 0) -> Iterator[Known]:
    """Every value of a header, nested ones too, that identifies someone or something."""
    for tag in list(dataset.keys()):
        keyword, kind = described(int(tag))
        if kind != "SQ" and keyword not in CATEGORIES and kind != "PN":
            continue
        try:
            value = dataset[tag].value
        except Exception:  # the conversion of a raw value can raise anything; it will be removed
            continue
        if isinstance(value, Sequence):
            if depth < _DEEPEST:
                for item in value:
                    yield from collect(item, depth + 1)
            continue
        for text in texts_in(value):
            yield Known(CATEGORIES.get(keyword, "NAME"), keyword, text)


def clean(dataset: Dataset, context: Context, path: str = "") -> None:
    """Clean a data set in place; ``path`` is that of the sequence item it is."""
    for tag in list(dataset.keys()):
        action = _action(dataset, tag, context, nested=bool(path))
        _ACTIONS[action](dataset, tag, context, path)
        context.tally.codes[action] += 1


# Which action


def _action(dataset: Dataset, tag: BaseTag, context: Context, *, nested: bool) -> str:
    profile = context.profile
    if tag.is_private:
        return _private_action(dataset, tag, profile)
    keyword, kind = described(int(tag))
    repeats = tag.group & 0xFF00
    if tag.element == 0 or tag.group < 8 or repeats == _CURVES or not keyword:
        return "X"
    if repeats == _OVERLAYS:
        return "K" if profile.has("clean-graphics") and _is_roi(dataset, tag) else "X"
    if keyword in profile.beyond.removed:
        return "X"
    row = profile.table.find(int(tag))
    if row is None:
        return _unlisted(keyword, kind, profile)
    wanted = [row.options[option] for option in sorted(profile.options) if option in row.options]
    if "K" in wanted or "C" in wanted:
        return _retained(kind, "K" if "K" in wanted else "C", profile)
    return resolve(row.basic, None if nested else row.types.get(context.iod or "") or None)


def _retained(kind: str, code: str, profile: Profile) -> str:
    if kind in DATES:
        return "K" if profile.dates == "kept" else "M"
    if kind == "AS":
        return "A"
    return code


def _unlisted(keyword: str, kind: str, profile: Profile) -> str:
    if kind in DATES:
        # no more precise than the table is about the dates that it lists
        return {"kept": "K", "moved": "M"}.get(profile.dates, "E")
    if kind == "UI":
        return "K" if keyword in profile.beyond.classes_kept else "U"
    if kind in BYTES or kind == "UN":
        return "K" if keyword in profile.beyond.bytes_kept else "X"
    if kind in TEXTS:
        return "T" if keyword in profile.beyond.text_kept else "E"
    return {"CS": "S", "AS": "E", "IS": "N", "DS": "N", "SQ": "D"}.get(kind, "B")


def _private_action(dataset: Dataset, tag: BaseTag, profile: Profile) -> str:
    if not profile.has("retain-safe-private"):
        return "X"
    blocks = profile.beyond.safe_private
    if tag.element in _PRIVATE_CREATOR:
        creator = _creator(dataset, tag.group, tag.element)
        return "K" if any(block.creator == creator and int(block.group, 16) == tag.group for block in blocks) else "X"
    creator = _creator(dataset, tag.group, tag.element >> 8)
    low = f"{tag.element & 0xFF:02X}"
    safe = any(
        block.creator == creator and int(block.group, 16) == tag.group and low in block.elements for block in blocks
    )
    return "P" if safe else "X"


def _creator(dataset: Dataset, group: int, block: int) -> str:
    try:
        return str(dataset[Tag(group, block)].value).strip()
    except Exception:  # not there, or not to be read
        return ""


def _is_roi(dataset: Dataset, tag: BaseTag) -> bool:
    if tag.element in (0x1500, 0x4000, 0x0022):
        return False
    try:
        return str(dataset[Tag(tag.group, 0x0040)].value).strip() == "R"
    except Exception:  # as in ``_creator``
        return False


# What each action does


def _note(context: Context, path: str, tag: BaseTag, action: str) -> None:
    context.tally.actions[action] += 1
    keyword = "private" if tag.is_private else described(int(tag))[0] or "unknown"
    context.tally.changes.append((f"{path}{int(tag):08X}", keyword, action))


def _remove(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    del dataset[tag]
    _note(context, path, tag, "private_removed" if tag.is_private else "text_removed")


def _empty(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    keyword, kind = described(int(tag))
    was = text_of(dataset, tag)
    if keyword in _ACCESSIONS and was:
        set_value(dataset, tag, "SH", context.key.pseudonym("accession", was))
        _note(context, path, tag, "text_notnull")
    elif keyword in ("PatientID", "PatientName"):
        _identity(dataset, tag, context, path, was)
    else:
        set_value(dataset, tag, kind, Sequence() if kind == "SQ" else None if kind not in TEXTS else "")
        _note(context, path, tag, "text_removed")


def _blank(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    """Empty what the table does not list: where an object must have it, it still does."""
    if getattr(dataset.get_item(tag), "value", None) in (None, b"", ""):
        context.tally.actions["tag_retained"] += 1
        return
    kind = described(int(tag))[1]
    set_value(dataset, tag, kind, "")
    _note(context, path, tag, "text_removed")


def _identity(dataset: Dataset, tag: BaseTag, context: Context, path: str, was: str) -> None:
    keyword, kind = described(int(tag))
    # a nested patient is not always the one whose film it is
    own = keyword == "PatientName" and not path
    name = context.key.pseudonym("patient", context.patient if own else was) if was else ""
    set_value(dataset, tag, kind, name)
    _note(context, path, tag, "patid_consistent")


def _dummy(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    keyword, kind = described(int(tag))
    if kind == "SQ":
        _items(dataset, tag, context, path)
    elif keyword in _PATIENT_IDS or keyword == "PatientName":
        _identity(dataset, tag, context, path, text_of(dataset, tag))
    elif kind == "UI":
        _remap(dataset, tag, context, path)
    elif kind not in DUMMIES:
        _remove(dataset, tag, context, path)
    elif keyword == "LongitudinalTemporalInformationModified":
        _keep(dataset, tag, context, path)
    else:
        set_value(dataset, tag, kind, DUMMIES[kind])
        _note(context, path, tag, "text_notnull")


def _items(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    try:
        value = dataset[tag].value
    except Exception:  # as in ``collect``
        value = None
    if not isinstance(value, Sequence) or path.count("[") >= _DEEPEST:
        _remove(dataset, tag, context, path)
        return
    for number, item in enumerate(value):
        clean(item, context, f"{path}{int(tag):08X}[{number}].")
    context.tally.actions["tag_retained"] += 1


def _keep(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    if described(int(tag))[1] == "SQ":
        _items(dataset, tag, context, path)
    else:
        context.tally.actions["tag_retained"] += 1


def _remap(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    values = list(all_texts(dataset, tag))
    mapped = [value if value in UID_dictionary else context.key.uid(value) for value in values]
    if mapped == values and mapped:
        context.tally.actions["tag_retained"] += 1
        return
    set_value(dataset, tag, "UI", mapped if len(mapped) > 1 else mapped[0] if mapped else "")
    _note(context, path, tag, "uid_consistent" if path or len(mapped) > 1 else "uid_changed")


def _move(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    kind = described(int(tag))[1]
    if kind == "TM":
        _keep(dataset, tag, context, path)
        return
    values = [moved(value, context.days) for value in all_texts(dataset, tag)]
    if not all(values):
        # no date: it may be anything
        set_value(dataset, tag, kind, "")
        _note(context, path, tag, "text_removed")
        return
    set_value(dataset, tag, kind, values if len(values) > 1 else values[0] if values else "")
    _note(context, path, tag, "date_shifted")


def _age(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    was = text_of(dataset, tag)
    now = capped_age(was)
    if now != was:
        set_value(dataset, tag, "AS", now)
    _note(context, path, tag, "text_retained")


def _clean_value(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    kind = described(int(tag))[1]
    if kind == "SQ":
        _items(dataset, tag, context, path)
    elif kind not in TEXTS or kind == "PN":
        _dummy(dataset, tag, context, path)
    else:
        values = [context.clean_text(text, context.known) for text in all_texts(dataset, tag)]
        longest = {"SH": 16, "LO": 64, "AE": 16}.get(kind)
        values = [value[:longest].strip() if longest else value for value in values]
        values = ["" if tells(value, context.words) else value for value in values]
        set_value(dataset, tag, kind, values if len(values) > 1 else values[0] if values else "")
        _note(context, path, tag, "text_retained")


def _text_kept(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    """A technical term: as it is, or not at all."""
    keyword, kind = described(int(tag))
    values = list(all_texts(dataset, tag))
    coded = keyword in ("CodeValue", "CodeMeaning") and _scheme(dataset) in context.profile.beyond.schemes
    doubtful = not is_text(dataset, tag) or any(
        tells(value, context.words) or (not coded and looks_like_id(value)) or _is_uid_like(value) for value in values
    )
    if coded and keyword == "CodeMeaning":
        doubtful |= any(looks_like_id(value) for value in values)
    if doubtful:
        set_value(dataset, tag, kind, DUMMIES[kind] if keyword.startswith("Cod") else "")
        _note(context, path, tag, "text_removed")
    else:
        context.tally.actions["text_retained"] += 1


def _is_uid_like(value: str) -> bool:
    return value.count(".") > 4


def _scheme(dataset: Dataset) -> str:
    return str(value_of(dataset, "CodingSchemeDesignator") or "").strip()


def _string(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    """A coded string: as it is, unless it is an id or a name."""
    values = list(all_texts(dataset, tag))
    if all(is_code_string(value) and not is_a_name(value, context.words) for value in values):
        context.tally.actions["tag_retained"] += 1
        return
    if described(int(tag))[0] == "SpecificCharacterSet":
        set_value(dataset, tag, "CS", "ISO_IR 100")
    else:
        set_value(dataset, tag, "CS", "")
    _note(context, path, tag, "text_removed")


def _number(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    """A number that is written out: it must be one, and not the patient's."""
    kind = described(int(tag))[1]
    raw = dataset.get_item(tag)
    value = getattr(raw, "value", None)
    written = value if isinstance(value, bytes) else b"\\".join(text.encode() for text in texts_in(value))
    is_own = any(part.decode("latin-1").strip() in context.words for part in written.split(b"\\") if len(part) >= 5)
    if is_number(written, kind) and not is_own:
        context.tally.actions["tag_retained"] += 1
        return
    set_value(dataset, tag, kind, None)
    _note(context, path, tag, "text_removed")


def _binary(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    """A binary number, if the file says that it is one as well."""
    said = getattr(dataset.get_item(tag), "VR", None)
    kind = described(int(tag))[1]
    if said not in (None, kind, "US", "SS", "OW", "UN") or (said in ("OW", "UN") and kind not in ("US", "SS")):
        _remove(dataset, tag, context, path)
    else:
        context.tally.actions["tag_retained"] += 1


def _private(dataset: Dataset, tag: BaseTag, context: Context, path: str) -> None:
    try:
        value = dataset[tag].value
    except Exception:  # as in ``collect``
        value = b"\0"
    if isinstance(value, Sequence | bytes) or any(
        tells(text, context.words) or looks_like_id(text) for text in texts_in(value)
    ):
        _remove(dataset, tag, context, path)
    else:
        context.tally.actions["tag_retained"] += 1


_ACTIONS: Final[Mapping[str, Callable[[Dataset, BaseTag, Context, str], None]]] = {
    "X": _remove, "Z": _empty, "D": _dummy, "U": _remap, "K": _keep, "C": _clean_value,
    # beyond the table: E emptied, M dates moved, A ages capped, T technical text, S coded strings, N written numbers, B binary ones  # noqa: E501
    "E": _blank, "M": _move, "A": _age, "T": _text_kept, "S": _string, "N": _number, "B": _binary, "P": _private,
}  # fmt: skip
