"""Fifty readers at one review server, which is killed once meanwhile: no answer that was taken is lost or doubled."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx

from labeler.audit.store import open_store
from tests.benchmarks import corpus
from tests.benchmarks.soak_commands import PROGRAM, call

_STATES: Final = (1, 0, -1, None)
_FIRST_LIFE: Final = 0.4
_RACES: Final = 0.1


@dataclass(slots=True)
class Book:
    """What readers were told: which changes were taken, which refused, how long each answer took in seconds."""

    taken: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    submitted: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    raced: int = 0
    refused: int = 0
    doubled: list[str] = field(default_factory=list)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Plan and draw an audit, let the readers read, kill the server, let them go on; then compare with the store."""
    audit = _audit(options, folder)
    book = Book()
    names = [f"Reader {number:02}" for number in range(options.readers)]
    begun = time.perf_counter()
    first = max(round(options.readings * _FIRST_LIFE), 1)
    cpu = [_served(audit, names, book, first, options.seed, kill=True)]
    cpu.append(_served(audit, names, book, options.readings - first, options.seed + 1, kill=False))
    seconds = time.perf_counter() - begun
    figures: dict[str, Any] = {
        "readers": len(names),
        "seconds": seconds,
        "CPU seconds of the server": sum(cpu),
        "readings submitted": len(book.submitted),
        "changes taken": len(book.taken),
        "pairs of changes at one moment to one sheet": book.raced,
        "of them refused, one each": book.refused,
        "milliseconds": {act: _spread(times) for act, times in sorted(book.seconds.items())},
        "wrong": [],
    }  # fmt: skip
    _compare(audit, book, figures)
    return figures


def _audit(options: argparse.Namespace, folder: Path) -> Path:
    """An audit with as many drawn reports as the readers will read, and more."""
    source, labels, audit = folder / "reports.csv", folder / "labels.csv", folder / "audit"
    shutil.rmtree(audit, ignore_errors=True)
    wanted = options.readers * options.readings
    corpus.write_made(source, corpus.openi_rows(options.source), 6 * wanted, options.seed)
    call([*PROGRAM, "label", "run", str(source), "-o", str(labels), "--workers", "1"])
    plan = [*PROGRAM, "audit", "plan", str(labels), "--reports", str(source), "--fraction", "0.25", "-o", str(audit)]
    call(plan)
    call([*PROGRAM, "audit", "draw", str(audit)])
    return audit


# the server


