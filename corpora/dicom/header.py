"""What a DICOM header says of a film and of its study, whatever state the header is in.

Nothing here raises for a value that makes no sense (a birth date of 31 February, an age of "old"): it is passed over,
and what it would have said is None. Nothing is logged: header values are about a person.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Final

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError

from corpora.dicom.streams import check_deflated
from corpora.dicom.views import view_of
from corpora.errors import DataError
from corpora.types import ImageRef

Dataset = pydicom.Dataset

_PREAMBLE: Final = 128
# holds the file meta information of all but odd files
_HEAD: Final = 4096
_PIXELS: Final = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# a data set without preamble begins with group 0002 or 0008, little or big endian
_BARE: Final = (b"\x02\x00", b"\x08\x00", b"\x00\x02", b"\x00\x08")
_AGE: Final = re.compile(r"\s*(\d{1,3})\s*([DWMY]?)\s*", re.IGNORECASE)
_PER_YEAR: Final = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0, "": 1.0}
_DATES: Final = ("StudyDate", "AcquisitionDate", "SeriesDate", "ContentDate")
_OLDEST: Final = 120.0
_FIRST_YEAR: Final = 1896
# an earlier study is a placeholder, such as 1 January 1901: there were no digital films
_FIRST_STUDY: Final = 1970
_SEXES: Final = {"M": "M", "F": "F", "O": "O"}
_YES: Final = {"YES": True, "NO": False}


@contextmanager
def quiet() -> Iterator[None]:
    """What pydicom warns of quotes header values, and what is wrong with them is seen to here."""
    mode = pydicom.config.settings.reading_validation_mode
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        pydicom.config.settings.reading_validation_mode = mode


def read_header(path: Path | str) -> FileDataset:
    """The header of a DICOM file, up to its pixels, which are not read.

    Raises ``DataError``: ``data.missing``, ``data.unreadable``, ``dicom.not_dicom``, ``image.truncated``,
    ``image.broken``, ``image.too_large`` for a deflated file that comes to more than a film has.
    """
    return _read(Path(path), stop_before_pixels=True)


def read_dataset(path: Path | str) -> FileDataset:
    """A whole DICOM file, its pixels not yet decoded. Raises as ``read_header``."""
    return _read(Path(path), stop_before_pixels=False)


def _read(path: Path, *, stop_before_pixels: bool) -> FileDataset:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(0)
            marked = head[_PREAMBLE : _PREAMBLE + 4] == b"DICM"
            if not marked and head[:2] not in _BARE:
                raise _not_dicom(path)
            with quiet():
                if marked:
                    check_deflated(file, head, str(path))
                dataset = pydicom.dcmread(file, stop_before_pixels=stop_before_pixels, force=not marked)
            # it stops in front of the pixels, and at the end of the file where there are none
            dataset.holds_pixels = any(tag in dataset for tag in _PIXELS) or _goes_on(file)
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("data.missing", "there is no such file", where=str(path)) from error
    except InvalidDicomError as error:
        raise _not_dicom(path) from error
    except EOFError as error:
        raise DataError("image.truncated", "the DICOM file is cut off in its header", where=str(path)) from error
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=str(path)) from error
    except MemoryError:
        raise
    except Exception as error:  # a hostile header makes the parser raise anything
        raise DataError(
            "image.broken", f"the DICOM header cannot be read ({type(error).__name__})", where=str(path)
        ) from error
    if not dataset:
        raise DataError("image.truncated", "the DICOM file ends before its header does", where=str(path))
    return dataset


def _goes_on(file: BinaryIO) -> bool:
    return not file.closed and bool(file.read(1))


def has_pixels(dataset: Dataset) -> bool:
    """Whether there are pixels in the file that a header was read from."""
    return bool(getattr(dataset, "holds_pixels", False))


def _not_dicom(path: Path) -> DataError:
    return DataError("dicom.not_dicom", "this is not a DICOM file", where=str(path))


def describe(dataset: Dataset, path: Path | str) -> ImageRef:
    """The film that a header describes; ``path`` is kept as it is given."""
    view, source = view_of(dataset)
    spacing = _spacing(dataset)
    meta = getattr(dataset, "file_meta", None)
    return ImageRef(
        path=str(path),
        view=view,
        format="DICOM",
        view_source=source,
        rows=whole(dataset, "Rows"),
        columns=whole(dataset, "Columns"),
        frames=whole(dataset, "NumberOfFrames") or 1,
        bits_stored=whole(dataset, "BitsStored"),
        photometric=text(dataset, "PhotometricInterpretation"),
        pixel_spacing=spacing,
        modality=text(dataset, "Modality"),
        body_part=text(dataset, "BodyPartExamined"),
        manufacturer=text(dataset, "Manufacturer"),
        model=text(dataset, "ManufacturerModelName"),
        transfer_syntax=text(meta, "TransferSyntaxUID") if meta is not None else None,
        identity_removed=_YES.get((text(dataset, "PatientIdentityRemoved") or "").upper()),
        burned_in=_YES.get((text(dataset, "BurnedInAnnotation") or "").upper()),
    )


def study_facts(dataset: Dataset) -> dict[str, Any]:
    """What a header says of the study; None where it does not say or makes no sense.

    ``study_uid``, ``accession``, ``patient_id``, ``year``, ``age`` (years), ``sex`` (M, F, O), ``manufacturer``.
    """
    studied = next((day for day in (_date(dataset, name) for name in _DATES) if day is not None), None)
    return {
        "study_uid": text(dataset, "StudyInstanceUID"),
        "accession": text(dataset, "AccessionNumber"),
        "patient_id": text(dataset, "PatientID"),
        "year": studied.year if studied and studied.year >= _FIRST_STUDY else None,
        "age": _age(dataset, studied),
        "sex": _SEXES.get((text(dataset, "PatientSex") or "").upper()),
        "manufacturer": text(dataset, "Manufacturer"),
    }


def text(dataset: Dataset, keyword: str) -> str | None:
    """An attribute as text: the first of several values, without padding; None where there is none."""
    try:
        with quiet():
            value = dataset.get(keyword)
    except Exception:  # the conversion of a raw value can raise anything
        return None
    if value is None or isinstance(value, bytes):
        return None
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if len(value) else None
    return str(value).replace("\0", "").strip() or None if value is not None else None


def whole(dataset: Dataset, keyword: str) -> int | None:
    """An attribute as a whole number that is not negative; None where it is none."""
    value = text(dataset, keyword)
    return int(value) if value is not None and value.isdecimal() and len(value) < 10 else None


def number(dataset: Dataset, keyword: str) -> float | None:
    """An attribute as a finite number; None where it is none."""
    return _finite(text(dataset, keyword))


def _finite(value: str | None) -> float | None:
    try:
        found = float(value) if value is not None else None
    except ValueError:
        return None
    return found if found is not None and abs(found) < float("inf") else None


def _spacing(dataset: Dataset) -> tuple[float, float] | None:
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            with quiet():
                values = dataset.get(keyword)
                pair = [float(value) for value in values] if values else []
        except Exception:  # as in ``text``
            continue
        # some scanners write 0\0
        if len(pair) == 2 and all(0 < value < 100 for value in pair):
            return pair[0], pair[1]
    return None


def _date(dataset: Dataset, keyword: str) -> date | None:
    digits = re.sub(r"[.\-/ ]", "", text(dataset, keyword) or "")
    if not re.fullmatch(r"\d{8}.*", digits):
        return None
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None
    return day if _FIRST_YEAR <= day.year <= date.today().year + 1 else None


def _age(dataset: Dataset, studied: date | None) -> float | None:
    """In years, from the age that is written, else from the birth date; none older than 120."""
    written = _AGE.fullmatch(text(dataset, "PatientAge") or "")
    if written:
        age = int(written[1]) / _PER_YEAR[written[2].upper()]
    else:
        born = _date(dataset, "PatientBirthDate")
        if born is None or studied is None:
            return None
        age = (studied - born).days / 365.25
    return round(age, 2) if 0 <= age <= _OLDEST else None
