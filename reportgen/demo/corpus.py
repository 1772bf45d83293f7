"""Stages of the ground floor: phantoms, the check, de-identification and its scan, the truth, the split, the card."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from corpora.runs import atomic_writer, writing
from reportgen.demo.job import Job, write_json

PHANTOMS, CHECK, CLEAN, SCAN, TRUTH, CARD, KEY = "phantoms", "check", "clean", "scan", "truth", "card", "site.key"
NORMAL: Final = "No Finding"
_DEVICES: Final = "Support Devices"
#: Films that the check looks at.
_LOOKED_AT: Final = 100
#: Share of a text's box under black from which on nothing of it can be read.
_WHOLE: Final = 0.95


def phantoms(job: Job) -> None:
    """Draw studies of patients who do not exist, identities planted in films and reports."""
    from corpora.phantom.command import phantom

    out, n = job.run_at(PHANTOMS), job.recipe.studies
    command = job.radloop("corpus", "phantom", "-o", out, "-n", n, "--seed", job.seed, "--size", job.recipe.size)
    phantom(
        out, n, seed=job.seed, size=job.recipe.size, resume=out.is_dir(), command=command,
        watch=lambda done: job.watch(done, n),
    )  # fmt: skip


def check_corpus(job: Job) -> None:
    """Check them against a specification; most of them ask for more than a demo has."""
    from corpora.specs.check import check
    from corpora.specs.page import to_html, to_json

    begun, corpus, out = time.monotonic(), job.at(PHANTOMS), job.run_at(CHECK)
    page = out / "check.html"
    command = job.radloop(
        "corpus", "check", corpus, "--spec", job.recipe.spec, "--pixels", _LOOKED_AT, "--html", page, "--json"
    )
    checked = check(corpus, job.recipe.spec, pixels=str(_LOOKED_AT), watch=job.watch)
    write_json(out / "check.json", to_json(checked))
    with atomic_writer(page) as file:
        file.write(to_html(checked))
    job.manifest(
        CHECK, command, config={"spec": job.recipe.spec, "pixels": _LOOKED_AT}, inputs=[corpus / "manifest.json"],
        counts=checked.counts(), begun=begun, stdout="check.json",
    )  # fmt: skip


def deidentify_corpus(job: Job) -> None:
    """Take the persons out of headers, reports and pixels."""
    from corpora.deid.command import deidentify

    source, out, key = job.at(PHANTOMS), job.run_at(CLEAN), site_key(job)
    command = job.radloop("corpus", "deidentify", source, "-o", out, "--key-file", key, "--preset", job.recipe.preset)
    deidentify(source, out, key, preset=job.recipe.preset, resume=out.is_dir(), command=command, watch=job.watch)


def site_key(job: Job) -> Path:
    """The key of the demo's site. It follows from the seed, so that a demo can be done again; a site's is random."""
    path = job.at(KEY)
    if not path.is_file():
        secret = hashlib.sha256(f"radloop demo {job.seed}".encode()).hexdigest()
        with atomic_writer(path) as file:
            file.write(f"{secret}\n")
        path.chmod(0o600)
    return path


def scan_corpus(job: Job) -> None:
    """Look for what is left of the persons, by means of its own."""
    from corpora.scan.result import write_result
    from corpora.scan.run import scan

    begun, folder, source, out = time.monotonic(), job.at(CLEAN), job.at(PHANTOMS), job.run_at(SCAN)
    pixels = job.recipe.scan_pixels
    command = job.radloop(
        "corpus", "scan", folder, "--source", source, "--key-file", job.at(KEY), "-o", out / "scan.json",
        *([] if pixels else ["--no-pixels"]),
    )  # fmt: skip
    found = scan(folder, source=source, key_file=job.at(KEY), pixels=pixels, watch=job.watch)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    write_result(found, out / "scan.json", command=command)
    job.manifest(
        SCAN, command, config={"pixels": pixels}, inputs=[folder / "manifest.json", source / "manifest.json"],
        counts={"files": found.files, "reports": found.reports, "leaks": len(found.leaks)}, begun=begun,
    )  # fmt: skip


def split_corpus(job: Job) -> None:
    """Split it by patient."""
    from corpora.splits.command import split

    corpus = job.at(CLEAN)
    command = job.radloop("corpus", "split", corpus, "--ratios", job.recipe.ratios, "--seed", job.seed)
    job.run_at(f"{CLEAN}/split.csv")
    split(corpus, ratios=job.recipe.ratios, seed=job.seed, fresh=True, command=command)


def describe(job: Job) -> None:
    """Write the corpus's card."""
    from corpora.card.write import card

    corpus, out = job.at(CLEAN), job.run_at(CARD)
    command = job.radloop("corpus", "card", corpus, "-o", out, "--labels", job.at("rules"))
    card(corpus, out, labels=job.at("rules"), command=command)


