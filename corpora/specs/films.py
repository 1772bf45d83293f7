"""Looking at the films themselves: which of them, by how many processes, and what the checks make of it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from corpora.errors import ConfigError, RadloopError, RunError
from corpora.quality import FilmMeasures, fingerprint, measure, same_film
from corpora.specs.duplicates import Alike, Film
from corpora.specs.evidence import Evidence, Films, Outcome, bounds_text, missing, share_outcome, share_text
from corpora.specs.facts import StudyFacts
from corpora.specs.model import FilmQuality
from corpora.specs.values import keeps, view_of
from corpora.store import image_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Result = TypeVar("Result")
#: Called with films done and films in all.
Watch = Callable[[int, int], None] | None

#: Below this many films a second process costs more than it gains.
_WORTH_FILMS: Final = 16
#: Films with like hashes that are read to compare them, unless all are asked for.
MOST_COMPARED: Final = 1000


class _Task(NamedTuple):
    study_id: str
    path: str
    file: str


def films_to_see(spelled: str) -> int | None:
    """``--pixels``: a number of films, ``none``, or ``all`` (None). Raises ``ConfigError`` (``config.value``)."""
    if spelled in ("all", "none"):
        return None if spelled == "all" else 0
    if not spelled.isascii() or not spelled.isdigit():
        raise ConfigError("config.value", f"{spelled!r} is no number of films, all or none", where="--pixels")
    return int(spelled)


def look_at(corpus: Path, studies: Sequence[StudyFacts], most: int | None, watch: Watch = None) -> Films:
    """The measures of a sample of the films that may be frontal; of every film if ``most`` is None.

    The sample is drawn by a hash of the paths, so the same corpus gives the same films.
    """
    tasks = [
        _Task(study.study_id, image.path, str(image_file(corpus, image)))
        for study in studies
        for image in study.images
        if view_of(image) != "LATERAL"
    ]
    of = len(tasks)
    if most is not None and most < of:
        tasks = sorted(tasks, key=_draw)[:most]
    measures: dict[tuple[str, str], FilmMeasures] = {}
    unreadable: dict[str, str] = {}
    for task, found in zip(tasks, _each(see, [task.file for task in tasks], watch), strict=True):
        if isinstance(found, FilmMeasures):
            measures[task.study_id, task.path] = found
        else:
            unreadable[task.study_id] = found
    return Films(measures, unreadable, of, whole=most is None)


def _draw(task: _Task) -> str:
    return hashlib.sha256(f"{task.study_id}\0{task.path}".encode("utf-8", "surrogatepass")).hexdigest()


def _each(function: Callable[[str], Result | str], files: Sequence[str], watch: Watch = None) -> Iterator[Result | str]:
    for done, found in enumerate(_mapped(function, files), 1):
        yield found
        if watch:
            watch(done, len(files))


def _mapped(function: Callable[[str], Result | str], files: Sequence[str]) -> Iterator[Result | str]:
    workers = min(os.cpu_count() or 1, len(files) // _WORTH_FILMS)
    if workers < 2:
        yield from map(function, files)
        return
    from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
    from multiprocessing import get_context

    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            yield from pool.map(function, files, chunksize=4)
    except BrokenExecutor as error:
        raise RunError(
            "run.worker", "a process that reads films was killed", hint="mostly memory ran out; --pixels looks at fewer"
        ) from error


def see(file: str) -> FilmMeasures | str:
    """The measures of the film in a file, or why there are none (a code; never a name from inside the file)."""
    return _of_film(file, measure)


def fingerprint_of(file: str) -> NDArray[np.float64] | str:
    """The fingerprint of the film in a file, or why there is none."""
    return _of_film(file, fingerprint)


def _of_film(file: str, function: Callable[[NDArray[Any]], Result]) -> Result | str:
    from corpora.images import read_any

    try:
        return function(read_any(Path(file)))
    except RadloopError as error:
        return error.code
    except Exception as error:
        # decoders raise what they like, and the other films still count; the message may quote the file
        return type(error).__name__


def compare(corpus: Path, groups: Sequence[Alike], most: int | None, watch: Watch = None) -> list[Alike]:
    """Groups of images with like hashes, after a look at the films: those that differ are taken apart.

    At most ``most`` films are read (None: all). A group with a film that was not read, or cannot be, stays as it is.
    """
    chosen: dict[str, None] = {}
    for group in groups:
        files = [str(image_file(corpus, film.image)) for film in group.films]
        if most is None or len(chosen) + len(files) <= most:
            chosen |= dict.fromkeys(files)
    prints = dict(zip(chosen, _each(fingerprint_of, list(chosen), watch), strict=True))
    return [part for group in groups for part in _taken_apart(corpus, group, prints)]


def _taken_apart(corpus: Path, group: Alike, prints: Mapping[str, NDArray[np.float64] | str]) -> list[Alike]:
    found = [(film, prints.get(str(image_file(corpus, film.image)), "")) for film in group.films]
    parts: list[list[tuple[Film, NDArray[np.float64]]]] = []
    for film, print_ in found:
        if isinstance(print_, str):
            return [group]
        home = next((part for part in parts if same_film(part[0][1], print_)), None)
        parts.append([(film, print_)]) if home is None else home.append((film, print_))
    return [Alike(tuple(film for film, _ in part), group.distance, compared=True) for part in parts if len(part) > 1]


def film_quality(criterion: FilmQuality, evidence: Evidence) -> Outcome:
    """Films whose measure keeps the rule; a film that could not be read breaks it."""
    share = bounds_text(criterion.at_least, criterion.at_most, share=True)
    threshold = f"{criterion.measure} {_rule_text(criterion)} in {share}"
    films = evidence.films
    if films is None or (not films.measures and not films.unreadable):
        return missing(criterion, "no film was looked at" if films is None else "there is no frontal film", threshold)
    wanted = None if criterion.views is None else {view.upper() for view in criterion.views}
    values: dict[tuple[str, str], float | None] = {}
    for study in evidence.studies:
        for image in study.images:
            key, view = (study.study_id, image.path), view_of(image)
            if key in films.measures and (wanted is None or view is None or view in wanted):
                values[key] = getattr(films.measures[key], criterion.measure)
    good = [key for key, value in values.items() if keeps(criterion.rule, value)]
    against = [study_id for study_id, path in values.keys() - set(good)]
    of = len(values) + len(films.unreadable)
    if not of:
        return missing(criterion, "there is no film of these views", threshold)
    order = {study.study_id: place for place, study in enumerate(evidence.studies)}
    offending = sorted({*against, *films.unreadable}, key=order.__getitem__)
    details = {
        "values": [value for value in values.values() if value is not None],
        "unreadable": dict(films.unreadable),
    }
    found = share_outcome(criterion, len(good), of, offending, details, _note(films, len(good), of))
    return Outcome(found.verdict, found.measured, found.shown, threshold, found.reason, found.offending, found.details)


def _rule_text(criterion: FilmQuality) -> str:
    rule = criterion.rule
    bounds = {"at least": rule.at_least, "at most": rule.at_most, "below": rule.below}
    return " and ".join(f"{words} {bound:g}" for words, bound in bounds.items() if bound is not None)


def _note(films: Films, good: int, of: int) -> str:
    notes = [f"{len(films.unreadable):,} could not be read"] if films.unreadable else []
    if not films.whole and of < films.of:
        from scipy.stats import binomtest

        interval = binomtest(good, of).proportion_ci(0.95, method="exact")
        low, high = share_text(interval.low), share_text(interval.high)
        notes.append(f"a sample of {of:,} of {films.of:,} films; 95 % interval {low} to {high}")
    return "; ".join(notes)


@contextmanager
def watching() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr to call with films done and in all; draws nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: Iterable[Any] = (TextColumn("films"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("films")
        yield lambda done, of: progress.update(task, completed=done, total=of)
