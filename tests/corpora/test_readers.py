"""Sources as a user has them, from tables to archives: what is read, in which order, and with what ids."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import registry
from corpora.readers import ReadOptions, detect, open_source
from corpora.sections import select
from corpora.types import Provenance, Reject, Report, Section, Study

OPENI = '<eCitation><uId id="{id}"/><Abstract>{parts}</Abstract></eCitation>'


def openi_xml(study_id: str, **parts: str) -> bytes:
    body = "".join(f'<AbstractText Label="{label}">{text}</AbstractText>' for label, text in parts.items())
    return OPENI.format(id=study_id, parts=body).encode()


def studies(source: Path | str, **options: str) -> list[Study]:
    records = list(open_source(str(source), ReadOptions(**options)))
    assert not [record for record in records if isinstance(record, Reject)]
    return [record for record in records if isinstance(record, Study)]


def texts(source: Path | str, **options: str) -> dict[str, str]:
    return {study.study_id: study.report.text for study in studies(source, **options) if study.report}


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def tgz(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def parquet(path: Path, columns: dict[str, list[Any]]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


@pytest.mark.parametrize(
    ("header", "ids"),
    [
        ("study_id,report", ["a", "b"]),
        ("STUDY_ID,Report", ["a", "b"]),
        ("Accession Number,Report Text", ["a", "b"]),
        (" id , TEXT ", ["a", "b"]),
        ("note,report", ["1", "2"]),
    ],
)
def test_columns_are_found_by_name_whatever_the_case(tmp_path: Path, header: str, ids: list[str]) -> None:
    source = written(tmp_path / "x.csv", f'{header}\na,"One, two"\nb,"Line\nbreak ""quoted"""\n')
    assert texts(source) == dict(zip(ids, ["One, two", 'Line\nbreak "quoted"'], strict=True))


def test_columns_can_be_named(tmp_path: Path) -> None:
    source = written(tmp_path / "x.csv", "id,key,report,note\n1,a,no,yes\n")
    assert texts(source, id_column="key", text_column="NOTE") == {"a": "yes"}
    assert texts(source, findings_column="note") == {"1": "FINDINGS: yes"}


def test_section_columns_make_one_text_with_exact_sections(tmp_path: Path) -> None:
    source = written(
        tmp_path / "x.csv", "id,Indication,FINDINGS,Impression\n1,Fall., Clear. ,Normal.\n2,,,Normal.\n3,,,\n"
    )
    first, second, third = (study.report for study in studies(source))
    assert first == Report(
        "1",
        "INDICATION: Fall.\nFINDINGS: Clear.\nIMPRESSION: Normal.",
        (Section("indication", 12, 17), Section("findings", 28, 34), Section("impression", 47, 54)),
    )
    assert second == Report("2", "IMPRESSION: Normal.", (Section("impression", 12, 19),))
    assert third == Report("3", "", ())


def test_a_report_column_is_kept_as_it_is_and_split_later(tmp_path: Path) -> None:
    text = "  FINDINGS: Clear.\r\n\r\nImpression:\tNormal. "
    source = written(tmp_path / "x.csv", f'id,report,patient_id\n7,"{text}",p1\n')
    (study,) = studies(source)
    assert study.report == Report("7", text, ())
    assert study.patient_id == "p1"
    assert study.provenance == Provenance(str(source), 1)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_of_a_csv_is_found(tmp_path: Path, delimiter: str) -> None:
    source = written(tmp_path / "x.csv", f'id{delimiter}report\n1{delimiter}"a,b;c\td"\n')
    assert texts(source) == {"1": "a,b;c\td"}


@pytest.mark.parametrize("name", ["x.tsv", "x.tab", "x.TSV"])
def test_tsv(tmp_path: Path, name: str) -> None:
    assert texts(written(tmp_path / name, "id\treport\n1\ta, b\n")) == {"1": "a, b"}


def test_one_column_without_a_header_is_the_stanford_format(tmp_path: Path) -> None:
    source = written(tmp_path / "x.csv", '"No effusion, no pneumothorax."\n\n"Two\nlines"\n""\n')
    assert detect(str(source)) == "stanford"
    assert texts(source) == {"1": "No effusion, no pneumothorax.", "2": "Two\nlines", "3": ""}


@pytest.mark.parametrize("content", ["Report\nClear.\n", "id;report\n1;a\n", "impression\nClear.\n"])
def test_one_cell_that_is_a_header_is_no_report(tmp_path: Path, content: str) -> None:
    assert detect(str(written(tmp_path / "x.csv", content))) == "csv"


