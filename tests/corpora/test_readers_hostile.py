"""Sources that are not what they should be: one clear error, or the record rejected and the rest read."""

from __future__ import annotations

import gzip
import io
import os
import random
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError, DataError, RadloopError, RegistryError
from corpora.readers import ReadOptions, Record, open_source
from corpora.types import Reject, Study

GOOD = b'<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">Clear.</AbstractText></eCitation>'
BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b'<eCitation><uId id="CXR2"/><AbstractText Label="FINDINGS">&b;</AbstractText></eCitation>'
)


def written(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


def read(source: str, **options: str) -> tuple[list[Record], RadloopError | None]:
    """What was given before the end, and the error if that was one."""
    records: list[Record] = []
    try:
        for record in open_source(source, ReadOptions(**options)):
            records.append(record)
    except RadloopError as error:
        return records, error
    return records, None


def codes(records: list[Record]) -> list[str]:
    return [record.code if isinstance(record, Reject) else record.study_id for record in records]


def failure(source: str, **options: str) -> RadloopError:
    with pytest.raises(RadloopError) as raised:
        open_source(source, ReadOptions(**options))
    return raised.value


def tgz(path: Path, members: dict[str, bytes]) -> str:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("x.csv", b"", "data.empty"),
        ("x.csv", b"\n\r\n\n", "data.empty"),
        ("x.jsonl", b"", "data.empty"),
        ("x.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "data.binary"),
        ("x.csv", b"PK\x03\x04" + bytes(64), "data.binary"),
        ("x.csv", random.Random(1).randbytes(4000), "data.binary"),
        ("x.csv", b"id,note\n1,a\n", "data.columns"),
        ("x.csv", b"id,report,Report\n1,a,b\n", "data.columns"),
        ("x.jsonl", b'{"id": 1, "note": "a"}\n', "data.columns"),
        ("x.json", b"5", "data.json"),
        ("x.json", b'{"id": 1, "report": "a"}', "data.json"),
        ("x.json", b"[" * 100_000, "data.json"),
        ("x.parquet", b"PAR1", "data.parquet"),
        ("x.tgz", b"no archive at all", "data.truncated"),
        ("x.zip", b"PK\x03\x04cut", "data.truncated"),
        ("x.docx", b"a", "data.format"),
    ],
)
def test_what_cannot_be_read_at_all_raises_before_the_first_study(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    source = written(tmp_path / name, content)
    error = failure(source)
    assert (error.code, type(error)) == (code, DataError)
    assert source in error.where


def test_a_missing_file_is_named_with_one_like_it(tmp_path: Path) -> None:
    written(tmp_path / "reports.csv", b"id,report\n")
    error = failure(str(tmp_path / "report.csv"))
    assert error.code == "data.missing"
    assert "reports.csv" in error.hint
    assert failure(str(tmp_path / "no" / "x.parquet"), format="parquet").code == "data.missing"


def test_an_empty_folder_and_a_folder_for_a_table(tmp_path: Path) -> None:
    assert failure(str(tmp_path)).code == "data.empty"
    assert failure(str(tmp_path), format="csv").code == "data.unreadable"
    assert failure(str(tmp_path), format="corpus").code == "data.incomplete"


def test_a_header_without_reports_lists_names_but_never_text(tmp_path: Path) -> None:
    source = written(tmp_path / "x.csv", b'study,note\n1,"Secret words."\n')
    assert "study, note" in failure(source).message
    headless = written(tmp_path / "y.csv", b'1,"The secret lungs are clear, and the secret heart is large."\n')
    error = failure(headless)
    assert error.code == "data.columns"
    assert "secret" not in str(error)


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    source = written(tmp_path / "x.csv", b"id,notes\n1,a\n")
    assert "did you mean notes?" in failure(source, text_column="note").message
    assert failure(source, text_column="notes", findings_column="notes").code == "config.columns"
    assert failure(source, text_column="notes", format="stanford").code == "config.columns"
    assert failure(source, encoding="utf-9", text_column="notes").code == "config.encoding"
    assert isinstance(failure(source, encoding="rot13", text_column="notes"), ConfigError)
    unknown = failure(source, format="cvs")
    assert isinstance(unknown, RegistryError)
    assert "csv" in unknown.message


@pytest.mark.parametrize("before", [0, 3, 50_000])
def test_the_line_that_is_not_utf8_is_named(tmp_path: Path, before: int) -> None:
    source = written(tmp_path / "x.csv", b"id,report\n" + b"1,ok\n" * before + b"2,caf\xe9\n")
    _, error = read(source)
    assert error is not None
    assert error.code == "data.encoding"
    assert error.where == f"{source}, line {before + 2}"
    assert "--encoding latin-1" in error.hint
    records, error = read(source, encoding="latin-1")
    assert (len(records), error) == (before + 1, None)


def test_a_bad_record_is_rejected_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = [b"id,report", b"1,a", b"2,n\0l", b",b", b"3,c,d", b"4", b'5,"x "y" z"', b"6,e,,"]
    records, error = read(written(tmp_path / "x.csv", b"\n".join(rows)))
    assert codes(records) == ["1", "data.nul", "data.no_id", "data.columns", "data.columns", "data.csv", "6"]
    assert error is None
    assert [record.provenance.row for record in records if record.provenance] == [1, 2, 3, 4, 5, 6, 7]


def test_bad_lines_of_json_are_rejected_by_their_number(tmp_path: Path) -> None:
    lines = [
        b'{"id": 1, "report": "a"}', b"", b"nope", b"[1]", b'{"id": 2, "report": 5}', b'{"report": "b"}',
        b'{"id": true, "report": "c"}', b'{"id": 3, "report": "\\ud800"}', b'{"id": 4, "report": "\\u0000"}',
        b"[" * 100_000, b'{"id": 5, "other": 1}', b'{"id": NaN, "report": "d"}', b'{"id": 6, "report": null}',
    ]  # fmt: skip
    records, error = read(written(tmp_path / "x.jsonl", b"\n".join(lines)))
    assert codes(records) == [
        "1", "data.json", "data.json", "data.type", "data.no_id", "data.type", "data.surrogate", "data.nul",
        "data.json", "data.columns", "data.no_id", "6",
    ]  # fmt: skip
    assert error is None
    assert [record.provenance.row for record in records if record.provenance][:3] == [1, 3, 4]


def test_a_report_of_more_than_ten_megabytes_is_rejected(tmp_path: Path) -> None:
    source = written(
        tmp_path / "x.csv", b"id,report\n1," + b"word " * 2_100_000 + b"\n2,b\n3," + b"w" * 200_000 + b"\n"
    )
    assert codes(read(source)[0]) == ["data.too_long", "2", "3"]


def test_a_quote_that_is_never_closed_is_no_small_matter(tmp_path: Path) -> None:
    records, error = read(written(tmp_path / "x.csv", b'id,report\n1,a\n2,"b\n' + b"3,c\n" * 100))
    assert codes(records) == ["1"]
    assert error is not None
    assert error.code == "data.csv"


def test_json_that_breaks_off_gives_what_came_before(tmp_path: Path) -> None:
    records, error = read(written(tmp_path / "x.json", b'[{"id": 1, "report": "a"}, {"id": 2, "rep'))
    assert codes(records) == ["1"]
    assert error is not None
    assert error.code == "data.truncated"
    records, error = read(written(tmp_path / "y.json", b'[{"id": 1, "report": "a"}, {"id": 2 "report": "b"}]'))
    assert error is not None
    assert (codes(records), error.code) == (["1"], "data.json")
    assert "element 2" in error.where


def test_a_cut_gzip_gives_its_whole_rows(tmp_path: Path) -> None:
    noise = random.Random(2)
    rows = [f"{n},{noise.randbytes(30).hex()}" for n in range(2000)]
    whole = gzip.compress("\n".join(["id,report", *rows]).encode())
    records, error = read(written(tmp_path / "x.csv.gz", whole[: len(whole) // 2]))
    assert error is not None
    assert error.code == "data.truncated"
    assert 500 < len(records) < 1500
    read_rows = [f"{one.study_id},{one.report.text}" for one in records if isinstance(one, Study) and one.report]
    assert read_rows == rows[: len(records)]


@pytest.mark.parametrize("share", [0.02, 0.4, 0.7, 0.999])
def test_a_cut_archive_gives_its_whole_files(tmp_path: Path, share: float) -> None:
    noise = random.Random(3)
    files = {f"{n}.xml": GOOD.replace(b"Clear.", noise.randbytes(400).hex().encode()) for n in range(100)}
    whole = Path(tgz(tmp_path / "whole.tgz", files)).read_bytes()
    records, error = read(written(tmp_path / "x.tgz", whole[: int(len(whole) * share)]))
    assert error is not None
    assert error.code == "data.truncated"
    assert set(codes(records)) <= {"CXR1"}
    assert len(records) >= int(100 * share) - 25


@pytest.mark.parametrize("place", [20, 39])
def test_damage_inside_an_archive_is_not_taken_for_its_end(tmp_path: Path, place: int) -> None:
    files = {f"{n}.xml": GOOD for n in range(40)}
    plain = bytearray(gzip.decompress(Path(tgz(tmp_path / "whole.tgz", files)).read_bytes()))
    plain[place * 1024] ^= 1  # in the name of a file, in its header
    records, error = read(written(tmp_path / "x.tgz", gzip.compress(bytes(plain))))
    assert len(records) == place
    assert error is not None
    assert error.code == "data.truncated"


def test_hostile_members_are_rejected_or_passed_over(tmp_path: Path) -> None:
    source = tmp_path / "x.tgz"
    members = {
        "1.xml": GOOD, "2.xml": b"<broken", "3.xml": BOMB, "4.xml": b"<other/>", "5.xml": b'<e><uId id=" "/></e>',
        "6.xml": b'<?xml version="1.0" encoding="none"?><e/>', "7.xml": b"<e>" + b" " * 41_000_000,
        "8.xml": BOMB.decode().encode("utf-16"), "._1.xml": GOOD, "notes.txt": b"no", "../../9.xml": GOOD,
    }  # fmt: skip
    with tarfile.open(source, "w:gz", compresslevel=1) as archive:
        link = tarfile.TarInfo("0.xml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    records, error = read(str(source))
    assert error is None
    assert codes(records) == [
        "CXR1", "data.xml", "data.xml", "data.xml", "data.no_id", "data.xml", "data.too_long", "data.xml", "CXR1",
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tgz"]


def test_a_damaged_member_of_a_zip_is_rejected(tmp_path: Path) -> None:
    source = tmp_path / "x.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("s1.txt", b"first report")
        archive.writestr("s2.txt", b"second report")
    source.write_bytes(source.read_bytes().replace(b"first report", b"fxrst report"))
    assert codes(read(str(source))[0]) == ["data.unreadable", "s2"]


def test_a_mimic_file_in_another_encoding_is_rejected(tmp_path: Path) -> None:
    written(tmp_path / "s1.txt", b"caf\xe9")
    written(tmp_path / "s2.txt", b"ok")
    assert codes(read(str(tmp_path))[0]) == ["data.encoding", "s2"]
    assert codes(read(str(tmp_path), encoding="latin-1")[0]) == ["s1", "s2"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path: Path) -> None:
    source = written(tmp_path / "x.csv", b"id,report\n1,a\n")
    Path(source).chmod(0)
    assert failure(source).code == "data.unreadable"


@given(
    st.sampled_from(["x.csv", "x.tsv", "x.jsonl", "x.json", "x.csv.gz", "x.tgz", "x.zip", "x.parquet", "1.xml"]),
    st.binary(max_size=300),
)
def test_any_bytes_end_in_records_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("any")
    source = written(folder / name, content)
    for record in read(str(folder) if name == "1.xml" else source)[0]:
        assert isinstance(record, Study | Reject)


@given(st.integers(0, 3000), st.integers(0, 255))
def test_any_changed_byte_of_an_archive_ends_in_records_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int
) -> None:
    path = tmp_path_factory.mktemp("changed") / "x.tgz"
    tgz(path, {f"{n}.xml": GOOD for n in range(30)})
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(bytes(content))
    records, error = read(str(path))
    assert error is None or error.code in {"data.truncated", "data.empty", "data.unreadable"}
    assert error is not None or len(records) == 30
