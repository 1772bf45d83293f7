"""A small audit that was really planned and drawn, and the page's application over it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from corpora.cli import run
from labeler.audit.frame import load_draw, load_frame, load_plan
from labeler.audit.review.app import Room, application
from labeler.audit.review.desk import Desk
from labeler.audit.review.evidence import Witness
from labeler.audit.review.films import Films
from labeler.audit.review.sessions import Door
from labeler.audit.review.work import Decisions, Readings
from labeler.audit.store import Store, open_store
from labeler.audit.texts import texts_of

SITES = ("right", "left", "upper right", "upper left", "lower right", "lower left")
SENTENCES = (
    "Small pleural effusion on the {} side.", "No pneumothorax on the {} side.", "Possible pneumonia at the {} base.",
    "Old {} rib fracture.", "The heart is enlarged. {} hilum as before.", "Atelectasis at the {} base.",
)  # fmt: skip
HOSTILE = (
    "FINDINGS: <img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script> "
    "</textarea>{{ 7*7 }} ${7*7} \u202eeffusion\u202c \x1b \U0001f600 No effusion.\nIMPRESSION: <b>bold</b> &amp; =1+1"
)
HOST = "127.0.0.1:8000"


def texts() -> list[str]:
    """36 reports and a hostile one."""
    found = [
        f"INDICATION: Cough.\nFINDINGS: {SENTENCES[n % 6].format(SITES[n // 6])}\nIMPRESSION: {n} as above."
        for n in range(36)
    ]
    return [*found, HOSTILE]


@pytest.fixture(scope="session")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An audit of all of these texts, drawn and unread."""
    folder = tmp_path_factory.mktemp("planned")
    reports = folder / "reports.jsonl"
    lines = (json.dumps({"study_id": f"s{n:02}", "report": text}) for n, text in enumerate(texts()))
    reports.write_text("\n".join(lines), encoding="utf-8")
    audit = folder / "audit"
    for command in (
        ["label", "run", reports, "-o", folder / "labels.csv", "--workers", "1"],
        ["audit", "plan", folder / "labels.csv", "--fraction", "1", "-o", audit],
        ["audit", "draw", audit],
    ):
        assert run([str(part) for part in command]) == 0
    return audit


@pytest.fixture
def audit(planned: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(planned, tmp_path / "audit"))


@dataclass
class Page:
    """A reader's browser, as far as requests go."""

    bench: Bench
    reader: str
    session: str = ""
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.bench.request("GET", path, headers=self._headers() | headers, cookies=self.cookies)

    def post(self, path: str, data: Any, **headers: str) -> httpx.Response:
        return self.bench.request(
            "POST", path, content=json.dumps(data), headers=self._headers() | headers, cookies=self.cookies
        )

    def _headers(self) -> dict[str, str]:
        return {
            "host": HOST, "origin": f"http://{HOST}", "content-type": "application/json", "x-session": self.session,
            "sec-fetch-site": "same-origin",
        }  # fmt: skip

    def act(self, act: str, item: dict[str, Any], **more: Any) -> httpx.Response:
        """Do something to the report as it was seen."""
        body = {"item": item["item"], "version": item["version"], "op": uuid4().hex}
        return self.post(f"/api/{act}", body | more)

    def item(self, at: int | None = None) -> dict[str, Any]:
        return dict(self.get("/api/item" if at is None else f"/api/item?at={at}").json())

    def read(self, value: Any = None, **rows: Any) -> dict[str, Any]:
        """Answer every row of the present report, submit it, go on from the reveal; what the submission answered."""
        item = self.item()
        given = {str(row): value for row in range(len(item["labels"]))} | {
            name[1:]: each for name, each in rows.items()
        }
        answered = self.act("answer", item, set=given).json()
        done = self.act("submit", answered).json()
        if done["phase"] == "revealed" and not done["done"]:
            self.act("submit", done)
        return dict(done)


@dataclass
class Bench:
    """The application over an audit, with what tests look at."""

    audit: Path
    store: Store
    door: Door
    app: Any
    clock: list[float]
    said: list[str]

    def request(self, method: str, path: str, cookies: dict[str, str] | None = None, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", cookies=cookies) as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def enter(self, reader: str) -> Page:
        """Use a new link of a reader."""
        page = Page(self, reader)
        answer = page.post("/api/enter", {"token": self.door.link(reader)})
        assert answer.status_code == 200, answer.text
        page.cookies = dict(answer.cookies)
        for session in self.door._sessions.values():
            page.session = session.public if session.reader == reader else page.session
        return page


@pytest.fixture
def bench(audit: Path) -> Iterator[Callable[..., Bench]]:
    """Opens the application over the audit: ``bench("Anna", "Bo")``, ``decide`` for decisions."""
    opened: list[Room] = []

    def make(*readers: str, decide: bool = False, films: Path | None = None) -> Bench:
        plan, draw, frame = load_plan(audit), load_draw(audit), load_frame(audit)
        store = open_store(audit)
        machine = {study_id: [int(code) for code in frame.machine[row]] for row, study_id in enumerate(frame.ids)}
        work = (Decisions if decide else Readings)(draw.texts, plan.names)
        clock, said = [0.0], list[str]()
        door = Door(readers, clock=lambda: clock[0])
        room = Room(
            Desk(store, work, machine), door, Witness(plan), Films(films, set(draw.by_id())),
            dict(texts_of(audit, draw.by_id())), plan.sections, plan.names, "radloop-8000", decision=decide,
            entered=said.append,
        )  # fmt: skip
        opened.append(room)
        return Bench(audit, store, door, application(room, [HOST]), clock, said)

    yield make
    for room in opened:
        room.writer.shutdown()
        room.helpers.shutdown()
        room.desk._store.close()
