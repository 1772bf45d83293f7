"""Pretraining as a user runs it: what it learns and leaves, the same again, after a kill, gone wrong."""

import json
import math
import subprocess
import sys
import time

import pytest
import torch
import typer
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertConfig, DistilBertConfig
from typer.testing import CliRunner

from corpora.errors import ConfigError, DataError, RunError
from labeler.neural.pretrain import HISTORY, WEIGHTS, pretrain, windows
from labeler.neural.pretrain_command import pretrain_cli
from labeler.neural.pretrain_recipe import PretrainRecipe
from labeler.neural.recipe import EncoderRecipe
from labeler.neural.tokenizer import train_tokenizer
from labeler.neural.train import train
from tests.labeler.neural.conftest import changed

SMALL = EncoderRecipe(hidden_size=32, layers=1, attention_heads=2, intermediate_size=64, vocab_size=600)
TINY = PretrainRecipe(encoder=SMALL, max_length=64, heldout=0.15, epochs=3, batch_size=16, learning_rate=3e-3)


def recipe(**fields):
    return PretrainRecipe.model_validate(TINY.model_dump() | fields)


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "manifest.json"}


@pytest.fixture(scope="module")
def pretrained(source, tmp_path_factory):
    return pretrain([str(source)], tmp_path_factory.mktemp("runs") / "run", recipe(epochs=10), command=["radloop"])


def test_it_learns_which_words_stand_where(pretrained):
    first, last = pretrained.epochs[0], pretrained.epochs[-1]
    assert last.loss < first.loss
    # a guess among all pieces has this loss
    assert last.heldout_loss < math.log(pretrained.counts["word pieces"]) - 0.5
    assert last.heldout_loss < first.heldout_loss - 0.3
    assert 0 < last.heldout_right < 1


def test_what_a_run_leaves(pretrained, source):
    folder = pretrained.folder
    names = {path.name for path in folder.iterdir()}
    assert names == {"config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json", HISTORY, "manifest.json"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["inputs"][0]["path"] == str(source)
    assert manifest["counts"]["training"] + manifest["counts"]["held out"] == manifest["counts"]["reports"] == 200
    history = [json.loads(line) for line in (folder / HISTORY).read_text().splitlines()]
    assert [line["epoch"] for line in history] == list(range(1, 11))
    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer) == model.config.vocab_size


def test_the_labeler_goes_on_from_it(pretrained, source, tmp_path):
    fields = {"source": str(pretrained.folder)}
    still = changed(encoder=fields, made=0, max_length=64, weak={"epochs": 1, "learning_rate": 1e-12})
    train([str(source)], tmp_path / "run", still)
    before = AutoModel.from_pretrained(pretrained.folder, add_pooling_layer=False).state_dict()
    from labeler.neural.model import BertCnnForLabels

    after = BertCnnForLabels.from_pretrained(tmp_path / "run").encoder.state_dict()
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=0, atol=1e-6)
    vocabularies = [AutoTokenizer.from_pretrained(at).get_vocab() for at in (tmp_path / "run", pretrained.folder)]
    assert vocabularies[0] == vocabularies[1]


class Killed(Exception):
    pass


@pytest.mark.parametrize("at", [3, 11, 12])
def test_the_same_seed_gives_the_same_bytes_and_so_does_a_run_killed_at_any_step(at, source, tmp_path):
    mine = recipe(checkpoint_seconds=0, accumulate=2)
    whole = pretrain([str(source)], tmp_path / "whole", mine)
    steps = []

    def stop(step):
        steps.append(step)
        if step.done == at:
            raise Killed

    with pytest.raises(Killed):
        pretrain([str(source)], tmp_path / "cut", mine, watch=stop)
    assert not (tmp_path / "cut" / "manifest.json").exists()
    assert not (tmp_path / "cut" / WEIGHTS).exists()
    left = []
    again = pretrain([str(source)], tmp_path / "cut", mine, resume=True, watch=left.append)
    # the step behind the last checkpoint is done again
    assert left[0].done == at
    assert left[-1].done == left[-1].total == steps[0].total
    assert again.epochs == whole.epochs
    assert files(tmp_path / "whole") == files(tmp_path / "cut")


