"""Killed, resumed, by any number of processes: always the same corpus; every film in one study or set aside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpora.errors import RunError
from corpora.importing import gather, import_corpus
from corpora.pool import ordered
from corpora.store import read_studies

PROGRAM = "import sys; from corpora.importing import import_corpus; import_corpus(sys.argv[2:], sys.argv[1], workers=2)"


def content(corpus: Path) -> dict[str, object]:
    """All of a corpus but the time that it took, and the command."""
    files = {path.relative_to(corpus).as_posix(): path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    manifest = json.loads(files.pop("manifest.json"))
    return files | {"manifest": {name: manifest[name] for name in manifest if name not in ("wall_seconds", "command")}}


@pytest.fixture(scope="module")
def films(tmp_path_factory, png) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for number in range(700):
        png(folder / f"p{number % 90}" / f"S{number}.png", number, (4, 4))
    (folder / "S7-again.png").write_bytes((folder / "p7" / "S7.png").read_bytes())
    (folder / "cut.png").write_bytes((folder / "p7" / "S7.png").read_bytes()[:30])
    rows = "".join(f"S{number},P{number % 90},FINDINGS: Clear {number}.\n" for number in range(0, 1400, 2))
    (folder / "reports.csv").write_text(f"study_id,patient_id,report\n{rows}")
    return folder


@pytest.fixture(scope="module")
def whole(films, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    import_corpus(films, out, workers=1)
    return out


def test_the_same_for_any_number_of_processes(films, whole, tmp_path):
    import_corpus(films, tmp_path / "out", workers=3)
    assert content(tmp_path / "out") == content(whole)


@pytest.mark.parametrize("after", [0.0, 0.1, 0.5])
def test_killed_and_resumed(films, whole, tmp_path, after):
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, out, films], start_new_session=True)
    index = out / "partial" / "index.sqlite"
    until = time.monotonic() + 30
    while not index.exists() and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if not (out / "manifest.json").exists():
        with pytest.raises(RunError) as raised:
            import_corpus(films, out)
        assert raised.value.code == "run.unfinished"
    import_corpus(films, out, resume=True, workers=1)
    assert content(out) == content(whole)


@pytest.mark.parametrize("groups", [0, 1, 5])
def test_interrupted_between_films(films, whole, tmp_path, monkeypatch, groups):
    kept = 0
    keep = gather._keep

    def interrupt(*given):
        nonlocal kept
        kept += 1
        if kept > groups:
            raise KeyboardInterrupt
        keep(*given)

    with monkeypatch.context() as patch:
        patch.setattr(gather, "_keep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            import_corpus(films, tmp_path / "out", workers=1)
    done = import_corpus(films, tmp_path / "out", resume=True, workers=1)
    assert done.resumed and content(tmp_path / "out") == content(whole)


def test_an_archive_is_resumed(tmp_path, png, monkeypatch):
    import zipfile

    from corpora.importing import archive

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as out:
        for number in range(20):
            out.write(png(tmp_path / "x" / f"{number}.png", number), f"{number}.png")
        out.writestr("../bad.png", b"x")
    import_corpus(tmp_path / "x.zip", tmp_path / "one")
    write, done = archive._write, 0

    def interrupt(*given):
        nonlocal done
        done += 1
        if done > 9:
            raise KeyboardInterrupt
        return write(*given)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "_write", interrupt)
        with pytest.raises(KeyboardInterrupt):
            import_corpus(tmp_path / "x.zip", tmp_path / "two")
    assert len(list((tmp_path / "two" / "images").rglob("*.png"))) == 9
    import_corpus(tmp_path / "x.zip", tmp_path / "two", resume=True)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_source_that_changed_is_not_resumed(films, tmp_path, png, monkeypatch):
    png(tmp_path / "f" / "a.png", 1)
    with monkeypatch.context() as patch:
        patch.setattr(gather, "_keep", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            import_corpus(tmp_path / "f", tmp_path / "out")
    png(tmp_path / "f" / "b.png", 2)
    with pytest.raises(RunError) as raised:
        import_corpus(tmp_path / "f", tmp_path / "out", resume=True)
    assert raised.value.code == "run.changed"
    with pytest.raises(RunError) as raised:
        import_corpus(tmp_path / "f", tmp_path / "out", resume=True, hash=True)
    assert raised.value.code == "run.changed" and "config" in raised.value.message


def die_of_13(item: int) -> int:
    if item == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


@pytest.mark.slow
def test_an_item_that_kills_its_process_costs_only_itself():
    found = [
        one for group in ordered(die_of_13, iter(range(300)), 300, 2, lambda item: -1, isolate=True) for one in group
    ]
    assert found == [-1 if number == 13 else number * number for number in range(300)]


names = st.sampled_from(["a", "b", "S1", "S2"])
film = st.tuples(names, names, names, st.sampled_from(["", "A1", "A2", "S1"]), st.sampled_from(["", "P1", "P2"]), names)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    films=st.lists(film, max_size=8, unique_by=lambda one: one[:3]),
    reports=st.lists(st.tuples(names, st.sampled_from(["One.", "Two."])), max_size=5),
    rows=st.lists(st.tuples(names, names), max_size=3),
    how=st.sampled_from(["auto", "layout", "accession", "study_uid"]),
)
def test_every_film_and_report_ends_in_one_study_or_is_set_aside(
    films, reports, rows, how, dicom, written, tmp_path_factory
):
    from corpora.errors import DataError

    folder = tmp_path_factory.mktemp("one")
    for outer, inner, name, accession, patient, uid in films:
        tags = {"AccessionNumber": accession, "PatientID": patient, "StudyInstanceUID": f"1.9.{ord(uid[-1])}"}
        number = "".join(str("abS1S2".index(part)) for part in (outer, inner, name))
        dicom(folder / "f" / outer / inner / f"{name}.dcm", f"7{number}", **tags)
    (folder / "f").mkdir(exist_ok=True)
    written(folder / "f" / "t.csv", "image,study_id\n" + "".join(f"{image},{study}\n" for image, study in rows))
    written(folder / "r.csv", "study_id,report\n" + "".join(f"{study},{text}\n" for study, text in reports))
    try:
        done = import_corpus([folder / "r.csv", folder / "f"], folder / "out", workers=1, join=how)
    except DataError as error:
        refused = error.code
    else:
        refused = ""
    if refused:
        assert refused == "import.no_match" if films and reports else refused == "data.empty"
        return
    studies = list(read_studies(folder / "out"))
    placed = Counter(image.path for study in studies for image in study.images)
    aside = [json.loads(line) for line in _lines(folder / "out" / "failures.jsonl")]
    placed.update(line["file"] for line in aside if line["file"].endswith(".dcm"))
    assert placed == Counter({str(path): 1 for path in (folder / "f").rglob("*.dcm")})
    assert [study.study_id for study in studies] == sorted({study.study_id for study in studies})
    assert {study for study, _ in reports} == {study.study_id for study in studies if study.report}
    assert len(reports) == done.counts["reports"] + sum(line["code"] == "data.duplicate" for line in aside)
    assert all(study.images or study.report for study in studies)
    assert done.counts["images"] == sum(len(study.images) for study in studies)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
