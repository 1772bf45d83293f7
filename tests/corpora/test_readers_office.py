"""Reports as hospitals hand them over: workbooks, folders of text files, bars between cells, Excel's Unicode text."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import DataError
from corpora.readers import ReadOptions, detect, open_source
from corpora.types import Reject, Study


def read(source: Path, **options: str) -> dict[str, str]:
    """Texts by study id, and codes of rejects by what they concern."""
    found: dict[str, str] = {}
    for record in open_source(str(source), ReadOptions(**options)):
        if isinstance(record, Study) and record.report is not None:
            found[record.study_id] = record.report.text
        elif isinstance(record, Reject):
            found[f"row {record.provenance.row}"] = record.code
    return found


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    from openpyxl import Workbook

    def make(**sheets: list[list[Any]]) -> Path:
        book = Workbook(write_only=True)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(row)
        book.save(tmp_path / "x.xlsx")
        return tmp_path / "x.xlsx"

    return make


def test_a_workbook_by_the_sheet_that_holds_reports(workbook: Callable[..., Path]) -> None:
    rows = [["Accession", "Report"], [7.0, "Clear._x000D_\nNo effusion."], [], ["b", None], ["c", 5], ["d"]]
    source = workbook(cover=[["Made by", "nobody"]], data=rows)
    assert detect(str(source)) == "xlsx"
    assert read(source) == {"7": "Clear.\r\nNo effusion.", "b": "", "row 3": "data.type", "d": ""}


def test_columns_of_a_workbook_can_be_named_and_sections_are_told_apart(workbook: Callable[..., Path]) -> None:
    assert read(workbook(one=[["nr", "Befundtext"], ["a", "Clear."]]), text_column="Befundtext") == {"1": "Clear."}
    sections = [["study_id", "Findings", "Impression"], ["a", "Clear.", "Normal."]]
    assert read(workbook(one=sections)) == {"a": "FINDINGS: Clear.\nIMPRESSION: Normal."}


def test_what_is_no_workbook_or_holds_no_reports(workbook: Callable[..., Path], tmp_path: Path) -> None:
    bad = tmp_path / "y.xlsx"
    bad.write_bytes(b"PK\x03\x04" + bytes(100))
    for source, code in ((bad, "data.xlsx"), (workbook(one=[]), "data.empty"), (tmp_path / "no.xlsx", "data.missing")):
        with pytest.raises(DataError) as caught:
            read(source)
        assert caught.value.code == code
    with pytest.raises(DataError, match="no column holds reports"):
        read(workbook(one=[["a", "b"], [1, 2]]))


@pytest.fixture(params=["folder", "x.zip"])
def texts(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[dict[str, bytes]], Path]:
    def make(files: dict[str, bytes]) -> Path:
        place: Path = tmp_path / request.param
        if place.suffix:
            with zipfile.ZipFile(place, "w") as archive:
                for name, data in files.items():
                    archive.writestr(name, data)
            return place
        for name, data in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(data)
        return place

    return make


def test_text_files_by_their_names(texts: Callable[[dict[str, bytes]], Path]) -> None:
    source = texts({"2019/A-1.txt": b"Clear.", "README.txt": b"Not a report.", "2020/A-2.TXT": "Öd.".encode("latin-1")})
    assert detect(str(source)) == "txt"
    assert read(source) == {"A-1": "Clear.", "row None": "data.encoding"}
    assert read(source, encoding="latin-1") == {"A-1": "Clear.", "A-2": "Öd."}


def test_text_files_with_one_name_by_their_paths(texts: Callable[[dict[str, bytes]], Path]) -> None:
    assert read(texts({"a/report.txt": b"1", "b/report.txt": b"2"})) == {"a/report": "1", "b/report": "2"}


def test_an_import_takes_text_files_for_reports_only_where_nothing_else_is(
    texts: Callable[[dict[str, bytes]], Path], tmp_path: Path
) -> None:
    from corpora.importing import import_corpus
    from corpora.store import read_studies

    source = texts({"a1.txt": b"Clear.", "a2.txt": b"Effusion."})
    import_corpus([str(source)], tmp_path / "corpus")
    assert [study.study_id for study in read_studies(tmp_path / "corpus")] == ["a1", "a2"]


def test_a_table_in_an_archive_is_named_in_the_hint(texts: Callable[[dict[str, bytes]], Path]) -> None:
    with pytest.raises(DataError) as caught:
        read(texts({"reports.csv": b"study_id,report\n1,Clear.\n"}))
    assert (caught.value.code, "unpack it" in caught.value.hint) == ("data.empty", True)


def test_bars_and_utf_16(tmp_path: Path) -> None:
    source = tmp_path / "x.csv"
    source.write_bytes("study_id|report\r\n1|Clear, no effusion.\r\n".encode("utf-16"))
    assert read(source) == {"1": "Clear, no effusion."}
    source.write_bytes("study_id\treport\n1\tClear.\n".encode("utf-16") + b"\x00\xd8\x20")
    with pytest.raises(DataError, match="not UTF-16"):
        read(source)


@pytest.mark.parametrize("header", ["study,findings,impression", "note_id,subject_id,text", "study,section_findings,x"])
def test_headers_of_public_tables(tmp_path: Path, header: str) -> None:
    source = tmp_path / "x.csv"
    source.write_text(f"{header}\ns1,Clear.,Clear.\n")
    assert list(read(source)) == ["s1"]


@pytest.mark.parametrize(("name", "hint"), [("x.xls", "xlsx"), ("x.csv.bz2", "gzip"), ("x.txt", "folder")])
def test_what_must_be_made_readable_first_says_how(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        detect(str(tmp_path / name))
    assert hint in caught.value.hint


def test_text_files_named_as_the_films_beside_them_are_their_reports(tmp_path: Path) -> None:
    from PIL import Image

    from corpora.importing import import_corpus
    from corpora.store import read_studies

    folder = tmp_path / "films"
    folder.mkdir()
    for grey, name in enumerate(("a1", "a2")):
        Image.new("L", (80, 80), grey).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("About this folder.")
    import_corpus([str(folder)], tmp_path / "films-alone")
    assert all(study.report is None for study in read_studies(tmp_path / "films-alone"))
    for name in ("a1", "a2"):
        (folder / f"{name}.txt").write_text("Clear.")
    import_corpus([str(folder)], tmp_path / "both")
    joined = {study.study_id: len(study.images) for study in read_studies(tmp_path / "both") if study.report}
    assert joined == {"a1": 1, "a2": 1, "notes": 0}