def test_word_pieces_are_not_learned_again_when_a_run_is_resumed(source, tmp_path, monkeypatch):
    def stop(step):
        raise Killed

    with pytest.raises(Killed):
        pretrain([str(source)], tmp_path / "run", TINY, watch=stop)
    monkeypatch.setattr("labeler.neural.pretrain.train_tokenizer", None)
    assert pretrain([str(source)], tmp_path / "run", TINY, resume=True).counts["reports"] == 200


@pytest.mark.slow
def test_a_process_that_is_killed_can_be_resumed(source, tmp_path):
    place = tmp_path / "run"
    changes = {"encoder.hidden_size": 16, "encoder.layers": 1, "epochs": 400, "checkpoint_seconds": 0}
    program = "import typer; from labeler.neural.pretrain_command import pretrain_cli as f; typer.run(f)"
    call = [sys.executable, "-c", program, str(source), "-o", str(place)]
    call += [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    process = subprocess.Popen(call, stderr=subprocess.PIPE)
    while not (place / "partial" / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    done = torch.load(place / "partial" / "checkpoint.pt", weights_only=True)["course"]["step"]
    fields = {"hidden_size": 16, "layers": 1}
    from corpora.config import load_yaml
    from corpora.resources import config_path

    again = load_yaml(config_path("label/pretrain"), PretrainRecipe, [f"{n}={v}" for n, v in changes.items()])
    assert again.encoder.hidden_size == fields["hidden_size"]
    seen = []

    def stop(step):
        seen.append(step.done)
        raise Killed

    with pytest.raises(Killed):
        pretrain([str(source)], place, again, resume=True, watch=stop)
    assert seen == [done + 1]


def test_a_complete_run_is_left_as_it_is(pretrained, source):
    before = files(pretrained.folder)
    again = pretrain([str(source)], pretrained.folder, recipe(epochs=10), resume=True)
    assert (again.untouched, again.epochs, files(pretrained.folder)) == (True, pretrained.epochs, before)
    with pytest.raises(RunError) as error:
        pretrain([str(source)], pretrained.folder, TINY, resume=True)
    assert error.value.code == "run.changed"


def test_another_recipe_or_a_damaged_checkpoint_does_not_go_on(source, tmp_path):
    def stop(step):
        if step.done == 2:
            raise Killed

    with pytest.raises(Killed):
        pretrain([str(source)], tmp_path / "run", recipe(checkpoint_seconds=0), watch=stop)
    with pytest.raises(RunError) as error:
        pretrain([str(source)], tmp_path / "run", recipe(checkpoint_seconds=0, masked=0.2), resume=True)
    assert error.value.code == "run.changed"
    (tmp_path / "run" / "partial" / "checkpoint.pt").write_bytes(b"cut off")
    with pytest.raises(RunError) as error:
        pretrain([str(source)], tmp_path / "run", recipe(checkpoint_seconds=0), resume=True)
    assert error.value.code == "run.damaged"


def test_going_on_from_an_encoder_of_ones_own_keeps_its_word_pieces(pretrained, source, tmp_path):
    mine = recipe(encoder={"source": str(pretrained.folder)}, epochs=1, learning_rate=1e-12)
    done = pretrain([str(source)], tmp_path / "run", mine)
    # nothing is learned at this rate: what it knows, it knew
    assert done.epochs[0].heldout_loss == pytest.approx(pretrained.epochs[-1].heldout_loss, abs=1e-3)
    assert (tmp_path / "run" / "tokenizer.json").read_bytes() == (pretrained.folder / "tokenizer.json").read_bytes()


@pytest.mark.parametrize("config", [DistilBertConfig(vocab_size=600, dim=16, n_layers=1, n_heads=2, hidden_dim=16)])
def test_an_encoder_that_is_no_bert(config, pretrained, source, tmp_path):
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained(pretrained.folder).save_pretrained(tmp_path / "encoder")
    done = pretrain([str(source)], tmp_path / "run", recipe(encoder={"source": str(tmp_path / "encoder")}, epochs=1))
    assert json.loads((tmp_path / "run" / "config.json").read_text())["model_type"] == "distilbert"
    assert done.epochs[0].heldout_loss < math.log(600)


# Bad input


def test_a_hub_name_is_not_downloaded(source, tmp_path):
    for name in ("bert-base-uncased", str(tmp_path / "nowhere")):
        with pytest.raises(ConfigError) as error:
            pretrain([str(source)], tmp_path / "run", recipe(encoder={"source": name}))
        assert (error.value.code, error.value.where) == ("model.missing", name)


def test_the_tokenizer_of_another_encoder(pretrained, source, tmp_path):
    config = BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained(pretrained.folder).save_pretrained(tmp_path / "encoder")
    with pytest.raises(ConfigError) as error:
        pretrain([str(source)], tmp_path / "run", recipe(encoder={"source": str(tmp_path / "encoder")}))
    assert error.value.code == "model.tokenizer"
    assert "20" in error.value.message


def test_windows_longer_than_the_encoder_reads(pretrained, source, tmp_path):
    mine = recipe(encoder={"source": str(pretrained.folder)}, max_length=128)
    with pytest.raises(ConfigError) as error:
        pretrain([str(source)], tmp_path / "run", mine)
    assert error.value.code == "config.value"
    assert "64" in error.value.hint


def test_a_loss_that_is_no_number(source, tmp_path):
    with pytest.raises(RunError) as error:
        pretrain([str(source)], tmp_path / "run", recipe(learning_rate=1e30, warmup=0.0))
    assert error.value.code == "train.nan"
    assert "step" in error.value.where
    assert not (tmp_path / "run" / WEIGHTS).exists()


def test_too_few_reports_and_no_place(source, tmp_path):
    one = tmp_path / "reports.jsonl"
    one.write_text('{"study_id": "1", "report": "No effusion."}\n')
    with pytest.raises(DataError) as error:
        pretrain([str(one)], tmp_path / "run", TINY)
    assert error.value.code == "data.empty"
    with pytest.raises(RunError) as error:
        pretrain([str(source)], tmp_path / "labels.csv", TINY)
    assert error.value.code == "run.is_file"


def test_a_tracker_that_is_not_there(source, tmp_path):
    with pytest.raises(ConfigError) as error:
        pretrain([str(source)], tmp_path / "run", recipe(tracker="nobody"))
    assert error.value.code == "config.value"


WORDS = train_tokenizer(["no pleural effusion . the heart is normal"] * 3, vocab_size=100, min_frequency=1)


@given(st.lists(st.lists(st.sampled_from("no pleural effusion heart normal zzz".split()), max_size=60), max_size=4))
def test_windows_leave_no_token_out(texts):
    joined = [" ".join(words) for words in texts]
    found = windows(WORDS, joined, 16)
    assert all(len(ids) <= 16 for ids in found)
    ends = (WORDS.cls_token_id, WORDS.sep_token_id)
    inner = [token for ids in found for token in ids if token not in ends]
    assert inner == [token for text in joined for token in WORDS(text, add_special_tokens=False)["input_ids"]]


def test_the_command(source, invented, tmp_path):
    app = typer.Typer()
    app.command()(pretrain_cli)
    (tmp_path / "test-ids.txt").write_text("\n".join(record["id"] for record in invented[:30]) + "\n")
    small = {"encoder.hidden_size": 16, "encoder.layers": 1, "encoder.intermediate_size": 16, "epochs": 1}
    changes = [part for name, value in small.items() for part in ("--set", f"{name}={value}")]
    place = tmp_path / "run"
    call = [str(source), "-o", str(place), "--leave-out", str(tmp_path / "test-ids.txt"), *changes]
    done = CliRunner().invoke(app, call, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "of masked words right" in done.stderr
    assert json.loads((place / "manifest.json").read_text())["counts"]["left out"] == 30
    again = CliRunner().invoke(app, [*call, "--resume"], catch_exceptions=False)
    assert "nothing left to do" in again.stderr


def test_the_command_is_at_hand_without_torch(root):
    program = (
        "import sys, labeler.neural.pretrain_command, labeler.neural.pretrain_recipe, corpora.bars\n"
        "sys.exit(sorted({'torch', 'transformers', 'accelerate', 'tokenizers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
