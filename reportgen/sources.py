"""Where films to draft of come from: a corpus or a part of it, a folder of films, one film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from corpora.errors import ConfigError, DataError
from corpora.images.cache import Film
from corpora.readers.corpus import is_corpus
from corpora.splits.files import read_split
from corpora.store import read_studies
from corpora.types import Provenance, Reject, Study
from vision.data import films_of

_SUFFIXES: Final = (".dcm", ".dicom", ".png", ".jpg", ".jpeg", "")


def sources(
    source: Path, part: str | None = None, split: Path | None = None, views: str = "all"
) -> tuple[dict[str, Study], list[Film], list[Reject]]:
    """The studies of a corpus, films of these or of a part of them, and studies without such films; or films by
    themselves, each a study.

    Raises ``DataError`` (``data.missing``, ``report.no_studies``) and ``ConfigError`` (``config.value``).
    """
    if source.is_dir() and is_corpus(str(source)):
        parts = read_split(split or source) if part else {}
        if part and part not in parts.values():
            known = ", ".join(sorted(set(parts.values())))
            raise ConfigError("config.value", f"the split has no part {part!r}; it has {known}", where="--part")
        studies = {each.study_id: each for each in read_studies(source)}
        chosen = [each for name, each in studies.items() if part is None or parts.get(name) == part]
        of_study = {each.study_id: films_of(source, each, views) for each in chosen}
        films = [film for several in of_study.values() for film in several]
        rejects = [
            Reject("report.no_frontal", "the study has no frontal film", Provenance(str(source)), name)
            for name, several in of_study.items()
            if not several
        ]
    elif part:
        raise ConfigError("config.value", "only a corpus has a split", where="--part")
    else:
        studies, films, rejects = {}, list(_loose(source)), []
    if not films:
        raise DataError("report.no_studies", "there is no film in it", where=str(source), hint="DICOM, PNG or JPEG")
    return studies, films, rejects


def inputs_of(run: Path, source: Path, split: Path | None = None, adapter: Path | None = None) -> list[Path]:
    """What drafts come from, for their manifest: the weights of a run with its adapters, and the films: those of a
    corpus by its manifest and split, others themselves."""
    weights = (run / "config.json", run / "model.safetensors", adapter or run / "adapter")
    parts = split or source
    of_corpus = (source / "manifest.json", parts / "split.csv" if parts.is_dir() else parts)
    films = of_corpus if source.is_dir() and is_corpus(str(source)) else (source,)
    return [path for path in (*weights, *films) if path.exists()]


def _loose(source: Path) -> Iterator[Film]:
    if source.is_file():
        yield Film(source.stem, str(source), source.stem, source.stem, None)
        return
    if not source.is_dir():
        raise DataError("data.missing", "there is no such source", where=str(source))
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if path.is_file() and path.suffix.lower() in _SUFFIXES and not any(p.startswith(".") for p in inside.parts):
            name = inside.with_suffix("").as_posix()
            yield Film(name, str(path), name, name, None)
