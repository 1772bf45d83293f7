"""Contrastive pretraining: the losses against loops, mixing, resumption, the command, what it starts."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import ConfigError, DataError, RunError
from corpora.store import StudyWriter, read_studies
from corpora.types import Report
from tests.vision.conftest import TINY, changed, write_corpus, write_rows
from vision.contrast import TextTower, info_nce, mix_of, mixed, pair_loss
from vision.contrast_loop import rate_at
from vision.contrast_recipe import MocoRecipe, PretrainCourse, PretrainVisionRecipe, TextRecipe
from vision.pretrain import build_contrast, pretrain
from vision.reports import Reports
from vision.train import train


def recipe(**fields):
    made = {
        "size": 32, "dimension": 8, "backbone": TINY.backbone.model_dump(),
        "moco": {"queue": 16, "momentum": 0.9},
        "text": {"width": 16, "heads": 2, "layers": 1, "length": 32, "vocabulary": 80, "sentences": 0.5},
        "augment": {"degrees": 3, "crop": 0.9},
        "training": {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2},
    }  # fmt: skip
    return PretrainVisionRecipe.model_validate(made | fields)


def units(count, width, seed):
    values = torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(values, dim=1)


def test_info_nce_is_the_sum_it_stands_for():
    queries, keys, queue = units(5, 8, 0), units(5, 8, 1), units(7, 8, 2)
    expected = []
    for query, key in zip(queries, keys, strict=True):
        positive = math.exp(float(query @ key) / 0.2)
        negative = sum(math.exp(float(query @ other) / 0.2) for other in queue)
        expected.append(-math.log(positive / (positive + negative)))
    loss, _ = info_nce(queries, keys, queue, 0.2)
    assert float(loss) == pytest.approx(np.mean(expected))
    assert float(info_nce(queries, queries, -queries, 0.2)[1]) == 1


def test_equal_reports_share_their_target():
    films = units(4, 8, 0)
    apart, _ = pair_loss(films, films, torch.arange(4), 0.1, 0.75)
    twice = films[[0, 0, 2, 3]]
    same = torch.tensor([0, 0, 1, 2])
    shared, right = pair_loss(twice, twice, same, 0.01, 0.75)
    # half of the target on each of the two equal ones is the best there is
    assert float(shared) == pytest.approx(math.log(2) / 2, abs=1e-3) and float(right) == 1
    assert float(apart) > 0


@given(st.integers(2, 12), st.floats(0.1, 4), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_mixing_keeps_the_larger_share_of_a_film(count, mix, seed):
    share, partner = mix_of(count, MocoRecipe(mix=mix), torch.Generator().manual_seed(seed))
    assert ((share >= 0.5) & (share <= 1)).all() and sorted(partner.tolist()) == list(range(count))
    values = torch.arange(count, dtype=torch.float32).view(-1, 1, 1).expand(-1, 2, 2)
    made = mixed(values, share, partner)
    assert made.shape == values.shape and made.min() >= 0 and made.max() <= count - 1
    assert torch.equal(mixed(values, torch.ones(count), partner), values)


def test_the_queue_is_a_ring_and_the_key_follows():
    model = build_contrast(recipe(moco={"queue": 5, "momentum": 0.5}), None)
    model.push(torch.ones(3, 8))
    model.push(2 * torch.ones(3, 8))
    assert model.queue[:, 0].tolist() == [2, 1, 1, 2, 2] and int(model.at) == 1
    before = [weight.clone() for weight in model.key.parameters()]
    with torch.no_grad():
        for weight in model.query.parameters():
            weight.add_(1)
    model.move_key()
    for old, new in zip(before, model.key.parameters(), strict=True):
        assert torch.allclose(new, old + 0.5, atol=1e-6)
    assert not any(weight.requires_grad for weight in model.key.parameters())


def test_the_rate_drops_as_the_paper_says():
    course = PretrainCourse()
    rates = [rate_at(epoch, 45, course) for epoch in range(45)]
    assert rates[24] == 5e-4 and rates[25] == pytest.approx(5e-5) and rates[35] == pytest.approx(5e-6)
    cosine = PretrainCourse(schedule="cosine", warmup=0.2)
    assert rate_at(0, 100, cosine) < rate_at(20, 100, cosine) == pytest.approx(5e-4)


def test_reports_are_read_whole_or_by_a_sentence():
    reports = Reports(np.array([0, 0, 1]), [[[3, 4], [5]], [[6, 7, 8]]], 9, 32)
    rows = np.arange(3)
    pieces, mask, same = reports.batch(rows, 0.0, np.random.default_rng(0))
    assert mask.sum(axis=1).tolist() == [3, 3, 3] and same[0] == same[1] != same[2]
    assert sorted(pieces[0].tolist()) == [3, 4, 5]
    short = reports.batch(rows, 1.0, np.random.default_rng(0))[1]
    assert set(short.sum(axis=1).tolist()) <= {1, 2, 3}


def test_films_and_reports_begin_apart():
    reports = Reports(np.arange(24), [[[3 + at % 20, 4 + at // 2]] for at in range(24)], 30, 32)
    model = build_contrast(recipe(objective="both"), reports).train()
    films = torch.rand(24, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    pieces, mask, _ = (torch.from_numpy(each) for each in reports.batch(np.arange(24), 0, np.random.default_rng(0)))
    for vectors in (model.query(films), model.text(pieces, mask)):
        assert torch.allclose(vectors.norm(dim=1), torch.ones(24), atol=1e-5)
        # without that, networks drawn at random give all the same vector, and every product is near 1
        assert float((vectors @ vectors.T).detach().mean()) < 0.2


def test_a_bag_of_pieces_and_pairs_knows_what_is_denied():
    torch.manual_seed(0)
    tower = TextTower(TextRecipe(layers=0, width=16), 12, 8).eval()
    no, effusion, oedema = 3, 4, 5
    texts = [[no, effusion, oedema], [effusion, no, oedema], [no, effusion, oedema, 0, 0]]
    vectors = [tower(torch.tensor([text]), torch.tensor([[int(piece > 0) for piece in text]]))[0] for text in texts]
    assert not torch.allclose(vectors[0], vectors[1], atol=1e-3)
    # padding says nothing
    assert torch.allclose(vectors[0], vectors[2], atol=1e-6)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The made corpus with a report of each study."""
    folder = write_corpus(tmp_path_factory.mktemp("told") / "corpus", studies=60)
    studies = list(read_studies(folder))
    again = folder.parent / "again"
    again.mkdir()
    with StudyWriter(again) as writer:
        for number, study in enumerate(studies):
            said = (
                ["No spot left.", "A spot on the left."][number % 2],
                ["Right is clear.", "Right spot."][number // 2 % 2],
            )
            text = " ".join(said)
            writer.append(type(study)(study.study_id, study.patient_id, study.images, Report(study.study_id, text)))
    for file in again.iterdir():
        if file.suffix == ".parquet":
            file.replace(folder / file.name)
    return folder


@pytest.mark.parametrize(("objective", "layers"), [("moco", 1), ("image_text", 0), ("both", 1)])
def test_a_run_that_was_stopped_ends_as_one_left_alone(told, tmp_path, objective, layers):
    wanted = recipe(objective=objective, text=recipe().text.model_dump() | {"layers": layers})
    whole = pretrain(told, tmp_path / "whole", wanted)

    def stop(step):
        if step.done == 4:
            raise KeyboardInterrupt

    # a checkpoint after each step, so that it stops in the middle of an epoch
    often = PretrainVisionRecipe.model_validate(
        wanted.model_dump() | {"training": wanted.training.model_dump() | {"checkpoint_minutes": 1e-9}}
    )
    with pytest.raises(KeyboardInterrupt):
        pretrain(told, tmp_path / "broken", often, steps=stop)
    resumed = pretrain(told, tmp_path / "broken", often, resume=True)
    assert resumed.epochs == whole.epochs
    for name in ("model.safetensors", "projection.safetensors"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert pretrain(told, tmp_path / "broken", often, resume=True).untouched
    assert (whole.epochs[0].told is None) == (objective == "image_text")
    assert (whole.epochs[0].matched is None) == (objective == "moco")


def test_it_learns_to_tell_films_and_starts_training(told, tmp_path):
    course = {"epochs": 12, "batch_size": 16, "learning_rate": 3e-3, "schedule": "cosine"}
    found = pretrain(told, tmp_path / "start", recipe(objective="image_text", training=course))
    assert found.epochs[-1].loss < found.epochs[0].loss and found.epochs[-1].matched > 0.3
    start = changed(backbone={"source": str(tmp_path / "start")}, training={"epochs": 1})
    began = train(told, told / "labels.csv", tmp_path / "run", start)
    assert began.macro_auroc > 0.5
    # only the part to train on is seen
    assert found.counts["studies"] == 36


def test_the_command(radloop, told, tmp_path):
    config = tmp_path / "r.yaml"
    config.write_text(json.dumps(recipe().model_dump()))
    run = radloop("vision", "pretrain", "--corpus", told, "--config", config, "-o", tmp_path / "run", "--json")
    assert run.code == 0, run.err
    assert json.loads(run.out)["counts"]["films"] == 48 and "--init" in run.err
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {
        "config.json", "model.safetensors", "projection.safetensors", "history.jsonl", "manifest.json"
    }  # fmt: skip
    # a backbone is not a trained encoder
    other = radloop("vision", "predict", tmp_path / "run", told, "-o", tmp_path / "p.csv")
    assert other.code == 2 and "model.kind" in other.err


def test_bad_input_is_a_clear_error(eye_corpus, told, tmp_path):
    with pytest.raises(ConfigError) as queue:
        pretrain(told, tmp_path / "a", recipe(moco={"queue": 1000}))
    assert queue.value.code == "vision.queue" and "moco.queue" in queue.value.hint
    with pytest.raises(DataError) as report:
        pretrain(eye_corpus, tmp_path / "b", recipe(objective="image_text"))
    assert report.value.code == "vision.no_report"
    rows = [[f"s{at}", f"p{at // 2}", "test"] for at in range(90)]
    write_rows(tmp_path / "split.csv", ("study_id", "patient_id", "split"), rows)
    with pytest.raises(DataError) as films:
        pretrain(eye_corpus, tmp_path / "c", recipe(), split=tmp_path / "split.csv")
    assert films.value.code == "vision.no_films"
    rows = [[f"s{at}", "p", "train" if at % 2 else "test"] for at in range(90)]
    write_rows(tmp_path / "split.csv", ("study_id", "patient_id", "split"), rows)
    with pytest.raises(DataError) as leak:
        pretrain(eye_corpus, tmp_path / "e", recipe(), split=tmp_path / "split.csv")
    assert leak.value.code == "split.leak"
    with pytest.raises(ConfigError) as heads:
        pretrain(told, tmp_path / "d", recipe(objective="image_text", text={"width": 10, "heads": 4}))
    assert heads.value.code == "config.value"
    for wrong, where in (({"kind": "bert", "settings": {}}, "backbone.kind"), ({"kind": "nothing"}, "backbone")):
        with pytest.raises(ConfigError) as kind:
            pretrain(told, tmp_path / "f", recipe(backbone=recipe().backbone.model_dump() | wrong))
        assert kind.value.code == "config.value" and kind.value.where == where
    # nothing was begun
    assert not list(tmp_path.glob("?/*"))


def test_what_a_tracker_is_told(told, tmp_path, monkeypatch):
    from accelerate import Accelerator

    noted = []
    monkeypatch.setattr(Accelerator, "log", lambda self, values, step: noted.append((step, values)))
    found = pretrain(told, tmp_path / "run", recipe())
    assert [(step, values["loss"]) for step, values in noted] == [(each.epoch, each.loss) for each in found.epochs]
    assert "matched" not in noted[0][1]


def test_a_checkpoint_of_other_weights_or_of_none_is_said(told, tmp_path):
    often = recipe(training=recipe().training.model_dump() | {"checkpoint_minutes": 1e-9})

    def twice(step):
        if step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(told, tmp_path / "run", often, steps=twice)
    with pytest.raises(RunError) as changed:
        pretrain(told, tmp_path / "run", recipe(seed=1), resume=True)
    assert changed.value.code == "run.changed"
    checkpoint = tmp_path / "run" / "partial" / "pretrain.pt"
    kept = checkpoint.read_bytes()
    state = torch.load(checkpoint, weights_only=True)
    state["model"].popitem()
    for content, code in ((state, "run.changed"), ([1], "run.damaged"), (None, "run.damaged")):
        if content is None:
            checkpoint.write_bytes(kept[: len(kept) // 2])
        else:
            torch.save(content, checkpoint)
        with pytest.raises(RunError) as error:
            pretrain(told, tmp_path / "run", often, resume=True)
        assert error.value.code == code and "--resume" in error.value.hint
    checkpoint.write_bytes(kept)
    assert len(pretrain(told, tmp_path / "run", often, resume=True).epochs) == 2


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_the_start_is_a_plain_folder_of_transformers(told, tmp_path, kind):
    from transformers import AutoModel

    settings = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
                "patch_size": 8}  # fmt: skip
    chosen = {"backbone": {"kind": "vit", "settings": settings, "gather": "mean"}} if kind == "vit" else {}
    pretrain(told, tmp_path / "run", recipe(training={"epochs": 1, "batch_size": 16}, **chosen))
    body = AutoModel.from_pretrained(tmp_path / "run").eval()
    assert body.config.model_type == kind
    films = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        first = body(films).last_hidden_state
        body.save_pretrained(tmp_path / "again")
        second = AutoModel.from_pretrained(tmp_path / "again").eval()(films).last_hidden_state
    assert torch.equal(first, second)
