"""The hybrid with a trained network, as the commands take it."""

import json
import shutil
from pathlib import Path

from labeler.base import load
from labeler.hybrid import load_recipe


def test_the_hybrid_by_its_name(radloop, trained, source, invented, tmp_path):
    name = f"hybrid.v1:{trained.folder}"
    assert load(name).made_by.startswith("hybrid.v1+bertcnn.v1+")
    done = radloop("label", "run", source, "-o", tmp_path / "labels.csv", "--labeler", name)
    assert done.code == 0, done.err
    manifest = json.loads((tmp_path / "labels.csv.manifest.json").read_text())
    assert {Path(one["path"]).name for one in manifest["inputs"]} >= {"model.safetensors", "chexpert14.en.yaml"}
    assert "torch" in manifest["versions"]
    alone = radloop("label", "explain", "No effusion.", "--labeler", "hybrid.v1")
    assert (alone.code, "[model.missing]" in alone.err) == (2, True)


def test_thresholds_are_found_by_gold_and_stay_beside_the_network(radloop, trained, source, invented, tmp_path):
    run = shutil.copytree(trained.folder, tmp_path / "run")
    gold = tmp_path / "gold.jsonl"
    lines = [json.dumps({"id": record["id"], "labels": record["labels"]}) for record in invented[:120]]
    gold.write_text("\n".join(lines) + "\n")
    done = radloop("label", "tune", source, "--network", run, "--gold", gold)
    assert done.code == 0, done.err
    assert "120 reports" in done.err
    fitted = load_recipe(run / "hybrid.yaml")
    assert load(f"hybrid.v1:{run}").recipe == fitted != load_recipe()
