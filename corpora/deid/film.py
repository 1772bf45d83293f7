"""One DICOM file cleaned: header, file meta, preamble; its pixels as they were, unless text in them is blacked out."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pydicom
from pydicom import Dataset, Sequence
from pydicom._uid_dict import UID_dictionary
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from corpora import __version__
from corpora.deid.header import CleanText, Context, Tally, clean, context_of
from corpora.deid.key import Key
from corpora.deid.profile import BASIC, OPTIONS, Profile
from corpora.dicom.header import describe, quiet, read_dataset, study_facts, text, whole
from corpora.errors import DataError
from corpora.runs import writing
from corpora.types import ImageRef

if TYPE_CHECKING:
    from corpora.deid.burned import Finding

#: Tells which program wrote a file: a UID of its own (2.25 and a UUID) and a name.
IMPLEMENTATION: Final = "2.25.278206374918462037561928374650192837465"
_ENDLESS: Final = 0xFFFFFFFF
_NAME: Final = "RADLOOP"
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_NATIVE: Final = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A cleaned data set and what is to be said of it.

    ``ids`` are the new patient, study and object ids; ``facts`` what the header said before (year, age, sex).
    """

    dataset: FileDataset
    context: Context
    ids: tuple[str, str, str]
    facts: dict[str, Any]
    image: ImageRef
    finding: Finding | None = None
    tally: Tally = field(default_factory=Tally)


Look = Callable[[FileDataset, Context, bool], "Finding"]


def clean_film(
    path: Path | str, profile: Profile, key: Key, clean_text: CleanText, look: Look | None = None
) -> Cleaned:
    """Read a file and clean it; nothing is written. ``look`` finds text in the pixels, and blacks it out if asked.

    Raises ``DataError``: as ``corpora.dicom.header.read_dataset``, ``deid.directory`` for a DICOMDIR,
    ``deid.no_class`` without a SOP class or instance, ``deid.overlay_bits``.
    """
    dataset = read_dataset(path)
    with quiet():
        try:
            return _cleaned(dataset, str(path), profile, key, clean_text, look)
        except (DataError, MemoryError):
            raise
        except Exception as error:  # a hostile file makes the parser raise anything; its values stay out
            raise DataError(
                "deid.broken", f"the file cannot be cleaned ({type(error).__name__})", where=str(path)
            ) from error


def _cleaned(
    dataset: FileDataset, where: str, profile: Profile, key: Key, clean_text: CleanText, look: Look | None
) -> Cleaned:
    _check(dataset, where)
    facts = study_facts(dataset)
    _drop_overlay_bits(dataset, where)
    _trim_pixels(dataset)
    context = context_of(dataset, profile, key, clean_text)
    finding = look(dataset, context, profile.has("clean-pixel-data")) if look is not None else None
    clean(dataset, context)
    if "ClinicalTrialProtocolEthicsCommitteeApprovalNumber" not in dataset:
        # the table has it stay, but its name may only stand beside the number that is gone (PS3.3 C.7.1.3)
        dataset.pop("ClinicalTrialProtocolEthicsCommitteeName", None)
    cleaned_pixels = finding is not None and finding.cleaned
    _mark(dataset, profile, cleaned_pixels)
    context.tally.actions["pixels_hidden" if finding is not None and finding.blacked else "pixels_retained"] += 1
    _new_meta(dataset)
    ids = tuple(text(dataset, keyword) or "" for keyword in ("PatientID", "StudyInstanceUID", "SOPInstanceUID"))
    return Cleaned(dataset, context, (ids[0], ids[1], ids[2]), facts, describe(dataset, where), finding, context.tally)


def _check(dataset: FileDataset, where: str) -> None:
    meta = getattr(dataset, "file_meta", None)
    if (text(meta, "MediaStorageSOPClassUID") if meta is not None else None) == _DIRECTORY:
        raise DataError("deid.directory", "a DICOMDIR lists films by name; make a new one of the output", where=where)
    for keyword in ("SOPClassUID", "SOPInstanceUID"):
        if text(dataset, keyword) is None:
            raise DataError("deid.no_class", f"the object has no {keyword}: what it is cannot be told", where=where)


def _drop_overlay_bits(dataset: Dataset, where: str) -> None:
    """Blank the bits beside the stored ones if an overlay is in them: without its header it would still be there."""
    import numpy as np

    groups = {tag.group for tag in list(dataset.keys()) if tag.group & 0xFF00 == 0x6000}
    hidden = any((group, 0x3000) not in dataset and _bit_position(dataset, group) > 0 for group in groups)
    if not hidden or "PixelData" not in dataset:
        return
    if dataset.file_meta.get("TransferSyntaxUID") not in _NATIVE or whole(dataset, "BitsAllocated") != 16:
        raise DataError("deid.overlay_bits", "an overlay lies in the bits of compressed pixels", where=where)
    order = ">" if dataset.original_encoding[1] is False else "<"
    bits, high = whole(dataset, "BitsStored") or 16, whole(dataset, "HighBit")
    shift = (high if high is not None else bits - 1) + 1 - bits
    values = np.frombuffer(dataset.PixelData, dtype=f"{order}u2") & np.uint16(((1 << bits) - 1) << max(shift, 0))
    dataset.PixelData = values.astype(f"{order}u2").tobytes()


