"""The store: events that stay, readings that nothing overwrites, databases of other versions."""

import json
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import DataError, RunError
from labeler.audit import store as stores
from labeler.audit.store import DATABASE, Event, is_answer, open_store
from labeler.audit.types import Reading

READING = Reading("s1", "Anna", {"Edema": 1, "Fracture": None}, "blind", "2026-01-02T03:04:05+00:00", note="clear")


def submitted(reader="Anna", study_id="s1", phase="blind", repeat=False, **answers):
    return Event(reader, study_id, "submit", {"answers": answers, "note": ""}, phase, repeat)


def test_events_come_back_in_order_as_they_were(tmp_path):
    with open_store(tmp_path) as store:
        first = store.append(Event("Anna", "s1", "answer", {"Edema": -1}))
        second = store.append(Event("Bo", "s2", "note", {"text": "\U0001f600 \u0000 =1+1"}, repeat=True))
    with open_store(tmp_path) as store:
        assert store.events() == [first, second]
        assert store.events(after=first.number) == [second]
        assert store.events(reader="Anna", study_id="s1") == [first]
        assert store.readers() == ["Anna", "Bo"]


def test_only_what_was_submitted_is_a_reading(tmp_path):
    with open_store(tmp_path) as store:
        store.append(Event("Anna", "s1", "answer", {"Edema": 1}))
        assert store.readings() == []
        done = store.append(submitted(Edema=1, Fracture="cannot_judge"))
        assert store.readings() == [Reading("s1", "Anna", {"Edema": 1, "Fracture": "cannot_judge"}, "blind", done.at)]


@pytest.mark.parametrize(
    "second",
    [
        submitted(phase="revealed", Edema=0),
        submitted(repeat=True, Edema=0),
        submitted(reader="Bo", Edema=0),
        submitted(study_id="s2", Edema=0),
        submitted(phase="adjudicated", Edema=0),
    ],
)
def test_readings_beside_each_other(tmp_path, second):
    with open_store(tmp_path) as store:
        store.append(submitted(Edema=1))
        store.append(second)
        assert len(store.readings()) == 2


def test_a_second_reading_of_a_text_is_refused(tmp_path):
    with open_store(tmp_path) as store:
        store.append(submitted(Edema=1))
        with pytest.raises(DataError, match="has read this text already") as caught:
            store.append(submitted(Edema=0))
        assert caught.value.code == "audit.reading_twice"
        with pytest.raises(DataError, match="already"):
            store.add_reading(replace(READING, answers={"Edema": 0}), "file")
        store.append(submitted(phase="adjudicated", Edema=1))
        with pytest.raises(DataError, match="decided already"):
            store.append(submitted(reader="Bo", phase="adjudicated", Edema=0))
        assert [reading.answers for reading in store.readings()] == [{"Edema": 1}, {"Edema": 1}]


def test_an_import_again_changes_nothing(tmp_path):
    with open_store(tmp_path) as store:
        assert store.add_reading(READING, "a.csv")
        assert not store.add_reading(replace(READING, at="2026-05-05T00:00:00+00:00"), "b.csv")
        assert store.add_reading(replace(READING, repeat=True), "a.csv")
        assert store.readings() == [READING, replace(READING, repeat=True)]


def test_an_event_sent_twice_is_one(tmp_path):
    with open_store(tmp_path) as store:
        sent = Event("Anna", "s1", "answer", {"Edema": 1}, op="x1")
        assert store.append(sent) == store.append(sent)
        assert len(store.events()) == 1


def test_events_are_only_ever_added(tmp_path):
    with open_store(tmp_path) as store:
        store.append(submitted(Edema=1))
    database = sqlite3.connect(tmp_path / DATABASE)
    for statement in ("DELETE FROM events", "UPDATE events SET data = '{}'"):
        with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
            database.execute(statement)
    database.close()


def submit_twice(store):
    with store.transaction():
        store.append(submitted(Edema=1))
        store.append(submitted(Edema=0))


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    with open_store(tmp_path) as store:
        store.append(Event("Anna", "s1", "claim"))
        with pytest.raises(DataError):
            submit_twice(store)
        assert len(store.events()) == 1


def test_two_programs_at_once(tmp_path):
    program = (
        "import sys\nfrom labeler.audit.store import *\n"
        "with open_store(sys.argv[1]) as store:\n"
        "    for n in range(40): store.append(Event(sys.argv[2], f's{n}', 'claim'))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", program, tmp_path, name]) for name in ("Anna", "Bo")]
    assert [process.wait(60) for process in both] == [0, 0]
    with open_store(tmp_path) as store:
        assert [event.number for event in store.events()] == list(range(1, 81))


def test_threads_share_a_store(tmp_path):
    with open_store(tmp_path) as store:
        threads = [
            threading.Thread(target=lambda n=n: [store.append(Event(f"r{n}", "s1", "claim")) for _ in range(10)])
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.events()) == 80


def test_a_database_of_a_newer_version_is_left_alone(tmp_path):
    open_store(tmp_path).close()
    database = sqlite3.connect(tmp_path / DATABASE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = (tmp_path / DATABASE).read_bytes()
    with pytest.raises(RunError, match="version 99") as caught:
        open_store(tmp_path)
    assert caught.value.code == "audit.newer_database" and "nothing was changed" in caught.value.hint
    assert (tmp_path / DATABASE).read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at" * 50, "table"])
def test_something_else_under_its_name(tmp_path, content):
    path = tmp_path / DATABASE
    if content == "table":
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE theirs (a)")
        database.close()
    else:
        path.write_bytes(content)
    with pytest.raises(RunError) as caught:
        open_store(tmp_path)
    assert caught.value.code == "audit.database" and str(path) in caught.value.where


def test_no_folder(tmp_path):
    with pytest.raises(DataError, match="no such audit folder"):
        open_store(tmp_path / "none")


def test_an_older_database_is_brought_up_to_date(tmp_path, monkeypatch):
    with open_store(tmp_path) as store:
        event = store.append(submitted(Edema=1))

    def more(database):
        database.execute("CREATE TABLE more (a)")

    monkeypatch.setattr(stores, "MIGRATIONS", (*stores.MIGRATIONS, more))
    with open_store(tmp_path) as store:
        assert store.events() == [event]
    monkeypatch.undo()
    with pytest.raises(RunError, match="version 2"):
        open_store(tmp_path)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=4)


@given(st.text(min_size=1).filter(lambda t: t.isprintable()), JSON)
def test_any_note_survives(tmp_path_factory, reader, value):
    with open_store(tmp_path_factory.mktemp("audit")) as store:
        store.append(Event(reader, "s1", "note", {"text": value}))
        assert store.events()[0].data == {"text": value} and store.events()[0].reader == reader


@given(JSON)
def test_what_an_answer_is(value):
    assert is_answer(value) == (json.dumps(value) in ("1", "0", "-1", "null", '"cannot_judge"'))
