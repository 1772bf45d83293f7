"""Stages of the labeler: labels by rules and with a network, their agreement with the truth, the audit."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpora.labels import State
from corpora.runs import atomic_writer, writing
from reportgen.demo.corpus import CLEAN, TRUTH, demo_command
from reportgen.demo.job import Job, write_json
from reportgen.demo.reader import reading

RULES, NETWORK, HYBRID, AGREEMENT, AUDIT = "rules", "network", "hybrid", "agreement", "audit"
READER, ESTIMATES, CERTIFICATE, FINAL = "reader", "estimates", "certificate", "final"
#: Readers of the audit: the second reads the texts that two must read.
FIRST, SECOND = "simulated-1", "simulated-2"


def source_of(job: Job) -> str:
    """Where the reports are: the de-identified corpus, or the file that was given."""
    return job.reports or str(job.at(CLEAN))


def best_of(job: Job) -> str:
    """The stage whose labels go on: the hybrid labeler's where there is one."""
    return HYBRID if job.has(HYBRID) else RULES


def label_by_rules(job: Job) -> None:
    """Label the reports by rules, with the evidence of every label."""
    _label(job, RULES, "rules.v1")


def label_by_both(job: Job) -> None:
    """Label them by rules and network together."""
    _label(job, HYBRID, f"hybrid.v1:{job.at(NETWORK)}")


def _label(job: Job, name: str, labeler: str) -> None:
    from labeler.batch import LabelRun, label_batch

    source, out = source_of(job), job.run_at(name)
    evidence = out / "mentions.jsonl"
    named = [] if labeler == "rules.v1" else ["--labeler", labeler]
    command = job.radloop("label", "run", source, "-o", out, *named, "--evidence", evidence)
    label_batch(
        source, out, LabelRun(labeler=labeler, evidence=True), evidence=evidence, resume=True, command=command,
        watch=lambda done: job.watch(done, None),
    )  # fmt: skip


def teach_network(job: Job) -> None:
    """Teach a small network what the rules say."""
    from corpora.config import load_yaml
    from corpora.resources import config_path
    from labeler.neural.recipe import TrainRecipe
    from labeler.neural.train import train

    changes = [*job.recipe.network, f"seed={job.seed}"]
    source, out = source_of(job), job.run_at(NETWORK)
    command = job.radloop("label", "train", source, "-o", out, *_set(changes))
    recipe = load_yaml(config_path("label/bertcnn"), TrainRecipe, changes)
    train(
        [source], out, recipe, resume=True, command=command, steps=lambda step: job.watch(step.done, step.total)
    )  # fmt: skip


