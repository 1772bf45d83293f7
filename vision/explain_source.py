"""The films that maps are made of: a corpus, a folder, or one file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from corpora.boxes import against_corpus, read_boxes
from corpora.boxes.layer import BoxImage, BoxLayer
from corpora.errors import ConfigError, DataError

_PICTURES: Final = frozenset({".dcm", ".dicom", ".png", ".jpg", ".jpeg"})
#: Where a corpus may hold boxes of its own.
_BOXES: Final = ("truth/boxes.csv", "boxes.csv", "boxes.json")


@dataclass(frozen=True, slots=True)
class FilmFile:
    """A film: its id, its file, and whose it is where that is known."""

    image_id: str
    path: Path
    study_id: str | None = None
    patient_id: str | None = None

    @property
    def cluster(self) -> str:
        """The patient, or the study or film where none is known."""
        return self.patient_id or self.study_id or self.image_id


def films_of(source: Path | str, views: str = "all", part: str = "") -> list[FilmFile]:
    """The films of a corpus folder, a folder of DICOM, PNG or JPEG files, or one such file, in order.

    ``views`` are those of a corpus that the network looks at, ``part`` is one of its split (``test``). Raises
    ``DataError``: ``data.missing``, ``image.none`` if there is no film, as ``corpora.store.read_studies`` and
    ``corpora.splits.files.read_split``; ``ConfigError`` (``config.value``) for a part of what is no corpus.
    """
    path = Path(source)
    if not path.exists():
        raise DataError("data.missing", "there is no such file or folder", where=str(source))
    is_corpus = (path / "manifest.json").is_file()
    if part and not is_corpus:
        raise ConfigError("config.value", "only a corpus has a split", where="--part")
    if path.is_file():
        return [FilmFile(_plain(path).name, path)]
    found = _of_corpus(path, views, part) if is_corpus else _of_folder(path)
    if not found:
        raise DataError("image.none", "there is no film", where=str(source))
    return found


def _of_corpus(path: Path, views: str, part: str) -> list[FilmFile]:
    from corpora.splits.files import read_split
    from corpora.store import image_file, read_studies
    from vision.data import wanted_view

    parts = read_split(path) if part else {}
    return [
        FilmFile(image.image_id or Path(image.path).stem, image_file(path, image), study.study_id, study.patient_id)
        for study in read_studies(path)
        for image in study.images
        if wanted_view(image.view, views) and (not part or parts.get(study.study_id) == part)
    ]


def _of_folder(path: Path) -> list[FilmFile]:
    files = sorted(file for file in path.rglob("*") if file.is_file() and _is_film(file))
    # two folders may hold files of one name
    names = [_plain(file.relative_to(path)).as_posix() for file in files]
    twice = {name for name, count in Counter(names).items() if count > 1}
    return [
        FilmFile(file.relative_to(path).as_posix() if name in twice else name, file)
        for name, file in zip(names, files, strict=True)
    ]


def _plain(file: Path) -> Path:
    """A path without the ending that says what a file is; what follows the last dot of a UID says no such thing."""
    return file.with_suffix("") if file.suffix.lower() in _PICTURES else file


def _is_film(file: Path) -> bool:
    if file.suffix.lower() in _PICTURES:
        return True
    # DICOM files often have no ending, or the end of a UID for one
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def boxes_of(
    source: Path | str, films: list[FilmFile], boxes: Path | None
) -> tuple[dict[str, dict[str, list[tuple[float, float, float, float]]]], list[str], Path | None]:
    """Boxes by image and label, notes on those that were left out, and the file they are from.

    Without ``boxes`` it is the file of a corpus's own, if it has one. Raises ``DataError`` as ``read_boxes``.
    """
    own = (Path(source) / name for name in _BOXES) if Path(source).is_dir() else ()
    file = boxes or next((path for path in own if path.is_file()), None)
    if file is None:
        return {}, [], None
    layer, problems = read_boxes(file)
    layer, more = against_corpus(layer, _images(films), str(file))
    notes = [f"{len(problems):,} boxes are not well formed, left out"] * bool(problems)
    notes += [f"{len(more):,} boxes are on no film of the source, left out"] * bool(more)
    return _by_image(layer, films), notes, file


def _images(films: list[FilmFile]) -> dict[str, BoxImage]:
    named = {name: BoxImage(film.image_id) for film in films for name in (film.path.name, film.path.stem)}
    return named | {film.image_id: BoxImage(film.image_id) for film in films}


def _by_image(layer: BoxLayer, films: list[FilmFile]) -> dict[str, dict[str, list[tuple[float, float, float, float]]]]:
    names = {name: film.image_id for film in films for name in (film.path.name, film.path.stem, film.image_id)}
    found: dict[str, dict[str, list[tuple[float, float, float, float]]]] = {}
    for box in layer.boxes:
        if box.corners is not None:
            found.setdefault(names[box.image_id], {}).setdefault(box.label, []).append(box.corners)
    return found
