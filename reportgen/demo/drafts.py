"""Stages of the hand: the decoder, the drafter, drafts, the benchmark, what the loop lost, pages of drafts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from reportgen.demo.corpus import CLEAN, TRUTH
from reportgen.demo.films import CACHE, EYE, PREDICTIONS, SEEN, set_
from reportgen.demo.job import Job
from reportgen.demo.text import FINAL

DECODER, DRAFTER, DRAFTS, BENCH = "decoder", "drafter", "drafts", "bench"
RELABELED, TRACE, PAGES, SIGHT = "relabeled", "trace", "pages", "sight"
#: What the drafter has to beat, beside the rows that every benchmark has: drafts that look at the films.
GENERATORS: Final = ("label-template.v1", "nearest-neighbour.v1")
_TEMPERATURE: Final = 0.7


def pretrain_decoder(job: Job) -> None:
    """Teach a small language model to write, from the reports of the training part alone."""
    from corpora.config import load_yaml
    from corpora.resources import config_path
    from corpora.splits.files import read_split
    from reportgen.pretrain import pretrain
    from reportgen.recipes import ReportPretrainRecipe

    corpus, out, part = job.at(CLEAN), job.run_at(DECODER), job.recipe.decoder
    changes = [*part.changes, f"seed={job.seed}"]
    command = job.radloop(
        "report", "pretrain", corpus, "-o", out, "--config", part.config, *set_(changes), "--split", corpus
    )
    recipe = load_yaml(config_path(part.config), ReportPretrainRecipe, changes)
    outside = frozenset(name for name, where in read_split(corpus).items() if where != "train")
    pretrain(
        [str(corpus)], out, recipe, leave_out=outside, resume=True, command=command,
        watch=lambda step: job.watch(step.done, step.total),
    )  # fmt: skip


def train_drafter(job: Job) -> None:
    """Join encoder and decoder: a projector, then adapters (LoRA)."""
    from corpora.config import load_yaml
    from corpora.resources import config_path
    from reportgen.recipes import ReportTrainRecipe
    from reportgen.train import train

    corpus, eye, out, part = job.at(CLEAN), job.at(EYE), job.run_at(DRAFTER), job.recipe.drafter
    kept = ["--cache", job.at(CACHE), "--seen", job.at(SIGHT)]
    changes = [*part.changes, f"seed={job.seed}"]
    command = job.radloop(
        "report", "train", "--corpus", corpus, "--vision", eye, "-o", out, "--config", part.config, "--decoder",
        job.at(DECODER), *set_(changes), *kept,
    )  # fmt: skip
    changes.append(f"decoder_source={json.dumps(str(job.at(DECODER)))}")
    recipe = load_yaml(config_path(part.config), ReportTrainRecipe, changes)
    train(
        corpus, eye, out, recipe, cache=job.at(CACHE), seen=job.at(SIGHT), resume=True, command=command,
        watch=lambda step: job.watch(step.done, step.total), caching=job.watch,
    )  # fmt: skip


def draft_reports(job: Job) -> None:
    """Draft the test part: by the drafter, and by what it has to beat."""
    from reportgen.draft import draft
    from reportgen.generate import Decoding
    from reportgen.generating import draft_by

    corpus, run, n = job.at(CLEAN), job.at(DRAFTER), job.recipe.candidates
    kept = ["--cache", job.at(CACHE), "--seen", job.at(SIGHT)]
    out = job.run_at(f"{DRAFTS}/drafter")
    command = job.radloop(
        "report", "draft", run, corpus, "-o", out, "--part", "test", "--temperature", _TEMPERATURE, "--candidates", n,
        "--seed", job.seed, *kept,
    )  # fmt: skip
    if not (out / "manifest.json").is_file():
        draft(
            run, corpus, out, how=Decoding(temperature=_TEMPERATURE), part="test", cache=job.at(CACHE),
            seen=job.at(SIGHT), candidates=n, seed=job.seed, resume=True, command=command, watch=job.watch,
        )  # fmt: skip
    for name in GENERATORS:
        out = job.run_at(f"{DRAFTS}/{name}")
        command = job.radloop(
            "report", "draft", run, corpus, "-o", out, "--generator", name, "--part", "test", "--seed", job.seed, *kept
        )
        if not (out / "manifest.json").is_file():
            draft_by(
                name, run, corpus, out, part="test", cache=job.at(CACHE), seen=job.at(SIGHT), seed=job.seed,
                command=command, watch=job.watch,
            )  # fmt: skip


def benchmark(job: Job) -> None:
    """Score all drafts against the reports, beside the rows that every system should beat; compare them."""
    from reportgen.bench import score
    from reportgen.compare import compare, write

    names, corpus, n = ("drafter", *GENERATORS), job.at(CLEAN), job.recipe.replicates
    runs: list[Path] = []
    for at, name in enumerate(names):
        out, drafts = job.run_at(f"{BENCH}/{name}"), job.at(DRAFTS) / name / "drafts.jsonl"
        runs.append(out)
        command = job.radloop(
            "bench", "score", "--predictions", drafts, "--references", corpus, "--protocol", "radloop", "-o", out,
            "--name", name, "--replicates", n, "--seed", job.seed,
        )  # fmt: skip
        if not (out / "manifest.json").is_file():
            score(
                drafts, corpus, "radloop", out, name=name, replicates=n, seed=job.seed, command=command
            )  # fmt: skip
        job.watch(at + 1, len(names) + 1)
    out = job.run_at(f"{BENCH}/compared")
    command = job.radloop("bench", "compare", *runs, "-o", out, "--replicates", n, "--seed", job.seed)
    if not (out / "manifest.json").is_file():
        write(out, compare(runs, replicates=n, seed=job.seed), runs, command)


def trace_loop(job: Job) -> None:
    """Label the drafts, and say where findings are lost: truth, report, labels, encoder, draft."""
    from labeler.batch import LabelRun, label_batch
    from reportgen.trace_command import trace_command

    drafts, read, out = job.at(DRAFTS) / "drafter" / "drafts.jsonl", job.run_at(RELABELED), job.run_at(TRACE)
    command = job.radloop("label", "run", drafts, "-o", read)
    label_batch(str(drafts), read, LabelRun(), resume=True, command=command)
    stations = [
        f"truth={job.at(TRUTH) / 'films.csv'}", f"report={job.at(TRUTH) / 'labels.csv'}",
        f"labels={job.at(FINAL) / 'labels.csv'}", f"encoder={job.at(PREDICTIONS) / SEEN}",
        f"draft={read / 'labels.csv'}",
    ]  # fmt: skip
    command = job.radloop("loop", "trace", *stations, "-o", out)
    trace_command(stations, out, "positive", command=command)


def show_drafts(job: Job) -> None:
    """Write a page for each of some drafts: film, draft, reference, the map behind a sentence."""
    from reportgen.view import view

    out, drafts = job.run_at(PAGES), job.at(DRAFTS) / "drafter"
    command = job.radloop("report", "view", drafts, "-o", out, "--most", job.recipe.pages)
    view(drafts, out, most=job.recipe.pages, command=command, watch=job.watch)