def _set(changes: list[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def agree(job: Job) -> None:
    """Score the labels against what the reports say by their grammar."""
    from labeler.score import score, to_json

    begun, out, gold = time.monotonic(), job.run_at(AGREEMENT), job.at(TRUTH) / "labels.csv"
    done = [name for name in (RULES, HYBRID) if job.has(name)]
    for name in done:
        table = job.at(name) / "labels.csv"
        replicates = job.recipe.replicates
        command = job.radloop("label", "score", table, gold, "--replicates", replicates, "--seed", job.seed, "--json")
        found = to_json(score(table, gold, replicates=replicates, seed=job.seed))
        write_json(out / name / "score.json", found)
        job.manifest(
            f"{AGREEMENT}/{name}", command, config={"replicates": replicates}, inputs=[table, gold],
            counts={"reports": found["reports"]}, begun=begun, stdout="score.json",
        )  # fmt: skip


# The audit


def draw_audit(job: Job) -> None:
    """Plan the audit of the labels and draw the texts that are to be read."""
    from labeler.audit.draw import draw
    from labeler.audit.frame import DRAW
    from labeler.audit.plan import plan

    best, audit = best_of(job), job.run_at(AUDIT)
    labels, source, seed = job.at(best) / "labels.csv", source_of(job), f"demo-{job.seed}"
    other = job.at(RULES) / "labels.csv" if best == HYBRID else None
    evidence = job.at(HYBRID) / "mentions.jsonl" if best == HYBRID else None
    named = ["--second-labels", other, "--evidence", evidence] if best == HYBRID else []
    planned = job.radloop("audit", "plan", labels, "-o", audit, "--reports", source, "--seed", seed, *named)
    drawn = job.radloop("audit", "draw", audit)
    if not (audit / DRAW).is_file():
        plan(
            labels, audit, second_labels=other, reports=source, evidence=evidence, seed=seed, command=planned,
            watch=lambda done: job.watch(done, None),
        )  # fmt: skip
    draw(audit, command=drawn)


def read_by_simulation(job: Job) -> None:
    """Have two simulated readers, who err, read what was drawn."""
    from labeler.audit.exchange.run import export, import_readings

    begun, audit, out = time.monotonic(), job.at(AUDIT), job.run_at(READER)
    truth = _truth(job.at(TRUTH) / "labels.csv")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    whose = demo_command(job)
    for reader, what in ((FIRST, "tasks"), (SECOND, "second")):
        tasks, readings = out / f"{reader}-tasks.jsonl", out / f"{reader}.jsonl"
        job.radloop("audit", "export", audit, "--to", "jsonl", "--what", what, "-o", tasks)
        if not tasks.is_file():
            export(audit, tasks, to="jsonl", what="tasks" if what == "tasks" else "second")
        counts[reader] = _fill(job, tasks, readings, truth, reader)
        job.radloop("audit", "import", audit, readings)
        import_readings(audit, readings)
    job.manifest(
        READER, whose, config=job.recipe.reader.model_dump() | {"seed": job.seed},
        inputs=[job.at(TRUTH) / "labels.csv"], counts=counts, begun=begun,
    )  # fmt: skip


def _fill(job: Job, tasks: Path, readings: Path, truth: Mapping[str, Mapping[str, State]], reader: str) -> int:
    filled = 0
    with tasks.open(encoding="utf-8") as file, atomic_writer(readings) as out:
        for task in map(json.loads, file):
            said = reading(
                truth[task["study_id"]], job.recipe.reader, seed=job.seed, reader=reader, study_id=task["study_id"]
            )
            row = {"audit": task["audit"], "study_id": task["study_id"], "reader": reader, "labels": said}
            out.write(json.dumps(row) + "\n")
            filled += 1
    return filled


def _truth(path: Path) -> dict[str, dict[str, State]]:
    from corpora.label_table import BLANK_CELL, read_label_matrix

    table = read_label_matrix(path)
    spelled: dict[int, State] = {1: 1, 0: 0, -1: -1, BLANK_CELL: None}
    return {
        study: {label: spelled[int(table.states[row, at])] for at, label in enumerate(table.labels)}
        for study, row in table.rows.items()
    }


def estimate_audit(job: Job) -> None:
    """Estimate from the readings how good the labels are."""
    from labeler.audit.estimate_run import run_estimate

    out = job.run_at(ESTIMATES)
    run_estimate(job.at(AUDIT), out=out, command=job.radloop("audit", "estimate", job.at(AUDIT), "-o", out))


def certify_labels(job: Job) -> None:
    """Certify the labels if enough was read, and put the readers' labels in the machine's place."""
    from labeler.audit.apply import apply
    from labeler.audit.certify import certify

    begun, audit, out = time.monotonic(), job.at(AUDIT), job.run_at(CERTIFICATE)
    labels, final = job.at(best_of(job)) / "labels.csv", job.run_at(f"{FINAL}/labels.csv")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    command = job.radloop("audit", "certify", audit, "-o", out / "certificate.json", "--json")
    found = certify(audit, out / "certificate.json")
    data: dict[str, Any] = {
        "holds": not found.lacking, "gates": found.gates, "lacking": [each.to_json() for each in found.lacking],
        "certificate": found.certificate,
    }  # fmt: skip
    write_json(out / "certified.json", data)
    apply(audit, labels, final, command=job.radloop("audit", "apply", audit, labels, "-o", final))
    job.manifest(
        CERTIFICATE, command, config={}, inputs=[labels], counts={"gates": found.gates, "lacking": len(found.lacking)},
        begun=begun, stdout="certified.json",
    )  # fmt: skip
