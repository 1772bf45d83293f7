"""What one file is and says, read from its header: a film, a report in DICOM, something else, or not to be used.

Of a film's pixels nothing is read, unless hashes are asked for; of PNG and JPEG the beginning and the end, by which
equal files are found and a file that is cut off shows.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from corpora.errors import RadloopError
from corpora.importing.cutoff import is_cut_off
from corpora.importing.names import FILM_SUFFIXES
from corpora.importing.structured import is_report, rank_of, read_report
from corpora.types import ImageRef, Provenance, Reject

if TYPE_CHECKING:
    from pydicom import Dataset

_EDGE: Final = 1 << 16
_DICOM_AT: Final = 128
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8\xff"
_ENDS: Final = {"PNG": b"IEND\xae\x42\x60\x82", "JPEG": b"\xff\xd9"}
_BITS: Final = {"1": 1, "L": 8, "P": 8, "RGB": 8, "RGBA": 8, "LA": 8, "CMYK": 8, "YCbCr": 8, "I;16": 16, "I;16B": 16,
                "I": 16}  # fmt: skip
#: More than any film has; beyond it the header is a lie or the file is meant to fill memory.
MOST_PIXELS: Final = 1 << 28


@dataclass(frozen=True, slots=True)
class Look:
    """What a file came to. ``state``: ``film``, ``report``, ``other`` (passed over) or ``reject`` with its reason.

    ``facts`` is JSON: of a film ``image`` and ``study``; of a report ``text``, ``sections``, ``rank`` and ``study``.
    """

    id: int
    state: str
    code: str = ""
    message: str = ""
    study_uid: str | None = None
    accession: str | None = None
    patient: str | None = None
    instance: str | None = None
    print: bytes | None = None
    facts: str | None = None


Item = tuple[int, str]


def look(item: Item, hashes: bool = False) -> Look:
    """Look at the file ``item`` (its number and its path); never raises for what is wrong with the file."""
    number, path = item
    refuse = partial(Look, number, "reject")
    try:
        with _quiet():
            return _look(number, path, hashes)
    except RadloopError as error:
        return refuse(error.code, error.message)
    except OSError as error:
        return refuse("data.unreadable", error.strerror or "cannot be read")
    except MemoryError:
        return refuse("image.too_large", "there is not enough memory to read the header")
    except Exception as error:  # hostile files make parsers raise anything, and the import goes on
        return refuse("image.broken", f"the header does not make sense ({type(error).__name__})")


@contextmanager
def _quiet() -> Iterator[None]:
    """What pydicom and Pillow warn of is either read all the same, or raises further on."""
    log = logging.getLogger("pydicom")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def killed(item: Item) -> Look:
    """What a file comes to whose reading took the process down."""
    return Look(item[0], "reject", "image.crash", "the decoder crashed on it")


def _look(number: int, path: str, hashes: bool) -> Look:
    with Path(path).open("rb") as file:
        head = file.read(_EDGE)
        size = os.fstat(file.fileno()).st_size
        if not head:
            return Look(number, "reject", "image.empty", "the file is empty")
        if head.startswith((_PNG, _JPEG)):
            tail = _tail(file, head, size)
            found = _picture(number, path, head, tail, size)
        elif head[_DICOM_AT : _DICOM_AT + 4] == b"DICM" or path.lower().endswith(FILM_SUFFIXES[:3]):
            found = _dicom(number, path)
        elif path.lower().endswith(FILM_SUFFIXES[3:-1]):
            return Look(number, "reject", "image.broken", "the file is neither PNG nor JPEG, whatever its name says")
        else:
            return Look(number, "other")
    return _hashed(found, path) if hashes and found.state == "film" else found


def _tail(file: Any, head: bytes, size: int) -> bytes:
    if size <= len(head):
        return head
    file.seek(-min(_EDGE, size), os.SEEK_END)
    return bytes(file.read(_EDGE))


def _picture(number: int, path: str, head: bytes, tail: bytes, size: int) -> Look:
    from PIL import Image

    kind = "PNG" if head.startswith(_PNG) else "JPEG"
    if _ENDS[kind] not in tail:
        return Look(number, "reject", "image.truncated", f"the {kind} is cut off: its end mark is missing")
    try:
        with Image.open(path, formats=[kind]) as picture:
            columns, rows = picture.size
            image = ImageRef(
                "", format=kind, rows=rows, columns=columns, frames=1, bits_stored=_BITS.get(picture.mode, 8)
            )
    except Image.DecompressionBombError:
        return Look(number, "reject", "image.too_large", "the header claims more pixels than a film has")
    except (OSError, SyntaxError) as error:
        # without a number it is not the system that refused
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return Look(number, "reject", "image.broken", f"the {kind} has no header that can be read")
    if rows * columns > MOST_PIXELS:
        return Look(number, "reject", "image.too_large", "the header claims more pixels than a film has")
    digest = blake2b(size.to_bytes(8, "big") + head + tail, digest_size=16).digest()
    return Look(number, "film", print=digest, facts=_json({"image": _known(image), "study": {}}))


def _dicom(number: int, path: str) -> Look:
    from corpora.dicom.header import describe, read_header, study_facts

    dataset = read_header(Path(path))
    facts = study_facts(dataset)
    study = {name: facts[name] for name in ("age", "sex", "year") if facts.get(name) is not None}
    if is_report(dataset):
        found = _report(number, dataset, study)
    elif not _has_pixels(dataset):
        return Look(number, "reject", "dicom.no_pixels", "the object holds no pixels and no report")
    elif is_cut_off(Path(path)):
        return Look(number, "reject", "image.truncated", "the DICOM file ends before its pixels do")
    else:
        image = describe(dataset, Path(path))
        found = Look(number, "film", facts=_json({"image": _known(image), "study": study}))
    return replace(
        found,
        study_uid=_text(facts.get("study_uid")),
        accession=_text(facts.get("accession")),
        patient=_text(facts.get("patient_id")),
        instance=_text(dataset.get("SOPInstanceUID")),
    )


def _report(number: int, dataset: Dataset, study: dict[str, Any]) -> Look:
    record = read_report(dataset, "report", Provenance(""))
    if isinstance(record, Reject):
        return Look(number, "reject", record.code, record.message)
    assert record.report is not None
    sections = [asdict(section) for section in record.report.sections]
    facts = {"text": record.report.text, "sections": sections, "rank": rank_of(dataset), "study": study}
    return Look(number, "report", facts=_json(facts))


def _hashed(found: Look, path: str) -> Look:
    """With the perceptual hash of the pixels, which are read whole: what cannot be decoded shows here."""
    from corpora.images import phash, read_any

    facts = json.loads(found.facts or "{}")
    facts["image"]["phash"] = phash(read_any(Path(path)))
    return replace(found, facts=_json(facts))


def _known(image: ImageRef) -> dict[str, Any]:
    return {name: value for name, value in asdict(image).items() if value is not None and name != "path"}


def _text(value: object) -> str | None:
    text = str(value).strip() if value is not None else ""
    return text.replace("\0", "") or None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, default=str)


def _has_pixels(dataset: Dataset) -> bool:
    from corpora.dicom.header import has_pixels

    return bool(dataset.get("Rows")) and bool(dataset.get("Columns")) and has_pixels(dataset)
