"""Chunks through the actors of a Ray cluster, in order: the one at RAY_ADDRESS, else one that is started here.

    RAY_ADDRESS=10.0.0.5:6379 radloop label run reports.csv -o labels.csv --engine ray

Actors, not Ray Data: a source is a stream that only one process may read (standard input, ids that came before, the
digest a run is resumed by), and it lies on this machine alone. Ray Data wants its reading done by the cluster, or the
whole source in memory first. So this process reads and writes, as it does without Ray, and only chunks travel. Each
actor loads the labeler once. Ray starts an actor anew whose process or node is lost and does its chunks again.

No report gets into Ray's logs: an actor raises nothing, it returns what went wrong, which holds no text.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

# Ray reads these when it is imported or starts a process
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DISABLE_IMPORT_WARNING", "1")

import ray
from ray.exceptions import RayActorError, RayError

from corpora.errors import RadloopError, RunError
from corpora.pool import usable_cores
from labeler.base import network_of
from labeler.chunks import Chunk, Labeled, Packed, Task, packed, unpacked
from labeler.engines import Engine
from labeler.origins import fingerprint
from labeler.ray_address import check_answers
from labeler.several import schemas_in
from labeler.workers import or_fault, ready_to_label

_ADDRESS: Final = "RAY_ADDRESS"
# of the cluster that is started here: chunks pass through it, a few at a time
_OBJECT_STORE_BYTES: Final = 512 << 20
_SECONDS_TO_START: Final = 300.0
# a chunk on which a process dies so often is the reason; a process that dies so often is not started again
_TRIES_AGAIN: Final = 3
_STARTS_AGAIN: Final = 20
# sent to a worker before it asks, so that it never waits for this process
_AHEAD: Final = 2
_LEAST_WAITING: Final = 2


class _Worker:
    """An actor: a labeler that is loaded once. Its methods raise nothing."""

    def __init__(self, task: Task) -> None:
        self._fault: RadloopError | None = None
        try:
            self._label: Callable[[Chunk], Labeled] = ready_to_label(task)
            self._fingerprint = fingerprint(task.labeler, task.schema, task.language)
        except Exception as error:
            self._fault = _not_loaded(error)

    def fingerprint(self) -> dict[str, Any] | RadloopError:
        """What its labels depend on."""
        return self._fault or self._fingerprint

    def label(self, chunk: Packed) -> Labeled | RadloopError:
        """What a chunk comes to."""
        if self._fault is not None:
            return self._fault
        try:
            return self._label(unpacked(chunk))
        except Exception as error:
            return _unexpected(error)


def _not_loaded(error: Exception) -> RunError:
    why = error.message if isinstance(error, RadloopError) else type(error).__name__
    return RunError(
        "engine.worker", f"a node of the Ray cluster cannot load the labeler, as this machine can: {why}",
        hint="install the same versions on all nodes, and put files of your own where all nodes have them",
    )  # fmt: skip


def _unexpected(error: Exception) -> RunError:
    # the kind alone: the error's own words may hold the report's
    return RunError(
        "engine.worker", f"a worker of the Ray cluster failed ({type(error).__name__})",
        hint="--engine local may say more; the same command with --resume goes on from here",
    )  # fmt: skip


@contextmanager
def ray_engine(task: Task, workers: int | None) -> Iterator[Engine]:
    """The engine with ``workers`` actors of one core each; all cores of the cluster if not given.

    A cluster that was started here is stopped at the end, another one only loses the actors. Raises ``RunError``:
    ``engine.unreachable``, ``engine.no_worker``, ``engine.worker``, ``engine.differs``; the engine itself
    ``run.worker`` if processes die again and again over the same records, and ``engine.lost``.
    """
    with _cluster(workers):
        task = _anywhere(task)
        crew = _Crew(task, workers or _cores_of_cluster())
        try:
            crew.wait_for_one()
            yield lambda chunks: _in_order(crew, chunks)
        finally:
            crew.dismiss()


def _cores_of_cluster() -> int:
    # Ray declares no type for it
    resources: Callable[..., Any] = ray.cluster_resources
    return max(1, int(resources().get("CPU", 1)))


@contextmanager
def _cluster(workers: int | None) -> Iterator[None]:
    """Connected to a cluster; to the one that this process already uses, if it does."""
    if ray.is_initialized():
        yield
        return
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        _connect(os.environ.get(_ADDRESS, ""), workers)
        yield
    finally:
        ray.shutdown()
        logger.setLevel(level)


def _connect(address: str, workers: int | None) -> None:
    quiet: dict[str, Any] = {"configure_logging": False, "logging_level": logging.ERROR, "log_to_driver": False}
    if not address or address == "local":
        ray.init(
            "local", num_cpus=workers or usable_cores(), num_gpus=0, include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES, **quiet,
        )  # fmt: skip
        return
    check_answers(address)
    try:
        ray.init(address, **quiet)
    except (RayError, OSError, RuntimeError, ValueError, AssertionError) as error:
        first, *_ = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(
            "engine.unreachable", f"the Ray cluster cannot be used from here: {first}", where=f"{_ADDRESS}={address}",
            hint=f"run this on a machine of the cluster with its version of Ray, {ray.__version__} here",
        ) from error  # fmt: skip


def _anywhere(task: Task) -> Task:
    """The task with paths that mean the same whatever the working directory is."""
    labeler, schema = task.labeler, task.schema
    folder = network_of(labeler)
    if folder is not None:
        labeler = labeler.removesuffix(str(folder)) + str(folder.absolute())
    schema = ",".join(
        str(Path(name).absolute()) if Path(name).suffix in (".yaml", ".yml") else name for name in schemas_in(schema)
    )
    return task._replace(labeler=labeler, schema=schema)


class _Sent(NamedTuple):
    """A chunk under way: where its result will be, who labels it, the place behind it."""

    result: Any
    worker: Any
    end: int


class _Crew:
    """The actors of one run. Those that have not started yet (the cluster is full, or grows) join when they have."""

    def __init__(self, task: Task, size: int) -> None:
        actor: Any = ray.remote(_Worker).options(
            num_cpus=1, max_restarts=_STARTS_AGAIN, max_task_retries=_TRIES_AGAIN
        )  # fmt: skip
        self._expected = fingerprint(task.labeler, task.schema, task.language)
        self._all = [actor.remote(task) for _ in range(size)]
        self._starting = {worker.fingerprint.remote(): worker for worker in self._all}
        self._ready: list[Any] = []

    @property
    def size(self) -> int:
        """How many have started."""
        return len(self._ready)

    def wait_for_one(self) -> None:
        """Return as soon as there is a worker. Raises ``RunError``."""
        self._join(_SECONDS_TO_START)
        if not self._ready:
            raise RunError(
                "engine.no_worker", f"no worker of the Ray cluster has started within {_SECONDS_TO_START:.0f} s",
                hint="`ray status` shows whether all its cores are in use; each worker needs one",
            )  # fmt: skip

    def _join(self, seconds: float) -> None:
        if not self._starting:
            return
        started, _ = ray.wait(list(self._starting), num_returns=1, timeout=seconds)
        for answer in started:
            found = _get(answer, "as it started")
            if found != self._expected:
                raise _differs(self._expected, found)
            self._ready.append(self._starting.pop(answer))

    def send(self, chunk: Chunk, waiting: Sequence[_Sent]) -> _Sent:
        """Let the worker with the least to do label this, too."""
        self._join(0)
        results = {sent.result: sent.worker for sent in waiting}
        under_way = ray.wait(list(results), num_returns=len(results), timeout=0)[1] if results else []
        busy = [results[result] for result in under_way]
        worker = min(self._ready, key=busy.count)
        return _Sent(worker.label.remote(packed(chunk)), worker, chunk.end.records)

    def dismiss(self) -> None:
        """Stop them, whatever they do."""
        if ray.is_initialized():
            for worker in self._all:
                ray.kill(worker)


def _in_order(crew: _Crew, chunks: Iterator[Chunk]) -> Iterator[Labeled]:
    waiting: deque[_Sent] = deque()
    fault: RadloopError | None = None
    for item in or_fault(chunks):
        if isinstance(item, RadloopError):
            fault = item
            break
        waiting.append(crew.send(item, waiting))
        if len(waiting) > _LEAST_WAITING + _AHEAD * crew.size:
            yield _result(waiting.popleft())
    while waiting:
        yield _result(waiting.popleft())
    if fault is not None:
        raise fault


def _result(sent: _Sent) -> Labeled:
    done: Labeled = _get(sent.result, f"over the records up to number {sent.end}")
    return done


def _get(answer: Any, when: str) -> Any:
    """What an actor answers. Raises ``RunError`` for one that was lost too often or with its cluster, or failed."""
    try:
        found = ray.get(answer)
    except RayActorError as error:
        raise RunError(
            "run.worker", f"workers of the Ray cluster died again and again {when}",
            hint="as where memory runs out, or nodes lack radloop; run again with --resume, fewer --workers need less",
        ) from error  # fmt: skip
    except (RayError, OSError) as error:
        raise RunError(
            "engine.lost", f"the Ray cluster was lost ({type(error).__name__}) {when}",
            hint="the same command with --resume goes on from here",
        ) from error  # fmt: skip
    if isinstance(found, RadloopError):
        raise found
    return found


def _differs(expected: dict[str, Any], found: dict[str, Any]) -> RunError:
    names = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
    return RunError(
        "engine.differs", f"a node of the Ray cluster has not the same {', '.join(names)} as this machine",
        hint="install the same versions on all nodes, and put files of your own where all nodes have them",
    )  # fmt: skip