def test_jsonl_has_line_numbers_for_ids_where_it_has_none(tmp_path: Path) -> None:
    source = written(tmp_path / "x.jsonl", '{"report": "a"}\n\n{"report": "b"}\r\n')
    assert texts(source) == {"1": "a", "3": "b"}


def test_json_objects_may_differ_and_numbers_are_ids(tmp_path: Path) -> None:
    lines = [{"id": 1, "findings": "f"}, {"id": 2.0, "impression": "i", "findings": None}, {"report": "r", "id": "3"}]
    source = written(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines)))
    assert texts(source) == {"1": "FINDINGS: f", "2": "IMPRESSION: i", "3": "r"}


@pytest.mark.parametrize("indent", [None, 2])
def test_json_arrays_and_objects_of_arrays(tmp_path: Path, indent: int | None) -> None:
    rows = [{"id": f"r{n}", "report": f"text {n} " * 20_000 if n == 3 else f"text {n}"} for n in range(9)]
    whole = written(tmp_path / "a.json", json.dumps(rows, indent=indent))
    parts = written(tmp_path / "b.json", json.dumps({"train": rows[:5], "none": [], "test": rows[5:]}, indent=indent))
    assert texts(whole) == texts(parts) == {row["id"]: row["report"] for row in rows}
    assert texts(written(tmp_path / "c.json", "[]")) == {}


def test_standard_input_is_jsonl_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"id": 1, "report": "a"}\n')))
    assert texts("-") == {"1": "a"}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"id,report\n1,b\n")))
    assert texts("-", format="csv") == {"1": "b"}


@pytest.mark.parametrize("name", ["x.csv.gz", "x.tsv.gz", "x.jsonl.gz", "x.json.gz", "misnamed.csv"])
def test_gzip(tmp_path: Path, name: str) -> None:
    contents = {
        ".tsv": "id\treport\n1\ta\n",
        ".jsonl": '{"id": 1, "report": "a"}',
        ".json": '[{"id": 1, "report": "a"}]',
    }
    content = contents.get(Path(name.removesuffix(".gz")).suffix, "id,report\n1,a\n")
    assert texts(written(tmp_path / name, gzip.compress(content.encode()))) == {"1": "a"}