def _served(audit: Path, names: list[str], book: Book, readings: int, seed: int, *, kill: bool) -> float:
    """Run the server while every reader makes some readings; CPU seconds that it took."""
    readers = [word for name in names for word in ("--reader", name)]
    command = [*PROGRAM, "audit", "review", str(audit), *readers, "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        links: dict[str, str] = {}
        for line in process.stderr:
            if found := re.match(r"(Reader \d+): (\S+/enter#\S+)", line):
                links[found[1]] = found[2]
            if "each link works once" in line:
                break
        asyncio.run(_reading(links, book, readings, seed))
        spent = _cpu_of(process.pid)
        process.send_signal(signal.SIGKILL if kill else signal.SIGINT)
        process.stderr.read()
    return spent


def _cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


# the readers


async def _reading(links: dict[str, str], book: Book, readings: int, seed: int) -> None:
    async with asyncio.TaskGroup() as group:
        for number, (name, link) in enumerate(links.items()):
            group.create_task(_reader(name, link, book, readings, random.Random(seed * 1000 + number)))


async def _reader(name: str, link: str, book: Book, readings: int, chance: random.Random) -> None:
    """What a browser does: use the link, then read one report after another, a request for each key."""
    url, _, token = link.partition("/enter#")
    headers = {"origin": url, "sec-fetch-site": "same-origin", "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
        desk = _Desk(name, client, book, chance)
        await desk.call("enter", "POST", "/api/enter", {"token": token})
        page = (await client.get("/")).text
        found = re.search(r"session&#34;: &#34;(\w+)", page)
        assert found is not None, "the page names no session"
        client.headers["x-session"] = found[1]
        for _ in range(readings):
            await desk.read()


class _Desk:
    """A reader's requests, each entered in the book."""

    def __init__(self, name: str, client: httpx.AsyncClient, book: Book, chance: random.Random) -> None:
        self._name, self._client, self._book, self._chance = name, client, book, chance

    async def call(self, act: str, method: str, path: str, data: Any = None) -> httpx.Response:
        begun = time.perf_counter()
        body = None if data is None else json.dumps(data)
        answer = await self._client.request(method, path, content=body)
        self._book.seconds[act].append(time.perf_counter() - begun)
        return answer

    async def change(self, act: str, item: dict[str, Any], **more: Any) -> dict[str, Any] | None:
        """A change of the sheet as it was seen; None if it was refused because another came before."""
        body = {"item": item["item"], "version": item["version"], "op": uuid4().hex, **more}
        answer = await self.call(act, "POST", f"/api/{act}", body)
        if answer.status_code == 409:
            return None
        answer.raise_for_status()
        self._book.taken[body["op"]] = (act, {"reader": self._name, **more})
        return dict(answer.json())

    async def read(self) -> None:
        answer = await self.call("item", "GET", "/api/item")
        answer.raise_for_status()
        item = answer.json()
        if item.get("finished"):
            return
        labels = item["labels"]
        given: list[Any] = [self._chance.choice(_STATES) for _ in labels]
        for row, value in enumerate(given):
            item |= await self._answer(item, row, value, given)
        done = await self.change("submit", item)
        assert done is not None, "a submission was refused"
        self._book.submitted[self._name, item["item"]] = dict(zip(labels, given, strict=True))
        if done["phase"] == "revealed" and not done["done"]:
            assert await self.change("submit", done) is not None, "the end of a reveal was refused"

    async def _answer(self, item: dict[str, Any], row: int, value: Any, given: list[Any]) -> dict[str, Any]:
        """Answer a row; sometimes two windows do at one moment, and only one of them may be taken."""
        if self._chance.random() >= _RACES:
            done = await self.change("answer", item, set={str(row): value})
            assert done is not None, "an answer was refused"
            return done
        other = self._chance.choice([state for state in _STATES if state != value])
        both = await asyncio.gather(
            self.change("answer", item, set={str(row): value}), self.change("answer", item, set={str(row): other})
        )
        self._book.raced += 1
        self._book.refused += both.count(None)
        if both.count(None) != 1:
            self._book.doubled.append(f"{self._name}, sheet {item['item']}, row {row}")
        given[row] = value if both[0] is not None else other
        return next(done for done in both if done is not None)


# what is left


def _compare(audit: Path, book: Book, figures: dict[str, Any]) -> None:
    """Every change that was taken is in the store once, and the readings hold what the readers last saw as saved."""
    with open_store(audit) as store:
        events, readings = store.events(), store.readings()
    ops = Counter(event.op for event in events if event.op)
    lost = [op for op in book.taken if op not in ops]
    unknown = [op for op in ops if op not in book.taken]
    blind = {
        (each.reader, each.study_id, each.repeat): dict(each.answers) for each in readings if each.phase == "blind"
    }
    said = Counter(json.dumps([name, answers], sort_keys=True) for (name, _), answers in book.submitted.items())
    kept = Counter(json.dumps([key[0], answers], sort_keys=True) for key, answers in blind.items())
    figures["events stored"] = len(events)
    figures["lost updates"] = len(lost) + (said - kept).total()
    figures["read by two or more"] = sum(
        count > 1 for count in Counter(study for _, study, repeat in blind if not repeat).values()
    )
    for what, faults in (
        ("changes that were taken are lost", lost), ("changes that nobody was told of", unknown),
        ("changes that are there twice", [op for op, count in ops.items() if count > 1]),
        ("readings differ from what was shown as saved", list((said - kept).elements())),
        ("readings that nobody made", list((kept - said).elements())),
        ("two changes at one moment were not one taken, one refused", book.doubled),
    ):  # fmt: skip
        if faults:
            figures["wrong"].append(f"{what}: {len(faults)}")


def _spread(seconds: list[float]) -> dict[str, float]:
    ranked = sorted(1000 * each for each in seconds)
    at = {"median": 0.5, "95 %": 0.95, "99 %": 0.99}
    return {name: ranked[min(int(share * len(ranked)), len(ranked) - 1)] for name, share in at.items()} | {
        "most": ranked[-1],
        "requests": len(ranked),
    }
