"""Sources that are not what they should be: one clear error, or the file set aside and the rest imported."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from corpora.allowance import allowance
from corpora.errors import DataError, RadloopError, RunError
from corpora.importing import archive, import_cli, import_corpus


def failed(*given, **options) -> RadloopError:
    with pytest.raises(RadloopError) as raised:
        import_corpus(*given, **options)
    return raised.value


def codes(corpus: Path) -> list[str]:
    return [json.loads(line)["code"] for line in (corpus / "failures.jsonl").read_text().splitlines()]


def test_an_empty_folder_and_one_without_films_or_reports(tmp_path, written):
    (tmp_path / "empty").mkdir()
    assert failed(tmp_path / "empty", tmp_path / "out").code == "data.empty"
    written(tmp_path / "other" / "notes.md", "nothing")
    error = failed(tmp_path / "other", tmp_path / "out")
    assert error.code == "data.empty" and error.where == str(tmp_path / "other")
    assert failed(tmp_path / "gone", tmp_path / "out").code == "data.missing"
    assert not (tmp_path / "out").exists()


def test_nothing_but_broken_files_is_an_error_that_names_the_first(tmp_path, written):
    written(tmp_path / "f" / "a.png", b"\x89PNG\r\n\x1a\n")
    error = failed(tmp_path / "f", tmp_path / "out")
    assert error.code == "data.empty" and "image.truncated" in error.hint and "a.png" in error.hint


def test_broken_films_are_set_aside_one_by_one(tmp_path, png, dicom, written):
    whole = png(tmp_path / "f" / "z.png", 1).read_bytes()
    jpg = png(tmp_path / "f" / "y.jpg", 2).read_bytes()
    written(tmp_path / "f" / "a.png", whole[:-20])
    written(tmp_path / "f" / "b.jpg", jpg[: len(jpg) // 2])
    written(tmp_path / "f" / "c.png", b"")
    written(tmp_path / "f" / "d.png", "no film at all")
    written(tmp_path / "f" / "e.png", b"\x89PNG\r\n\x1a\n" + b"rubbish" * 9 + b"IEND\xae\x42\x60\x82")
    written(tmp_path / "f" / "g.dcm", b"\0" * 128 + b"DICM" + b"\xff" * 40)
    written(tmp_path / "f" / "h.dcm", "no DICOM")
    (tmp_path / "f" / "i.png").symlink_to(tmp_path / "f" / "i.png")
    done = import_corpus(tmp_path / "f", tmp_path / "out")
    assert done.counts["images"] == 2 and done.counts["rejected"] == 8
    found = codes(tmp_path / "out")
    assert found[:6] == ["data.unreadable", "image.truncated", "image.truncated", "image.empty", "image.broken",
                         "image.broken"]  # fmt: skip


def test_a_header_that_claims_more_pixels_than_memory_holds(tmp_path, png, written):
    import struct
    import zlib

    png(tmp_path / "f" / "b.png", 1)
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    written(tmp_path / "f" / "a.png", b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IEND\xae\x42\x60\x82")
    import_corpus(tmp_path / "f", tmp_path / "out")
    assert codes(tmp_path / "out") == ["image.too_large"]


def bytes_read() -> int:
    counters = Path("/proc/self/io")
    if not counters.exists():
        pytest.skip("the system does not count what a process reads")
    return int(counters.read_text().split()[1])


def test_of_a_gigabyte_only_the_edges_are_read(tmp_path, png, dicom):
    path = png(tmp_path / "f" / "a.png", 1)
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(1 << 30)
        file.seek(-len(content), os.SEEK_END)
        file.write(content)
    film = dicom(tmp_path / "f" / "b.dcm", "1")
    header = film.read_bytes()
    at = header.index(b"\xe0\x7f\x10\x00OW") + 8
    film.write_bytes(header[:at] + (1 << 30).to_bytes(4, "little"))
    os.truncate(film, at + 4 + (1 << 30))
    import_corpus(tmp_path / "f", tmp_path / "first", workers=1)  # what is imported is read, too
    before = bytes_read()
    done = import_corpus(tmp_path / "f", tmp_path / "out", workers=1)
    assert done.counts["images"] == 2 and bytes_read() - before < 8 << 20


def test_links_in_a_circle_and_a_folder_that_is_linked_twice(tmp_path, png):
    png(tmp_path / "f" / "a" / "x.png", 1)
    (tmp_path / "f" / "a" / "up").symlink_to(tmp_path / "f")
    (tmp_path / "f" / "b").symlink_to(tmp_path / "f" / "a")
    (tmp_path / "f" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    done = import_corpus(tmp_path / "f", tmp_path / "out")
    assert done.counts["images"] == 1 and done.counts["same_images"] == 0
    assert codes(tmp_path / "out") == ["data.unreadable"]


def test_the_output_may_lie_in_the_source_and_not_the_reverse(tmp_path, png):
    png(tmp_path / "f" / "x.png", 1)
    done = import_corpus(tmp_path / "f", tmp_path / "f" / "out", copy_images=True)
    assert done.counts["images"] == 1
    png(tmp_path / "other" / "in" / "x.png", 1)
    for out in (tmp_path / "other", tmp_path / "other" / "in"):
        assert failed(tmp_path / "other" / "in", out).code == "run.same_file"
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["in"]


def test_an_output_that_is_there_is_never_written_over(tmp_path, png, written):
    png(tmp_path / "f" / "x.png", 1)
    written(tmp_path / "mine" / "thesis.txt", "years of work")
    assert failed(tmp_path / "f", tmp_path / "mine").code == "run.not_empty"
    assert failed(tmp_path / "f", tmp_path / "mine", resume=True).code == "run.not_empty"
    assert failed(tmp_path / "f", written(tmp_path / "file", "")).code == "run.is_file"
    import_corpus(tmp_path / "f", tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert failed(tmp_path / "f", tmp_path / "out").code == "run.not_empty"
    assert failed(tmp_path / "f", tmp_path / "out", resume=True, hash=True).code == "run.changed"
    assert import_corpus(tmp_path / "f", tmp_path / "out", resume=True).untouched
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_name_that_no_table_can_hold(tmp_path, png):
    png(tmp_path / "f" / "x.png", 1)
    try:
        Path(os.fsdecode(bytes(tmp_path / "f") + b"/\xff.png")).write_bytes((tmp_path / "f" / "x.png").read_bytes())
    except OSError:
        pytest.skip("the file system holds UTF-8 names only")
    import_corpus(tmp_path / "f", tmp_path / "out")
    assert codes(tmp_path / "out") == ["image.name"]


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in members.items():
            out.writestr(name, data)
    return path


def tarred(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("make", [zipped, tarred])
def test_members_that_lead_out_of_the_corpus(tmp_path, png, make):
    film = png(tmp_path / "film.png", 1).read_bytes()
    names = ["good.png", "../evil.png", "a/../../evil2.png", "/tmp/evil3.png", "..\\evil4.png", "C:\\evil5.png"]
    before = set(Path("/tmp").glob("evil*"))
    import_corpus(
        make(tmp_path / f"x.{'zip' if make is zipped else 'tgz'}", dict.fromkeys(names, film)), tmp_path / "out"
    )
    assert codes(tmp_path / "out") == ["archive.path"] * 5
    assert [path.name for path in (tmp_path / "out" / "images").rglob("*.png")] == ["good.png"]
    assert not list(tmp_path.rglob("evil*")) and set(Path("/tmp").glob("evil*")) == before


def test_links_and_devices_in_an_archive_are_passed_over(tmp_path, png):
    film = png(tmp_path / "film.png", 1).read_bytes()
    with tarfile.open(tmp_path / "x.tar", "w") as out:
        for name, kind, to in (("link.png", tarfile.SYMTYPE, "/etc/passwd"), ("hard.png", tarfile.LNKTYPE, "link.png"),
                               ("pipe.png", tarfile.FIFOTYPE, "")):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, to
            out.addfile(info)
        info = tarfile.TarInfo("good.png")
        info.size = len(film)
        out.addfile(info, io.BytesIO(film))
    done = import_corpus(tmp_path / "x.tar", tmp_path / "out")
    assert done.counts["images"] == 1
    assert [path.name for path in (tmp_path / "out" / "images").rglob("*.png")] == ["good.png"]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch, make):
    monkeypatch.setattr(archive, "MOST_AT_LEAST", 1 << 20)
    bomb = make(tmp_path / f"x.{'zip' if make is zipped else 'tgz'}", {f"{n}.dcm": bytes(1 << 20) for n in range(40)})
    error = failed(bomb, tmp_path / "out")
    assert error.code == "archive.bomb" and error.where == str(bomb)
    assert not (tmp_path / "out" / "images" / f"00-{bomb.name}").exists()


def test_an_archive_that_is_cut_off(tmp_path, png):
    whole = tarred(
        tmp_path / "whole.tgz", {f"{n}.png": png(tmp_path / f"{n}.png", n, (99, 99)).read_bytes() for n in range(9)}
    )
    (tmp_path / "cut.tgz").write_bytes(whole.read_bytes()[:-9000])
    assert failed(tmp_path / "cut.tgz", tmp_path / "out").code == "data.truncated"


def test_damaged_and_repeated_members(tmp_path, png):
    film = png(tmp_path / "film.png", 1).read_bytes()
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("a.png", film)
        out.writestr("b.png", bytes(reversed(film)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            out.writestr("a.png", film)
    data = bytearray(path.read_bytes())
    at = data.index(bytes(reversed(film)))
    data[at] ^= 0xFF
    path.write_bytes(bytes(data))
    import_corpus(path, tmp_path / "out")
    assert codes(tmp_path / "out") == ["data.unreadable", "archive.twice"]


def test_tables_with_rows_that_do_not_fit(tmp_path, png, written):
    png(tmp_path / "f" / "a.png", 1)
    written(
        tmp_path / "f" / "t.csv",
        'image,study_id,Edema\na.png,S1,1\nb.png,S2,7\nc.png\n,,\n"d"x,S4,1\n\ne.png,S5,-1.0\n',
    )
    done = import_corpus(tmp_path / "f", tmp_path / "out")
    assert codes(tmp_path / "out") == ["data.cell", "data.columns", "data.no_id", "data.csv"]
    assert done.counts["rows"] == 2 and done.counts["rejected"] == 4
    lines = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == [2, 3, 4, 5]


def test_a_mapping_without_the_columns_it_needs(tmp_path, png, written):
    png(tmp_path / "f" / "a.png", 1)
    error = failed(tmp_path / "f", tmp_path / "out", mapping=str(written(tmp_path / "m.csv", "film,exam\na,b\n")))
    assert error.code == "data.columns" and "film, exam" in error.hint
    assert failed(tmp_path / "f", tmp_path / "out", mapping=str(tmp_path / "gone.csv")).code == "data.missing"


def test_a_source_that_is_named_twice(tmp_path, png):
    png(tmp_path / "f" / "a.png", 1)
    assert failed([tmp_path / "f", tmp_path / "f" / "."], tmp_path / "out").code == "config.value"


def test_another_import_that_is_writing(tmp_path, png):
    from corpora.importing.index import open_index

    png(tmp_path / "f" / "a.png", 1)
    with open_index(tmp_path / "out" / "partial"):
        assert failed(tmp_path / "f", tmp_path / "out", resume=True).code == "run.busy"


def test_an_index_that_is_damaged(tmp_path, png, written):
    png(tmp_path / "f" / "a.png", 1)
    written(tmp_path / "out" / "partial" / "index.sqlite", b"no database" * 999)
    with pytest.raises(RunError) as raised:
        import_corpus(tmp_path / "f", tmp_path / "out", resume=True)
    assert raised.value.code == "run.damaged"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_must_not_be_read(tmp_path, png):
    png(tmp_path / "f" / "a.png", 1)
    png(tmp_path / "f" / "b.png", 2).chmod(0)
    import_corpus(tmp_path / "f", tmp_path / "out")
    assert codes(tmp_path / "out") == ["data.unreadable"]


def test_the_command_says_what_was_done_and_gates(tmp_path, png, written):
    app = typer.Typer()
    app.command()(import_cli)
    png(tmp_path / "f" / "S1.png", 1)
    reports = written(tmp_path / "r.csv", "study_id,report\nS1,Normal.\nS2,Normal.\n")
    runner = CliRunner()
    done = runner.invoke(app, [str(reports), str(tmp_path / "f"), "-o", str(tmp_path / "out"), "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["images"] == 1
    assert "1 of 1 films joined with a report by file name" in done.stderr
    assert "1 reports without a film" in done.stderr
    written(tmp_path / "f" / "bad.png", "")
    done = runner.invoke(app, [str(reports), str(tmp_path / "f"), "-o", str(tmp_path / "two")])
    assert done.exit_code == 1 and "1 files and records rejected" in done.stderr and not done.stdout
    arguments = [str(reports), str(tmp_path / "f"), "-o", str(tmp_path / "three"), "--max-failures", "1"]
    assert runner.invoke(app, arguments).exit_code == 0


@pytest.mark.parametrize("spelled", ["", "x", "-1", "101%", "nan%", "1.5"])
def test_max_failures_that_mean_nothing(spelled):
    with pytest.raises(RadloopError) as raised:
        allowance(spelled)
    assert raised.value.code == "config.value"


def test_errors_hold_no_report_text(tmp_path, written):
    reports = written(tmp_path / "r.csv", "study_id,report\nS1,Secret words of the report.\nS1,Secret other words.\n")
    import_corpus(reports, tmp_path / "out")
    assert "ecret" not in (tmp_path / "out" / "failures.jsonl").read_text()
    assert isinstance(failed(tmp_path / "nothing.csv", tmp_path / "x"), DataError)