def _bit_position(dataset: Dataset, group: int) -> int:
    try:
        return int(dataset[group, 0x0102].value or 0)
    except Exception:  # not there, or no number
        return 0


def _trim_pixels(dataset: Dataset) -> None:
    """Cut what follows the last row of native pixels: nothing that belongs to the film."""
    if dataset.file_meta.get("TransferSyntaxUID") not in _NATIVE or "PixelData" not in dataset:
        return
    numbers = [whole(dataset, name) for name in ("Rows", "Columns", "BitsAllocated", "SamplesPerPixel")]
    if not all(numbers):
        return
    rows, columns, bits, samples = (number or 0 for number in numbers)
    frames = whole(dataset, "NumberOfFrames") or 1
    if samples == 3 and text(dataset, "PhotometricInterpretation") == "YBR_FULL_422":
        samples = 2
    size = (rows * columns * bits * samples * frames + 7) // 8
    size += size & 1
    held = dataset.get_item("PixelData")
    if isinstance(held.value, bytes) and len(held.value) > size:
        dataset["PixelData"].value = bytes(held.value[:size])


def _mark(dataset: Dataset, profile: Profile, cleaned_pixels: bool) -> None:
    """Say in the header what was done."""
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = f"radloop {__version__}, {profile.table.edition}, {profile.name}"[:64]
    applied = [BASIC, *(OPTIONS[name] for name in OPTIONS if profile.has(name) and name != "clean-pixel-data")]
    applied += [OPTIONS["clean-pixel-data"]] if cleaned_pixels else []
    dataset.DeidentificationMethodCodeSequence = Sequence([_code(*code) for code in applied])
    dataset.LongitudinalTemporalInformationModified = {
        "kept": "UNMODIFIED", "moved": "MODIFIED", "removed": "REMOVED"
    }[profile.dates]  # fmt: skip
    if cleaned_pixels:
        dataset.BurnedInAnnotation = "NO"
    elif text(dataset, "BurnedInAnnotation") == "NO":
        # nobody has looked: it is not for this header to say
        del dataset.BurnedInAnnotation
        if text(dataset, "SOPClassUID") in _NEED_BURNED:
            dataset.BurnedInAnnotation = "NO"


#: DX objects must have the attribute, so what the source said stays there.
_NEED_BURNED: Final = frozenset(
    {"1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1.1", "1.2.840.10008.5.1.4.1.1.7"}
)


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _new_meta(dataset: FileDataset) -> None:
    """File meta information of our own: of the old, only the transfer syntax."""
    old = getattr(dataset, "file_meta", None)
    syntax = old.get("TransferSyntaxUID") if old is not None else None
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax if syntax in UID_dictionary else _guessed(dataset))
    meta.ImplementationClassUID = pydicom.uid.UID(IMPLEMENTATION)
    meta.ImplementationVersionName = _NAME
    dataset.file_meta = meta
    dataset.preamble = bytes(128)


def _guessed(dataset: FileDataset) -> str:
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def write_film(dataset: FileDataset, path: Path) -> None:
    """Write a cleaned data set; the file appears whole or not at all. Raises ``RunError``, ``DataError``."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            with quiet():
                _write(dataset, temporary)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            if not isinstance(error, Exception) or isinstance(error, MemoryError):
                raise
            raise DataError(
                "deid.unwritable", f"the cleaned object cannot be written as DICOM ({type(error).__name__})",
                where=path.name,
            ) from error  # fmt: skip


def _write(dataset: FileDataset, path: Path) -> None:
    """Write a data set; pixels that were not touched go straight to the file, where pydicom would copy them twice."""
    pixels: Any = dataset.get_item("PixelData") if "PixelData" in dataset else None
    syntax = dataset.file_meta.TransferSyntaxUID
    last = pixels is not None and not any(tag > pixels.tag for tag in list(dataset.keys()))
    raw = isinstance(pixels, RawDataElement) and isinstance(pixels.value, bytes) and pixels.VR in (None, "OB", "OW")
    if not raw or not last or syntax.is_deflated:
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
        return
    order = "<" if syntax.is_little_endian else ">"
    endless = pixels.length == _ENDLESS
    start = struct.pack(f"{order}HH", pixels.tag.group, pixels.tag.element)
    if not syntax.is_implicit_VR:
        start += (pixels.VR or "OW").encode("ascii") + b"\0\0"
    start += struct.pack(f"{order}L", _ENDLESS if endless else len(pixels.value) + len(pixels.value) % 2)
    del dataset.PixelData
    try:
        pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    finally:
        dataset[pixels.tag] = pixels
    with path.open("ab") as file:
        file.write(start)
        file.write(pixels.value)
        file.write(struct.pack(f"{order}HHL", 0xFFFE, 0xE0DD, 0) if endless else b"\0" * (len(pixels.value) % 2))


def file_ids(ids: Iterable[str], key: Key, place: str) -> Path:
    """Where a film is written below the output: by patient, study and object, all of them new ids."""
    patient, study, instance = ids
    return Path(patient or "unknown") / (study or "unknown") / f"{instance or key.pseudonym('film', place)}.dcm"
