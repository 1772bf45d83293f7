"""The two-stream network: its fusion, what stays frozen, the whole way from a run to predictions."""

import numpy as np
import pytest
import torch

from corpora.errors import ConfigError
from tests.vision.conftest import TINY, changed
from vision.diagnosis import AsymmetricFusion, DiagnosisEncoder, DiagnosisRecipe, build_diagnosis
from vision.predict import load_model
from vision.train import train


def recipe(run, **fields):
    made = changed(**fields).model_dump() if fields else TINY.model_dump()
    return DiagnosisRecipe.model_validate(made | {"abnormality": str(run)})


@pytest.fixture(scope="module")
def diagnosis(eye_corpus, eye_run, tmp_path_factory):
    """A diagnosis network over the made corpus, on top of the encoder trained on it."""
    how = recipe(eye_run.folder, training={"epochs": 4})
    return train(eye_corpus, eye_corpus / "labels.csv", tmp_path_factory.mktemp("dx") / "run", how)


def test_the_fusion_is_attention_over_the_pyramid():
    torch.manual_seed(0)
    fusion = AsymmetricFusion(6, 4, 3, pyramid=(1, 2)).eval()
    own, other = torch.randn(2, 6, 5, 5), torch.randn(2, 4, 4, 4)
    # it begins as if it were not there
    assert torch.equal(fusion(own, other), own)
    torch.nn.init.normal_(fusion.out.weight)
    found = fusion(own, other)
    query, key, value = fusion.query(own), fusion.key(other), fusion.value(other)
    pool = torch.nn.functional.adaptive_avg_pool2d
    keys, values = (torch.cat([pool(each, 1).flatten(2), pool(each, 2).flatten(2)], 2) for each in (key, value))
    for row, column in ((0, 0), (4, 2)):
        scores = torch.softmax(torch.einsum("bc,bcn->bn", query[:, :, row, column], keys) / 3**0.5, dim=1)
        seen = torch.einsum("bn,bcn->bc", scores, values)
        expected = own[:, :, row, column] + seen @ fusion.out.weight[:, :, 0, 0].T
        assert torch.allclose(found[:, :, row, column], expected, atol=1e-5)


def test_the_abnormality_path_stays_as_it_was(eye_run, diagnosis):
    before, after = load_model(eye_run.folder), load_model(diagnosis.folder)
    assert isinstance(after, DiagnosisEncoder) and diagnosis.macro_auroc > 0.8
    kept = after.abnormality.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in before.state_dict().items())
    assert after.fusion.out.weight.abs().sum() > 0


def test_it_is_saved_and_loaded_whole(diagnosis, tmp_path):
    first = load_model(diagnosis.folder)
    first.save_pretrained(tmp_path / "again")
    again = DiagnosisEncoder.from_pretrained(tmp_path / "again").eval()
    films = torch.from_numpy(np.random.default_rng(0).random((3, 1, 32, 32), dtype=np.float32))
    with torch.no_grad():
        assert torch.equal(first(films).logits, again(films).logits)
    assert again.config.thresholds == first.config.thresholds
    assert again.config.temperatures == first.config.temperatures


def test_it_resumes_as_one_left_alone(eye_corpus, eye_run, tmp_path):
    how = recipe(eye_run.folder, training={"epochs": 2, "checkpoint_minutes": 1e-9})
    whole = train(eye_corpus, eye_corpus / "labels.csv", tmp_path / "whole", how)

    def stop(step):
        if step.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(eye_corpus, eye_corpus / "labels.csv", tmp_path / "broken", how, steps=stop)
    again = train(eye_corpus, eye_corpus / "labels.csv", tmp_path / "broken", how, resume=True)
    assert again.epochs == whole.epochs
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert first == second


def test_every_command_takes_it(radloop, eye_corpus, diagnosis, tmp_path):
    predicted = radloop("vision", "predict", diagnosis.folder, eye_corpus, "--part", "test", "-o", tmp_path / "p.csv")
    assert predicted.code == 0, predicted.err
    measured = radloop("vision", "evaluate", tmp_path / "p.csv", eye_corpus / "labels.csv", "-o", tmp_path / "e",
                       "--replicates", "20")  # fmt: skip
    assert measured.code == 0, measured.err
    maps = radloop("vision", "explain", diagnosis.folder, eye_corpus, "--part", "test", "-o", tmp_path / "maps")
    assert maps.code == 0, maps.err


def test_the_option_of_train(radloop, eye_corpus, eye_run, tmp_path):
    import json

    (tmp_path / "r.yaml").write_text(json.dumps(changed(training={"epochs": 1}).model_dump()))
    given = ("vision", "train", "--corpus", eye_corpus, "--labels", eye_corpus / "labels.csv", "--config",
             tmp_path / "r.yaml")  # fmt: skip
    run = radloop(*given, "--abnormality", eye_run.folder, "-o", tmp_path / "run")
    assert run.code == 0, run.err
    bad = radloop(*given, "--abnormality", tmp_path / "run", "-o", tmp_path / "other")
    assert bad.code == 2 and "model.kind" in bad.err
    size = radloop(*given, "--abnormality", eye_run.folder, "--set", "size=48", "-o", tmp_path / "third")
    assert size.code == 2 and "--set size=32" in size.err


def test_it_begins_as_its_diagnosis_path(eye_run):
    from vision.build import build

    model = build_diagnosis(recipe(eye_run.folder), ("a", "b"), [-1, -1]).eval()
    single = build(TINY, ("a", "b"), [-1, -1]).eval()
    films = torch.from_numpy(np.random.default_rng(0).random((3, 1, 32, 32), dtype=np.float32))
    with torch.no_grad():
        assert torch.equal(model(films).logits, single(films).logits)
    with pytest.raises(ConfigError) as nothing:
        build_diagnosis(recipe(eye_run.folder / "nowhere"), ("a",), [-1])
    assert nothing.value.code == "model.missing"
