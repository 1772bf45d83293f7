"""The review page by its requests: what is shown to whom, what is kept, what is refused."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from corpora.errors import ConfigError
from corpora.store import read_rows
from labeler.audit.frame import load_draw, load_frame
from labeler.audit.review.guard import MOST_BYTES
from labeler.audit.review.keys import ACTIONS, READING
from labeler.audit.review.serve import Address, check_address, check_names
from labeler.audit.store import Event, open_store
from tests.labeler.audit.review.conftest import HOSTILE, Page, texts

PROGRAM = Path(sys.executable).with_name("radloop")
KEYS_OF_ITEM = {
    "item", "last", "version", "phase", "done", "answers", "note", "undoable", "labels", "films", "progress", "blocks",
}  # fmt: skip


def text_of(item):
    return "".join(piece["text"] for block in item["blocks"] for piece in block["pieces"])


# what a reader is shown


def test_blind_first(bench):
    page = bench("Anna").enter("Anna")
    item = page.item()
    assert set(item) == KEYS_OF_ITEM and item["phase"] == "blind"
    assert all(piece["rows"] == [] and not piece["cue"] for block in item["blocks"] for piece in block["pieces"])
    assert "machine" not in page.get("/api/item").text and "differences" not in page.get("/api/item").text


def test_nothing_shown_before_submission_depends_on_the_labels(bench):
    here = bench("Anna")
    before = here.enter("Anna").item()
    desk = here.app._application.state.room.desk
    desk._machine = {study_id: [1 - code for code in codes] for study_id, codes in desk._machine.items()}
    here.clock[0] = 50
    assert {**here.enter("Anna").item(), "version": 0} == {**before, "version": 0}


def test_the_report_is_all_there_in_blocks(bench):
    page = bench("Anna").enter("Anna")
    item = page.item()
    assert [(block["kind"], block["name"]) for block in item["blocks"]] == [
        ("heading", ""), ("unread", "indication"), ("heading", ""), ("read", "findings"), ("heading", ""),
        ("read", "impression"),
    ]  # fmt: skip
    assert text_of(item) in texts()


def test_the_reveal_shows_differences_with_their_evidence(bench):
    here = bench("Anna")
    page = here.enter("Anna")
    done = page.read(value=None)
    assert done["phase"] == "revealed" and not done["done"] and done["differences"]
    study_id = here.store.events()[0].study_id
    frame = load_frame(here.audit)
    codes = frame.machine[frame.ids.index(study_id)].tolist()
    machine = [None if code == 2 else code for code in codes]
    assert [each["row"] for each in done["differences"]] == [
        row for row, state in enumerate(machine) if state is not None
    ]
    assert [each["machine"] for each in done["differences"]] == [state for state in machine if state is not None]
    marked = {row for block in done["blocks"] for piece in block["pieces"] for row in piece["rows"]}
    assert marked <= {each["row"] for each in done["differences"]} and marked
    assert any(reason["words"] for each in done["differences"] for reason in each["reasons"])


def test_a_reading_like_the_machines_is_done_at_once(bench):
    here = bench("Anna")
    page = here.enter("Anna")
    item = page.item()
    frame = load_frame(here.audit)
    codes = frame.machine[frame.ids.index(here.store.events()[0].study_id)].tolist()
    done = page.act("submit", page.act("answer", item, set={
        str(row): None if code == 2 else code for row, code in enumerate(codes)
    }).json()).json()  # fmt: skip
    assert done["done"] and done["differences"] == []
    assert [reading.phase for reading in here.store.readings()] == ["blind", "revealed"]


def test_what_is_changed_after_the_reveal_leaves_the_blind_reading(bench):
    here = bench("Anna")
    page = here.enter("Anna")
    item = page.item()
    answered = page.act("answer", item, set={str(row): None for row in range(14)}).json()
    revealed = page.act("submit", answered).json()
    row = revealed["differences"][0]["row"]
    changed = page.act("answer", revealed, set={str(row): -1}).json()
    assert page.act("undo", changed).json()["answers"][row] is None
    changed = page.act("answer", page.item(), set={str(row): -1}).json()
    assert page.act("submit", changed).json()["done"]
    blind, after = here.store.readings()
    label = item["labels"][row]
    assert (blind.phase, blind.answers[label]) == ("blind", None)
    assert (after.phase, after.answers[label]) == ("revealed", -1)
    refused = page.act("answer", page.item(at=0), set={"0": 1})
    assert refused.status_code == 409 and "stays as it is" in refused.json()["message"]


def test_cannot_judge_is_an_answer_and_no_difference(bench):
    page = bench("Anna").enter("Anna")
    done = page.read(value="cannot_judge")
    assert done["done"] and done["differences"] == []
    assert page.bench.store.readings()[0].answers["Edema"] == "cannot_judge"


def test_a_labeler_that_breaks_does_not_stop_the_reading(bench):
    here = bench("Anna")

    class Broken:
        def __call__(self, report, sections):
            raise ZeroDivisionError

    witness = here.app._application.state.room.witness
    witness._labeler, witness._tried = Broken(), True
    done = here.enter("Anna").read(value=None)
    assert done["differences"] and all(each["reasons"] == [] for each in done["differences"])


# answers


def test_unanswered_is_not_blank(bench):
    page = bench("Anna").enter("Anna")
    item = page.item()
    assert item["answers"] == ["unanswered"] * 14
    answered = page.act("answer", item, set={"0": 1, "1": None}).json()
    refused = page.act("submit", answered)
    assert refused.status_code == 409
    assert refused.json()["error"] == "unanswered" and refused.json()["row"] == 2
    assert page.bench.store.readings() == []


def test_undo_without_limit_and_over_reloads(bench):
    here = bench("Anna")
    page = here.enter("Anna")
    item = page.item()
    for number in range(30):
        item = page.act("answer", item, set={str(number % 14): (1, 0, -1, None, "cannot_judge")[number % 5]}).json()
    item = page.act("note", item, text="see the lateral").json()
    here.clock[0] = 60
    page = here.enter("Anna")
    item = page.item()
    assert item["note"] == "see the lateral" and item["undoable"] == 31
    for left in range(30, -1, -1):
        item = page.act("undo", item).json()
        assert item["undoable"] == left
    assert item["answers"] == ["unanswered"] * 14 and item["note"] == ""
    nothing = page.act("undo", item)
    assert nothing.status_code == 409 and nothing.json()["error"] == "nothing"
    assert [event.kind for event in here.store.events()] == ["claim", *["answer"] * 30, "note", *["undo"] * 31]


def test_a_request_sent_again_counts_once(bench):
    page = bench("Anna").enter("Anna")
    item = page.item()
    body = {"item": 0, "version": item["version"], "op": "the-same-name", "set": {"0": 1}}
    first, second = page.post("/api/answer", body), page.post("/api/answer", body)
    assert first.status_code == second.status_code == 200 and first.json() == second.json()
    assert len(page.bench.store.events()) == 2


def test_an_older_window_overwrites_nothing(bench):
    page = bench("Anna").enter("Anna")
    item = page.item()
    page.act("answer", item, set={"0": 1})
    refused = page.act("answer", item, set={"0": 0})
    assert refused.status_code == 409 and refused.json()["error"] == "stale"
    assert page.item()["answers"][0] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"set": {"14": 1}}, {"set": {"-1": 1}}, {"set": {"Edema": 1}}, {"set": {"0": 2}}, {"set": {"0": True}},
        {"set": {"0": "1"}}, {"set": {"0": 1.5}}, {"set": {}}, {"set": [1]}, {}, {"set": {"0": 1}, "item": "0"},
        {"set": {"0": 1}, "item": 7}, {"set": {"0": 1}, "version": None}, {"set": {"0": 1}, "op": 5},
        {"set": {"0": 1}, "item": True}, {"set": {"\u0661": 1}},
    ],
)  # fmt: skip
def test_what_is_no_answer(bench, body):
    page = bench("Anna").enter("Anna")
    item = page.item()
    response = page.post("/api/answer", {"item": 0, "version": item["version"], "op": "name-1234"} | body)
    assert response.status_code in (400, 404) and response.json()["message"]
    assert [event.kind for event in page.bench.store.events()] == ["claim"]


def test_a_note_of_any_characters_but_not_of_any_length(bench):
    page = bench("Anna").enter("Anna")
    note = "\U0001f600 <b> \u202e \x00 =1+1"
    item = page.act("note", page.item(), text=note).json()
    assert page.item()["note"] == note
    assert page.act("note", item, text="x" * 4001).status_code == 400


# who reads what


def test_every_text_is_read_and_the_double_ones_by_two(bench):
    here = bench("Anna", "Bo")
    anna, bo = here.enter("Anna"), here.enter("Bo")
    for _ in range(120):
        for page in (anna, bo):
            if not page.item().get("finished"):
                page.read(value="cannot_judge")
    assert anna.item()["finished"] and bo.item()["finished"] and bo.item()["progress"]["left"] == 0
    readings = [reading for reading in here.store.readings() if reading.phase == "blind"]
    draw = load_draw(here.audit)
    for text in draw.texts:
        on = [reading for reading in readings if reading.study_id == text.study_id]
        assert len({reading.reader for reading in on}) == len([one for one in on if not one.repeat]) == 1 + text.double
        assert sum(reading.repeat for reading in on) == text.repeat
    assert sum(text.repeat for text in draw.texts) >= 1 and sum(text.double for text in draw.texts) >= 5


def test_a_repeat_comes_back_late_and_looks_like_any_other(bench):
    here = bench("Anna")
    page = here.enter("Anna")
    items = []
    while not page.item().get("finished"):
        items.append(page.item())
        page.read(value="cannot_judge")
    events = [event for event in here.store.events() if event.kind == "claim"]
    repeats = [place for place, event in enumerate(events) if event.repeat]
    assert repeats
    for second in repeats:
        first = next(place for place, event in enumerate(events) if event.study_id == events[second].study_id)
        assert second - first > 20 or second >= len(events) - len(repeats)
        assert second - first > 1
        assert text_of(items[first]) == text_of(items[second])
        assert set(items[first]) == set(items[second]) and items[second]["answers"] == ["unanswered"] * 14
    totals = {item["progress"]["done"] + item["progress"]["left"] for item in items}
    assert len(totals) == 1, "the number of reports must not tell that one is a repeat"


def test_a_text_that_lies_for_a_day_goes_to_another_reader(bench, monkeypatch):
    here = bench("Anna", "Bo")
    anna, bo = here.enter("Anna"), here.enter("Bo")
    first = anna.act("answer", anna.item(), set={str(row): 0 for row in range(14)}).json()
    mine = here.store.events()[0].study_id
    if load_draw(here.audit).by_id()[mine].double:
        pytest.skip("the first text is one for two readers")
    bo.item()
    assert here.store.events()[-1].study_id != mine
    bo.read(value="cannot_judge")
    monkeypatch.setattr("labeler.audit.review.work.LEASE", timedelta(0))
    bo.item()
    assert here.store.events()[-1].study_id == mine
    bo.read(value="cannot_judge")
    refused = anna.act("submit", first)
    assert refused.status_code == 409 and refused.json()["error"] == "taken"
    assert "Nothing was overwritten" in refused.json()["message"]
    assert [one.reader for one in here.store.readings() if one.study_id == mine and one.phase == "blind"] == ["Bo"]
    assert anna.item()["item"] == 1


def test_fifty_readers_at_once(bench):
    names = [f"reader {number}" for number in range(50)]
    here = bench(*names)
    pages = [here.enter(name) for name in names]

    def some(page):
        item = page.item()
        if item.get("finished"):
            return []
        times = []
        for row in range(8):
            begun = time.perf_counter()
            item = page.act("answer", item, set={str(row): 1}).json()
            times.append(time.perf_counter() - begun)
        return times

    with ThreadPoolExecutor(50) as pool:
        times = [each for found in pool.map(some, pages) for each in found]
    busy = len(times) // 8
    claims = [event for event in here.store.events() if event.kind == "claim"]
    assert busy == len(claims) == len(load_draw(here.audit).texts) + sum(t.double for t in load_draw(here.audit).texts)
    assert len([event for event in here.store.events() if event.kind == "answer"]) == len(times)


# decisions


def decide_on(here):
    """Two readers who differ in row 3 of the first double text, and in its note."""
    text = next(text for text in load_draw(here.audit).texts if text.double)
    labels = here.app._application.state.room.labels
    for reader, state in (("Anna", 1), ("Bo", -1)):
        answers = dict.fromkeys(labels, 0) | {labels[3]: state}
        data = {"answers": answers, "note": f"said {state}"}
        here.store.append(Event(reader, text.study_id, "submit", data))
    return text, labels


def test_only_rows_that_differ_are_decided_and_without_names(bench):
    here = bench("Cleo", decide=True)
    text, labels = decide_on(here)
    page = here.enter("Cleo")
    shown = page.get("/api/item")
    item = shown.json()
    assert item["labels"] == [labels[3]] and item["answers"] == ["unanswered"]
    assert sorted(side["answers"][0] for side in item["sides"]) == [-1, 1]
    assert "Anna" not in shown.text and "Bo" not in shown.text
    assert page.act("submit", item).json()["error"] == "unanswered"
    done = page.act("submit", page.act("answer", item, set={"0": 1}).json()).json()
    assert done["done"] and page.item()["finished"]
    (decision,) = [reading for reading in here.store.readings() if reading.phase == "adjudicated"]
    assert (decision.reader, decision.study_id, dict(decision.answers)) == ("Cleo", text.study_id, {labels[3]: 1})


def test_two_decide_and_the_first_one_counts(bench):
    here = bench("Cleo", "Dan", decide=True)
    text, labels = decide_on(here)
    cleo = here.enter("Cleo")
    item = cleo.item()
    here.store.append(Event("Dan", text.study_id, "submit", {"answers": {labels[3]: 0}, "note": ""}, "adjudicated"))
    refused = cleo.act("answer", item, set={"0": 1})
    assert refused.status_code == 409 and refused.json()["error"] == "taken"


# keys


def test_keys_are_kept_for_each_reader(bench):
    here = bench("Anna", "Bo")
    anna, bo = here.enter("Anna"), here.enter("Bo")
    assert anna.post("/api/keys", {"keys": {"positive": ["p"], "submit": ["Enter", "g"]}}).json()["keys"][
        "positive"
    ] == ["p"]
    page = re.search(r'data-settings="([^"]*)"', anna.get("/").text)[1].replace("&#34;", '"')
    assert json.loads(page)["keys"]["submit"] == ["Enter", "g"]
    assert "&#34;positive&#34;: [&#34;1&#34;, &#34;+&#34;]" in bo.get("/").text


@pytest.mark.parametrize(
    "keys",
    [{"positive": ["2"]}, {"fly": ["q"]}, {"positive": []}, {"positive": "q"}, {"up": ["Escape"]}, [1], {"up": [""]}],
)
def test_keys_that_cannot_be(bench, keys):
    page = bench("Anna").enter("Anna")
    refused = page.post("/api/keys", {"keys": keys})
    assert refused.status_code in (400, 409) and refused.json()["message"]
    assert page.bench.store.events() == []


def test_shipped_keys_do_one_thing_each():
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    assert {"1", "2", "3", "0", "j", "k", "n", "b", "u", "Enter", "i", "e", "c", "x", "[", "]", "h"} <= {
        key for action in READING for key in action.keys
    }


# security


def test_a_link_works_once(bench):
    here = bench("Anna")
    page = Page(here, "Anna")
    token = here.door.link("Anna")
    answer = page.post("/api/enter", {"token": token})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    assert here.said == ["Anna"]
    again = page.post("/api/enter", {"token": token})
    assert again.status_code == 403 and "used already" in again.json()["message"]


@pytest.mark.parametrize("token", ["", "guess", None, 5, ["x"], "\ud800"])
def test_a_link_cannot_be_guessed(bench, token):
    here = bench("Anna")
    assert Page(here, "Anna").post("/api/enter", {"token": token}).status_code == 403


def test_nothing_without_a_session(bench):
    page = Page(bench("Anna"), "Anna")
    for path in ("/", "/api/item", "/api/film/0/0"):
        assert page.get(path).status_code == 401
    for path in ("answer", "undo", "note", "submit", "keys", "alive"):
        assert page.post(f"/api/{path}", {}).status_code == 401
    assert page.get("/healthz").json() == {"ok": True}


def test_a_reader_who_is_open_elsewhere_is_refused(bench):
    here = bench("Anna")
    page = here.enter("Anna")
    link = here.door.link("Anna")
    refused = Page(here, "Anna").post("/api/enter", {"token": link})
    assert refused.status_code == 409 and "open in another window" in refused.json()["message"]
    page.post("/api/leave", {})
    assert Page(here, "Anna").post("/api/enter", {"token": link}).status_code == 200
    assert page.get("/api/item").status_code == 401


def test_a_page_left_open_for_a_day(bench):
    here = bench("Anna")
    page = here.enter("Anna")
    item = page.act("answer", page.item(), set={"0": 1}).json()
    for hour in range(24):
        here.clock[0] = hour * 3600
        page.post("/api/alive", {})
    here.clock[0] = 24 * 3600
    refused = page.act("answer", item, set={"0": 0})
    assert refused.status_code == 401 and "left for too long" in refused.json()["message"]
    assert here.enter("Anna").item()["answers"][0] == 1


def test_two_readers_in_one_browser_cannot_answer_for_each_other(bench):
    here = bench("Anna", "Bo")
    anna, bo = here.enter("Anna"), here.enter("Bo")
    item = anna.item()
    anna.cookies = bo.cookies
    refused = anna.act("answer", item, set={"0": 1})
    assert refused.status_code == 409 and refused.json()["error"] == "other_session"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:9999", "localhost.evil.example:8000", ""])
def test_only_its_own_names(bench, host):
    page = bench("Anna").enter("Anna")
    assert page.get("/api/item", host=host).status_code == 421
    assert page.get("/healthz", host=host).status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8000", "http://127.0.0.1:9", ""])
def test_only_from_its_own_page(bench, origin):
    page = bench("Anna").enter("Anna")
    refused = page.act("answer", page.item(), set={"0": 1})
    assert refused.status_code == 200
    assert page.post("/api/answer", {}, origin=origin).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_requests_from_other_pages(bench, site):
    page = bench("Anna").enter("Anna")
    for path in ("/", "/api/item", "/static/review.js"):
        assert page.get(path, **{"sec-fetch-site": site}).status_code == 403
    assert page.post("/api/alive", {}, **{"sec-fetch-site": site}).status_code == 403
    # a link in a message may lead here: the page that it opens can do nothing without its secret
    assert page.get("/enter", **{"sec-fetch-site": site}).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/json5"]
)
def test_only_json(bench, kind):
    page = bench("Anna").enter("Anna")
    assert page.post("/api/alive", {}, **{"content-type": kind}).status_code == 415


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b"\xff", b"[" * 60_000, b'"x"', b"NaN"])
def test_broken_json(bench, body):
    page = bench("Anna").enter("Anna")
    response = page.bench.request("POST", "/api/note", content=body, headers=page._headers(), cookies=page.cookies)
    assert response.status_code == 400 and response.json()["message"]


def test_large_requests_are_refused(bench):
    page = bench("Anna").enter("Anna")
    assert page.post("/api/note", {"text": "x" * MOST_BYTES}).status_code == 413

    async def pieces():
        for _ in range(100):
            yield b"x" * 1024

    response = page.bench.request("POST", "/api/note", content=pieces(), headers=page._headers(), cookies=page.cookies)
    assert response.status_code == 413


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_no_other_methods(bench, method):
    page = bench("Anna").enter("Anna")
    assert page.bench.request(method, "/", headers=page._headers(), cookies=page.cookies).status_code == 405


def test_every_answer_carries_the_policy(bench):
    page = bench("Anna").enter("Anna")
    answers = [
        page.get("/"), page.get("/api/item"), page.get("/static/review.js"), page.get("/nothing"), page.get("/enter"),
        page.get("/", host="evil"), page.post("/api/answer", {}), page.get("/static/../app.py"),
    ]  # fmt: skip
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy and "http" not in policy
        assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY" and answer.headers["referrer-policy"] == "no-referrer"
    assert answers[-1].status_code == 404


def test_pages_escape_what_they_show(bench):
    name = "<script>alert(1)</script>\"'"
    page = bench(name).enter(name)
    shown = page.get("/").text
    assert "<script>alert" not in shown and "&lt;script&gt;alert(1)" in shown
    assert "<script" not in page.get("/%3Cscript%3E").text


def test_hostile_text_is_sent_as_text(bench):
    page = bench("Anna").enter("Anna")
    while "onerror" not in text_of(item := page.item()):
        page.read(value="cannot_judge")
    shown = text_of(item)
    assert len(shown) == len(HOSTILE)
    assert "\u202e" not in shown and "\x1b" not in shown and "<script>" in shown


def test_a_mistake_in_the_program_says_nothing_of_the_report(bench, capfd):
    here = bench("Anna")
    page = here.enter("Anna")

    class Broken(dict):
        def __getitem__(self, name):
            raise ValueError("SECRET REPORT TEXT")

    here.app._application.state.room.reports = Broken()
    answer = page.get("/api/item")
    assert answer.status_code == 500 and "SECRET" not in answer.text and "ValueError" in answer.text
    assert "SECRET" not in "".join(capfd.readouterr())


def test_a_film_is_greys_of_16_bits(bench, tmp_path, radloop):
    corpus = tmp_path / "phantom"
    assert radloop("corpus", "phantom", "-o", corpus, "-n", 1).code == 0
    here = bench("Anna", films=corpus)
    room = here.app._application.state.room
    (study_id,) = [row["study_id"] for row in read_rows(corpus, ["study_id"])]
    page = here.enter("Anna")
    assert page.item()["films"] == [] and page.get("/api/film/0/0").status_code == 404
    first = here.store.events()[0].study_id
    films = type(room.films)(corpus, {study_id})
    films._of[first] = films._of[study_id]
    room.films = films
    assert page.item()["films"][0] in ("PA", "AP")
    answer = page.get("/api/film/0/0")
    rows, columns = (int.from_bytes(answer.content[at : at + 4], "little") for at in (0, 4))
    assert len(answer.content) == 8 + 2 * rows * columns and max(rows, columns) <= 2048
    assert len(set(memoryview(answer.content[8:]).cast("H"))) > 256


# the server


def start(audit, *options, command="review"):
    """The real program, its links, and what it says before them."""
    process = subprocess.Popen(
        [PROGRAM, "audit", command, audit, *map(str, options), "--no-browser"], stderr=subprocess.PIPE, text=True
    )
    links = []
    for line in process.stderr:
        links += re.findall(r"(https?://\S+#\S+)", line)
        if "each link works once" in line:
            break
    return process, links


def call(url, path, data=None, cookie="", session=""):
    headers = {"Content-Type": "application/json", "Origin": url, "Cookie": cookie, "X-Session": session}
    body = None if data is None else json.dumps(data).encode()
    with urlopen(Request(url + path, body, headers), timeout=20) as answer:
        return answer.headers, answer.read().decode()


def test_killed_between_two_keys_it_loses_nothing_that_was_saved(audit):
    given = {}
    for killed in range(3):
        process, (link,) = start(audit, "--reader", "Anna")
        try:
            url, _, token = link.partition("/enter#")
            headers, _ = call(url, "/api/enter", {"token": token})
            cookie = headers["Set-Cookie"].partition(";")[0]
            session = re.search(r"session&#34;: &#34;(\w+)", call(url, "/", cookie=cookie)[1])[1]
            item = json.loads(call(url, "/api/item", cookie=cookie, session=session)[1])
            assert item["answers"] == [given.get(row, "unanswered") for row in range(14)]
            for row in range(4 * killed, 4 * killed + 4):
                body = {"item": item["item"], "version": item["version"], "op": f"row-{row:06}", "set": {str(row): 1}}
                item |= json.loads(call(url, "/api/answer", body, cookie, session)[1])
                given[row] = 1
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
    with open_store(audit) as store:
        assert len([event for event in store.events() if event.kind == "answer"]) == 12


def test_small_answers_are_sent_at_once(audit):
    process, (link,) = start(audit, "--reader", "Anna")
    line = http.client.HTTPConnection(link.split("/")[2])
    times = []
    for _ in range(30):
        begun = time.perf_counter()
        line.request("GET", "/healthz")
        line.getresponse().read()
        times.append(time.perf_counter() - begun)
    line.close()
    process.kill()
    process.wait()
    process.stderr.close()
    # 0.04 s if the server waits for the browser to acknowledge the first packet
    assert sorted(times)[10] < 0.03


def test_the_second_server_of_an_audit_is_refused(audit, radloop):
    process, _ = start(audit, "--reader", "Anna")
    try:
        second = radloop("audit", "review", audit, "--reader", "Bo", "--no-browser")
        assert second.code == 2 and "[audit.served]" in second.err
        assert f"process {process.pid} at http://127.0.0.1:" in second.err and "--reader A --reader B" in second.err
        assert "[audit.served]" in radloop("audit", "adjudicate", audit, "--reader", "Bo", "--no-browser").err
    finally:
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        process.stderr.close()
    assert process.wait(20) == 0 and "ended; what was shown as saved is saved" in said


def test_nothing_of_reports_is_printed(audit):
    process, (link,) = start(audit, "--reader", "Anna")
    url, _, token = link.partition("/enter#")
    headers, _ = call(url, "/api/enter", {"token": token})
    cookie = headers["Set-Cookie"].partition(";")[0]
    session = re.search(r"session&#34;: &#34;(\w+)", call(url, "/", cookie=cookie)[1])[1]
    assert "as above" in call(url, "/api/item", cookie=cookie, session=session)[1]
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 0
    assert "as above" not in said and "rib" not in said and token not in said
    assert said.count("\n") <= 3


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--host", "0.0.0.0"], "audit.host"),
        (["--host", "192.0.2.1"], "audit.host"),
        (["--tls-cert", "cert.pem"], "audit.tls"),
        (["--host", "0.0.0.0", "--tls-cert", "none.pem", "--tls-key", "none.pem"], "audit.host"),
        (["--host", "192.0.2.1", "--tls-cert", "none.pem", "--tls-key", "none.pem"], "audit.tls"),
        (["--reader", "anna"], "audit.reader_name"),
        (["--reader", "Anna"], "audit.reader_name"),
        (["--reader", "A\tB"], "audit.reader_name"),
        (["--reader", "  "], "audit.reader_name"),
    ],
)
def test_what_the_command_refuses(audit, radloop, options, code):
    done = radloop("audit", "review", audit, "--reader", "Anna", "--no-browser", *options)
    assert done.code == 2 and f"[{code}]" in done.err and done.out == ""
    assert len(done.err.splitlines()) <= 4


def test_a_name_almost_like_another_readers(audit, radloop):
    with open_store(audit) as store:
        store.append(Event("Zo\u00eb", "s01", "claim"))
    done = radloop("audit", "review", audit, "--reader", "zoe", "--no-browser")
    assert done.code == 2 and "almost the name" in done.err
    assert check_names(["Zo\u00eb "], ["Zo\u00eb"]) == ["Zo\u00eb"]


def test_a_label_table_that_changed(audit, planned, radloop, tmp_path):
    plan = json.loads((audit / "audit.json").read_text())
    copy = tmp_path / "labels.csv"
    copy.write_bytes(Path(plan["labels"]).read_bytes() + b"\n")
    (audit / "audit.json").write_text(json.dumps(plan | {"labels": str(copy)}))
    done = radloop("audit", "review", audit, "--reader", "Anna", "--no-browser")
    assert done.code == 2 and "[audit.labels_changed]" in done.err


def test_a_newer_database(audit, radloop):
    import sqlite3

    open_store(audit).close()
    with sqlite3.connect(audit / "audit.sqlite") as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    done = radloop("audit", "review", audit, "--reader", "Anna", "--no-browser")
    assert done.code == 2 and "[audit.newer_database]" in done.err


def test_a_port_in_use(audit, radloop):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = radloop("audit", "review", audit, "--reader", "Anna", "--port", taken.getsockname()[1], "--no-browser")
    assert done.code == 2 and "[audit.port]" in done.err


def test_loopback_needs_nothing_more():
    for host in ("127.0.0.1", "::1", "localhost"):
        check_address(Address(host))
    with pytest.raises(ConfigError, match="only through TLS"):
        check_address(Address("10.0.0.5"))


def test_over_tls_with_an_allowed_name(audit, tmp_path):
    import ssl

    if not os.path.exists("/usr/bin/openssl"):  # noqa: PTH110
        pytest.skip("needs openssl to make a certificate")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=reading.example",
         "-addext", "subjectAltName=DNS:reading.example", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    process, (link,) = start(
        audit, "--reader", "Anna", "--host", "0.0.0.0", "--tls-cert", cert, "--tls-key", key,
        "--allow-host", "reading.example",
    )  # fmt: skip
    try:
        base, _, token = link.partition("/enter#")
        assert base.startswith("https://reading.example:")
        port = base.rpartition(":")[2]
        context = ssl.create_default_context(cafile=str(cert))
        context.check_hostname = False
        headers = {"Content-Type": "application/json", "Origin": base, "Host": f"reading.example:{port}"}
        request = Request(f"https://127.0.0.1:{port}/api/enter", json.dumps({"token": token}).encode(), headers)
        with urlopen(request, context=context, timeout=20) as answer:
            cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("__Host-") and "Secure" in cookie
        with pytest.raises(OSError, match="421"):
            urlopen(Request(f"https://127.0.0.1:{port}/healthz"), context=context, timeout=20)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_command_line_starts_without_a_server(root):
    program = (
        "import sys; from corpora.cli import run; run(['audit', 'review', '--help']); "
        "sys.exit(any(name in sys.modules for name in ('starlette', 'uvicorn', 'jinja2', 'torch', 'scipy', 'spacy')))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True).returncode == 0
