"""A batch gives the same bytes however it is run and however often it is killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq
import pytest

from tests.labeler.conftest import EAGER, PHRASES, children, json_line, outputs, report, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def reference(radloop, tmp_path, records, *args):
    """What one undisturbed process makes of records that come through stdin elsewhere."""
    source = tmp_path / "reference.jsonl"
    source.write_text("".join(map(json_line, range(records))))
    out = tmp_path / "reference" / "labels.csv"
    evidence = out.with_name("labels.csv.evidence.jsonl")
    done = radloop("label", "run", source, "-o", out, "--evidence", evidence, "--workers", 1, *args)
    assert done.code == 1, "one in 50 records is broken, which is more than 1 %"
    made = outputs(out)
    made["labels.csv.failures.jsonl"] = made["labels.csv.failures.jsonl"].replace(str(source).encode(), b"-")
    assert set(made) == {"labels.csv", "labels.csv.evidence.jsonl", "labels.csv.failures.jsonl"}
    return made


def start(paced, tmp_path, workers):
    out = tmp_path / "labels.csv"
    return paced(out, "--evidence", f"{out}.evidence.jsonl", "--workers", workers, "--resume")


# --- one result ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("labeler", "workers"), [("toy.v1", (1, 2, 3)), ("rules.v1", (1, 3))])
def test_any_number_of_workers_gives_the_same_bytes(command, source, tmp_path, labeler, workers):
    path = source(700)
    made = []
    for number in workers:
        out = tmp_path / str(number) / "labels.csv"
        args = ("label", "run", path, "-o", out, "--evidence", f"{out}.evidence.jsonl", "--labeler", labeler)
        done = command(*args, "--workers", number, program=EAGER)
        assert done.returncode == 1, done.stderr
        made.append(outputs(out))
    assert len(made[0]["labels.csv"].splitlines()) > 650
    assert len(made[0]["labels.csv.failures.jsonl"].splitlines()) > 15
    assert all(each == made[0] for each in made)


@pytest.mark.slow
def test_workers_start_by_themselves_where_they_are_worth_it(command, tmp_path):
    path = tmp_path / "reports.csv"
    path.write_text("report\n" + "".join(f'"{report(number)}"\n' for number in range(25_000)))
    made = []
    for workers in (1, 2, 3):
        out = tmp_path / f"{workers}.csv"
        done = command("label", "run", path, "-o", out, "--workers", workers)
        assert done.returncode == 0, done.stderr
        made.append(out.read_bytes())
    assert made[0] == made[1] == made[2]


# --- killed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_again_and_again_and_resumed(paced, radloop, tmp_path, workers):
    expected = reference(radloop, tmp_path, 2000, "--labeler", "toy.v1")
    for fed, noted in ((0, 0), (300, 40), (700, 300), (710, 300), (1900, 1500)):
        run = start(paced, tmp_path, workers)
        run.feed(0, fed)
        run.wait_for(noted) if noted else time.sleep(0.1)
        run.kill()
        code, _ = run.end()
        assert code == -signal.SIGKILL
    run = start(paced, tmp_path, workers)
    run.feed(0, 2000)
    code, said = run.end()
    assert code == 1
    assert "of them before the interruption" in said
    assert outputs(tmp_path / "labels.csv") == expected, "and nothing else is left"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_real_run_killed_at_any_moment(command, tmp_path, workers):
    path = tmp_path / "reports.csv"
    rows = (f'{number},"{report(number)} {number % 5000} mm."\n' for number in range(60_000))
    path.write_text("study_id,report\n" + "".join(rows))
    out = tmp_path / "labels.csv"
    args = ["label", "run", path, "-o", out, "--evidence", f"{out}.evidence.jsonl", "--workers", workers, "--resume"]
    moments = random.Random(workers)
    for _ in range(5):
        run = subprocess.Popen(
            [sys.executable, "-c", "from corpora.cli import main; main()", *map(str, args)],
            stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        time.sleep(moments.uniform(0.5, 6))
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
    done = command(*args)
    assert done.returncode == 0, done.stderr
    resumed = outputs(out)
    args = ["label", "run", path, "-o", out, "--evidence", f"{out}.evidence.jsonl", "--workers", 1]
    assert command(*args).returncode == 0
    assert resumed == outputs(out)


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_and_resumed(paced, radloop, tmp_path, workers):
    expected = reference(radloop, tmp_path, 1000, "--labeler", "toy.v1")
    run = start(paced, tmp_path, workers)
    run.feed(0, 800)
    run.wait_for(400)
    run.kill(signal.SIGINT)
    code, said = run.end()
    assert (code, said) == (130, "interrupted; the same command with --resume goes on from here\n")
    run = start(paced, tmp_path, workers)
    run.feed(0, 1000)
    assert run.end()[0] == 1
    assert outputs(tmp_path / "labels.csv") == expected


@linux
def test_interrupted_while_the_workers_start(paced, tmp_path):
    run = start(paced, tmp_path, 2)
    run.feed(0, 400)
    until(run.workers, run.process)
    run.kill(signal.SIGINT)
    code, said = run.end()
    assert (code, said) == (130, "interrupted; the same command with --resume goes on from here\n")


@linux
def test_a_worker_is_killed(paced, radloop, tmp_path):
    expected = reference(radloop, tmp_path, 1000, "--labeler", "toy.v1")
    run = start(paced, tmp_path, 2)
    run.feed(0, 600)
    run.wait_for(200)
    os.kill(run.workers()[0], signal.SIGKILL)
    run.feed(600, 1000)
    code, said = run.end()
    assert code == 2
    assert said.splitlines() == [
        "[run.worker] a worker process was killed, as happens where memory runs out",
        "  hint: run again with --resume; fewer --workers need less memory",
    ]
    run = start(paced, tmp_path, 2)
    run.feed(0, 1000)
    assert run.end()[0] == 1
    assert outputs(tmp_path / "labels.csv") == expected


@linux
def test_workers_end_with_their_parent(paced, tmp_path):
    run = start(paced, tmp_path, 2)
    run.feed(0, 600)
    run.wait_for(200)
    workers = run.workers()
    assert len(workers) == 2
    os.kill(run.process.pid, signal.SIGKILL)
    run.end()
    until(lambda: not any(os.path.exists(f"/proc/{pid}/fd/0") for pid in workers))  # noqa: PTH110
    assert children(run.process.pid) == []


def test_two_runs_at_once_to_one_output(paced, command, source, tmp_path):
    run = start(paced, tmp_path, 1)
    run.feed(0, 600)
    run.wait_for(100)
    for resume in ([], ["--resume"]):
        other = command("label", "run", source(10), "-o", tmp_path / "labels.csv", *resume)
        assert other.returncode == 2
        assert other.stderr.startswith("[run.busy] another run is writing this output\n")
    assert run.end()[0] == 1


# --- resumed, or not -----------------------------------------------------------------------------------------------


def interrupted(paced, tmp_path, records=400):
    """A run that was killed after some records."""
    run = start(paced, tmp_path, 1)
    run.feed(0, records)
    run.wait_for(records // 2)
    run.kill()
    run.end()
    return ["label", "run", "-", "-o", tmp_path / "labels.csv", "--evidence", tmp_path / "labels.csv.evidence.jsonl"]


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--labeler", "rules.v1"], "labeler"),
        (["--labeler", "toy.v1", "--sections", "impression"], "sections"),
        (["--labeler", "toy.v1", "--format", "json"], "format"),
        (["--labeler", "toy.v1", "--id-column", "id"], "id_column"),
    ],
)
def test_other_options_are_not_resumed(paced, command, tmp_path, args, named):
    again = interrupted(paced, tmp_path)
    done = command(*again, "--resume", *args, stdin='[{"id": "a", "report": "b"}]')
    assert done.returncode == 2
    assert done.stderr.startswith(f"[run.changed] this is not the run that was interrupted: not the same {named}\n")
    assert len(done.stderr.splitlines()) <= 3


def test_another_source_is_not_resumed(paced, command, tmp_path):
    again = [*interrupted(paced, tmp_path), "--labeler", "toy.v1", "--resume"]
    for changed in (lambda number: number + 1, lambda number: number + (number == 3)):
        stdin = "".join(json_line(changed(number)) for number in range(800))
        done = command(*again, stdin=stdin)
        assert done.returncode == 2
        assert done.stderr.startswith("[run.changed] the source no longer begins with the records that were labeled\n")
    shorter = command(*again, stdin=json_line(0))
    assert shorter.returncode == 2
    assert "run.changed" in shorter.stderr
    assert not (tmp_path / "labels.csv").exists()


def test_an_edited_schema_is_not_resumed(command, tmp_path):
    schema = tmp_path / "mine.yaml"
    schema.write_text("base: chexpert14.v1\nname: mine.v1\n")
    source = tmp_path / "reports.jsonl"
    lines = [json.dumps({"id": str(number), "report": "No effusion."}) + "\n" for number in range(60)]
    source.write_text("".join(lines) + '{"id": "last", "report": "A')
    args = (
        "label",
        "run",
        source,
        "-o",
        tmp_path / "labels.csv",
        "--schema",
        schema,
        "--labeler",
        "toy.v1",
        "--resume",
    )
    broken = "import labeler.journal as j; f = j.Journal.append\ndef end(*a): f(*a); raise KeyboardInterrupt\n"
    assert command(*args, program=f"{broken}j.Journal.append = end\n{EAGER}").returncode == 130
    schema.write_text("base: chexpert14.v1\nname: mine.v1\nlabels: {Edema: {findings: [wetness]}}\n")
    done = command(*args)
    assert done.returncode == 2
    assert "not the same schema\n" in done.stderr


def test_a_complete_run_is_left_alone_or_replaced(radloop, source, tmp_path):
    path, out = source(45), tmp_path / "labels.csv"
    args = ("label", "run", path, "-o", out, "--labeler", "toy.v1")
    assert radloop(*args, "--resume").code == 0, "there is nothing to resume: it starts"
    manifest = (tmp_path / "labels.csv.manifest.json").read_bytes()
    again = radloop(*args, "--resume")
    assert (again.code, again.err) == (0, f"nothing left to do: {out} is complete\n")
    assert (tmp_path / "labels.csv.manifest.json").read_bytes() == manifest
    other = radloop(*args, "--resume", "--sections", "impression")
    assert other.code == 2
    assert other.err.startswith("[run.changed] this output is complete, and was made by another run: not the same sect")
    path.write_text(path.read_text() + json_line(100))
    changed = radloop(*args, "--resume")
    assert changed.code == 2
    assert "not the same source or schema" in changed.err
    assert radloop(*args).code == 0
    assert len(out.read_text().splitlines()) == 47


def test_a_complete_run_whose_table_is_gone_starts_over(radloop, source, tmp_path):
    out, evidence = tmp_path / "labels.csv", tmp_path / "evidence.jsonl"
    args = ("label", "run", source(45), "-o", out, "--labeler", "toy.v1", "--evidence", evidence, "--resume")
    assert radloop(*args).code == 0
    table = out.read_bytes()
    for gone in (out, evidence):
        gone.unlink()
        assert radloop(*args).code == 0
        assert out.read_bytes() == table
        assert evidence.exists()


def test_what_a_replaced_run_rejected_is_gone(radloop, source, tmp_path):
    out = tmp_path / "labels.csv"
    assert radloop("label", "run", source(100), "-o", out, "--labeler", "toy.v1").code == 1
    assert (tmp_path / "labels.csv.failures.jsonl").exists()
    assert radloop("label", "run", source(45), "-o", out, "--labeler", "toy.v1").code == 0
    assert sorted(outputs(out)) == ["labels.csv"]


@pytest.mark.parametrize("damage", ["note", "rows"])
def test_a_damaged_journal_is_not_resumed(paced, command, tmp_path, damage):
    again = [*interrupted(paced, tmp_path), "--labeler", "toy.v1"]
    work = tmp_path / "labels.csv.partial"
    if damage == "note":
        (work / "progress.json").write_text('{"key"')
    else:
        (work / "rows.part").write_bytes(b"s0")
    stdin = "".join(map(json_line, range(45)))
    done = command(*again, "--resume", stdin=stdin)
    assert done.returncode == 2
    assert done.stderr.startswith("[run.damaged] what the interrupted run left is damaged\n")
    assert command(*again, stdin=stdin).returncode == 0


def test_an_output_inside_its_source(radloop, tmp_path):
    for number in range(5):
        (tmp_path / f"s{number}.txt").write_text(report(number))
    args = ("label", "run", tmp_path, "-o", tmp_path / "labels.csv", "--labeler", "toy.v1")
    assert radloop(*args).code == 0
    manifest = json.loads((tmp_path / "labels.csv.manifest.json").read_text())
    assert manifest["inputs"][0]["files"] == 5
    assert radloop(*args, "--resume").err.startswith("nothing left to do")
    assert radloop(*args).code == 0
    assert json.loads((tmp_path / "labels.csv.manifest.json").read_text())["inputs"] == manifest["inputs"]


# --- how much it takes ---------------------------------------------------------------------------------------------


PEAK = """
import sys
from corpora.cli import run
code = run(sys.argv[1:])
with open("/proc/self/status") as status:
    print(*[line.split()[1] for line in status if line.startswith("VmHWM")])
