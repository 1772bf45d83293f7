"""Stages of the eye: the encoder, its predictions, their evaluation, maps of what it looks at."""

from __future__ import annotations

import time
from pathlib import Path

from reportgen.demo.corpus import CLEAN, TRUTH
from reportgen.demo.job import Job
from reportgen.demo.text import FINAL

EYE, PREDICTIONS, EVALUATION, MAPS, CACHE = "eye", "predictions", "evaluation", "maps", "films"
SEEN = "seen.csv"


def train_eye(job: Job) -> None:
    """Train the encoder on the films and the audited labels."""
    from vision.train import train
    from vision.train_command import recipe_of

    corpus, labels, out, cache = job.at(CLEAN), job.at(FINAL) / "labels.csv", job.run_at(EYE), job.at(CACHE)
    eye = job.recipe.eye
    changes = [*eye.changes, f"seed={job.seed}"]
    command = job.radloop(
        "vision", "train", "--corpus", corpus, "--labels", labels, "-o", out, "--config", eye.config, *set_(changes),
        "--cache", cache,
    )  # fmt: skip
    train(
        corpus, labels, out, recipe_of(eye.config, changes), cache=cache, resume=True, command=command,
        steps=lambda step: job.watch(step.done, step.total), caching=job.watch,
    )  # fmt: skip


def set_(changes: list[str]) -> list[str]:
    """Changes of a recipe as options."""
    return [word for change in changes for word in ("--set", change)]


def predict_films(job: Job) -> None:
    """Predict the films of the test part."""
    from vision.predict import predict

    run, corpus, out = job.at(EYE), job.at(CLEAN), job.run_at(PREDICTIONS)
    seen = out / SEEN
    command = job.radloop("vision", "predict", run, corpus, "-o", out, "--part", "test", "--decide", seen)
    predict(run, corpus, out, part="test", decide=seen, command=command, watch=job.watch)


def evaluate_eye(job: Job) -> None:
    """Evaluate them against what was drawn, with thresholds from the validation part."""
    from vision.evaluate import Choices, evaluate, write

    begun = time.monotonic()
    predictions, truth, corpus = job.at(PREDICTIONS) / "predictions.parquet", job.at(TRUTH) / "films.csv", job.at(CLEAN)
    validation, out, n = job.at(EYE) / "validate.parquet", job.run_at(EVALUATION), job.recipe.replicates
    command = job.radloop(
        "vision", "evaluate", predictions, truth, "-o", out, "--thresholds-from", validation, "--corpus", corpus,
        "--replicates", n, "--seed", job.seed,
    )  # fmt: skip
    found = evaluate(
        predictions, truth, thresholds_from=validation, corpus=corpus,
        choices=Choices(replicates=n, seed=job.seed),
    )  # fmt: skip
    inputs: list[Path | str] = [predictions, truth, validation, corpus]
    write(found, out, inputs=inputs, command=command, begun=begun)


def map_films(job: Job) -> None:
    """Map where the encoder looks, and score the maps against the boxes of what was drawn."""
    from vision.explain import Asked, explain, write

    begun, run, corpus, out = time.monotonic(), job.at(EYE), job.at(CLEAN), job.run_at(MAPS)
    boxes, recipe = job.at(TRUTH) / "boxes.csv", job.recipe
    asked = Asked(
        method="layer-cam", stage=2, most=recipe.maps, longest=256, replicates=recipe.replicates, seed=job.seed,
        part="test",
    )  # fmt: skip
    command = job.radloop(
        "vision", "explain", run, corpus, "-o", out, "--method", asked.method, "--stage", asked.stage, "--boxes", boxes,
        "--part", asked.part, "--most", asked.most, "--longest", asked.longest, "--replicates", asked.replicates,
        "--seed", asked.seed,
    )  # fmt: skip
    found = explain(run, corpus, boxes=boxes, asked=asked, watch=job.watch)
    write(found, out, inputs=[run, corpus, boxes], command=command, begun=begun)
