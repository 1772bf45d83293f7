"""Configuration files: every mistake is named by file, line and field."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpora import ConfigError
from corpora.config import config_sha256, load_yaml, read_document


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(Strict):
    name: str
    findings: list[str] = []
    parent: str | None = None


class Schema(Strict):
    id: str
    labels: list[Label] = []
    cues: dict[str, list[str]] = {}
    threshold: float = Field(default=0.5, ge=0)
    engine: Literal["local", "ray"] = "local"

    @model_validator(mode="after")
    def _names_differ(self):
        names = [label.name for label in self.labels]
        if len(set(names)) < len(names):
            raise ValueError("two labels of one name")
        return self


@pytest.fixture
def write(tmp_path):
    def save(text: str | bytes, name: str = "my.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return save


def refused(path, overrides=()):
    with pytest.raises(ConfigError) as caught:
        load_yaml(path, Schema, overrides)
    error = caught.value
    assert len(error.lines()) <= 3
    return error.code, error.message, error.where.replace(str(path.parent) + "/", "")


def test_a_good_file(write):
    schema = load_yaml(write("\ufeffid: mine\nlabels:\n  - name: Edema\n    findings: [oedema]\n"), Schema)
    assert schema == Schema(id="mine", labels=[Label(name="Edema", findings=["oedema"])])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: a\nlabels:\n  - name: x\n    findings: 3\n", ("config.field", "labels.0.findings", "my.yaml:4")),
        ("id: a\nlabels:\n  - findings:\n      - y\n", ("config.field", "labels.0.name: Field required", "my.yaml:3")),
        ("labels: []\n", ("config.field", "id: Field required", "my.yaml:1")),
        ("id: a\n\nthreshold: -1\nengine: spark\n", ("config.field", "threshold: Input should be", "my.yaml:3")),
        ("id: a\ncues:\n  negation:\n    - no\n    - [x]\n", ("config.field", "cues.negation.1", "my.yaml:5")),
        ("id: a\nlabels: [{name: x}, {name: x}]\n", ("config.field", "two labels of one name", "my.yaml:1")),
    ],
)
def test_a_wrong_field_is_named_with_its_line(write, text, expected):
    code, message, where = refused(write(text))
    assert (code, where) == (expected[0], expected[2])
    assert message.startswith(expected[1])


def test_several_mistakes_are_counted(write):
    assert refused(write("id: 1\nthreshold: x\nengine: y\n"))[1].endswith("(and 2 more)")


def test_an_unknown_field_is_explained(write):
    code, message, where = refused(write("id: a\nlabels:\n  - name: x\n    finding: [y]\n"))
    assert code == "config.unknown_field"
    assert message == "labels.0: no field 'finding'. Did you mean findings? Known: findings, name, parent"
    assert where == "my.yaml:4"
    assert "Did you mean labels?" in refused(write("id: a\nlabel: []\n"))[1]
    assert "Did you mean id?" in refused(write("ids: a\n"))[1]


# each line repeats the one before it eight times
ALIASES = "a: &a [1]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 8)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("id: a\nid: b\n", "config.duplicate_key", "my.yaml:2"),
        ("id: a\ncues:\n  no: [a]\n  yes: [b]\n  no: [c]\n", "config.duplicate_key", "my.yaml:5"),
        ("id: a\n? [x]\n: 1\n", "config.syntax", "my.yaml:2"),
        ("id: a\n\tlabels: []\n", "config.syntax", "my.yaml:2"),
        ("id: [a\n", "config.syntax", "my.yaml:2"),
        ("id: *nothing\n", "config.syntax", "my.yaml:1"),
        ("id: !!python/object/apply:os.getcwd []\n", "config.syntax", "my.yaml:1"),
        ("id: a\n---\nid: b\n", "config.syntax", "my.yaml:2"),
        ("", "config.empty", "my.yaml"),
        ("# only a comment\n", "config.empty", "my.yaml"),
        ("- a\n- b\n", "config.not_a_mapping", "my.yaml:1"),
        ("just words\n", "config.not_a_mapping", "my.yaml:1"),
        ("id: a\nlabels: \0\n", "config.encoding", "my.yaml:2"),
        (b"id: a\nlabels:\n- name: \xd6dem\n", "config.encoding", "my.yaml:3"),
        ("id: a\n".encode("utf-16"), "config.encoding", "my.yaml:1"),
        (b"\x89PNG\r\n\x1a\n\0\0", "config.encoding", "my.yaml:1"),
        ("id: &a [*a]\n", "config.too_deep", "my.yaml"),
        ("id: a\nlabels: " + "[" * 200_000, "config.too_deep", "my.yaml:2"),
        (ALIASES, "config.too_deep", "my.yaml"),
    ],
)  # fmt: skip
def test_a_broken_file_is_refused_with_its_line(write, text, code, where):
    found = refused(write(text))
    assert (found[0], found[2]) == (code, where)


def test_missing_file_and_folder(tmp_path):
    assert refused(tmp_path / "none.yaml")[0] == "config.missing"
    assert refused(tmp_path)[0] == "config.unreadable"


def test_plain_words_stay_words(write):
    document = read_document(
        write("cues: [no, off, Yes, y, 2024-01-02, 12:30, 010, 1_000]\nrate: 1e-4\non: true\nn: ~\n")
    )
    assert document.data == {
        "cues": ["no", "off", "Yes", "y", "2024-01-02", "12:30", "010", "1_000"],
        "rate": 0.0001,
        "on": True,
        "n": None,
    }


def test_anchors_and_merge_keys_keep_their_lines(write):
    path = write("common: &c\n  a: 1\n  b: 2\nmine:\n  <<: *c\n  b: 3\n")
    document = read_document(path)
    assert document.data["mine"] == {"a": 1, "b": 3}
    assert document.where("mine", "a") == f"{path}:2"
    assert document.where("mine", "b") == f"{path}:6"


def test_base_is_merged_and_lines_follow_the_file_that_wrote_them(write):
    write("id: base\ncues:\n  negation: [no]\n  uncertain: [may]\nlabels:\n  - name: x\n  - name: y\n", "base.yaml")
    mine = write("base: base.yaml\nid: mine\ncues:\n  negation: [sans]\nlabels:\n  - name: z\n")
    schema = load_yaml(mine, Schema)
    assert schema.id == "mine"
    assert schema.cues == {"negation": ["sans"], "uncertain": ["may"]}
    assert [label.name for label in schema.labels] == ["z"]
    document = read_document(mine)
    assert document.where("cues", "uncertain", 0).endswith("base.yaml:4")
    assert document.where("cues", "negation", 0).endswith("my.yaml:4")
    assert [path.name for path in document.files] == ["my.yaml", "base.yaml"]


def test_base_can_be_a_shipped_name(write, tmp_path, monkeypatch):
    shipped = tmp_path / "configs" / "schemas"
    shipped.mkdir(parents=True)
    (shipped / "fourteen.v1.yaml").write_text("id: fourteen\n")
    monkeypatch.setattr("corpora.resources.config_root", lambda: shipped.parent)
    for name in ("schemas/fourteen.v1", "schemas/fourteen.v1.yaml", "fourteen.v1"):
        assert load_yaml(write(f"base: {name}\n"), Schema).id == "fourteen"
    code, message, where = refused(write("id: a\nbase: schemas/forteen.v1\n"))
    assert (code, where) == ("config.unknown", "my.yaml:2")
    assert "Did you mean schemas/fourteen.v1?" in message


def test_base_that_leads_back_is_refused(write):
    write("base: my.yaml\n", "other.yaml")
    assert refused(write("id: a\nbase: other.yaml\n"))[0] == "config.base_cycle"
    assert refused(write("base: my.yaml\n"))[0] == "config.base_cycle"
    assert refused(write("base: [x]\n"))[0] == "config.field"


def test_overrides(write):
    path = write("id: a\nlabels:\n  - name: x\n")
    schema = load_yaml(path, Schema, ["threshold=0.25", "labels.0.name=y", 'cues={"negation": ["no"]}', "cues.u=[]"])
    assert schema.threshold == 0.25
    assert schema.labels[0].name == "y"
    assert schema.cues == {"negation": ["no"], "u": []}
    assert refused(path, ["threshold=high"])[2] == "--set threshold=high"
    assert "Did you mean threshold?" in refused(path, ["treshold=1"])[1]


@pytest.mark.parametrize("override", ["id", "=3", ".id=3", "labels.7.name=x", "labels.x=1", "id.deep=1", "cues=[1"])
def test_a_wrong_override_is_refused(write, override):
    code, message, _ = refused(write("id: a\nlabels: [{name: x}]\n"), [override])
    assert code == "config.override"
    assert f"--set {override}" in message


def test_overrides_reach_into_lists_and_make_what_is_not_there(write):
    path = write("a: {b: [1, 2]}\n")
    made = read_document(path, ["a.b.1=9", "c.d=true", "name=pilot"])
    assert made.data == {"a": {"b": [1, 9]}, "c": {"d": True}, "name": "pilot"}
    assert read_document(path).data == {"a": {"b": [1, 2]}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), JSON))
def test_sha256_does_not_depend_on_the_order_of_keys(data):
    assert config_sha256(data) == config_sha256(dict(reversed(data.items())))


def test_sha256_of_a_model_includes_its_defaults():
    model = Schema(id="a")
    assert config_sha256(model) == config_sha256(model.model_dump(mode="json"))
    assert config_sha256(model) != config_sha256(Schema(id="a", threshold=0.4))