# The truth, under the ids of the de-identified corpus


def truth(job: Job) -> None:
    """Bring the truth of the phantoms under the new ids: whoever has the key can.

    ``labels.csv`` is what each report says by its grammar, ``films.csv`` what was drawn or is said to be there,
    ``boxes.csv`` where it was drawn, ``pixels.json`` how much of the text planted in pixels was blacked out.
    """
    from corpora.deid.key import read_key

    begun, out, source = time.monotonic(), job.run_at(TRUTH), job.at(PHANTOMS) / TRUTH
    key = read_key(job.at(KEY))
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
    drawn = _drawn(source / "findings.jsonl")
    with (source / "labels.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    said = {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}
    films = {study: _on_films(head[1:], cells, drawn[study]) for study, cells in said.items()}
    for name, table in (("labels.csv", said), ("films.csv", films)):
        with atomic_writer(out / name) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(head)
            writer.writerows((key.pseudonym("study", study), *cells.values()) for study, cells in table.items())
    images = _new_images(job, key)
    _boxes(source / "boxes.csv", out / "boxes.csv", images)
    write_json(out / "pixels.json", _hidden(source / "phi.jsonl", job.at(CLEAN) / "pixels.csv", images))
    job.manifest(
        TRUTH, demo_command(job), config={"key": key.fingerprint}, inputs=[source, job.at(CLEAN) / "manifest.json"],
        counts={"studies": len(said)}, begun=begun,
    )  # fmt: skip


def demo_command(job: Job) -> list[str]:
    """The command line of the demo itself, for what no command of its own makes."""
    command = ["radloop", *map(str, job.command[1:])] if job.command else ["reportgen.demo.run.demo"]
    job.commands.append(command)
    return command


def _drawn(findings: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    with findings.open(encoding="utf-8") as lines:
        for line in map(json.loads, lines):
            found[line["study_id"]].update(each["label"] for each in line["findings"])
    return found


def _on_films(labels: list[str], said: dict[str, str], drawn: set[str]) -> dict[str, str]:
    """1 for what was drawn, or is called so in the report: an opacity, say, where a consolidation is drawn."""
    positive = drawn | {label for label in labels if said[label] == "1" and label != NORMAL}
    if not drawn - {_DEVICES}:
        positive |= {NORMAL}
    return {label: "1" if label in positive else "0" for label in labels}


def _new_images(job: Job, key: object) -> dict[str, str]:
    """The new id of each image; studies and their images stay in order."""
    from corpora.deid.key import Key
    from corpora.store import read_studies

    assert isinstance(key, Key)
    clean = {study.study_id: study.images for study in read_studies(job.at(CLEAN))}
    pairs: dict[str, str] = {}
    for study in read_studies(job.at(PHANTOMS)):
        new = clean.get(key.pseudonym("study", study.study_id), ())
        if len(new) == len(study.images):
            pairs |= {str(old.image_id): str(one.image_id) for old, one in zip(study.images, new, strict=True)}
    return pairs


def _boxes(source: Path, out: Path, images: dict[str, str]) -> None:
    with source.open(encoding="utf-8", newline="") as file, atomic_writer(out) as made:
        head, *rows = csv.reader(file)
        writer = csv.writer(made, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(_renamed(rows, images))


def _renamed(rows: list[list[str]], images: dict[str, str]) -> Iterator[list[str]]:
    for image, *rest in rows:
        if image in images:
            yield [images[image], *rest]


def _hidden(planted: Path, found: Path, images: Mapping[str, str]) -> dict[str, int]:
    """How many texts planted in pixels were blacked out wholly, in part, and not at all; how many films have some."""
    black: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    listed: set[str] = set()
    if found.is_file():
        with found.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["left"]:
                    image = Path(row["file"]).stem
                    listed.add(image)
                    black[image].append(tuple(float(row[name]) for name in ("left", "top", "right", "bottom")))
    with planted.open(encoding="utf-8") as lines:
        texts = [each for each in map(json.loads, lines) if each["where"] == "pixels" and each["image_id"] in images]
    covered = [_covered(each["box"], black[images[each["image_id"]]]) for each in texts]
    films = {images[each["image_id"]] for each in texts}
    return {
        "texts": len(texts), "wholly": sum(share >= _WHOLE for share in covered),
        "in part": sum(0 < share < _WHOLE for share in covered), "not at all": sum(share == 0 for share in covered),
        "films": len(films), "films listed": len(films & listed),
    }  # fmt: skip


def _covered(box: list[float], black: list[tuple[float, ...]]) -> float:
    """The share of a box under black ones; these do not overlap much, and count as if they did not."""
    left, top, right, bottom = box
    area = sum(max(0.0, min(right, r) - max(left, x)) * max(0.0, min(bottom, b) - max(top, y)) for x, y, r, b in black)
    return min(1.0, area / max(1.0, (right - left) * (bottom - top)))
