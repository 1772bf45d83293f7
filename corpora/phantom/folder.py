"""The folder of a phantom corpus: begun, gone on with, and finished.

CORPUS/
  images/*.dcm, studies-*.parquet, manifest.json      a corpus as any other
  truth/labels.csv       what each report says, in the column order of the CheXpert labeler
  truth/boxes.csv        boxes on frontal films, in the layout of VinDr-CXR
  truth/findings.jsonl   what is in each film
  truth/phi.jsonl        every planted identity and where it is
  partial/               parts that are done, until all are
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from corpora.boxes.vindr import COLUMNS
from corpora.errors import RunError
from corpora.labels import format_cell
from corpora.phantom.settings import Settings
from corpora.phantom.work import PART, Record, Task, read_part
from corpora.runs import atomic_writer, write_manifest, writing
from corpora.store import SHARDS, StudyWriter, from_row

#: The column order of the CheXpert labeler.
LABELS: Final = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Lesion", "Lung Opacity", "Edema", "Consolidation",
    "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture", "Support Devices",
)  # fmt: skip
_PACKAGES: Final = ("numpy", "scipy", "pydicom", "pylibjpeg-openjpeg", "pyjpegls", "pillow", "pyarrow")
_WORK, _KEY, _MANIFEST, _IMAGES, _TRUTH = "partial", "settings.json", "manifest.json", "images", "truth"


@dataclass(frozen=True, slots=True)
class PhantomSummary:
    """What a run wrote; ``untouched`` if everything was there already."""

    out: Path
    studies: int
    patients: int
    films: int
    boxes: int
    seconds: float
    untouched: bool = False


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What is left to do: ``tasks``; ``already`` studies are done. ``parts`` are the notes of all parts in order."""

    out: Path
    n: int
    parts: tuple[Path, ...]
    tasks: list[Task]
    already: int
    complete: bool = False

    def summary(self, seconds: float) -> PhantomSummary:
        """The summary of a corpus that is complete, from its manifest."""
        counts = json.loads((self.out / _MANIFEST).read_text(encoding="utf-8"))["counts"]
        return PhantomSummary(
            self.out, counts["studies"], counts["patients"], counts["films"], counts["boxes"], seconds, untouched=True
        )


def prepared(out: Path, settings: Settings, n: int, *, resume: bool) -> RunPlan:
    """Make the folders of a new run, or see how far the one before came.

    Raises ``RunError``: ``run.is_file``, ``run.not_empty`` without ``resume``, ``run.changed`` if the run before had
    other settings, ``run.damaged`` if what is there is no phantom run, and as ``corpora.runs.writing``.
    """
    if out.exists() and not out.is_dir():
        raise RunError("run.is_file", f"{out} is a file, not a folder", hint="name another folder")
    key = {**settings.key(), "n": n}
    with writing(out):
        _refuse_or_begin(out, key, resume=resume)
        parts = tuple(out / _WORK / f"{number:07d}.json" for number in range(-(-n // PART)))
        if (out / _MANIFEST).is_file():
            return RunPlan(out, n, parts, [], n, complete=True)
        for name in (_IMAGES, _TRUTH, _WORK):
            (out / name).mkdir(parents=True, exist_ok=True)
        if not (out / _WORK / _KEY).is_file():
            with atomic_writer(out / _WORK / _KEY) as file:
                json.dump(key, file)
    starts = range(0, n, PART)
    tasks = [Task(settings, out, at, min(at + PART, n), note) for at, note in zip(starts, parts, strict=True)]
    left = [task for task in tasks if not task.note.is_file()]
    return RunPlan(out, n, parts, left, n - sum(task.stop - task.start for task in left))


def _refuse_or_begin(out: Path, key: dict[str, Any], *, resume: bool) -> None:
    held = [file.name for file in out.iterdir()] if out.is_dir() else []
    if not held:
        return
    if not resume:
        begun = (out / _WORK / _KEY).is_file()
        hint = "--resume goes on with the run that was interrupted" if begun else "name another folder, or empty it"
        raise RunError("run.not_empty", "the folder is not empty", where=str(out), hint=hint)
    before = _key_before(out)
    if before is None:
        raise RunError(
            "run.damaged",
            "there is no unfinished phantom run in the folder",
            where=str(out),
            hint="name an empty folder",
        )
    changed = sorted(name for name in key if before.get(name) != key[name])
    if changed:
        raise RunError(
            "run.changed", f"the run there was begun with another {', '.join(changed)}", where=str(out),
            hint="give the same options, or name an empty folder",
        )  # fmt: skip


def _key_before(out: Path) -> dict[str, Any] | None:
    """The settings of the run that is there, finished or not."""
    for path, name in ((out / _MANIFEST, "config"), (out / _WORK / _KEY, None)):
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = data if name is None else data.get(name)
        if isinstance(found, dict) and "generator" in found:
            return found
    return None


def finish(plan: RunPlan, settings: Settings, command: Sequence[str], seconds: float) -> PhantomSummary:
    """Write the shards and the tables of truth from the parts, then the manifest; then the parts go."""
    with writing(plan.out):
        for shard in plan.out.glob(SHARDS):
            shard.unlink()
    counts = _write_tables(plan)
    write_manifest(
        plan.out / _MANIFEST, command=command, config={**settings.key(), "n": plan.n}, inputs=[], counts=counts,
        wall_seconds=seconds, seed=settings.seed, packages=_PACKAGES,
    )  # fmt: skip
    with writing(plan.out):
        shutil.rmtree(plan.out / _WORK)
    return PhantomSummary(plan.out, counts["studies"], counts["patients"], counts["films"], counts["boxes"], seconds)


def _write_tables(plan: RunPlan) -> dict[str, int]:
    counts = dict.fromkeys(("studies", "patients", "films", "boxes", "findings", "phi"), 0)
    patients: set[str] = set()
    with ExitStack() as stack:
        studies = stack.enter_context(StudyWriter(plan.out))
        truth = _Truth(plan.out / _TRUTH, stack)
        for record in _records(plan):
            study = from_row(record["row"])
            studies.append(study)
            truth.add(record)
            patients.add(study.patient_id or "")
            counts["studies"] += 1
            counts["films"] += len(study.images)
            counts["boxes"] += sum(row[2] != "" for row in record["boxes"])
            counts["findings"] += len(record["findings"][0]["findings"])
            counts["phi"] += len(record["phi"])
    return counts | {"patients": len(patients)}


def _records(plan: RunPlan) -> Iterator[Record]:
    for part in plan.parts:
        try:
            yield from read_part(part)
        except (OSError, ValueError) as error:
            raise RunError(
                "run.damaged", "a part that was done cannot be read", where=str(part), hint="delete it and --resume"
            ) from error


class _Truth:
    """The tables of truth, open until all is written."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        def opened(name: str) -> IO[Any]:
            return stack.enter_context(atomic_writer(folder / name))

        self.labels = csv.writer(opened("labels.csv"), lineterminator="\n")
        self.boxes = csv.writer(opened("boxes.csv"), lineterminator="\n")
        self.findings, self.phi = opened("findings.jsonl"), opened("phi.jsonl")
        self.labels.writerow(("study_id", *LABELS))
        self.boxes.writerow(COLUMNS)

    def add(self, record: Record) -> None:
        """Add the lines of a study."""
        states = record["states"]
        self.labels.writerow((record["row"]["study_id"], *(format_cell(states.get(label)) for label in LABELS)))
        self.boxes.writerows(record["boxes"])
        for file, lines in ((self.findings, record["findings"]), (self.phi, record["phi"])):
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
