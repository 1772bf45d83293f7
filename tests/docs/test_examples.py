"""The examples for clusters: their commands exist, the SLURM jobs run as shell scripts on a small corpus, and the pods
of the Kubernetes files as processes with networks of their own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from corpora.cli import run
from tests.benchmarks.kubernetes import isolated
from tests.docs.pages import commands_of
from tests.docs.test_commands import fault

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
FILES = sorted(path for path in EXAMPLES.rglob("*") if path.is_file())


def lines(path):
    """The lines of shell in an example."""
    if path.suffix == ".sbatch":
        return path.read_text().replace("\\\n", " ").splitlines()
    scripts = []
    for document in yaml.safe_load_all(path.read_text()):
        for container in document["spec"].get("template", {}).get("spec", {}).get("containers", []):
            words = [*container["command"], *container["args"]]
            scripts += words[-1].splitlines() if words[0] == "bash" else [" ".join(words)]
    return scripts


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_its_commands_exist(path):
    found = [words for line in lines(path) for words in commands_of(line.replace('"$(command -v radloop)"', "radloop"))]
    ray = [line for line in lines(path) if line.startswith("ray start")]
    assert found or ray
    assert [fault(words) for words in found if fault(words)] == []


def can_isolate():
    """Whether this system lets us have a network, mounts and processes of our own."""
    tools = all(shutil.which(name) for name in ("unshare", "nsenter", "ip"))
    words = isolated(["sh", "-c", "ip link add pod0 type veth peer name pod1 && ip link add pods type bridge"])
    return tools and subprocess.run(words, capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not can_isolate(), reason="needs Linux that lets us have a network of our own")
def test_pods_label_over_their_cluster_and_one_that_is_killed_goes_on(tmp_path):
    source, pods = tmp_path / "reports.csv", tmp_path / "pods"
    rows = "".join(f"r{n},No effusion. Possible {n} mm nodule. Heart size is normal.\n" for n in range(60_000))
    source.write_text(f"study_id,report\n{rows}")
    words = [sys.executable, "-m", "tests.benchmarks.kubernetes", source, "-o", pods, "--kill"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    logs = {path.name: path.read_text() for path in pods.glob("*.log")}
    assert done.returncode == 0, done.stdout + done.stderr + "".join(log[-1500:] for log in logs.values())
    assert len(json.loads(done.stdout)["exit codes of the job"]) > 1
    assert "before the interruption" in logs["radloop-label.log"]
    assert not [name for name, log in logs.items() if "object store is using" in log]
    here = tmp_path / "here.csv"
    assert run(["label", "run", str(source), "-o", str(here), "--workers", "1"]) == 0
    assert (pods / "radloop-data" / "labels.csv").read_bytes() == here.read_bytes()


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".yaml"], ids=lambda path: path.name)
def test_pods_of_one_cluster_run_one_image_with_one_token(path):
    containers = [
        container
        for document in yaml.safe_load_all(path.read_text())
        for container in document["spec"].get("template", {}).get("spec", {}).get("containers", [])
    ]
    assert {each["image"] for each in containers} == {"registry.example.org/radloop-ray:0.1.0"}
    assert all(each["env"][0] == {"name": "RAY_AUTH_MODE", "value": "token"} for each in containers)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with a corpus, its films in two folders, labels and a split."""
    folder = tmp_path_factory.mktemp("cluster")
    script = """
        radloop corpus phantom -o corpus -n 40 --size 96 --workers 1
        radloop label run corpus -o labels.csv --workers 1
        radloop corpus split corpus --labels labels.csv --ratios train=.6,validate=.2,test=.2 || test $? -eq 1
        radloop corpus key site.key
        mkdir -p films/a films/b
        ls corpus/images | head -4 | while read name; do cp corpus/images/$name films/a; done
        ls corpus/images | tail -4 | while read name; do cp corpus/images/$name films/b; done
        ls -d films/*/ > folders.txt
    """
    shell(folder, script)
    return folder


def shell(folder, script, *words, codes=(0,), **more):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", **more}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script, "job", *map(str, words)],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in codes, done.stdout[-1000:] + done.stderr[-3000:]
    return done


def job(name):
    return (EXAMPLES / "slurm" / name).read_text()


@pytest.mark.slow
def test_the_labeling_job_goes_on_when_it_is_sent_again(small):
    for _ in range(2):
        shell(small, job("label.sbatch"), "corpus", "slurm-labels.csv", SLURM_CPUS_PER_TASK="1")
    assert (small / "slurm-labels.csv").read_bytes() == (small / "labels.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_array_of_de_identification_uses_one_key(small):
    for task in ("1", "2"):
        more = {"SLURM_ARRAY_TASK_ID": task, "SLURM_CPUS_PER_TASK": "1"}
        # films this small keep text that the scan finds, which is its exit code 1
        shell(small, job("deidentify.sbatch"), "folders.txt", "clean", "site.key", codes=(0, 1), **more)
    beside = [f"{folder}{end}" for folder in "ab" for end in ("", ".scan.json", ".scan.json.manifest.json")]
    assert sorted(path.name for path in (small / "clean").iterdir()) == beside
    assert json.loads((small / "clean" / "a.scan.json").read_text())["files"] == 4
    assert len(list((small / "clean").rglob("*.dcm"))) == 8


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_training_job_goes_on_when_it_is_sent_again(small):
    words = ["corpus", "labels.csv", "run", "vision/phantom", "--set", "size=64", "--set", "training.epochs=1"]
    for _ in range(2):
        shell(small, job("train.sbatch"), *words, "--set", "min_positive=1", SLURM_TMPDIR=str(small))
    assert (small / "run.evaluation" / "manifest.json").is_file()
