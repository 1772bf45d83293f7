"""Maps between label sets, parents on request, and mistakes in either."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.errors import ConfigError, RegistryError
from corpora.labels import NEGATIVE, POSITIVE, UNCERTAIN, State
from corpora.registry import names
from labeler.hierarchy import filled, steps
from labeler.map_command import map_table
from labeler.maps import Source, read_map, sources
from labeler.schemas import load_schema, read_schema

STATES: list[State] = [None, 0, 1, -1]
HEAD = "name: mine.v1\nfindings: [chexpert14.en, chest.en]\ncues: radiology.en\n"
REPORTS = (
    "study_id,report\n1,Nodule in the right lung. No effusion.\n2,No mass. Possible rib fracture.\n3,Normal chest.\n"
)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    path = tmp_path / "reports.csv"
    path.write_text(REPORTS, encoding="utf-8")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_labels_of_one_set_are_told_in_another(radloop: Callable[..., Any], reports: Path, tmp_path: Path) -> None:
    first, out = tmp_path / "vindr.csv", tmp_path / "chexpert.csv"
    assert radloop("label", "run", reports, "-o", first, "--schema", "vindr28", "--workers", "1").code == 0
    done = radloop("label", "map", first, "--to", "chexpert14.v1", "-o", out, "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["source"], summary["rows"]) == ("vindr28.v1", 3)
    assert "Support Devices" in summary["blank"]
    told = rows(out)
    assert list(told[0])[1:] == list(load_schema("chexpert14.v1").schema.labels)
    assert [row["Lung Lesion"] for row in told] == ["1", "0", ""]
    assert [row["Fracture"] for row in told] == ["", "-1", ""]
    assert [row["Pleural Effusion"] for row in told] == ["0", "", ""]
    assert json.loads((tmp_path / "chexpert.csv.manifest.json").read_text())["counts"]["rows"] == 3


@pytest.mark.parametrize("end", ["csv", "jsonl", "parquet"])
def test_every_format_goes_in_and_out(radloop: Callable[..., Any], reports: Path, tmp_path: Path, end: str) -> None:
    first, out, back = (tmp_path / f"{name}.{end}" for name in ("a", "b", "c"))
    assert radloop("label", "run", reports, "-o", first, "--schema", "nih14", "--workers", "1").code == 0
    map_table(first, "vindr28", out, source="nih14.v1")
    summary = map_table(out, "nih14.v1", back, source="vindr28.v1")
    assert summary.rows == 3 and "Effusion" in summary.mapped


def test_every_set_has_a_way_to_chexpert14() -> None:
    file = read_map()
    for name in names("schemas"):
        found = sources(file, name, "chexpert14.v1")
        assert sum(bool(source.parts or source.kinds) for source in found.values()) >= 8, name


@given(st.lists(st.sampled_from(STATES), max_size=4), st.lists(st.sampled_from(STATES), max_size=4))
def test_a_kind_never_denies_and_an_asserted_one_always_asserts(parts: list[State], kinds: list[State]) -> None:
    state = Source().state(parts, kinds)
    if POSITIVE in (*parts, *kinds):
        assert state == POSITIVE
    elif UNCERTAIN in (*parts, *kinds):
        assert state == UNCERTAIN
    else:
        assert state == (NEGATIVE if NEGATIVE in parts else None)


@given(st.lists(st.sampled_from(STATES), min_size=14, max_size=14))
def test_parents_are_filled_once_and_nothing_else_changes(states: list[State]) -> None:
    schema = load_schema("chexpert14.v1")
    labels = schema.schema.labels
    upward = steps(labels, schema.parents)
    whole = filled(states, upward)
    assert filled(whole, upward) == whole
    parents = set(schema.parents.values())
    assert all(a == b for a, b, label in zip(states, whole, labels, strict=True) if label not in parents)
    if states[labels.index("Pneumonia")] == POSITIVE:
        assert whole[labels.index("Consolidation")] == whole[labels.index("Lung Opacity")] == POSITIVE


def test_parents_are_filled_on_request_only(radloop: Callable[..., Any], tmp_path: Path) -> None:
    source = tmp_path / "r.csv"
    source.write_text("study_id,report\n1,Pneumonia in the left base.\n", encoding="utf-8")
    for name, more in (("plain", []), ("filled", ["--hierarchy"])):
        done = radloop("label", "run", source, "-o", tmp_path / f"{name}.csv", "--workers", "1", *more)
        assert done.code == 0, done.err
    assert rows(tmp_path / "plain.csv")[0]["Lung Opacity"] == ""
    assert rows(tmp_path / "filled.csv")[0]["Lung Opacity"] == "1"


def test_a_set_without_parents_is_refused(radloop: Callable[..., Any], reports: Path, tmp_path: Path) -> None:
    done = radloop("label", "run", reports, "-o", tmp_path / "o.csv", "--schema", "nih14", "--hierarchy")
    assert done.code == 2
    assert "label.no_parents" in done.err


BAD_SCHEMAS = {
    "cycle": (
        "labels:\n  Edema: {parent: Pneumonia}\n  Pneumonia: {parent: Edema}\n",
        "config.parent_cycle",
        "Edema > Pneumonia > Edema",
    ),
    "own parent": ("labels:\n  Edema: {parent: Edema}\n", "config.parent_cycle", "Edema > Edema"),
    "no parent": ("labels:\n  Edema: {parent: Opacity}\n", "config.label", "'Opacity' is none of the labels"),
    "no entry": ("labels:\n  Water: {same_as: [Oedema]}\n", "config.label", "'Oedema' is no entry"),
    "unlabeled": ("unlabeled: [Oedema]\nlabels:\n  Edema: {}\n", "config.label", "'Oedema' is no entry"),
}


@pytest.mark.parametrize(("text", "code", "message"), BAD_SCHEMAS.values(), ids=BAD_SCHEMAS)
def test_a_mistake_in_a_schema_is_named_with_its_line(tmp_path: Path, text: str, code: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_schema(path)
    assert caught.value.code == code and message in caught.value.message
    assert "mine.yaml:" in (caught.value.where or "")


def test_a_lexicon_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "eigene.yaml").write_bytes("language: de\nlabels:\n  Ödem: {findings: [ödem]}\n".encode("latin-1"))
    path = tmp_path / "mine.yaml"
    path.write_text("name: m.v1\nfindings: eigene.yaml\ncues: radiology.en\nlabels:\n  Edema: {}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_schema(path)
    assert caught.value.code == "config.encoding"
    assert "eigene.yaml" in (caught.value.where or "")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("same:\n  - {vindr28.v1: Oedema, nih14.v1: Edema}\n", ConfigError, "'Oedema' is no label of vindr28.v1"),
        ("same:\n  - {vindr82.v1: Edema, nih14.v1: Edema}\n", RegistryError, "vindr28.v1"),
        (
            "same: []\nwider:\n  - {schema: nih14.v1, label: Mass, of: vindr28.v1, parts: [Lump]}\n",
            ConfigError,
            "'Lump' is no label of vindr28.v1",
        ),
    ],
)
def test_a_mistake_in_a_map(tmp_path: Path, text: str, error: type[ConfigError], message: str) -> None:
    path = tmp_path / "map.yaml"
    path.write_text("name: mine.v1\n" + text, encoding="utf-8")
    with pytest.raises(error) as caught:
        read_map(path)
    assert message in caught.value.message


def test_a_table_that_is_of_no_set_or_has_a_wrong_cell(radloop: Callable[..., Any], tmp_path: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "o.csv"
    table.write_text("study_id,Edema\n1,1\n", encoding="utf-8")
    done = radloop("label", "map", table, "--to", "nih14", "-o", out)
    assert done.code == 2 and "map.schema" in done.err and "--from" in done.err
    table.write_text("study_id,Edema\n1,1\n2,maybe\n", encoding="utf-8")
    done = radloop("label", "map", table, "--from", "chexpert14.v1", "--to", "nih14", "-o", out)
    assert done.code == 2 and "data.cell" in done.err and "row 2" in done.err
    assert not out.exists()
    done = radloop("label", "map", table, "--from", "chexpert14.v1", "--to", "nih14", "-o", table)
    assert done.code == 2 and "run.same_file" in done.err


def test_a_map_that_leads_nowhere(tmp_path: Path) -> None:
    table, file = tmp_path / "t.csv", tmp_path / "map.yaml"
    table.write_text("study_id,Edema\n1,1\n", encoding="utf-8")
    file.write_text("name: mine.v1\nsame: []\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        map_table(table, "nih14.v1", tmp_path / "o.csv", source="vindr28.v1", file=file)
    assert caught.value.code == "map.none"
