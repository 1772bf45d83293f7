"""Boxes: COCO and the CSV of VinDr-CXR, there and back, and everything that can be wrong with one."""

import json

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from corpora.boxes import (
    Box,
    BoxImage,
    BoxLayer,
    boxes_cli,
    convert_boxes,
    parse_coco,
    parse_csv,
    read_boxes,
    to_coco,
    to_csv,
)
from corpora.errors import ConfigError, DataError
from corpora.store import StudyWriter
from corpora.types import ImageRef, Study

HEADER = "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n"

names = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12)
edges = st.tuples(st.floats(0, 5000), st.floats(0, 5000)).filter(lambda pair: pair[0] != pair[1]).map(sorted)
corners = st.builds(lambda x, y: (x[0], y[0], x[1], y[1]), edges, edges)
boxes = st.builds(Box, names, names, st.none() | corners, st.none() | names)


@st.composite
def layers(draw):
    found = tuple(draw(st.lists(boxes, max_size=12)))
    labels = sorted({box.label for box in found})
    ids = tuple(zip(dict.fromkeys(box.label for box in found), range(len(labels)), strict=True))
    images = tuple(BoxImage(name) for name in dict.fromkeys(box.image_id for box in found))
    return BoxLayer(found, images, ids if draw(st.booleans()) else ())


@given(layers())
def test_csv_to_coco_and_back_loses_nothing(layer):
    again, problems = parse_csv(to_csv(layer), "a.csv")
    assert (again, problems) == (layer, [])
    coco, problems = parse_coco(json.dumps(to_coco(again), allow_nan=False), "a.json")
    assert problems == []
    assert coco.boxes == layer.boxes
    assert coco.class_ids == layer.class_ids
    assert to_csv(coco) == to_csv(layer)


@given(layers(), st.integers(1, 6000))
def test_coco_to_csv_and_back_keeps_boxes_images_and_order(layer, size):
    sized = BoxLayer(
        layer.boxes, tuple(BoxImage(each.image_id, 5001, 5001 + size) for each in layer.images), layer.class_ids
    )
    again, problems = parse_coco(json.dumps(to_coco(sized)), "a.json")
    assert problems == []
    assert again.boxes == sized.boxes
    assert [(each.width, each.height) for each in again.images] == [(each.width, each.height) for each in sized.images]
    assert parse_csv(to_csv(again), "a.csv")[0].boxes == sized.boxes


def test_coco_is_what_other_programs_read():
    layer = parse_csv(HEADER + "i1,R1,Cardiomegaly,10,20,110,70\ni2,R2,No finding,,,,\n", "a.csv")[0]
    coco = to_coco(layer)
    assert coco["annotations"] == [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "rad_id": "R1",
            "bbox": [10, 20, 100, 50],
            "area": 5000,
            "iscrowd": 0,
        }
    ]
    assert coco["categories"] == [{"id": 1, "name": "Cardiomegaly"}, {"id": 2, "name": "No finding"}]
    assert coco["images"][0] == {"id": 1, "file_name": "i1", "image_id": "i1"}
    assert coco["image_labels"] == [{"id": 2, "image_id": 2, "category_id": 2, "rad_id": "R2"}]


def test_a_box_moved_by_another_program_is_where_it_was_moved_to():
    coco = to_coco(BoxLayer((Box("i1", "Edema", (0.1, 0.2, 0.3, 0.9)),)))
    entry = coco["annotations"][0]
    assert "corners" in entry
    entry["bbox"][0] = 5.0
    assert parse_coco(json.dumps(coco), "a.json")[0].boxes[0].corners[0] == 5.0


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("i1,R1,Edema,1,2,,4", "boxes.number"),
        ("i1,R1,Edema,1,2,x,4", "boxes.number"),
        ("i1,R1,Edema,1,2,nan,4", "boxes.number"),
        ("i1,R1,Edema,1,2,inf,4", "boxes.number"),
        ("i1,R1,Edema,9,2,3,4", "boxes.size"),
        ("i1,R1,Edema,1,4,3,4", "boxes.size"),
        ("i1,R1,Edema,-5,2,3,4", "boxes.outside"),
        (",R1,Edema,1,2,3,4", "boxes.name"),
        ("i1,R1,,1,2,3,4", "boxes.name"),
    ],
)
def test_what_is_wrong_in_a_row_is_named_with_the_row(row, code):
    layer, problems = parse_csv(f"{HEADER}i0,R1,Edema,1,2,3,4\n{row}\n", "a.csv")
    assert [(each.code, each.where) for each in problems] == [(code, "a.csv, row 2")]
    assert len(layer.boxes) == 1


def test_a_class_has_one_id():
    rows = ("i,A,1,2,3,4,0", "i,B,1,2,3,4,0", "i,A,1,2,3,4,1", "i,C,1,2,3,4,x")
    text = "\n".join(["image_id,class_name,x_min,y_min,x_max,y_max,class_id", *rows])
    assert [each.code for each in parse_csv(text, "a.csv")[1]] == ["boxes.class"] * 3


GOOD = {
    "images": [{"id": 1, "file_name": "i1.dcm", "width": 100, "height": 80}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}],
    "categories": [{"id": 1, "name": "Edema"}],
}


def changed(part, **values):
    data = json.loads(json.dumps(GOOD))
    data[part][0] |= values
    return data


