"""Training and drafting at the commands: complete, resumed, and with bad input."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import reportgen.train as training_module
from corpora.errors import ConfigError, DataError, RunError
from reportgen.draft import draft
from reportgen.flags import agreement
from reportgen.generate import Decoding
from reportgen.hints import thresholds_of
from reportgen.loop import fit
from reportgen.store import load_drafter
from reportgen.targets import mentions_prior
from reportgen.train import train
from tests.reportgen.drafting.conftest import DECODER, read_records, training, write_corpus


def weights(run):
    return load_drafter(run)[0].state_dict()


def yaml_of(recipe, path):
    path.write_text(json.dumps(recipe.model_dump(mode="json")))
    return path


def test_the_commands_from_reports_to_drafts(radloop, films, eye, tmp_path):
    recipe = yaml_of(DECODER, tmp_path / "decoder.yaml")
    done = radloop("report", "pretrain", films, "-o", tmp_path / "lm", "--config", recipe, "--split", films)
    assert done.code == 0, done.err
    made = json.loads((tmp_path / "lm" / "manifest.json").read_text())["counts"]
    assert made["reports"] == 36
    assert made["sentences dropped"] > 0
    recipe = yaml_of(training(), tmp_path / "drafter.yaml")
    done = radloop(
        "report", "train", "--corpus", films, "--vision", eye, "--config", recipe, "--decoder", tmp_path / "lm",
        "-o", tmp_path / "run", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    counts = json.loads(done.out)["counts"]
    assert counts["studies, train"] == 36
    done = radloop(
        "report", "draft", tmp_path / "run", films, "--part", "test", "-o", tmp_path / "d.jsonl", "--max-tokens", 24
    )
    records = read_records(tmp_path / "d.jsonl")
    assert len(records) == 12
    assert done.code in (0, 1)
    assert {record["status"] for record in records} == {"draft"}
    assert all("Not for clinical use" in record["notice"] for record in records)
    assert "Cough" not in done.err
    again = radloop("report", "train", "--corpus", films, "--vision", eye, "--config", recipe, "--decoder",
                    tmp_path / "lm", "-o", tmp_path / "run", "--resume")  # fmt: skip
    assert again.code == 0
    assert "nothing left to do" in again.err


def test_a_resumed_training_comes_to_the_same_weights(films, eye, decoder, drafter, tmp_path, monkeypatch):
    recipe = training(decoder_source=str(decoder))
    calls = []

    def killed(stage, *args, **kwargs):
        calls.append(stage.name)
        if stage.name == "adapt":
            raise KeyboardInterrupt
        return fit(stage, *args, **kwargs)

    monkeypatch.setattr(training_module, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        train(films, eye, tmp_path / "run", recipe)
    assert calls == ["align", "adapt"]
    assert not (tmp_path / "run" / "manifest.json").exists()
    monkeypatch.setattr(training_module, "fit", fit)
    train(films, eye, tmp_path / "run", recipe, resume=True)
    whole, resumed = weights(drafter), weights(tmp_path / "run")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert not (tmp_path / "run" / "partial").exists()


@pytest.mark.slow
def test_another_recipe_does_not_go_on(films, eye, decoder, tmp_path, monkeypatch):
    def killed(stage, *args, **kwargs):
        fit(stage, *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_module, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        train(films, eye, tmp_path / "run", training(decoder_source=str(decoder)))
    monkeypatch.setattr(training_module, "fit", fit)
    with pytest.raises(RunError, match=r"run\.changed"):
        train(films, eye, tmp_path / "run", training(decoder_source=str(decoder), seed=5), resume=True)


def test_the_encoder_is_that_of_its_run(drafter, eye):
    from vision.predict import load_model

    mine = load_drafter(drafter)[0].encoder.state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in load_model(eye).state_dict().items())


def drafts(drafter, source, out, **given):
    given = {"how": Decoding(24), "max_failures": "100%"} | given
    return draft(drafter, source, out, **given)


@pytest.mark.parametrize("how", [Decoding(24), Decoding(24, beams=2, block=3), Decoding(24, sample=True)])
def test_batches_and_adapters_apart_change_no_draft(drafter, films, tmp_path, how):
    one = drafts(drafter, films, tmp_path / "one.jsonl", part="test", how=how, batch_size=4)
    drafts(drafter, films, tmp_path / "two.jsonl", part="test", how=how, batch_size=4, merged=False)
    assert one.drafts == 12
    texts = [[r["text"] for r in read_records(tmp_path / f"{name}.jsonl")] for name in ("one", "two")]
    assert texts[0] == texts[1]


def test_an_interrupted_draft_goes_on_to_the_same_file(drafter, films, tmp_path):
    def stop(done, total):
        if done >= 8:
            raise KeyboardInterrupt

    how = Decoding(24, sample=True)
    drafts(drafter, films, tmp_path / "whole.jsonl", how=how, part="train", batch_size=4)
    with pytest.raises(KeyboardInterrupt):
        drafts(drafter, films, tmp_path / "r.jsonl", how=how, part="train", batch_size=4, watch=stop)
    journal = next(tmp_path.glob("*r.jsonl*/drafts.jsonl"))
    # a kill cuts the line that is written
    journal.write_bytes(journal.read_bytes()[:-20])
    drafts(drafter, films, tmp_path / "r.jsonl", how=how, part="train", batch_size=4, resume=True)
    assert (tmp_path / "r.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    with pytest.raises(KeyboardInterrupt):
        drafts(drafter, films, tmp_path / "r.jsonl", how=how, part="train", batch_size=4, watch=stop)
    with pytest.raises(RunError, match=r"run\.changed"):
        drafts(drafter, films, tmp_path / "r.jsonl", how=how, part="train", batch_size=4, resume=True, seed=9)


def _worth(record, thresholds):
    states = {label: record["labels"].get(label) for label in thresholds}
    fit = agreement(states, record["probabilities"], thresholds)
    return bool(record["text"]), not mentions_prior(record["text"]), fit


def test_of_candidates_the_one_that_fits_the_encoder_is_kept(drafter, films, tmp_path):
    one = drafts(drafter, films, tmp_path / "one.jsonl", part="test", how=Decoding(24, sample=True))
    best = drafts(drafter, films, tmp_path / "best.jsonl", part="test", candidates=6)
    assert best.flagged <= one.flagged
    assert best.empty <= one.empty
    drafts(drafter, films, tmp_path / "again.jsonl", part="test", candidates=6, how=Decoding(24, sample=True))
    drafts(drafter, films, tmp_path / "more.jsonl", part="test", candidates=9, how=Decoding(24, sample=True))
    thresholds = thresholds_of(load_drafter(drafter)[0])
    worth = [
        [_worth(record, thresholds) for record in read_records(tmp_path / f"{n}.jsonl")] for n in ("again", "more")
    ]
    # more of them never make a draft worse
    assert all(more >= fewer for fewer, more in zip(*worth, strict=True))


def test_one_section_alone(drafter, films, tmp_path):
    drafts(drafter, films, tmp_path / "d.jsonl", part="test", how=Decoding(24, only="impression"))
    records = read_records(tmp_path / "d.jsonl")
    assert all("findings" not in record for record in records)


def test_films_by_themselves_and_what_cannot_be_read(radloop, drafter, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(draw.integers(60, 120, (40, 32)).astype(np.uint8)).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG cut")
    done = radloop("report", "draft", drafter, folder, "-o", tmp_path / "d.jsonl", "--max-tokens", 8)
    assert done.code == 1
    assert len(read_records(tmp_path / "d.jsonl")) == 2
    rejects = read_records(tmp_path / "d.jsonl.failures.jsonl")
    assert any("broken" in reject["file"] for reject in rejects)


def test_a_picture_that_is_no_chest_film_is_warned_of(drafter, films, tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    page = np.zeros((40, 32), dtype=np.uint8)
    page[::2] = 255
    Image.fromarray(page).save(folder / "page.png")
    shutil.copy(films / "images" / "f1-PA.png", folder / "film.png")
    found = drafts(drafter, folder, tmp_path / "d.jsonl")
    assert found.unusual == 1
    records = {record["study_id"]: record for record in read_records(tmp_path / "d.jsonl")}
    assert "perhaps no chest film" in records["page"]["warnings"][0]
    assert records["film"]["warnings"] == []


def test_a_study_without_a_frontal_film_is_a_reject(films, eye, drafter, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", studies=12)
    import pyarrow.parquet as pq

    path = next(corpus.glob("studies-*.parquet"))
    table = pq.read_table(path)
    rows = table.to_pylist()
    for image in rows[1]["images"]:
        image["view"] = "LATERAL"
    pq.write_table(table.from_pylist(rows, schema=table.schema), path)
    drafts(drafter, corpus, tmp_path / "d.jsonl")
    rejects = [r for r in read_records(tmp_path / "d.jsonl.failures.jsonl") if r["code"] == "report.no_frontal"]
    assert [reject["study_id"] for reject in rejects] == ["s1"]


def test_an_empty_draft_is_a_reject(drafter, films, tmp_path):
    model, tokenizer = load_drafter(drafter)
    with torch.no_grad():
        head = model.decoder.get_output_embeddings()
        head.weight.zero_()
        head.weight[tokenizer.eos_token_id].normal_()
    shutil.copytree(drafter, tmp_path / "run", ignore=shutil.ignore_patterns("adapter"))
    model.save_pretrained(tmp_path / "run")
    found = drafts(tmp_path / "run", films, tmp_path / "d.jsonl", part="test", how=Decoding(6, sample=True))
    codes = [r["code"] for r in read_records(tmp_path / "d.jsonl.failures.jsonl")] if found.empty else []
    assert codes.count("report.empty") == found.empty


def test_a_corpus_without_reports_or_films(eye, decoder, drafter, tmp_path):
    from corpora.store import StudyWriter
    from corpora.types import ImageRef, Study

    corpus = write_corpus(tmp_path / "corpus", studies=8)
    for path in corpus.glob("studies-*.parquet"):
        path.unlink()
    with StudyWriter(corpus) as writer:
        for number in range(8):
            image = ImageRef(f"images/f{number}-PA.png", "PA", image_id=f"f{number}-PA")
            writer.append(Study(f"s{number}", f"p{number // 2}", (image,)))
    with pytest.raises(DataError, match=r"report\.no_reports"):
        train(corpus, eye, tmp_path / "run", training(decoder_source=str(decoder)))
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"report\.no_studies"):
        drafts(drafter, tmp_path / "none", tmp_path / "d.jsonl")
    with pytest.raises(DataError, match=r"data\.missing"):
        drafts(drafter, tmp_path / "nowhere", tmp_path / "d.jsonl")
    with pytest.raises(ConfigError, match="has no part"):
        drafts(drafter, corpus, tmp_path / "d.jsonl", part="tset")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"lora": {"targets": ["nothing_of_this_name"]}}, "no modules"),
        ({"decoder_source": "nowhere/at-all"}, "model.missing"),
        ({"max_tokens": 4000}, "the decoder reads 256"),
    ],
)
def test_recipes_that_cannot_be(films, eye, decoder, tmp_path, changed, said):
    with pytest.raises(ConfigError) as error:
        train(films, eye, tmp_path / "run", training(**({"decoder_source": str(decoder)} | changed)))
    assert said in str(error.value)


@pytest.mark.slow
def test_a_decoder_without_a_pad_token(films, eye, decoder, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(decoder, bare)
    path = bare / "tokenizer_config.json"
    config = json.loads(path.read_text())
    config.pop("pad_token", None)
    path.write_text(json.dumps(config))
    train(films, eye, tmp_path / "run", training(decoder_source=str(bare)))
    assert load_drafter(tmp_path / "run")[1].pad_token_id is not None


def test_memory_that_is_full_halves_a_batch(drafter, films, tmp_path, monkeypatch):
    import reportgen.draft as module

    real, sizes = module.generate, []

    def full(model, desk, tokenizer, rows, *args, **kwargs):
        sizes.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError
        return real(model, desk, tokenizer, rows, *args, **kwargs)

    monkeypatch.setattr(module, "generate", full)
    found = drafts(drafter, films, tmp_path / "d.jsonl", part="test")
    assert found.drafts == 12
    assert sizes == [12, 6, 3, 3, 6, 3, 3]
    monkeypatch.setattr(module, "generate", lambda *a, **k: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(RunError, match=r"report\.memory"):
        drafts(drafter, films, tmp_path / "e.jsonl", part="test")


def test_the_command_line_loads_no_network(root):
    program = (
        "import sys\nfrom corpora.cli import run\nrun(['report', '--help'])\n"
        "print(*[n for n in ('torch', 'transformers', 'peft', 'scipy') if n in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True,
                          env=os.environ)  # fmt: skip
    assert done.stderr.split() == []
