"""A Ray cluster labels what one process labels, to the byte, whatever happens to its workers."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.labeler.conftest import EAGER, command_line, outputs, until
from tests.labeler.test_batch import reference

ray = pytest.importorskip("ray")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc, and signals what it finds there")

# two cores for all tests, whose clusters start slowly where they share them
START_SECONDS = 90
RAY = [sys.executable, "-m", "ray.scripts.scripts"]


@pytest.fixture(scope="module")
def quiet_ray():
    """Clusters of these tests keep to themselves: a token of their own, and nothing in the home folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.delenv("RAY_ADDRESS", raising=False)
        yield patch


@pytest.fixture(scope="module")
def cluster(quiet_ray):
    """The address of a cluster of two cores, and the process that holds it."""
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a socket's path is 107 bytes at most
    address = f"127.0.0.1:{free_port()}"
    started = subprocess.Popen(
        [*RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={address.rpartition(':')[2]}",
         "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}",
         f"--object-store-memory={100 << 20}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    for line in started.stdout:
        if "runtime started" in line:
            break
    # or else it would wait until what it says is read
    threading.Thread(target=started.stdout.read, daemon=True).start()
    yield address, started.pid
    started.send_signal(signal.SIGTERM)
    started.wait(60)
    started.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def tree(pid):
    """A process and all below it."""
    below = [int(one) for file in Path(f"/proc/{pid}/task").glob("*/children") for one in read(file).split()]
    return [pid, *(other for child in below for other in tree(child))]


def read(file):
    try:
        return file.read_text()
    except OSError:
        return ""


def labelers(pid):
    """The processes below this one that label."""
    return [one for one in tree(pid) if "ray::_Worker" in command_line(one)]


def labeled(command, path, out, *args):
    done = command(
        "label", "run", path, "-o", out, "--evidence", f"{out}.evidence.jsonl", "--max-failures", "10%", *args,
        program=EAGER,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done, outputs(out)


def over_ray(paced, tmp_path, *args):
    out = tmp_path / "labels.csv"
    args = ("--evidence", f"{out}.evidence.jsonl", "--workers", 2, "--resume", "--engine", "ray", *args)
    return paced(out, *args)


def noted(run):
    """How many records are noted as done."""
    return json.loads((run.out.parent / f"{run.out.name}.partial" / "progress.json").read_text())["end"][0]


# --- one result ----------------------------------------------------------------------------------------------------


def test_the_same_bytes_for_any_number_of_workers_and_no_word_of_ray(
    command, source, tmp_path, cluster, monkeypatch
):  # fmt: skip
    path = source(700)
    _, expected = labeled(command, path, tmp_path / "local" / "labels.csv", "--workers", 1)
    monkeypatch.setenv("RAY_ADDRESS", cluster[0])
    for workers in (1, 2):
        out = tmp_path / str(workers) / "labels.csv"
        done, made = labeled(command, path, out, "--engine", "ray", "--workers", workers)
        assert made == expected
        assert done.stdout == ""
        assert [line.split()[1] for line in done.stderr.splitlines()] == ["reports", str(out), "records"]


@pytest.mark.slow
def test_a_cluster_of_its_own_for_a_schema_in_a_file(command, source, tmp_path, quiet_ray):
    (tmp_path / "my.yaml").write_text(
        "base: chexpert14.v1\nname: ours.v1\nlabels:\n  Rib:\n    findings: [rib fracture]\n"
    )
    path = source(700)
    args = (command, path)
    made = []
    for engine in ("local", "ray"):
        out = tmp_path / engine / "labels.csv"
        _, files = labeled(*args, out, "--schema", tmp_path / "my.yaml", "--engine", engine, "--workers", 2)
        made.append(files)
    assert made[0] == made[1]
    assert b"Rib" in made[0]["labels.csv"].splitlines()[0]


# --- killed --------------------------------------------------------------------------------------------------------


def test_a_worker_is_killed_and_its_records_done_by_another(radloop, paced, tmp_path, cluster, monkeypatch):
    expected = reference(radloop, tmp_path, 1000, "--labeler", "toy.v1")
    address, head = cluster
    monkeypatch.setenv("RAY_ADDRESS", address)
    run = over_ray(paced, tmp_path)
    run.feed(0, 600)
    until(lambda: len(labelers(head)) == 2, run.process, START_SECONDS)
    run.wait_for(200)
    # stopped first, so that it surely holds records when it dies
    os.kill(labelers(head)[0], signal.SIGSTOP)
    run.feed(600, 1000)
    time.sleep(1)
    assert noted(run) < 1000, "it waits for the records that the stopped worker holds"
    os.kill(labelers(head)[0], signal.SIGKILL)
    code, said = run.end()
    assert code == 1, said
    assert [line.split()[1] for line in said.splitlines()] == ["reports", str(run.out), "records", "records"]
    assert outputs(run.out) == expected


@pytest.mark.slow
def test_workers_are_killed_as_soon_as_they_start(radloop, paced, tmp_path, cluster, monkeypatch):
    expected = reference(radloop, tmp_path, 1000, "--labeler", "toy.v1")
    address, head = cluster
    monkeypatch.setenv("RAY_ADDRESS", address)
    run = over_ray(paced, tmp_path)
    run.feed(0, 600)
    run.wait_for(200)
    os.kill(labelers(head)[0], signal.SIGSTOP)
    run.feed(600, 1000)
    end = time.monotonic() + START_SECONDS
    while run.process.poll() is None:
        assert time.monotonic() < end
        for pid in labelers(head):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    code, said = run.end()
    assert code == 2
    assert said.startswith("[run.worker] workers of the Ray cluster died again and again over the records up to")
    assert len(said.splitlines()) == 2
    out = tmp_path / "labels.csv"
    run = paced(out, "--evidence", f"{out}.evidence.jsonl", "--workers", 1, "--resume")
    run.feed(0, 1000)
    assert run.end()[0] == 1
    assert outputs(out) == expected


def test_interrupted_over_ray_and_resumed_without(radloop, paced, tmp_path, cluster, monkeypatch):
    expected = reference(radloop, tmp_path, 1000, "--labeler", "toy.v1")
    address, head = cluster
    monkeypatch.setenv("RAY_ADDRESS", address)
    run = over_ray(paced, tmp_path)
    run.feed(0, 800)
    until(lambda: labelers(head), run.process, START_SECONDS)
    run.wait_for(400)
    run.kill(signal.SIGINT)
    code, said = run.end()
    assert (code, said) == (130, "interrupted; the same command with --resume goes on from here\n")
    until(lambda: not labelers(head))
    out = tmp_path / "labels.csv"
    run = paced(out, "--evidence", f"{out}.evidence.jsonl", "--workers", 1, "--resume")
    run.feed(0, 1000)
    code, said = run.end()
    assert code == 1
    assert "of them before the interruption" in said
    assert outputs(out) == expected


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_cluster_of_its_own_ends_with_the_command(paced, tmp_path, quiet_ray, number):
    run = over_ray(paced, tmp_path)
    run.feed(0, 800)
    until(lambda: labelers(run.process.pid), run.process, START_SECONDS)
    run.wait_for(400)
    # two agents of Ray, which hold no report, may outlive a kill by minutes
    started = [pid for pid in tree(run.process.pid) if "Agent" not in command_line(pid)]
    assert len(started) > 4
    os.kill(run.process.pid, number)
    code, _ = run.end()
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 15, signal.SIGKILL: -9}[number]
    until(lambda: not any(command_line(pid) for pid in started), seconds=60)
    assert (tmp_path / "labels.csv.partial").is_dir()


# --- what cannot be used -------------------------------------------------------------------------------------------


def refused(command, tmp_path, address):
    path = tmp_path / "reports.csv"
    path.write_text("study_id,report\n1,No effusion.\n")
    out = tmp_path / "labels.csv"
    out.write_text("an earlier output")
    began = time.monotonic()
    done = command(
        "label", "run", path, "-o", out, "--engine", "ray", env={**os.environ, "RAY_ADDRESS": address}
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert time.monotonic() - began < 40, "within seconds, on a busy machine"
    assert out.read_text() == "an earlier output"
    return done.stderr.splitlines()


def test_nothing_answers_at_the_address(command, tmp_path, quiet_ray):
    address = f"127.0.0.1:{free_port()}"
    assert refused(command, tmp_path, address) == [
        "[engine.unreachable] no Ray cluster answers: Connection refused",
        f"  where: RAY_ADDRESS={address}",
        "  hint: is it running? without RAY_ADDRESS, a cluster is started on this machine",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.0 400 Bad Request\r\n\r\n", "what answers is no Ray cluster"),
        (b"", "what answers is no Ray cluster"),
        (None, "no Ray cluster answers: no answer in time"),
    ],
)
def test_something_else_answers_at_the_address(monkeypatch, answer, said):
    from corpora.errors import RunError
    from labeler import ray_address

    monkeypatch.setattr(ray_address, "_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                if answer is None:
                    connection.recv(100)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(RunError) as caught:
            ray_address.check_answers(f"127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert (caught.value.code, caught.value.message) == ("engine.unreachable", said)


@pytest.mark.parametrize("address", ["nonsense", "host:port", "127.0.0.1:99999", ":6379", "no.such.host.invalid:6379"])
def test_what_is_no_address(address):
    from corpora.errors import RunError
    from labeler.ray_address import check_answers

    with pytest.raises(RunError) as caught:
        check_answers(address)
    assert caught.value.code == "engine.unreachable"
    assert caught.value.where == f"RAY_ADDRESS={address}"


def test_ray_is_not_installed(radloop, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "labeler.ray_engine", raising=False)
    path = tmp_path / "reports.csv"
    path.write_text("study_id,report\n1,No effusion.\n")
    done = radloop("label", "run", path, "-o", tmp_path / "labels.csv", "--engine", "ray")
    assert done.code == 2
    assert done.err.splitlines() == [
        "[extra.missing] this needs ray, which is not installed",
        "  hint: pip install 'radloop[ray]'",
    ]


def test_without_the_engine_ray_is_not_imported(command, source, tmp_path):
    program = EAGER.replace(
        "main()", "import atexit, sys; atexit.register(lambda: print('ray' in sys.modules)); main()"
    )
    for args in ((source(60), "-o", tmp_path / "labels.csv", "--workers", 2), ("--help",)):
        assert command("label", "run", *args, program=program).stdout.endswith("False\n")


def test_a_node_with_other_versions_or_without_the_files(tmp_path):
    from corpora.errors import RunError
    from labeler import ray_engine
    from labeler.chunks import Task

    task = Task("rules.v1", str(tmp_path / "ours.yaml"), "findings", False, "csv")
    fault = ray_engine._Worker(task).fingerprint()
    assert (type(fault), fault.code) == (RunError, "engine.worker")
    assert fault.message.startswith("a node of the Ray cluster cannot load the labeler, as this machine can: ")
    assert ray_engine._Worker(task).label(([], (0, ""))).code == "engine.worker"
    here = ray_engine._Worker(task._replace(schema="chexpert14.v1")).fingerprint()
    assert ray_engine._differs(here, {**here, "spacy": "0"}).lines() == [
        "[engine.differs] a node of the Ray cluster has not the same spacy as this machine",
        "  hint: install the same versions on all nodes, and put files of your own where all nodes have them",
    ]