def doubled(part):
    data = json.loads(json.dumps(GOOD))
    data[part] *= 2
    return data


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (changed("annotations", image_id=2), "boxes.image"),
        (changed("annotations", category_id=2), "boxes.class"),
        (changed("annotations", category_id=[1]), "boxes.class"),
        (changed("annotations", image_id={}), "boxes.image"),
        (changed("annotations", bbox=[1, 2, 3]), "boxes.number"),
        (changed("annotations", bbox=None), "boxes.number"),
        (changed("annotations", bbox=[1, 2, float("nan"), 4]), "boxes.number"),
        (changed("annotations", bbox=[1, 2, 10**400, 4]), "boxes.number"),
        (changed("annotations", bbox=[1, 2, -3, 4]), "boxes.size"),
        (changed("annotations", bbox=[1, 2, 0, 4]), "boxes.size"),
        (changed("annotations", bbox=[90, 2, 30, 4]), "boxes.outside"),
        (changed("annotations", bbox=[1, 60, 3, 40]), "boxes.outside"),
        (changed("annotations", iscrowd=1), "boxes.crowd"),
        (changed("annotations", id="1"), "boxes.id"),
        (changed("annotations", id=True), "boxes.id"),
        (changed("images", width=0), "boxes.size"),
        (changed("images", file_name=7), "boxes.image"),
        (changed("categories", name=""), "boxes.class"),
        (doubled("annotations"), "boxes.duplicate"),
        (doubled("images"), "boxes.duplicate"),
        (doubled("categories"), "boxes.duplicate"),
    ],
)
def test_what_is_wrong_in_coco_is_named(data, code):
    problems = parse_coco(json.dumps(data), "a.json")[1]
    assert problems
    assert problems[0].code == code
    assert problems[0].where.startswith("a.json, ")


def test_what_is_not_there_is_named():
    data = {name: GOOD[name] for name in ("annotations", "categories")}
    with pytest.raises(DataError) as caught:
        parse_coco(json.dumps(data), "a.json")
    assert "no list images" in caught.value.message and "categories" not in caught.value.message


def test_ids_may_begin_at_0_and_a_crowd_may_be_denied():
    data = changed("annotations", id=0, image_id=0, category_id=0, iscrowd=0)
    data["images"][0]["id"] = data["categories"][0]["id"] = 0
    layer, problems = parse_coco(json.dumps(data), "a.json")
    assert problems == [] and layer.boxes == (Box("i1.dcm", "Edema", (1, 2, 31, 42)),)


def test_good_coco_has_no_problems():
    layer, problems = parse_coco(json.dumps(GOOD), "a.json")
    assert problems == []
    assert layer.boxes == (Box("i1.dcm", "Edema", (1, 2, 31, 42)),)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.json", b"{", "data.json"),
        ("a.json", b"[]", "data.json"),
        ("a.json", b'{"images": []}', "data.json"),
        ("a.json", b"[" * 100_000, "data.json"),
        ("a.csv", b"image,x\n", "data.columns"),
        ("a.csv", b"", "data.columns"),
        ("a.csv", b"\xff\xfe\x00", "data.encoding"),
        ("a.xml", b"<a/>", "config.value"),
    ],
)
def test_a_file_that_holds_no_boxes_is_refused(tmp_path, name, content, code):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((DataError, ConfigError)) as caught:
        read_boxes(path)
    assert caught.value.code == code


# ---- with a corpus, and the command


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    with StudyWriter(folder) as writer:
        for number in range(3):
            film = ImageRef(f"images/i{number}.dcm", "PA", rows=80, columns=100)
            writer.append(Study(f"s{number}", images=(film,)))
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    return folder


def test_a_corpus_gives_the_sizes(tmp_path, corpus):
    source, out = tmp_path / "a.csv", tmp_path / "a.json"
    source.write_text(f"{HEADER}i1,R1,Edema,1,2,100,80\n", encoding="utf-8")
    convert_boxes(source, out, corpus)
    assert json.loads(out.read_text())["images"] == [
        {"id": 1, "file_name": "i1.dcm", "image_id": "i1", "width": 100, "height": 80}
    ]


@pytest.mark.parametrize(
    ("row", "code"), [("i9,R1,Edema,1,2,3,4", "boxes.image"), ("i1,R1,Edema,1,2,102,4", "boxes.outside")]
)
def test_boxes_that_do_not_fit_the_corpus_are_refused_and_nothing_is_written(tmp_path, corpus, row, code):
    source, out = tmp_path / "a.csv", tmp_path / "a.json"
    source.write_text(f"{HEADER}i1,R1,Edema,1,2,3,4\n{row}\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        convert_boxes(source, out, corpus)
    assert caught.value.code == code
    # good rows before it, bad ones too, do not change its number
    assert caught.value.where == f"{source}, row 2"
    assert not out.exists()


def test_the_command_converts_there_and_back(tmp_path, corpus):
    app = typer.Typer()
    app.command()(boxes_cli)
    source, coco, again = (tmp_path / name for name in ("a.csv", "b.json", "c.csv"))
    source.write_text(f"{HEADER}i1,R1,Edema,1,2.5,3,4\ni2,R2,No finding,,,,\n", encoding="utf-8")
    assert CliRunner().invoke(app, [str(source), str(coco), "--corpus", str(corpus)]).exit_code == 0
    assert CliRunner().invoke(app, [str(coco), str(again)]).exit_code == 0
    assert again.read_text() == source.read_text()


def test_two_files_of_one_kind_are_no_conversion(tmp_path):
    with pytest.raises(ConfigError):
        convert_boxes(tmp_path / "a.csv", tmp_path / "b.csv")
