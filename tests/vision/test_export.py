"""Export: onnxruntime and transformers give what the network gives."""

import json

import numpy as np
import pytest
import torch

from corpora.errors import RunError
from vision.encoder import FilmEncoder
from vision.export import export
from vision.predict import load_model


def test_outputs_are_equal(eye_run, tmp_path, radloop):
    onnxruntime = pytest.importorskip("onnxruntime")
    outcome = radloop("vision", "export", eye_run.folder, "-o", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["difference"] < 1e-5
    model = load_model(eye_run.folder)
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"])
    for films in (1, 5):
        greys = torch.rand(films, 1, 32, 32)
        probabilities, features = session.run(None, {"greys": greys.numpy()})
        with torch.inference_mode():
            assert np.allclose(probabilities, model.probabilities(greys), atol=1e-5)
            assert np.allclose(features, model(greys).pooled, atol=1e-4)
    again = FilmEncoder.from_pretrained(tmp_path / "out").eval()
    assert torch.equal(again(greys).logits, model(greys).logits)
    labels = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert labels["labels"] == ["Left", "Right"] and labels["thresholds"].keys() == {"Left", "Right"}
    with pytest.raises(RunError) as refused:
        export(eye_run.folder, tmp_path / "out")
    assert refused.value.code == "run.not_empty"
