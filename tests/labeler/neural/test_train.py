"""Training as a user runs it: what it learns and leaves, the same again, after an interruption, on gold, gone wrong."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertConfig, BertModel
from typer.testing import CliRunner

from corpora.errors import ConfigError, DataError, RunError
from labeler.neural.commands import train_cli
from labeler.neural.loop import Encoded, Stage, Tokens
from labeler.neural.predict import NeuralLabeler
from labeler.neural.recipe import StageRecipe
from labeler.neural.train import CALIBRATION, HISTORY, WEIGHTS, train
from tests.labeler.neural.conftest import TINY, changed

SHORT = {"weak": {"epochs": 2, "batch_size": 32}, "made": 250}


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "manifest.json"}


def test_it_learns_what_the_teacher_says(trained):
    epochs = trained.epochs
    assert epochs[-1].loss < epochs[0].loss / 2
    assert trained.weighted_f1 == max(epoch.weighted_f1 for epoch in epochs)
    # the first epoch of so small a network says blank throughout, or nearly
    assert trained.weighted_f1 > epochs[0].weighted_f1 + 0.2
    assert trained.weighted_f1 > 0.45


def test_what_a_run_leaves(trained, source):
    names = {path.name for path in trained.folder.iterdir()}
    assert names == {
        "config.json",
        WEIGHTS,
        "tokenizer.json",
        "tokenizer_config.json",
        HISTORY,
        CALIBRATION,
        "manifest.json",
    }
    manifest = json.loads((trained.folder / "manifest.json").read_text())
    assert manifest["command"] == ["radloop", "label", "train"]
    assert manifest["config"] == TINY.model_dump(mode="json")
    assert manifest["inputs"][0]["path"] == str(source)
    counts = manifest["counts"]
    assert counts["weak, training"] + counts["weak, held out"] == counts["reports"] == 200
    assert counts["sentences, made"] == 2500
    history = [json.loads(line) for line in (trained.folder / HISTORY).read_text().splitlines()]
    assert [line["epoch"] for line in history] == list(range(1, len(trained.epochs) + 1))
    config = json.loads((trained.folder / "config.json").read_text())
    assert len(config["temperatures"]) == len(config["label_names"]) == 14


def test_the_last_epoch_is_kept_where_the_recipe_says_so(source, tmp_path):
    fields = {"made": 0, "max_length": 48}
    two, three = ({"epochs": epochs, "patience": 1, "learning_rate": 1e-9} for epochs in (2, 3))
    early = train([str(source)], tmp_path / "best", changed(**fields, weak=three | {"keep": "best"}))
    whole = train([str(source)], tmp_path / "last", changed(**fields, weak=three | {"keep": "last"}))
    other = train([str(source)], tmp_path / "two", changed(**fields, weak=two | {"keep": "last"}))
    # at so low a rate no epoch is better than the first
    assert [len(done.epochs) for done in (early, whole, other)] == [2, 3, 2]
    assert len({(done.folder / WEIGHTS).read_bytes() for done in (early, whole, other)}) == 3
    assert whole.weighted_f1 == whole.epochs[-1].weighted_f1
    again = train([str(source)], tmp_path / "last", changed(**fields, weak=three | {"keep": "last"}), resume=True)
    assert (again.untouched, again.weighted_f1) == (True, whole.weighted_f1)


class Interrupted(Exception):
    pass


def test_the_same_seed_gives_the_same_bytes_and_so_does_a_resumed_run(source, tmp_path):
    recipe = changed(weak={"epochs": 3, "batch_size": 32}, made=100, max_length=48)
    train([str(source)], tmp_path / "whole", recipe)
    train([str(source)], tmp_path / "again", recipe)

    def stop(epoch):
        if epoch.epoch == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        train([str(source)], tmp_path / "resumed", recipe, watch=stop)
    assert not (tmp_path / "resumed" / "manifest.json").exists()
    seen = []
    train([str(source)], tmp_path / "resumed", recipe, resume=True, watch=lambda epoch: seen.append(epoch.epoch))
    assert seen == [3]
    assert files(tmp_path / "whole") == files(tmp_path / "again") == files(tmp_path / "resumed")
    train([str(source)], tmp_path / "other", recipe.model_copy(update={"seed": 1}))
    assert files(tmp_path / "other")[WEIGHTS] != files(tmp_path / "whole")[WEIGHTS]


def test_another_recipe_does_not_go_on_from_a_checkpoint(source, tmp_path):
    def stop(epoch):
        raise Interrupted

    with pytest.raises(Interrupted):
        train([str(source)], tmp_path / "run", changed(**SHORT), watch=stop)
    with pytest.raises(RunError) as error:
        train([str(source)], tmp_path / "run", changed(**SHORT, balance=0.25), resume=True)
    assert error.value.code == "run.changed"
    checkpoint = tmp_path / "run" / "partial" / "weak.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(RunError) as error:
        train([str(source)], tmp_path / "run", changed(**SHORT), resume=True)
    assert error.value.code == "run.damaged"


def test_a_complete_run_is_left_as_it_is(trained, source):
    before = files(trained.folder)
    again = train([str(source)], trained.folder, TINY, resume=True)
    assert again.untouched
    assert (again.epochs, again.counts, again.weighted_f1) == (trained.epochs, trained.counts, trained.weighted_f1)
    with pytest.raises(RunError) as error:
        train([str(source)], trained.folder, changed(**SHORT), resume=True)
    assert error.value.code == "run.changed"
    assert files(trained.folder) == before


def test_a_loss_that_is_no_number_is_an_error_that_says_what_to_do(source, tmp_path):
    with pytest.raises(RunError) as error:
        train([str(source)], tmp_path / "run", changed(weak={"learning_rate": 1e30, "warmup": 0.0}))
    assert error.value.code == "train.nan"
    assert "weak, epoch 1" in error.value.where
    assert not (tmp_path / "run" / WEIGHTS).exists()


def test_labels_that_are_never_positive_are_named(tmp_path):
    source = tmp_path / "reports.jsonl"
    lines = [{"study_id": str(n), "report": f"Film {n}. Small pleural effusion."} for n in range(40)]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = train([str(source)], tmp_path / "run", changed(weak={"epochs": 1}, heldout=0.3))
    named = {warning.split(":")[0] for warning in done.warnings}
    assert "Pneumothorax" in named
    assert "Pleural Effusion" not in named


def test_too_few_reports(tmp_path):
    source = tmp_path / "reports.jsonl"
    source.write_text('{"study_id": "1", "report": "No effusion."}\n')
    with pytest.raises(DataError) as error:
        train([str(source)], tmp_path / "run", TINY)
    assert error.value.code == "data.empty"


def test_an_encoder_that_is_not_there_and_nothing_is_downloaded(source, tmp_path):
    for name in (str(tmp_path / "nowhere"), "bert-base-uncased"):
        with pytest.raises(ConfigError) as error:
            train([str(source)], tmp_path / "run", changed(encoder={"source": name}))
        assert (error.value.code, error.value.where) == ("model.missing", name)


def test_an_encoder_of_ones_own(source, trained, tmp_path):
    import torch

    from labeler.neural.model import BertCnnForLabels

    encoder = BertCnnForLabels.from_pretrained(trained.folder).encoder
    encoder.save_pretrained(tmp_path / "encoder")
    AutoTokenizer.from_pretrained(trained.folder).save_pretrained(tmp_path / "encoder")
    recipe = changed(
        encoder={"source": str(tmp_path / "encoder")}, made=0, head={"kind": "cls"},
        weak={"epochs": 1, "learning_rate": 1e-12},
    )  # fmt: skip
    train([str(source)], tmp_path / "run", recipe)
    after = BertCnnForLabels.from_pretrained(tmp_path / "run").encoder.state_dict()
    for name, weight in encoder.state_dict().items():
        torch.testing.assert_close(after[name], weight, rtol=0, atol=1e-6)
    assert NeuralLabeler(tmp_path / "run").made_by.startswith("bert.v1+")


def test_a_trained_labeler_of_another_schema(source, trained, tmp_path):
    copy = shutil.copytree(trained.folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text()) | {"schema_name": "ours.v1"}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError) as error:
        train([str(source)], tmp_path / "run", changed(encoder={"source": str(copy)}))
    assert (error.value.code, error.value.where) == ("model.schema", str(copy))


def test_an_encoder_whose_tokenizer_is_of_another_one(source, trained, tmp_path):
    BertModel(BertConfig(vocab_size=20, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=16)).save_pretrained(tmp_path / "encoder")  # fmt: skip
    AutoTokenizer.from_pretrained(trained.folder).save_pretrained(tmp_path / "encoder")
    with pytest.raises(ConfigError) as error:
        train([str(source)], tmp_path / "run", changed(encoder={"source": str(tmp_path / "encoder")}))
    assert error.value.code == "model.tokenizer"


def test_made_sentences_are_read_in_turn(source, tmp_path):
    seen = {}
    for fresh in (False, True):
        steps = []
        weak = {"epochs": 2, "batch_size": 64, "learning_rate": 1e-9}
        recipe = changed(weak=weak, made=301, fresh=fresh, max_length=24)
        done = train([str(source)], tmp_path / f"fresh-{fresh}", recipe, steps=steps.append)
        assert done.counts["sentences, made"] == 301
        assert steps[-1].done == steps[-1].total
        seen[fresh] = [step.items for step in steps if step.done % (steps[-1].total // 2) == 0]
    real = done.counts["sentences"]
    assert seen[False] == [real + 301] * 2
    # one that is left over is read by all
    assert seen[True] == [real + 151] * 2


@given(st.integers(0, 60), st.integers(0, 20), st.integers(1, 5))
def test_the_epochs_share_what_is_read_in_turn(rows, in_turn, epochs):
    in_turn = min(in_turn, rows)
    none = np.zeros((rows, 1), dtype=np.int64)
    learned = Encoded([[1]] * rows, none, none.astype(np.float32))
    recipe = StageRecipe(epochs=epochs, patience=1, learning_rate=1)
    stage = Stage("weak", recipe, learned, learned, none, Tokens(0, 1, frozenset()), 0, 0, "", None, in_turn=in_turn)
    read = [set(stage.rows(number).tolist()) for number in range(1, epochs + 1)]
    kept = set.intersection(*read)
    assert len({len(one) for one in read}) == 1
    assert set().union(*read) == set(range(rows))
    if epochs > 1:
        assert kept == set(range(rows - in_turn // epochs * epochs))
        assert sum(len(one - kept) for one in read) == in_turn // epochs * epochs


def test_small_batches_make_as_many_steps_as_the_large_one_they_stand_for(source, tmp_path):
    fields = {"made": 0, "word_dropout": 0.0}
    seen = []
    for name, stage in (("large", {"batch_size": 32}), ("small", {"batch_size": 16, "accumulate": 2})):
        steps = []
        train([str(source)], tmp_path / name, changed(**fields, weak={"epochs": 1, **stage}), steps=steps.append)
        seen.append([step.done for step in steps])
        assert steps[-1].done == steps[-1].total
        assert 500 < steps[-1].items < 900
    assert seen[0] == seen[1]


TOGETHER = """
import sys
from pathlib import Path
from labeler.neural.train import train
from tests.labeler.neural.conftest import changed

