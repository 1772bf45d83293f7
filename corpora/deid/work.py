"""One item of a run: a DICOM file, or a study of a corpus. What comes back is fit to be written down: nothing of the source."""  # noqa: E501

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from corpora.deid.identity import Known
from corpora.deid.key import Key
from corpora.deid.profile import Profile
from corpora.deid.surrogates import fillers
from corpora.deid.text import Span, clean_text, find_spans, moved_sections, redact
from corpora.errors import DataError, RunError
from corpora.runs import writing
from corpora.store import from_row, image_file, to_row
from corpora.types import ImageRef, Report, Study

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from corpora.deid.burned import Finding
    from corpora.deid.film import Cleaned, Look

Result = dict[str, Any]
_AGE_CAP: Final = 90.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What every item of a run is cleaned with. ``single`` is the one file that is written, if it is one."""

    source: Path
    out: Path
    profile: Profile
    key: Key
    surrogates: bool = False
    audit: float = 0.0
    pixels: bool = False
    single: Path | None = None
    work: Path | None = None


def clean_file(plan: Plan, path: Path) -> Result:
    """Clean one DICOM file of a folder and write it."""
    place = path.relative_to(plan.source).as_posix() if plan.source.is_dir() else path.name
    result: Result = {"place": plan.key.digest("place", place).hex()[:24]}
    try:
        cleaned, target = _film(plan, path, place, plan.out)
    except (DataError, RunError) as error:
        if isinstance(error, RunError):
            raise
        return result | {"fault": [error.code, error.message, masked(place)]}
    return result | _told(plan, cleaned, target)


def _film(plan: Plan, path: Path, place: str, folder: Path) -> tuple[Cleaned, Path]:
    from corpora.deid.film import clean_film, file_ids, write_film

    cleaned = clean_film(path, plan.profile, plan.key, clean_text, _look(plan))
    target = plan.single or folder / file_ids(cleaned.ids, plan.key, place)
    if plan.single is None and target.exists() and not _same_place(target, plan, place):
        # another file with the same UID: both stay, under names of their own
        target = target.with_name(f"{target.stem}-{plan.key.pseudonym('film', place, 8)}.dcm")
    write_film(cleaned.dataset, target)
    _claim(target, plan, place)
    return cleaned, target


def _marker(target: Path, plan: Plan) -> Path | None:
    return None if plan.work is None else plan.work / "places" / plan.key.digest("target", str(target)).hex()[:24]


def _same_place(target: Path, plan: Plan, place: str) -> bool:
    marker = _marker(target, plan)
    return marker is None or not marker.is_file() or marker.read_text() == plan.key.digest("place", place).hex()


def _claim(target: Path, plan: Plan, place: str) -> None:
    marker = _marker(target, plan)
    if marker is not None:
        with writing(marker):
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_text(plan.key.digest("place", place).hex())


def _look(plan: Plan) -> Look | None:
    if not _looks(plan):
        return None
    from corpora.deid.burned import look

    return partial(look, thumbs=_thumbs(plan))


def _looks(plan: Plan) -> bool:
    return plan.pixels or plan.profile.has("clean-pixel-data")


def _thumbs(plan: Plan) -> Path | None:
    return None if plan.work is None else plan.work / "thumbs"


def _told(plan: Plan, cleaned: Cleaned, target: Path) -> Result:
    result: Result = {
        "out": target.relative_to(plan.out).as_posix() if plan.single is None else target.name,
        "patient": cleaned.ids[0], "actions": dict(cleaned.tally.actions), "codes": dict(cleaned.tally.codes),
        "facts": {name: cleaned.facts.get(name) for name in ("year", "age", "sex", "manufacturer")},
    }  # fmt: skip
    if cleaned.finding is not None:
        result["finding"] = cleaned.finding.to_json()
    if plan.audit and plan.key.share("audit", cleaned.ids[2]) < plan.audit:
        touched = {path: action for path, _, action in cleaned.tally.changes}
        result["sample"] = [
            [path, keyword, value, touched.get(path, "kept")] for path, keyword, value in _left(cleaned.dataset)
        ]
    return result


def _left(dataset: Any, above: str = "", deepest: int = 20) -> Iterator[tuple[str, str, str]]:
    """Every text that is left in a data set, for a person to read."""
    from corpora.dicom.header import quiet

    with quiet():
        for tag in list(dataset.keys()):
            path = f"{above}{int(tag):08X}"
            try:
                element = dataset[tag]
            except Exception:  # the conversion of a raw value can raise anything
                continue
            if element.VR == "SQ" and deepest:
                for number, item in enumerate(element.value):
                    yield from _left(item, f"{path}[{number}].", deepest - 1)
            elif element.VR not in (
                "OB",
                "OW",
                "OF",
                "OD",
                "OL",
                "OV",
                "UN",
                "US",
                "SS",
                "UL",
                "SL",
                "FL",
                "FD",
                "AT",
                "SQ",
            ):
                yield path, element.keyword or "private", str(element.value)[:200]


_TERMS: Final = re.compile(
    r"(?i)(?:image|img|im|film|series|study|file|test|broken|bad|truncated|trunc|cut|corrupt|damaged|empty|force|forced|no|not|dicom|dcm|"
    r"preamble|meta|header|deep|sequence|pixel|pixels|invalid|date|dates|age|charset|private|creator|only|read|x|a|b|cr|dx|xr|us|ct|mr|chest|pa|ap|"
    r"lat|lateral|front|frontal|fixed|original|copy|raw|data|png|jpg|jpeg|txt|csv|xml|json|part|odd|noise|text|junk|garbage|zero|short|long|wrong|missing|with|without|stream|dir|"
    r"set|sub|folder|export|input|src|source|in|out|train|val|test|sample|samples|of|the|and|s|p|n|v|bin|gz)"
)


def masked(place: str) -> str:
    """A path without what may be somebody's name or number: its parts stay where each word is a plain one.

    >>> masked("broken_1.dcm"), masked("Kowalska_Anna/19480314/img2.dcm")
    ('broken_1.dcm', '*/*/img2.dcm')
    """
    parts = []
    for part in place.split("/"):
        words = re.findall(r"[^\W\d_]+", part)
        plain = all(_TERMS.fullmatch(word) for word in words) and not re.search(r"\d{4}", part)
        parts.append(part if plain else f"*{Path(part).suffix}" if _TERMS.fullmatch(Path(part).suffix[1:]) else "*")
    return "/".join(parts)


# Studies of a corpus


def clean_study(plan: Plan, row: dict[str, Any]) -> Result:
    """Clean a study of a corpus: its films are written, its row comes back."""
    study = from_row(row)
    result: Result = {"place": plan.key.digest("place", study.study_id).hex()[:24], "films": [], "faults": []}
    images, known = [], list(_known(study))
    for image in study.images:
        try:
            kept, told, more = _corpus_film(plan, study, image)
        except DataError as error:
            result["faults"].append([error.code, error.message, masked(Path(image.path).name)])
            continue
        known += more
        images.append(kept)
        result["films"].append(told)
    patient = study.patient_id or study.study_id
    report = study.report
    if report is not None:
        spans = find_spans(report.text, known)
        filled = _fill(plan, report.text, spans, patient)
        sections = moved_sections(report.sections, spans, filled)
        result["spans"] = dict(Counter(span.category for span in spans))
        report = Report("", redact(report.text, spans, filled), sections)
        if plan.audit and plan.key.share("audit", study.study_id) < plan.audit:
            result["report"] = report.text
    if not images and study.images and report is None:
        return result | {"row": None}
    study_id = plan.key.pseudonym("study", study.study_id)
    cleaned = Study(
        study_id, plan.key.pseudonym("patient", study.patient_id) if study.patient_id else None, tuple(images),
        replace(report, study_id=study_id) if report is not None else None, _meta(plan, study),
    )  # fmt: skip
    return result | {"row": to_row(cleaned)}


def _fill(plan: Plan, text: str, spans: list[Span], patient: str) -> list[str]:
    if not plan.surrogates:
        return [f"[{span.category}]" for span in spans]
    return fillers(text, spans, plan.key, patient, plan.key.days(patient))


def _known(study: Study) -> Iterator[Known]:
    yield Known("ID", "StudyID", study.study_id)
    if study.patient_id:
        yield Known("ID", "PatientID", study.patient_id)


def _meta(plan: Plan, study: Study) -> dict[str, Any]:
    """What may stay: labels and split, the year if dates do, age and sex if they are asked for."""
    meta = {name: study.meta[name] for name in ("labels", "split") if study.meta.get(name) is not None}
    if plan.profile.dates == "kept" and study.meta.get("year") is not None:
        meta["year"] = study.meta["year"]
    if plan.profile.has("retain-patient-characteristics"):
        if study.meta.get("age") is not None:
            meta["age"] = min(float(study.meta["age"]), _AGE_CAP)
        if study.meta.get("sex") is not None:
            meta["sex"] = study.meta["sex"]
    return meta


def _corpus_film(plan: Plan, study: Study, image: ImageRef) -> tuple[ImageRef, Result, Iterable[Known]]:
    path = image_file(plan.source, image)
    place = f"{study.study_id}/{image.path}"
    if _is_picture(path):
        target, finding = _picture(plan, path, study, place)
        hidden = finding is not None and finding.blacked > 0
        kept = replace(
            image, path=target.relative_to(plan.out).as_posix(), image_id=target.stem, identity_removed=True,
            phash=None if hidden else image.phash,
        )  # fmt: skip
        result: Result = {"out": kept.path, "actions": {"pixels_hidden" if hidden else "pixels_retained": 1}}
        return kept, result if finding is None else result | {"finding": finding.to_json()}, ()
    cleaned, target = _film(plan, path, place, plan.out / "images")
    found = cleaned.image
    kept = replace(
        found, path=target.relative_to(plan.out).as_posix(), image_id=target.stem,
        phash=None if cleaned.finding is not None and cleaned.finding.blacked else image.phash,
        view=image.view or found.view, view_source=image.view_source or found.view_source,
    )  # fmt: skip
    return kept, _told(plan, cleaned, target), cleaned.context.known


def _is_picture(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(8).startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))
    except FileNotFoundError as error:
        raise DataError("data.missing", "there is no such file", where=path.name) from error
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=path.name) from error


def _picture(plan: Plan, path: Path, study: Study, place: str) -> tuple[Path, Finding | None]:
    """A PNG or JPEG as a PNG of its pixels alone: what else is in such a file may tell anything.

    Text in them is looked for as in a film's, if that is asked for.
    """
    import numpy as np
    from PIL import Image

    name = plan.key.pseudonym("film", place)
    target = plan.out / "images" / plan.key.pseudonym("study", study.study_id) / f"{name}.png"
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.tmp")
        try:
            with Image.open(path, formats=["PNG", "JPEG"]) as file:
                picture: Image.Image = file
                if picture.mode not in ("L", "RGB", "I;16", "I"):
                    picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
                # only what is in the array goes on
                values = np.array(picture)
            finding = _text_in(plan, values, name)
            Image.fromarray(values).save(temporary, format="PNG")
        except (OSError, SyntaxError, ValueError) as error:
            temporary.unlink(missing_ok=True)
            raise DataError("image.broken", "the picture cannot be decoded", where=masked(path.name)) from error
        temporary.replace(target)
    return target, finding


def _text_in(plan: Plan, values: NDArray[Any], name: str) -> Finding | None:
    if not _looks(plan):
        return None
    from corpora.deid.burned import look_at_picture

    return look_at_picture(values, plan.profile.has("clean-pixel-data"), f"{name}.png", _thumbs(plan))
