"""Files for readers: out and back exactly, blind, hostile cells, files of other audits."""

import csv
import json
import zipfile
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from corpora.errors import DataError
from labeler.audit.exchange import label_studio, xlsx_file
from labeler.audit.exchange.rows import FIXED, Row, escape, unescape
from labeler.audit.exchange.run import FORMATS, import_readings
from labeler.audit.frame import load_draw, load_plan
from labeler.audit.store import open_store

LABELS = ("Edema", "Pleural Effusion", "note", "=SUM(A1)", "Größe <&\"'>")
ENDS = {"label-studio": "json", "xlsx": "xlsx", "csv": "csv", "jsonl": "jsonl"}
ANSWER = st.sampled_from([1, 0, -1, None, "cannot_judge"])
HOSTILE = ["=1+1", "+1", "-1", "@x", "'=x", "'", "\t=x", "\n-2", "a\r\nb\rc\n", "\x00\x07\x1b[31m", "_x000D_",
           "_x005F_", "x005F_y", "\\u0041", "\\\\u0041", "\ufeffx", "\ufffe\uffff", "😀 no effusion", "nan", " x ",
           "\u2028", '"', ";,\t", "#REF!", "TRUE", "2024-01-01", "\u202eabc", "1e5", "\x85", "é" * 3]  # fmt: skip
TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
ROW = st.builds(
    Row,
    audit=st.just("a" * 64),
    study_id=TEXT.filter(lambda text: text.strip() == text and text),
    answers=st.dictionaries(st.sampled_from(LABELS), ANSWER),
    reader=TEXT.filter(bool),
    phase=st.sampled_from(["blind", "revealed", "adjudicated"]),
    at=st.sampled_from(["2026-01-02T03:04:05.678+00:00", ""]),
    repeat=st.booleans(),
    note=TEXT,
    text=TEXT,
)


def kept(row):
    return (
        row.audit,
        row.study_id,
        dict(row.answers),
        row.reader,
        row.phase,
        row.at,
        row.repeat,
        row.note,
        row.problem,
    )


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=4, unique_by=lambda row: row.study_id))
def test_every_format_gives_back_what_it_was_given(tmp_path, form, rows):
    path = tmp_path / f"rows.{ENDS[form]}"
    FORMATS[form].write(path, rows, LABELS)
    back = list(FORMATS[form].read(path, LABELS))
    assert [kept(row) for row in back] == [kept(row) for row in rows]


@given(st.text())
def test_what_is_escaped_comes_back(text):
    safe = escape(text)
    assert unescape(safe) == text
    assert "\r" not in safe and "\x00" not in safe and "_x" not in safe
    safe.encode("utf-8")


