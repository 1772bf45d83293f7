"""Chunks through one process or several, in order, with no more of them in memory than keep the processes busy."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Final

from corpora.errors import RadloopError, RunError
from corpora.pool import end_with_parent
from labeler.base import Labeler
from labeler.chunks import Chunk, Labeled, Packed, Task, label_chunk, packed, unpacked
from labeler.several import load_for

# with less to do than this it takes longer to start workers than to label
_WORTH_RECORDS: Final = 20_000
_WORTH_CHARACTERS: Final = 10_000_000

# a chunk, or at the end what kept the next one from coming: it is raised when the chunks before it are labeled
Item = Chunk | RadloopError


def labeled(chunks: Iterator[Chunk], labeler: Labeler, task: Task, workers: int) -> Iterator[Labeled]:
    """Every chunk labeled, in the order they come, by ``workers`` processes if there is enough to do, else by this one.

    What ``chunks`` raises is raised behind the results of the chunks before. Raises ``RunError`` (``run.worker``) if a
    worker is killed.
    """
    items = or_fault(chunks)
    first = _until_worth_it(items) if workers > 1 else []
    if _is_worth_it(first):
        yield from _by_workers(_emptying(first, items), task, workers)
    else:
        yield from _here(_emptying(first, items), labeler, task)


def or_fault(chunks: Iterator[Chunk]) -> Iterator[Item]:
    """The chunks, and as the last item what kept the next one from coming."""
    try:
        yield from chunks
    except RadloopError as error:
        yield error


def _until_worth_it(items: Iterator[Item]) -> list[Item]:
    first: list[Item] = []
    for item in items:
        first.append(item)
        if _is_worth_it(first):
            break
    return first


def _is_worth_it(items: list[Item]) -> bool:
    chunks = [item for item in items if isinstance(item, Chunk)]
    records = sum(len(chunk.items) for chunk in chunks)
    return records >= _WORTH_RECORDS or sum(chunk.characters for chunk in chunks) >= _WORTH_CHARACTERS


def _emptying(first: list[Item], rest: Iterator[Item]) -> Iterator[Item]:
    # what was labeled need not stay in memory
    while first:
        yield first.pop(0)
    yield from rest


def _here(items: Iterator[Item], labeler: Labeler, task: Task) -> Iterator[Labeled]:
    with _frozen():
        for item in items:
            if isinstance(item, RadloopError):
                raise item
            yield label_chunk(labeler, task, item)


@contextmanager
def _frozen() -> Iterator[None]:
    before = gc.get_threshold()
    _freeze()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _freeze() -> None:
    # a lexicon is large and lasts, and what is made in labeling has no cycles: the collector need not look often
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _by_workers(items: Iterator[Item], task: Task, workers: int) -> Iterator[Labeled]:
    waiting: deque[Future[Labeled]] = deque()
    fault: RadloopError | None = None
    with _pool(task, workers) as pool, _killed_workers():
        for item in items:
            if isinstance(item, RadloopError):
                fault = item
                break
            with _no_interrupts():
                waiting.append(pool.submit(_label_in_worker, packed(item)))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    if fault is not None:
        raise fault


@contextmanager
def _killed_workers() -> Iterator[None]:
    try:
        yield
    except BrokenProcessPool as error:
        raise RunError(
            "run.worker", "a worker process was killed, as happens where memory runs out",
            hint="run again with --resume; fewer --workers need less memory",
        ) from error  # fmt: skip


@contextmanager
def _pool(task: Task, workers: int) -> Iterator[ProcessPoolExecutor]:
    # spawned, not forked: the same on every system, and safe beside threads
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start_worker, (task,))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Hold back Ctrl-C: a process started meanwhile never gets it, this one does at the end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    # the mask is for the new process, which inherits it; here another thread may take the signal
    masks = hasattr(signal, "pthread_sigmask")
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
        if caught:
            signal.raise_signal(signal.SIGINT)


_label: Callable[[Chunk], Labeled]


def _start_worker(task: Task) -> None:
    global _label
    end_with_parent()
    _label = ready_to_label(task)


def ready_to_label(task: Task) -> Callable[[Chunk], Labeled]:
    """What labels a chunk, in a process that does nothing else. Raises as ``labeler.base.load``."""
    labeler = load_for(task.labeler, task.schema, task.language, hierarchy=task.hierarchy)
    label = partial(label_chunk, labeler, task)
    if "torch" in sys.modules:
        # the processes share the cores: with all threads in each of them they would stand in each other's way
        sys.modules["torch"].set_num_threads(1)
    _freeze()
    return label


def _label_in_worker(chunk: Packed) -> Labeled:
    return _label(unpacked(chunk))
