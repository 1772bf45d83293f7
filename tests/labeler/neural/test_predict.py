"""A trained folder as a labeler."""

import json
import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from corpora.errors import ConfigError, DataError
from corpora.types import Report
from labeler.neural.predict import NeuralLabeler
from labeler.testing import check_labeler
from tests.labeler.neural.conftest import TINY


@pytest.fixture(scope="module")
def labeler(trained):
    return NeuralLabeler(trained.folder)


def test_it_is_a_labeler(trained, invented):
    check_labeler(partial(NeuralLabeler, trained.folder), [record["text"] for record in invented[:5]])


def test_probabilities_agree_with_the_states(labeler, invented):
    texts = [record["text"] for record in invented[:40]]
    reports = [Report(str(at), text) for at, text in enumerate(texts)]
    found = labeler.probabilities(["No effusion.", "", *texts])
    assert found.shape == (42, 14, 4)
    np.testing.assert_allclose(found.sum(axis=-1), 1, atol=1e-3)
    assert (found[1, :, 0] == 1).all()
    assert labeler.probabilities([]).shape == (0, 14, 4)
    assert labeler.states(reports) == [labeler(report).states for report in reports]
    assert labeler.states([]) == []


def test_the_batch_does_not_matter(trained, invented):
    reports = [Report(str(at), record["text"]) for at, record in enumerate(invented)]
    one, many = (NeuralLabeler(trained.folder, batch_size=size).states(reports) for size in (1, 64))
    assert one == many


def test_a_report_is_what_its_sentences_add_up_to(labeler):
    sentences = ["Small effusion.", "No pneumothorax.", "Possible pneumonia."]
    alone = labeler.probabilities(sentences)
    other = labeler.probabilities([" ".join(sentences)])[0]
    names = labeler.schema.labels
    for at, label in enumerate(names):
        if label != labeler.schema.no_finding:
            assert other[at, 1] == pytest.approx(1 - np.prod(1 - alone[:, at, 1]), abs=1e-3)
            assert other[at, 0] == pytest.approx(np.prod(alone[:, at, 0]), abs=1e-3)


def test_a_sentence_longer_than_the_network_reads_is_read_to_its_end(labeler):
    commas, end = "," * (TINY.max_length - 2), " small effusion"
    first, both = labeler.probabilities([f"a {commas}", f"a {commas}{end}"])
    assert (both != first).any()


def test_evidence_is_the_words_that_decided(labeler):
    text = "INDICATION: Cough.\nFINDINGS: The heart is normal. No pneumothorax. Small left pleural effusion."
    vector = labeler(text)
    asserted = vector.asserted()
    assert asserted
    assert {mention.label for mention in vector.mentions} <= set(asserted)
    begin = text.index("The heart")
    for mention in vector.mentions:
        assert mention.start >= begin
        assert text[mention.start : mention.end] == text[mention.start : mention.end].strip()
        assert mention.state == vector[mention.label]
    where = [(mention.start, mention.end) for mention in vector.mentions if mention.label == "Pneumothorax"]
    word = text.index("pneumothorax")
    assert any(start < word + len("pneumothorax") and word < end for start, end in where)


def test_evidence_of_a_long_report_stays_bounded(labeler, monkeypatch):
    rows = []
    read = NeuralLabeler.probabilities
    monkeypatch.setattr(
        NeuralLabeler, "probabilities", lambda self, texts: rows.append(len(texts)) or read(self, texts)
    )
    labeler("No pneumothorax, small effusion. " * 300)
    assert sum(rows) <= 1 + 128


@pytest.fixture
def copied(trained, tmp_path):
    return shutil.copytree(trained.folder, tmp_path / "copy")


def changed_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def fault(folder, kind=DataError, schema=""):
    with pytest.raises(kind) as error:
        NeuralLabeler(folder, schema)
    assert str(folder) in error.value.where
    return error.value.code


def test_no_such_folder_and_one_without_a_model(tmp_path):
    assert fault(tmp_path / "none") == fault(tmp_path) == "model.missing"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_file_is_missing(name, copied):
    (copied / name).unlink()
    assert fault(copied) == "model.missing"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("part", [0.0, 0.5])
def test_a_file_is_cut_off(name, part, copied):
    path = copied / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert fault(copied) == "model.damaged"


def test_weights_of_another_size(copied):
    changed_config(copied, label_names=["A", "B"], temperatures=[1.0, 1.0])
    assert fault(copied) == "model.damaged"


def test_a_model_of_another_kind(copied):
    changed_config(copied, model_type="bert")
    assert fault(copied, ConfigError) == "model.kind"


def test_another_schema(trained, copied):
    assert NeuralLabeler(trained.folder, "chexpert14.v1").schema.no_finding == "No Finding"
    changed_config(copied, schema_name="ours.v1")
    assert fault(copied, ConfigError, "chexpert14.v1") == "model.schema"
    assert NeuralLabeler(copied).schema.name == "ours.v1"


def test_the_tokenizer_of_another_network(copied):
    path = copied / "tokenizer.json"
    data = json.loads(path.read_text())
    vocabulary = data["model"]["vocab"]
    vocabulary.update({f"piece{number}": len(vocabulary) + number for number in range(50)})
    path.write_text(json.dumps(data))
    assert fault(copied, ConfigError) == "model.tokenizer"


def test_it_is_named_by_its_weights(labeler, copied):
    assert labeler.made_by == NeuralLabeler(copied).made_by
    assert labeler.made_by.startswith("bertcnn.v1+")


def test_it_runs_where_no_spacy_is(root):
    program = (
        "import sys, tests.benchmarks.neural, labeler.neural.predict\n"
        "sys.exit(sorted({'spacy', 'negspacy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_text_is_that_of_the_sections(labeler):
    report = Report("1", "INDICATION: Fall. FINDINGS: Clear lungs. IMPRESSION: Normal.")
    assert labeler.text_of(report) == "Clear lungs.\nNormal."
    assert labeler.text_of(report, "impression|findings") == "Normal."