sys.exit(code)
"""


@linux
@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(command, tmp_path):
    def peak(records):
        path, out = tmp_path / "reports.csv", tmp_path / "labels.csv"
        with path.open("w") as file:
            file.write("study_id,report\n")
            file.writelines(f's{number},"{PHRASES[number % 8]} {number % 5000} seen."\n' for number in range(records))
        done = command("label", "run", path, "-o", out, "--workers", 1, program=PEAK)
        assert done.returncode == 0, done.stderr
        assert len(out.read_text().splitlines()) == records + 1
        return int(done.stdout) / 1024

    small, large = peak(60_000), peak(240_000)
    assert large - small < 60, f"{small:.0f} MiB for 60,000 reports, {large:.0f} MiB for 240,000"
    assert large < 1024


def test_no_network_library_is_loaded(command, source, tmp_path):
    program = """
import sys
from corpora.cli import run
code = run(sys.argv[1:])
# not pandas: where it is installed, pyarrow looks at it by itself
print(*sorted({"torch", "transformers", "datasets", "tensorflow", "jax"} & set(sys.modules)), end="")
sys.exit(code)
"""
    done = command("label", "run", source(45), "-o", tmp_path / "labels.parquet", program=program)
    assert (done.returncode, done.stdout) == (0, "")
    assert pq.read_table(tmp_path / "labels.parquet").num_rows == 45
