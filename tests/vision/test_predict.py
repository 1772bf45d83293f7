"""Prediction from corpora, folders and single films; thresholds; films that cannot be read."""

import csv
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from corpora.errors import ConfigError, DataError
from vision.forward import logits_of
from vision.predict import load_model, predict


def column(path, name):
    return pq.read_table(path).column(name).to_pylist()


def test_validation_is_predicted_as_it_was_in_training(eye_corpus, eye_run, tmp_path, radloop):
    out = tmp_path / "p.parquet"
    outcome = radloop("vision", "predict", eye_run.folder, eye_corpus, "--part", "validate", "-o", out, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["rows"] == 18
    kept = pq.read_table(eye_run.folder / "validate.parquet").to_pandas().set_index("study_id")
    found = pq.read_table(out).to_pandas().set_index("study_id").loc[kept.index]
    assert (found["patient_id"] == kept["patient_id"]).all()
    assert np.allclose(found[["Left", "Right"]], kept[["Left", "Right"]], atol=1e-6)
    assert not (tmp_path / "p.parquet.failures.jsonl").exists()
    manifest = json.loads((tmp_path / "p.parquet.manifest.json").read_text())
    assert manifest["counts"] == {"rows": 18, "films": 24, "rejected": 0}


def test_films_of_a_folder_are_studies_by_name(eye_corpus, eye_run, tmp_path):
    summary = predict(eye_run.folder, eye_corpus / "images", tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = {row["study_id"]: row for row in csv.DictReader(file)}
    assert summary.rows == len(rows) == 120
    assert float(rows["f1-PA"]["Left"]) > 0.5 > float(rows["f2-PA"]["Left"])
    one = predict(eye_run.folder, eye_corpus / "images" / "f1-PA.png", tmp_path / "one.jsonl")
    line = json.loads((tmp_path / "one.jsonl").read_text())
    assert one.rows == 1 and line["Left"] == pytest.approx(float(rows["f1-PA"]["Left"]), abs=1e-6)


def test_a_row_a_film_and_decisions(eye_corpus, eye_run, tmp_path):
    predict(eye_run.folder, eye_corpus, tmp_path / "films.parquet", level="image", part="test")
    assert pq.read_table(tmp_path / "films.parquet").column_names[:3] == ["study_id", "image_id", "patient_id"]
    predict(eye_run.folder, eye_corpus, tmp_path / "run", part="test", decide=tmp_path / "labels.csv")
    threshold = load_model(eye_run.folder).config.thresholds["Right"]
    expected = [int(each >= threshold) for each in column(tmp_path / "run" / "predictions.parquet", "Right")]
    with (tmp_path / "labels.csv").open(newline="") as file:
        assert [int(row["Right"]) for row in csv.DictReader(file)] == expected
    assert set(expected) == {0, 1}


def test_a_phantom_in_dicom(eye_run, tmp_path, radloop):
    assert radloop("corpus", "phantom", "-o", tmp_path / "ph", "-n", 2, "--size", 64).code == 0
    summary = predict(eye_run.folder, tmp_path / "ph", tmp_path / "p.parquet")
    assert summary.rows == 2 and not summary.rejected


def test_films_that_cannot_be_read(eye_corpus, eye_run, tmp_path, radloop):
    shutil.copytree(eye_corpus / "images", tmp_path / "films")
    (tmp_path / "films" / "f3-PA.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "films" / "notes.txt").write_text("no film")
    outcome = radloop("vision", "predict", eye_run.folder, tmp_path / "films", "-o", tmp_path / "p.parquet")
    assert outcome.code == 0 and "1 films could not be read" in outcome.err
    (line,) = (tmp_path / "p.parquet.failures.jsonl").read_text().splitlines()
    assert json.loads(line)["study_id"] == "f3-PA"
    strict = radloop("vision", "predict", eye_run.folder, tmp_path / "films", "-o", tmp_path / "q.parquet",
                     "--max-failures", "0")  # fmt: skip
    assert strict.code == 1 and (tmp_path / "q.parquet").is_file()


def test_what_is_no_source(eye_corpus, eye_run, tmp_path):
    (tmp_path / "empty").mkdir()
    for source, code in ((tmp_path / "empty", "vision.no_films"), (tmp_path / "gone", "data.missing")):
        with pytest.raises(DataError) as refused:
            predict(eye_run.folder, source, tmp_path / "p.parquet")
        assert refused.value.code == code
    for options in ({"part": "test"}, {"level": "patient"}):
        with pytest.raises(ConfigError) as refused:
            predict(eye_run.folder, eye_corpus / "images", tmp_path / "p.parquet", **options)
        assert refused.value.code == "config.value"


def edited(run, tmp_path, **fields):
    shutil.copytree(run, tmp_path / "edited")
    path = tmp_path / "edited" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    return tmp_path / "edited"


def test_a_model_without_thresholds(eye_corpus, eye_run, tmp_path):
    run = edited(eye_run.folder, tmp_path, thresholds=None)
    with pytest.raises(DataError) as refused:
        predict(run, eye_corpus, tmp_path / "p.parquet", decide=tmp_path / "d.csv")
    assert refused.value.code == "vision.thresholds" and "Left, Right" in refused.value.message
    assert predict(run, eye_corpus, tmp_path / "p.parquet", part="test").rows == 18


@pytest.mark.parametrize("what", ["missing", "kind", "damaged", "schema"])
def test_models_that_are_none(eye_run, tmp_path, what):
    run = tmp_path / "none"
    if what != "missing":
        run = edited(
            eye_run.folder, tmp_path, **{"kind": {"model_type": "bert"}, "schema": {"heads": [3, 3]}}.get(what, {})
        )
    if what == "damaged":
        weights = run / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ConfigError) as refused:
        load_model(run)
    assert refused.value.code == {"schema": "model.damaged"}.get(what, f"model.{what}")


def test_smaller_batches_where_the_gpu_is_full(eye_run, monkeypatch):
    model = load_model(eye_run.folder)
    films = torch.randint(0, 256, (10, 32, 32), dtype=torch.uint8)
    expected = logits_of(model, [films])
    real, said = model.forward, []

    def full(greys, **options):
        if len(greys) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(greys, **options)

    monkeypatch.setattr(model, "forward", full)
    assert np.allclose(logits_of(model, [films], say=said.append), expected, atol=1e-5)
    assert said[-1].endswith("batches of 2 films")
