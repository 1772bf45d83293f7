"""Where a batch runs: processes of this machine, or those of a Ray cluster. What comes out is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from corpora.pool import usable_cores
from labeler.base import Labeler
from labeler.chunks import Chunk, Labeled, Task
from labeler.workers import labeled

EngineName = Literal["local", "ray"]
#: Labels every chunk, in the order they come. What the chunks raise is raised behind the results of those before.
Engine = Callable[[Iterator[Chunk]], Iterator[Labeled]]


@contextmanager
def engine_of(name: EngineName, labeler: Labeler, task: Task, workers: int | None) -> Iterator[Engine]:
    """The engine of this name with ``workers`` processes, all that there are if not given; at the end they stop.

    Raises what keeps it from starting: ``RunError`` (``engine.*``) for Ray, ``ModuleNotFoundError`` where it is not
    installed.
    """
    if name == "local":
        yield lambda chunks: labeled(chunks, labeler, task, workers or usable_cores())
        return
    from labeler.ray_engine import ray_engine

    with ray_engine(task, workers) as engine:
        yield engine
