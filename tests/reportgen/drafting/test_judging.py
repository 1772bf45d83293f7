"""The drafter's own judgement beside the encoder's; and drafts that are rewarded for their labels."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.torch import load_file

import reportgen.train as training_module
from corpora.config import load_yaml
from corpora.errors import ConfigError
from corpora.resources import config_path
from reportgen.data import Desk, Telling, examples, look
from reportgen.draft import draft
from reportgen.generate import Decoding, generate
from reportgen.judging import SOURCES, Judgement, expected_threshold, fit_judgement, hidden_from, opinions
from reportgen.loop import fit
from reportgen.model import Drafter
from reportgen.pretrain import pretrain
from reportgen.recipes import ReportTrainRecipe, RewardRecipe
from reportgen.reward import Rewarding, advantages
from reportgen.sources import sources
from reportgen.store import load_drafter
from reportgen.targets import HINTS, PRIOR, REPORT, sections_of
from reportgen.train import train
from reportgen.view import view
from tests.reportgen.drafting.conftest import COURSE, DECODER, read_records, training, write_corpus
from vision.data import open_cache

JUDGING = {"judge": {"weight": 1.0, "blind": 0.2}, "cells": "mean_peak"}
REWARDED = JUDGING | {"reward": {"course": COURSE, "studies": 12, "draws": 3}}


@pytest.fixture(scope="module")
def judge(films, eye, decoder, tmp_path_factory):
    run = tmp_path_factory.mktemp("judge") / "run"
    train(films, eye, run, training(decoder_source=str(decoder), **REWARDED))
    return run


def desk_of(run, films, tmp_path):
    model, tokenizer = load_drafter(run, merged=False)
    studies, several, _ = sources(films, "train")
    kept = open_cache(several, tmp_path / "films", model.encoder.config.image_size)
    found, _ = examples(studies, several, kept, 2, Telling())
    sight = look(model, kept, sorted({name for study in found for name in study.image_ids}), tmp_path / "sight")
    return model, tokenizer, Desk(found, sight, tokenizer, 2, hints=[[] for _ in found])


def log_loss(p, meant):
    return -np.where(meant, np.log(p), np.log1p(-p)).mean()


def views(draw, meant, sharp):
    """Opinions [N, S, L] that are as sharp as told: log odds of a normal score about the truth."""
    return np.stack([np.where(meant, 1, -1) * s + draw.normal(size=meant.shape) for s in sharp], axis=1)


def test_views_that_know_different_things_are_better_together():
    draw = np.random.default_rng(0)
    labels = ["Edema", "Fracture", "Rare"]
    meant = draw.random((4000, 3)) < [0.3, 0.2, 0.0]
    found = views(draw, meant, (1.0, 0.8, 0.0, 0.0))
    made = fit_judgement(found[:2000], meant[:2000], labels, "rules.v1")
    alone = [np.where(np.arange(4)[None, :, None] == at, found, 0) for at in range(4)]
    fresh, truth = found[2000:], meant[2000:, :2]
    together = log_loss(made.probabilities(fresh, labels)[:, :2], truth)
    for single in alone[:2]:
        one = fit_judgement(single[:2000], meant[:2000], labels, "rules.v1")
        assert together < log_loss(one.probabilities(single[2000:], labels)[:, :2], truth) - 0.02
    assert made.weights["text"] < 0.1
    assert min(made.weights.values()) >= 0
    # a label that nobody has in validation keeps the encoder's view and threshold
    assert np.allclose(made.probabilities(fresh, labels)[:, 2], 1 / (1 + np.exp(-fresh[:, 0, 2])))
    assert made.limits({"Edema": 0.9, "Rare": 0.7})["Rare"] == 0.7


def test_nothing_to_fit_leaves_the_encoder():
    made = fit_judgement(np.zeros((5, 4, 2)), np.zeros((5, 2), dtype=bool), ["Edema", "Fracture"], "rules.v1")
    assert made.weights == {"encoder": 1.0, "drafter": 0.0, "text": 0.0, "before": 0.0}
    assert made.limits({"Edema": 0.4}) == {"Edema": 0.4}


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(0.001, 0.999)))
def test_no_threshold_has_a_better_expected_f1(p):
    def expected(limit):
        said = p >= limit
        return 2 * p[said].sum() / (said.sum() + p.sum())

    best = expected(expected_threshold(p))
    assert all(best >= expected(limit) - 1e-4 for limit in p)


def test_a_drafter_that_judges_says_so_in_its_drafts(judge, films, tmp_path):
    kept = json.loads((judge / "config.json").read_text())
    assert set(kept["judgement"]["weights"]) == set(SOURCES)
    assert kept["cells"] == "mean_peak"
    draft(judge, films, tmp_path / "d.jsonl", part="test", how=Decoding(24), max_failures="100%")
    model, tokenizer = load_drafter(judge)
    limits = Judgement.of(model).limits(dict.fromkeys(model.encoder.config.label_names, 0.5))
    for record in read_records(tmp_path / "d.jsonl"):
        assert list(record["judged"]) == list(limits)
        prompt = tokenizer.decode(record["prompt_ids"])
        said = prompt.partition(HINTS)[2].partition(REPORT)[0]
        assert said.split(", ") == [label for label, p in record["judged"].items() if p >= limits[label]] or said == ""
    assert view(tmp_path / "d.jsonl", tmp_path / "site", most=2).pages == 2
    pages = "".join(path.read_text() for path in (tmp_path / "site").rglob("*.html"))
    assert "judged with the text" in pages


def test_what_is_judged_comes_back_and_reads_film_and_text(judge, films, tmp_path):
    model, tokenizer, desk = desk_of(judge, films, tmp_path)
    torch.manual_seed(0)
    # a stage that gained nothing leaves adapters that do nothing
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    found = opinions(model, desk, "rules.v1")
    assert found.shape == (36, len(SOURCES), 2)
    again = opinions(Drafter.from_pretrained(judge).eval(), desk, "rules.v1")
    # the adapters judge with: without them it is another judgement
    assert np.array_equal(found[:, 0], again[:, 0])
    assert not np.allclose(found[:, 1], again[:, 1])
    batch = desk.batch(range(4), targets=False)
    other = hidden_from(batch.films)
    assert int(other.present.sum()) == 0
    assert int(batch.films.present.sum()) > 0
    assert not np.allclose(found[:, 1], found[:, 2])
    # a hint that is told already changes nothing that stands before it
    told = Desk(desk.studies, desk.sight, tokenizer, 2, hints=[["Cardiomegaly"] for _ in desk.studies])
    assert np.allclose(opinions(model, told, "rules.v1")[:, 1], found[:, 1], atol=1e-4)


def test_a_resumed_training_judges_the_same(films, eye, decoder, judge, tmp_path, monkeypatch):
    def killed(stage, *args, **kwargs):
        if stage.name == "reward":
            raise KeyboardInterrupt
        return fit(stage, *args, **kwargs)

    recipe = training(decoder_source=str(decoder), **REWARDED)
    monkeypatch.setattr(training_module, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        train(films, eye, tmp_path / "run", recipe)
    monkeypatch.setattr(training_module, "fit", fit)
    found = train(films, eye, tmp_path / "run", recipe, resume=True)
    assert [epoch.stage for epoch in found.epochs] == ["align", "adapt", "reward"]
    whole, resumed = (load_drafter(run)[0] for run in (judge, tmp_path / "run"))
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
    assert whole.config.judgement == resumed.config.judgement


@pytest.mark.slow
def test_a_stage_that_gains_nothing_changes_nothing(films, eye, decoder, tmp_path, monkeypatch):
    scores = iter([0.5, 0.4])
    monkeypatch.setattr(training_module.Training, "_measured", lambda self: (next(scores), {}))
    found = train(films, eye, tmp_path / "run", training(decoder_source=str(decoder)))
    assert found.best == 0.5
    adapters = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    assert all(not value.any() for name, value in adapters.items() if "lora_B" in name)


def test_a_judge_needs_hints(films, eye, decoder, tmp_path):
    with pytest.raises(ValueError, match="judge needs hints"):
        training(decoder_source=str(decoder), hints=False, judge={})
    with pytest.raises(ConfigError, match="draws"):
        load_yaml(config_path("report/phantom"), ReportTrainRecipe, ['reward={"draws": 1}'])


def test_a_reward_makes_drafts_likelier_that_earn_it(drafter, films, tmp_path):
    model, tokenizer, desk = desk_of(drafter, films, tmp_path)
    for part in (model.decoder, *model.joint().values()):
        part.requires_grad_(True)

    def drafted():
        how = Decoding(20, sample=True)
        found = generate(model, desk, tokenizer, np.repeat(np.arange(8), 8), how, seed=1, sure=False)
        return [" ".join(sections_of(tokenizer.decode(each.tokens)).values()) for each in found]

    def counts(texts):
        return np.array([text.lower().count("e") for text in texts])

    # so small a decoder says no finding: what half of its drafts have is taken for one
    usual = np.median(counts(drafted()))

    def read(texts):
        return counts(texts)[:, None] > usual

    meant = np.ones((len(desk.studies), 1), dtype=bool)
    recipe = RewardRecipe(draws=8, words=0.0, studies=36)
    work = Rewarding(model, tokenizer, desk, meant, read, recipe, 20)
    before, optimizer = (
        read(drafted()).mean(),
        torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3),
    )
    for step in range(12):
        torch.manual_seed(step)
        loss = work.loss(np.arange(8), lambda rows: torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert read(drafted()).mean() > before + 0.1


@given(arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(2, 6)), elements=st.floats(0, 1)))
def test_advantages_favour_no_study(rewards):
    found = advantages(rewards)
    assert np.allclose(found.sum(axis=1), 0, atol=1e-4)
    better = rewards[:, 0] > rewards[:, 1] + 1e-3
    assert (found[better, 0] > found[better, 1]).all()


def test_the_last_report_is_read_if_there_is_one(radloop, drafter, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", studies=20, dated=True)
    run = tmp_path / "run"
    shutil.copytree(drafter, run)
    kept = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(kept | {"telling_prior": True, "prompt_tokens": 200}))
    tokenizer = load_drafter(run)[1]
    prompts = {}
    for name in ("--prior", "--no-prior"):
        done = radloop("report", "draft", run, corpus, "-o", tmp_path / f"{name}.jsonl", name, "--max-tokens", 8)
        assert done.code in (0, 1), done.err
        records = read_records(tmp_path / f"{name}.jsonl")
        prompts[name] = {each["study_id"]: tokenizer.decode(each["prompt_ids"]) for each in records}
    for number in range(0, 20, 2):
        now, before = prompts["--prior"][f"s{number}"], prompts["--prior"][f"s{number + 1}"]
        assert PRIOR not in before
        assert f"B{number + 1}." in now.partition(PRIOR)[2]
        assert PRIOR not in prompts["--no-prior"][f"s{number}"]


def test_a_label_of_the_last_report_is_a_view_of_its_own(judge, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", studies=20, dated=True)
    model, tokenizer = load_drafter(judge)
    studies, several, _ = sources(corpus)
    kept = open_cache(several, tmp_path / "films", model.encoder.config.image_size)
    for telling, said in ((Telling(prior=True), 5), (Telling(), 0)):
        found, _ = examples(studies, several, kept, 2, telling)
        sight = look(model, kept, sorted({n for study in found for n in study.image_ids}), tmp_path / "sight")
        desk = Desk(found, sight, tokenizer, 2, prompt_tokens=96, hints=[[] for _ in found])
        before = opinions(model, desk, "rules.v1")[:, SOURCES.index("before")]
        column = model.encoder.config.label_names.index("Pleural Effusion")
        # the odd studies were before, and have the effusion
        assert before[:, column].sum() == said * 2
        assert set(np.unique(before)) <= {0.0, 1.0}


def test_a_decoder_reads_with_the_last_report_what_compares(films, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", studies=40, dated=True)
    counts = {}
    for prior in (False, True):
        recipe = DECODER.model_copy(update={"prior": prior, "lm_course": DECODER.lm_course.model_copy(
            update={"epochs": 1})})  # fmt: skip
        counts[prior] = pretrain([str(corpus)], tmp_path / f"{prior}", recipe).counts
    # every fourth report compares, and there is one before each of these
    assert counts[False]["sentences dropped"] == 10
    assert counts[True]["sentences dropped"] == 0