done = train([sys.argv[1]], Path(sys.argv[2]), changed(weak={"epochs": 2, "batch_size": 16}, made=250))
print([epoch.weighted_f1 for epoch in done.epochs])
"""


@pytest.mark.slow
def test_two_processes_learn_together_and_leave_one_model(root, source, tmp_path):
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", script]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [*call, source, tmp_path / "run"], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    one, other = done.stdout.splitlines()
    assert one == other
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["counts"]["reports"] == 200
    assert not (tmp_path / "run" / "partial").exists()
    assert NeuralLabeler(tmp_path / "run").schema.name == "chexpert14.v1"


def test_a_tracker_that_is_not_there(source, tmp_path):
    with pytest.raises(ConfigError) as error:
        train([str(source)], tmp_path / "run", changed(**SHORT, tracker="nobody"))
    assert error.value.code == "config.value"


def test_a_table_is_no_place_for_a_model(source, tmp_path):
    with pytest.raises(RunError) as error:
        train([str(source)], tmp_path / "labels.csv", TINY)
    assert error.value.code == "run.is_file"


def test_the_command(source, invented, tmp_path):
    app = typer.Typer()
    app.command()(train_cli)
    (tmp_path / "test-ids.txt").write_text("\n".join(record["id"] for record in invented[:30]) + "\n")
    small = {
        "encoder.hidden_size": 16, "encoder.layers": 1, "encoder.intermediate_size": 16, "head.filters": 8,
        "weak.epochs": 1, "heldout": 0.2, "made": 0,
    }  # fmt: skip
    changes = [part for name, value in small.items() for part in ("--set", f"{name}={value}")]
    place = tmp_path / "run"
    call = [str(source), "-o", str(place), "--leave-out", str(tmp_path / "test-ids.txt"), *changes]
    done = CliRunner().invoke(app, call, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout == ""
    assert "weak, epoch 1" in done.stderr
    assert "170 reports" in done.stderr
    assert json.loads((place / "manifest.json").read_text())["counts"]["left out"] == 30
    missing = CliRunner().invoke(app, [*call[:3], "--leave-out", str(tmp_path / "none.txt")])
    assert isinstance(missing.exception, DataError)


def test_the_command_is_at_hand_without_torch(root):
    program = (
        "import sys, labeler, labeler.neural, labeler.neural.commands, labeler.neural.recipe\n"
        "sys.exit(sorted({'torch', 'transformers', 'accelerate', 'tokenizers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
