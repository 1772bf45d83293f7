"""The application: requests of the page, answered from the desk.

    GET  /  /enter  /static/...            pages; GET /healthz for whoever waits for the server
    POST /api/enter  {token}               a link's secret becomes a cookie
    GET  /api/item[?at=N]                  a report and what was said of it
    POST /api/answer|undo|note|submit      {item, version, op, ...}
    POST /api/keys  {keys}                 the reader's own keys
    GET  /api/film/ITEM/NUMBER             a film
    POST /api/alive|leave                  the page is still open, or was closed

Every request but the first three is of a session; the page says which by ``X-Session``, so that two readers in one
browser cannot answer for each other. The desk has a thread of its own: no request waits in another's way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from corpora.errors import RadloopError
from corpora.types import Report
from labeler.audit.review.desk import Change, Desk, Refusal, Shown
from labeler.audit.review.display import blocks
from labeler.audit.review.evidence import Evidence, Witness
from labeler.audit.review.films import Films
from labeler.audit.review.guard import Application, Guard
from labeler.audit.review.keys import FILM, READING
from labeler.audit.review.sessions import Door, Session

_HERE: Final = Path(__file__).parent
_T = TypeVar("_T")


@dataclass(slots=True)
class Room:
    """All that the application needs; ``entered`` is told when a reader has used a link."""

    desk: Desk
    door: Door
    witness: Witness
    films: Films
    reports: Mapping[str, Report]
    sections: str
    labels: tuple[str, ...]
    cookie: str
    tls: bool = False
    decision: bool = False
    entered: Callable[[str], None] = lambda reader: None
    #: one thread for the desk: it is the only one that writes
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "desk"))
    helpers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "films"))

    async def at_desk(self, function: Callable[..., _T], *args: Any) -> _T:
        """Run a method of the desk in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self.writer, function, *args)

    async def aside(self, function: Callable[..., _T], *args: Any) -> _T:
        """Run what takes long (a labeler, a film) in a thread beside."""
        return await asyncio.get_running_loop().run_in_executor(self.helpers, function, *args)