def test_parquet(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {
        "Id": [1, 2, 3],
        "pixels": [0, 0, 0],
        "Report": ["a", None, "c"],
        "subject_id": [7, 7, None],
    }
    found = studies(parquet(tmp_path / "x.parquet", columns))
    assert [(study.study_id, study.patient_id, study.report.text) for study in found if study.report] == [
        ("1", "7", "a"), ("2", "7", ""), ("3", None, "c"),
    ]  # fmt: skip
    assert found[2].provenance == Provenance(str(tmp_path / "x.parquet"), 3)


def test_a_corpus_folder_is_its_shards_in_order(tmp_path: Path) -> None:
    for shard in (1, 0):
        parquet(tmp_path / f"studies-{shard:05}.parquet", {"study_id": [f"s{shard}"], "text": [f"t{shard}"]})
    written(tmp_path / "manifest.json", "{}")
    assert detect(str(tmp_path)) == "corpus"
    assert list(texts(tmp_path).items()) == [("s0", "t0"), ("s1", "t1")]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl"])
def test_utf8_with_and_without_a_byte_order_mark(tmp_path: Path, bom: bytes, name: str) -> None:
    content = "id,report\n1,é😀 طب\n" if name == "x.csv" else '{"id": 1, "report": "é😀 طب"}'
    assert texts(written(tmp_path / name, bom + content.encode())) == {"1": "é😀 طب"}
    assert texts(tmp_path / name, encoding="UTF8") == {"1": "é😀 طب"}


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_read_when_they_are_named(tmp_path: Path, encoding: str) -> None:
    source = written(tmp_path / "x.csv", "id,report\r\n1,Oedème\r\n".encode(encoding))
    assert texts(source, encoding=encoding) == {"1": "Oedème"}


MIMIC = {
    "files/p10/p10000032/s50414267.txt": b" FINAL REPORT\n FINDINGS: Clear.\n",
    "files/p10/p10000032/s9.txt": b"one",
    "files/p11/p11000011/s50000001.txt": b"two",
    "files/p11/p11000011/._s50000001.txt": b"junk",
    "README.txt": b"no report",
}


@pytest.mark.parametrize("kind", ["folder", "x.tgz", "x.tar", "x.zip"])
def test_mimic_trees(tmp_path: Path, kind: str) -> None:
    source = tmp_path / kind
    if kind == "folder":
        for name, data in MIMIC.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
    elif kind == "x.zip":
        with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in MIMIC.items():
                archive.writestr(name, data)
    else:
        tgz(source, MIMIC)
        if kind == "x.tar":
            source.write_bytes(gzip.decompress(source.read_bytes()))
    assert detect(str(source)) == "mimic"
    found = {study.study_id: study.patient_id for study in studies(source)}
    assert found == {"s50414267": "p10000032", "s9": "p10000032", "s50000001": "p11000011"}
    # a folder is in the natural order, an archive in its own
    assert next(iter(found)) == ("s9" if kind == "folder" else "s50414267")
    assert texts(source)["s50414267"] == " FINAL REPORT\n FINDINGS: Clear.\n"


def test_openi_order_sections_and_provenance(tmp_path: Path) -> None:
    files = {f"x/{n}.xml": openi_xml(f"CXR{n}", COMPARISON="", FINDINGS=f"a &lt; {n}", IMPRESSION="b") for n in (10, 2)}
    archive = tgz(tmp_path / "x.tgz", files)
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert list(texts(archive)) == ["CXR10", "CXR2"]
    assert list(texts(tmp_path / "x")) == ["CXR2", "CXR10"]
    (first, *_) = studies(archive)
    assert first.provenance == Provenance(str(archive), member="x/10.xml")
    assert first.report == Report(
        "CXR10", "FINDINGS: a < 10\nIMPRESSION: b", (Section("findings", 10, 16), Section("impression", 29, 30))
    )


def test_an_empty_openi_report_is_a_study(tmp_path: Path) -> None:
    assert texts(tgz(tmp_path / "x.tgz", {"1.xml": openi_xml("CXR1", FINDINGS="")})) == {"CXR1": ""}


def test_the_whole_open_i_collection(shared: Path) -> None:
    source = shared / "data" / "openi" / "NLMCXR_reports.tgz"
    begun = time.perf_counter()
    found = studies(source)
    took = time.perf_counter() - begun
    reports = [study.report for study in found if study.report]
    assert len({study.study_id for study in found}) == len(reports) == 3955
    assert sum(not select(report) for report in reports) == 28
    for report in reports:
        for section in report.sections:
            body = report.text[section.start : section.end]
            assert body == body.strip() != ""
            assert report.text[: section.start].endswith(f"{section.name.upper()}: ")
    assert took < 15


def test_every_built_in_format_is_registered_and_detected_or_forced() -> None:
    built_in = {"corpus", "csv", "json", "jsonl", "mimic", "openi", "parquet", "stanford", "tsv", "txt", "xlsx"}
    assert built_in <= set(registry.names("readers"))
    assert detect("anything", ReadOptions(format="stanford")) == "stanford"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
ROWS = st.lists(st.tuples(TEXT.filter(str.strip), TEXT), min_size=1, max_size=8)


@given(ROWS)
def test_csv_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: Sequence[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("id", "report"), *rows])
    found = [(study.study_id, study.report.text) for study in studies(path) if study.report]
    assert found == [(study_id.strip(), text) for study_id, text in rows]


@given(ROWS)
def test_jsonl_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: Sequence[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "x.jsonl"
    path.write_text("".join(json.dumps({"id": one, "report": text}) + "\n" for one, text in rows), encoding="utf-8")
    found = [(study.study_id, study.report.text) for study in studies(path) if study.report]
    assert found == [(study_id.strip(), text) for study_id, text in rows]


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
def test_offsets_of_section_columns(tmp_path_factory: pytest.TempPathFactory, rows: Sequence[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("json") / "x.json"
    path.write_text(json.dumps([{"findings": one, "impression": two} for one, two in rows]), encoding="utf-8")
    for study, row in zip(studies(path), rows, strict=True):
        assert study.report is not None
        cut = [study.report.text[section.start : section.end] for section in study.report.sections]
        assert cut == [part.strip() for part in row if part.strip()]


@pytest.mark.slow
def test_a_large_csv_costs_little_more_than_the_csv_module(tmp_path: Path) -> None:
    path, rows = tmp_path / "x.csv", 100_000
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(("study_id", "report"))
        table.writerows((f"s{n}", "The lungs are clear. There is no effusion. " * 8) for n in range(rows))
    begun = time.perf_counter()
    with path.open(newline="", encoding="utf-8") as stream:
        assert sum(1 for _ in csv.reader(stream)) == rows + 1
    plain = time.perf_counter() - begun
    begun = time.perf_counter()
    assert sum(1 for _ in open_source(str(path))) == rows
    assert (time.perf_counter() - begun - plain) / rows < 20e-6
