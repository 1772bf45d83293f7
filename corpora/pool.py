"""A function over many items by several processes, results in the order of the items."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context, parent_process
from typing import Any, Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# with fewer it takes longer to start workers than to do it here
_WORTH: Final = 256
_AT_ONCE: Final = 32


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered(
    work: Callable[[Item], Result],
    items: Iterator[Item],
    total: int,
    workers: int,
    killed: Callable[[Item], Result],
    isolate: bool = False,
    together: Callable[[Sequence[Item]], list[Result]] | None = None,
) -> Iterator[list[Result]]:
    """Results of ``work``, some at a time, in the order of ``items``, of which there are about ``total``.

    ``killed`` makes the result of an item whose process died of it. ``isolate``: never work in this process, because
    an item may take it down. ``together``: ``work`` for several items, where that is quicker than one by one.
    """
    groups = _groups(items)
    together = together or partial(_all, work)
    if not isolate and (workers <= 1 or total < _WORTH):
        for group in groups:
            yield together(group)
        return
    pool = _Pool(workers)
    waiting: deque[tuple[list[Item], Future[list[Result]]]] = deque()
    try:
        for group in groups:
            waiting.append((group, pool.submit(together, group)))
            if len(waiting) > 2 * workers:
                yield _first(work, together, waiting, pool, killed)
        while waiting:
            yield _first(work, together, waiting, pool, killed)
    finally:
        pool.close()


def _groups(items: Iterable[Item]) -> Iterator[list[Item]]:
    group: list[Item] = []
    for item in items:
        group.append(item)
        if len(group) == _AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _all(work: Callable[[Item], Result], group: Sequence[Item]) -> list[Result]:
    return [work(item) for item in group]


def _first(
    work: Callable[[Item], Result],
    together: Callable[[Sequence[Item]], list[Result]],
    waiting: deque[tuple[list[Item], Future[list[Result]]]],
    pool: _Pool,
    killed: Callable[[Item], Result],
) -> list[Result]:
    group, future = waiting.popleft()
    try:
        return future.result()
    except BrokenProcessPool:
        pool.renew()
    # an item in one of the groups under way kills: in this group, item by item, it shows whether it is here
    results = _one_by_one(work, group, killed)
    again = [(later, pool.submit(together, later)) for later, _ in waiting]
    waiting.clear()
    waiting.extend(again)
    return results


def _one_by_one(
    work: Callable[[Item], Result], group: Sequence[Item], killed: Callable[[Item], Result]
) -> list[Result]:
    results: list[Result] = []
    pool = _Pool(1)
    for item in group:
        try:
            results.append(pool.submit(work, item).result())
        except BrokenProcessPool:
            pool.renew()
            results.append(killed(item))
    pool.close()
    return results


class _Pool:
    """Worker processes that can be replaced after one was killed."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool = self._made()

    def _made(self) -> ProcessPoolExecutor:
        # spawned, not forked: the same on every system, and safe beside threads
        return ProcessPoolExecutor(self._workers, get_context("spawn"), _start)

    def submit(self, work: Callable[..., Result], *given: Any) -> Future[Result]:
        try:
            return self._pool.submit(work, *given)
        except BrokenProcessPool as error:
            failed: Future[Result] = Future()
            failed.set_exception(error)
            return failed

    def renew(self) -> None:
        self.close()
        self._pool = self._made()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _start() -> None:
    import signal

    # the parent gets Ctrl-C and ends the workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """In a worker process: end when the parent does. One whose parent was killed would wait for work for ever."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