def application(room: Room, hosts: list[str]) -> Application:
    """The application for a room, behind its guard; ``hosts`` with their port."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        room.helpers.submit(room.witness.warm)
        yield
        room.writer.shutdown()
        room.helpers.shutdown(cancel_futures=True)

    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/enter", _entrance),
            Route("/healthz", _health),
            Route("/api/enter", _enter, methods=["POST"]),
            Route("/api/item", _item),
            Route("/api/{act}", _act, methods=["POST"]),
            Route("/api/film/{item:int}/{number:int}", _film),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        lifespan=lifespan,
        exception_handlers={
            Refusal: _refused, RadloopError: _failed, HTTPException: _not_there, Exception: _broken,
        },
    )  # fmt: skip
    app.state.room = room
    return Guard(app, hosts, tls=room.tls)


# pages


@lru_cache(maxsize=1)
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)


def _render(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_templates().get_template(name).render(**values), status)


async def _page(request: Request) -> Response:
    room = _room(request)
    try:
        session = _session(request, page=True)
    except Refusal as refusal:
        return _render("message.html", refusal.status, message=refusal.message)
    keys = await room.at_desk(room.desk.keys, session.reader)
    settings = {
        "session": session.public, "labels": room.labels, "decision": room.decision, "keys": keys,
        "actions": [{**each._asdict(), "film": each in FILM} for each in (*READING, *FILM)],
    }  # fmt: skip
    return _render("review.html", reader=session.reader, decision=room.decision, settings=json.dumps(settings))


async def _entrance(request: Request) -> Response:
    return _render("enter.html")


async def _health(request: Request) -> Response:
    return JSONResponse({"ok": True})


async def _enter(request: Request) -> Response:
    room = _room(request)
    data = await _json(request)
    reader, cookie = room.door.enter(str(data.get("token", "")))
    room.entered(reader)
    response = JSONResponse({"ok": True})
    response.set_cookie(room.cookie, cookie, path="/", httponly=True, samesite="strict", secure=room.tls)
    return response


# reports


async def _item(request: Request) -> Response:
    room, session = _room(request), _session(request)
    at = request.query_params.get("at")
    if at is None:
        shown = await room.at_desk(room.desk.current, session.reader)
    else:
        shown = await room.at_desk(
            room.desk.at, session.reader, int(at) if at.isascii() and at.isdecimal() and len(at) < 9 else -1
        )
    if shown is None:
        return JSONResponse({"finished": True, "progress": await room.at_desk(room.desk.progress, session.reader)})
    return JSONResponse(await _whole(room, shown))


async def _whole(room: Room, shown: Shown) -> dict[str, Any]:
    """A sheet with its report; once it is submitted blind, with what differs and why."""
    reader = shown.sheet.key.reader
    report = room.reports[shown.sheet.key.study_id]
    state = await room.at_desk(room.desk.state, shown)
    state |= {
        "labels": list(shown.labels),
        "films": room.films.views(report.study_id),
        "progress": await room.at_desk(room.desk.progress, reader),
    }
    if room.decision:
        state["sides"] = await room.at_desk(room.desk.sides, shown)
    differences = room.desk.differences(shown)
    evidence = Evidence((), {})
    if differences:
        named = [(row, shown.labels[row], machine) for row, machine in differences]
        evidence = await room.aside(room.witness.of, report, named)
    if shown.sheet.blind is not None:
        state["blind"] = [shown.sheet.blind.get(label, "unanswered") for label in shown.labels]
        state["differences"] = [
            {"row": row, "machine": machine, "reasons": evidence.reasons.get(row, [])} for row, machine in differences
        ]
    return state | {"blocks": blocks(report, room.sections, evidence.marks)}


async def _act(request: Request) -> Response:
    room = _room(request)
    act = str(request.path_params["act"])
    session = _session(request, acts=act not in ("alive", "leave"))
    data = await _json(request)
    desk, reader = room.desk, session.reader
    if act == "alive":
        return JSONResponse({"ok": True})
    if act == "leave":
        room.door.leave(request.cookies.get(room.cookie))
        return JSONResponse({"ok": True})
    if act == "keys":
        return JSONResponse({"keys": await room.at_desk(desk.set_keys, reader, data.get("keys"))})
    if act not in ("answer", "undo", "note", "submit"):
        raise HTTPException(404)
    shown, state = await room.at_desk(_do, desk, reader, act, _change(data), data)
    return JSONResponse(await _whole(room, shown) if act == "submit" else state)


def _do(desk: Desk, reader: str, act: str, change: Change, data: Mapping[str, Any]) -> tuple[Shown, dict[str, Any]]:
    """Do something to a sheet, or find that it was done already; the sheet and its state."""
    try:
        if act == "answer":
            shown = desk.answer(reader, change, data.get("set"))
        elif act == "note":
            shown = desk.note(reader, change, data.get("text"))
        else:
            shown = (desk.undo if act == "undo" else desk.submit)(reader, change)
    except Refusal as refusal:
        if refusal.code != "known":
            raise
        shown = refusal.more["shown"]
    return shown, desk.state(shown)


def _change(data: Mapping[str, Any]) -> Change:
    item, version, op = data.get("item"), data.get("version"), data.get("op")
    if type(item) is not int or type(version) is not int or not (isinstance(op, str) and 8 <= len(op) <= 64):
        raise Refusal(400, "request", "The request is not one of this page.")
    return Change(item, version, op)


async def _film(request: Request) -> Response:
    room, session = _room(request), _session(request)
    shown = await room.at_desk(room.desk.at, session.reader, request.path_params["item"])
    number = request.path_params["number"]
    pixels = await room.aside(room.films.pixels, shown.sheet.key.study_id, number)
    return Response(pixels, media_type="application/octet-stream")


# what all share


def _room(request: Request) -> Room:
    room: Room = request.app.state.room
    return room


def _session(request: Request, *, acts: bool = False, page: bool = False) -> Session:
    """The session of a request. Raises ``Refusal`` without one, or if the page is of another than the cookie."""
    room = _room(request)
    session = room.door.session(request.cookies.get(room.cookie), acts=acts or page)
    if not page and request.headers.get("x-session") != session.public:
        message = "This window was opened for another reader or session. Nothing was saved. Close it, or reload it."
        raise Refusal(409, "other_session", message)
    return session


async def _json(request: Request) -> dict[str, Any]:
    try:
        data = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "request", "The request is not JSON.") from error
    if not isinstance(data, dict):
        raise Refusal(400, "request", "The request is not one of this page.")
    return data


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse({"error": error.code, "message": error.message, **error.more}, error.status)


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RadloopError)
    status = 404 if error.code == "data.missing" else 409 if error.code.startswith("audit.") else 422
    status = 503 if error.code == "audit.database" else status
    return JSONResponse({"error": error.code, "message": error.message}, status)


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": "not_found", "message": "There is nothing here."}, error.status_code)
    return _render("message.html", error.status_code, message="There is nothing here.")


async def _broken(request: Request, error: Exception) -> Response:
    # neither the message nor the values: they may be of a report
    message = f"A mistake in the program ({type(error).__name__}). What was shown as saved is saved."
    return JSONResponse({"error": "internal", "message": message}, 500)