@pytest.mark.parametrize("length", [32_767, 32_768, 70_000])
@pytest.mark.parametrize("unit", ["a", "😀", "_x000D_"])
def test_texts_longer_than_a_cell_of_excel_are_whole(tmp_path, length, unit):
    text = (unit * length)[:length]
    path = tmp_path / "long.xlsx"
    xlsx_file.write(path, [Row("a", "s1", {"Edema": 1}, "R", note=text, text=text), Row("a", "s2", note="x")], LABELS)
    rows = list(xlsx_file.read(path, LABELS))
    assert [row.note for row in rows] == [text, "x"]
    for values in load_workbook(path).worksheets[0].iter_rows(values_only=True):
        assert all(len(str(value).encode("utf-16-le")) // 2 <= 32_767 for value in values if value is not None)


def test_no_cell_is_a_formula(tmp_path):
    rows = [Row("a", text, {"Edema": -1}, text, note=text, text=text) for text in HOSTILE]
    xlsx_file.write(tmp_path / "x.xlsx", rows, LABELS)
    cells = [cell for row in load_workbook(tmp_path / "x.xlsx").worksheets[0].iter_rows() for cell in row]
    assert {cell.data_type for cell in cells} <= {"s", "n"}
    FORMATS["csv"].write(tmp_path / "x.csv", rows, LABELS)
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [
        cell for cell in cells if cell[:1] in ("=", "+", "@", "\t", "\n") or (cell[:1] == "-" and cell != "-1")
    ] == []


# through the commands


@pytest.mark.parametrize("form", FORMATS)
def test_tasks_are_blind_and_in_reading_order(radloop, drawn, tmp_path, form):
    path = tmp_path / f"tasks.{ENDS[form]}"
    assert radloop("audit", "export", drawn, "--to", form, "-o", path).code == 0
    draw, plan = load_draw(drawn), load_plan(drawn)
    if form == "label-studio":
        tasks = json.loads(path.read_text())
        assert all(task["annotations"] == [] and "predictions" not in task for task in tasks)
        assert all(set(task["data"]) == {"text", "study_id", "audit", "position"} for task in tasks)
        assert [task["data"]["study_id"] for task in tasks] == [each.study_id for each in draw.texts]
        return
    rows = list(FORMATS[form].read(path, plan.names))
    assert [row.study_id for row in rows] == [each.study_id for each in draw.texts]
    assert all(not row.answers and not row.reader for row in rows)
    content = zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml").decode() if form == "xlsx" else path.read_text()
    assert "rare:" not in content and "common texts" not in content


def test_the_interface_of_label_studio_has_a_choice_for_every_label(drawn, radloop, tmp_path, shared):
    path = tmp_path / "tasks.json"
    assert radloop("audit", "export", drawn, "--to", "label-studio", "-o", path).code == 0
    ours = ElementTree.fromstring((tmp_path / "tasks.json.config.xml").read_text())
    vectors = json.loads((shared / "vectors" / "audit_vectors.json").read_text())["label_studio"]
    theirs = ElementTree.fromstring(vectors["config"])

    def controls(root):
        return {each.get("name"): each.get("toName") for each in root.iter("Choices")}

    assert controls(ours) == controls(theirs)
    assert {each.get("value") for each in ours.iter("Label")} == {each.get("value") for each in theirs.iter("Label")}
    task = vectors["task"]
    task["data"] |= {"audit": "a", "study_id": "R0001"}
    (tmp_path / "theirs.json").write_text(json.dumps([task]))
    (row,) = label_studio.read(tmp_path / "theirs.json", load_plan(drawn).names)
    assert row.answers == {"Pleural Effusion": 1, "Pneumothorax": 0} and row.problem is None


@pytest.mark.parametrize("form", FORMATS)
def test_readings_go_out_and_come_into_another_copy(radloop, labeled, drawn, fill, tmp_path, form):
    filled = fill(drawn, lambda study_id, machine: machine | {"Edema": "cannot_judge"})
    assert radloop("audit", "import", drawn, filled, "--reader", "Ann =1").code == 0
    path = tmp_path / f"readings.{ENDS[form]}"
    assert radloop("audit", "export", drawn, "--to", form, "--what", "readings", "-o", path).code == 0
    copy = tmp_path / "copy"
    assert radloop("audit", "plan", labeled / "labels.csv", "--config", labeled / "recipe.yaml", "-o", copy).code == 0
    assert radloop("audit", "draw", copy).code == 0
    done = radloop("audit", "import", copy, path, "--json")
    assert done.code == 0, done.err
    with open_store(drawn) as one, open_store(copy) as other:
        assert one.readings() == other.readings() and len(one.readings()) == len(load_draw(drawn).texts)
    again = radloop("audit", "import", copy, path, "--json")
    assert json.loads(again.out) == {"added": 0, "known": json.loads(done.out)["added"], "empty": 0, "refused": 0}


def test_a_reader_gets_what_is_left_and_a_second_reader_the_doubles(radloop, drawn, fill, tmp_path):
    assert radloop("audit", "import", drawn, fill(drawn, share=0.5), "--reader", "Ann").code == 0
    draw, path = load_draw(drawn), tmp_path / "x.jsonl"
    assert radloop("audit", "export", drawn, "--to", "jsonl", "--reader", "Ann", "-o", path).code == 0
    assert len(path.read_text().splitlines()) == len(draw.texts) - round(0.5 * len(draw.texts))
    assert radloop("audit", "export", drawn, "--to", "jsonl", "--what", "second", "-o", tmp_path / "y.jsonl").code == 0
    assert len((tmp_path / "y.jsonl").read_text().splitlines()) == sum(each.double for each in draw.texts)


def test_a_file_that_may_hold_work_is_not_replaced(radloop, drawn, tmp_path):
    path = tmp_path / "tasks.csv"
    assert radloop("audit", "export", drawn, "--to", "csv", "-o", path).code == 0
    path.write_text(path.read_text() + "work")
    done = radloop("audit", "export", drawn, "--to", "csv", "-o", path)
    assert done.code == 2 and "[audit.file_exists]" in done.err and path.read_text().endswith("work")
    assert radloop("audit", "export", drawn, "--to", "csv", "-o", path, "--force").code == 0


def test_a_spreadsheet_is_filled_in_by_hand(radloop, drawn, tmp_path):
    path = tmp_path / "tasks.xlsx"
    assert radloop("audit", "export", drawn, "--to", "xlsx", "-o", path).code == 0
    book = load_workbook(path)
    sheet = book.worksheets[0]
    header = [cell.value for cell in sheet[1]]
    labels = [at for at, name in enumerate(header, 1) if name not in FIXED]
    for at in labels:
        sheet.cell(2, at).value = "Blank"
        sheet.cell(3, at).value = 1.0
    sheet.cell(4, labels[0]).value = "+"
    sheet.cell(5, labels[0]).value = "perhaps"
    book.save(path)
    done = radloop("audit", "import", drawn, path, "--reader", "Ann", "--json")
    assert done.code == 1  # two rows of four are refused
    assert json.loads(done.out) | {"empty": 0} == {"added": 2, "known": 0, "empty": 0, "refused": 2}
    failures = [json.loads(line) for line in (drawn / "tasks.xlsx.failures.jsonl").read_text().splitlines()]
    assert [(each["code"], each["row"]) for each in failures] == [("audit.unanswered", 4), ("audit.answer", 5)]
    assert "perhaps" not in done.err
    done = radloop("audit", "import", drawn, path, "--reader", "Ann", "--rest-blank", "--json", "--max-failures", "1")
    assert json.loads(done.out)["added"] == 1
    with open_store(drawn) as store:
        answers = [set(reading.answers.values()) for reading in store.readings()]
    assert answers == [{None}, {1}, {1, None}]


def test_a_second_opinion_of_the_same_reader_changes_nothing(radloop, drawn, fill):
    assert radloop("audit", "import", drawn, fill(drawn), "--reader", "Ann").code == 0
    with open_store(drawn) as store:
        before = store.readings()
    other = fill(drawn, lambda study_id, machine: dict.fromkeys(machine, 1), name="other")
    done = radloop("audit", "import", drawn, other, "--reader", "Ann", "--json")
    assert done.code == 1 and json.loads(done.out)["refused"] == len(before)
    assert "audit.reading_twice" in (drawn / "other.jsonl.failures.jsonl").read_text()
    with open_store(drawn) as store:
        assert store.readings() == before


WRONG = {
    "another audit": ({"audit": "0" * 64}, "audit.other", 2),
    "no audit": ({"audit": ""}, "audit.other", 2),
    "another reader": ({"reader": "Bob"}, "audit.reader", 2),
    "a study that is not drawn": ({"study_id": "nobody"}, "audit.not_in_draw", 1),
    "an answer that is none": ({"labels": {"Edema": 2}}, "audit.answer", 1),
    "a label of another schema": ({"labels": {"Hernia": 1}}, "audit.columns", 2),
    "labels unanswered": ({"labels": {"Edema": 1}}, "audit.unanswered", 1),
    "a phase that is none": ({"phase": "later"}, "audit.answer", 1),
    "half a character": ({"note": "\ud800"}, "audit.answer", 1),
    "a list": ([], "data.json", 2),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_refused_and_the_rest_stays(radloop, drawn, fill, case):
    change, code, exit_code = WRONG[case]
    path = fill(drawn)
    lines = path.read_text().splitlines()
    lines[3] = json.dumps(json.loads(lines[3]) | change) if isinstance(change, dict) else json.dumps(change)
    path.write_text("\n".join(lines))
    done = radloop("audit", "import", drawn, path, "--reader", "Ann", "--max-failures", "0")
    said = done.err if exit_code == 2 else (drawn / "filled.jsonl.failures.jsonl").read_text()
    assert (done.code, code in said) == (exit_code, True), done.err
    with open_store(drawn) as store:
        assert len(store.readings()) == (0 if exit_code == 2 else len(lines) - 1)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe\x00", b"PK\x03\x04broken", b"[[[[", b'{"a": 1}', b"study_id\n\x00"]
)
def test_files_that_are_something_else_are_refused(drawn, tmp_path, form, content):
    path = tmp_path / "bad"
    path.write_bytes(content)
    # of an empty file of lines nothing is added; everything else is said
    if form == "jsonl" and not content:
        assert import_readings(drawn, path, form=form, reader="Ann").added == 0
        return
    with pytest.raises(DataError):
        import_readings(drawn, path, form=form, reader="Ann")
    with pytest.raises(DataError):
        import_readings(drawn, tmp_path / "nowhere", form=form, reader="Ann")


def test_a_csv_of_another_country_is_read(radloop, drawn, tmp_path):
    path = tmp_path / "tasks.csv"
    assert radloop("audit", "export", drawn, "--to", "csv", "-o", path).code == 0
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    labels = [at for at, name in enumerate(rows[0]) if name not in FIXED]
    for at in labels:
        rows[1][at] = "0"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    assert "1 readings added" in radloop("audit", "import", drawn, path, "--reader", "Ann").err
    path.write_bytes(path.read_bytes().replace(b";text", b";texte").replace(b"0;0", "é;0".encode("latin-1")))
    assert radloop("audit", "import", drawn, path, "--reader", "Ann").code == 2


def test_spans_are_checked_against_the_text_in_either_way_of_counting(radloop, drawn, tmp_path):
    text = "😀\r\nSmall effusion."
    task = {
        "data": {"text": text, "study_id": load_draw(drawn).texts[0].study_id, "audit": load_draw(drawn).frame_sha256}
    }
    choices = [
        {"from_name": name, "to_name": "report", "type": "choices", "value": {"choices": ["negative"]}}
        for name in label_studio.slugs(load_plan(drawn).names).values()
    ]
    path = tmp_path / "ls.json"

    def imported(start, end, words="effusion"):
        span = {
            "from_name": "evidence",
            "type": "labels",
            "value": {"start": start, "end": end, "text": words, "labels": ["Edema"]},
        }
        path.write_text(json.dumps([task | {"annotations": [{"completed_by": 3, "result": [span, *choices]}]}]))
        return import_readings(drawn, path, reader="Ann")

    at = text.index("effusion")
    assert [each.code for each in imported(at - 1, at + 7).rejects] == ["audit.offsets"]
    assert imported(at, at + 8).added == 1
    assert imported(at + 1, at + 9).known == 1  # as a browser counts
    assert [each.code for each in imported(-5, 3).rejects] == ["audit.offsets"]
