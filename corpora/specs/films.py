"""Looking at the films themselves: which of them, by how many processes, and what the checks make of it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from corpora.errors import ConfigError, RadloopError
from corpora.quality import FilmMeasures, measure
from corpora.specs.evidence import Evidence, Films, Outcome, bounds_text, missing, share_outcome, share_text
from corpora.specs.facts import StudyFacts
from corpora.specs.model import FilmQuality
from corpora.specs.values import keeps, view_of
from corpora.store import image_file

#: Below this many films a second process costs more than it gains.
_WORTH_FILMS: Final = 16


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


def look_at(
    corpus: Path, studies: Sequence[StudyFacts], most: int | None, watch: Callable[[int, int], None] | None = None
) -> Films:
    """The measures of a sample of the films that may be frontal; of every film if ``most`` is None.

    The sample is drawn by a hash of the paths, so the same corpus gives the same films. ``watch`` is called with films
    done and films in all.
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
    for done, (task, found) in enumerate(_all(tasks), 1):
        if isinstance(found, FilmMeasures):
            measures[task.study_id, task.path] = found
        else:
            unreadable[task.study_id] = found
        if watch:
            watch(done, len(tasks))
    return Films(measures, unreadable, of, whole=most is None)


def _draw(task: _Task) -> str:
    return hashlib.sha256(f"{task.study_id}\0{task.path}".encode("utf-8", "surrogatepass")).hexdigest()


def _all(tasks: Sequence[_Task]) -> Iterator[tuple[_Task, FilmMeasures | str]]:
    workers = min(os.cpu_count() or 1, len(tasks) // _WORTH_FILMS)
    if workers < 2:
        yield from ((task, see(task.file)) for task in tasks)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from zip(tasks, pool.map(see, [task.file for task in tasks], chunksize=4), strict=True)


def see(file: str) -> FilmMeasures | str:
    """The measures of the film in a file, or why there are none (a code; never a name from inside the file)."""
    from corpora.images import read_any

    try:
        return measure(read_any(Path(file)))
    except RadloopError as error:
        return error.code
    except (OSError, ValueError, MemoryError) as error:
        return type(error).__name__


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
