"""``radloop bench run``: drafts by command lines, cached, over seeds and splits; scores, their mean and spread.

    OUT/
      drafts/SYSTEM/SPLIT-SEED.csv         what the command wrote, with .json beside it: what it was made from
      scores/SYSTEM/SPLIT-SEED/            a run folder of `radloop bench score`
      summary.json, summary.md             mean and spread over seeds
      failures.jsonl                       commands that gave no drafts, if any
      manifest.json                        last

Drafts are made again only if the command, a seed, or one of the named inputs changed; a run that was interrupted goes
on where it stopped.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from corpora.config import config_sha256, load_yaml
from corpora.errors import ConfigError, DataError
from corpora.runs import atomic_writer, hash_input, write_manifest, writing
from reportgen.bench import Watch, score
from reportgen.recipe import BenchRecipe, System

# stdout carries the summary alone
_STDERR: Final = 2


@dataclass(frozen=True, slots=True)
class Job:
    """One command to run: a system with a seed over a split, and where its drafts and scores go."""

    system: str
    split: str
    seed: int
    drafts: Path
    scores: Path

    @property
    def name(self) -> str:
        """The job for people."""
        return f"{self.system}, {self.split}, seed {self.seed}"


def run(
    recipe_file: Path,
    out: Path,
    *,
    overrides: Sequence[str] = (),
    command: Sequence[str] = (),
    watch: Watch = lambda what: None,
) -> dict[str, Any]:
    """Do what is not done yet, and sum up. Raises ``ConfigError``, ``DataError``, ``RunError``."""
    begun = time.perf_counter()
    recipe = load_yaml(recipe_file, BenchRecipe, overrides)
    home = recipe_file.resolve().parent
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / "manifest.json").unlink(missing_ok=True)
    failed: list[dict[str, Any]] = []
    done: list[Job] = []
    for job in _jobs(recipe, out):
        watch(job.name)
        try:
            fresh = _draft(recipe.systems[job.system], job, home)
            _score(recipe, job, home, fresh, watch)
            done.append(job)
        except (_CommandError, DataError) as error:
            failed.append({"system": job.system, "split": job.split, "seed": job.seed, "reason": str(error)})
    data = {"name": recipe.name, "protocol": recipe.protocol, "summary": _summary(done), "failed": failed}
    _write(out, data)
    write_manifest(
        out / "manifest.json", command=command, config=recipe.model_dump(), inputs=[recipe_file],
        counts={"jobs": len(done) + len(failed), "failed": len(failed)}, wall_seconds=time.perf_counter() - begun,
    )  # fmt: skip
    return data


class _CommandError(Exception):
    """A command that gave no drafts."""


def _jobs(recipe: BenchRecipe, out: Path) -> Iterator[Job]:
    for name, system in recipe.systems.items():
        for split in recipe.splits:
            for seed in system.seeds:
                part = f"{split}-{seed}"
                drafts = out / "drafts" / name / f"{part}.{'jsonl' if system.generator else system.format}"
                yield Job(name, split, seed, drafts, out / "scores" / name / part)


def _draft(system: System, job: Job, home: Path) -> bool:
    """Make the drafts of a job unless they are there; whether they were made now."""
    made_from = _made_from(system, job, home)
    note = job.drafts.with_name(f"{job.drafts.name}.json")
    if job.drafts.is_file() and _read(note) == made_from:
        return False
    with writing(job.drafts):
        job.drafts.parent.mkdir(parents=True, exist_ok=True)
        note.unlink(missing_ok=True)
    # drafts of our own appear whole, with a manifest that says where they are
    made = job.drafts if system.generator else job.drafts.with_name(f".{job.drafts.name}")
    made.unlink(missing_ok=True)
    _call(_filled(_command(system, home), job, made), system.timeout, _folder(system, home))
    if not made.is_file():
        raise _CommandError("the command ended well and wrote no file to {out}")
    with writing(job.drafts):
        made.replace(job.drafts)
    with atomic_writer(note) as file:
        json.dump(made_from, file, indent=2)
    return True


def _made_from(system: System, job: Job, home: Path) -> dict[str, Any]:
    hashes = {}
    for name in system.inputs:
        path = home / name
        if not path.exists():
            raise ConfigError("bench.input", f"{job.system} names an input that is not there", where=str(path))
        hashes[name] = hash_input(path)["sha256"]
    hashes |= _run_hashes(system, job, home)
    return {"command": shlex.join(_command(system, home)), "seed": job.seed, "split": job.split, "inputs": hashes}


def _run_hashes(system: System, job: Job, home: Path) -> dict[str, str]:
    """What a generator reads: the weights of its run, and the corpus by its manifest."""
    if not system.generator:
        return {}
    files = [home / system.run / "model.safetensors", home / system.source / "manifest.json"]
    for file in files:
        if not file.is_file():
            raise ConfigError("bench.input", f"{job.system} names an input that is not there", where=str(file))
    return {str(file): hash_input(file)["sha256"] for file in files}


def _command(system: System, home: Path) -> list[str]:
    """The command of a system; of a generator that of ``radloop report draft``."""
    if not system.generator:
        return shlex.split(system.command)
    named = [] if system.generator == "drafter" else ["--generator", system.generator]
    radloop = [sys.executable, "-c", "import sys; sys.argv[0] = 'radloop'; from corpora.cli import main; main()"]
    paths = [str((home / name).resolve()) for name in (system.run, system.source)]
    rest = ["--part", "{split}", "--seed", "{seed}", "-o", "{out}", *named, *shlex.split(system.options)]
    return [*radloop, "report", "draft", *paths, *rest]


def _filled(command: Sequence[str], job: Job, out: Path) -> list[str]:
    # filled in after splitting: a path with a blank stays one argument
    values = {"{out}": str(out.resolve()), "{seed}": str(job.seed), "{split}": job.split}
    return [_with_values(part, values) for part in command]


def _with_values(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(name, value)
    return part


def _folder(system: System, home: Path) -> Path:
    folder = home / system.folder
    if not folder.is_dir():
        raise ConfigError("bench.input", "the folder of the command is not there", where=str(folder))
    return folder


def _call(command: list[str], timeout: float, folder: Path) -> None:
    try:
        ended = subprocess.run(
            command, cwd=folder, timeout=timeout, check=False, stdin=subprocess.DEVNULL, stdout=_STDERR
        )
    except subprocess.TimeoutExpired:
        raise _CommandError(f"the command took longer than {timeout:g} s") from None
    except OSError as error:
        raise _CommandError(f"the command cannot be started: {error.strerror or 'error'}") from None
    if ended.returncode:
        raise _CommandError(f"the command ended with {ended.returncode}; what it said is on stderr")


def _score(recipe: BenchRecipe, job: Job, home: Path, fresh: bool, watch: Callable[[str], None]) -> None:
    references = home / recipe.references.replace("{split}", job.split)
    settings = config_sha256(
        {"protocol": recipe.protocol, "references": hash_input(references)["sha256"], "train": recipe.train}
    )
    note = job.scores / "made_from.json"
    if not fresh and (job.scores / "manifest.json").is_file() and _read(note) == {"settings": settings}:
        return
    protocol, train = _protocol(recipe.protocol, home), home / recipe.train if recipe.train else None
    command = ["radloop", "bench", "score", "--predictions", job.drafts, "--references", references, "--protocol",
               protocol, "-o", job.scores, "--name", job.system, *(["--train", train] if train else []),
               *(["--any-references"] if recipe.any_references else [])]  # fmt: skip
    score(
        job.drafts, references, protocol, job.scores, name=job.system, train=train,
        any_references=recipe.any_references, watch=watch, command=[str(word) for word in command],
    )  # fmt: skip
    with atomic_writer(note) as file:
        json.dump({"settings": settings}, file)


def _protocol(name: str, home: Path) -> str:
    return str(home / name) if Path(name).suffix in (".yaml", ".yml") else name


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _summary(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Per system and split each metric's mean over seeds, and its spread (standard deviation; None of one seed)."""
    groups: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.system, job.split), []).append(job)
    return [
        {"system": system, "split": split, "seeds": [job.seed for job in some], "metrics": _spread(some)}
        for (system, split), some in groups.items()
    ]  # fmt: skip


def _spread(jobs: Sequence[Job]) -> dict[str, dict[str, Any]]:
    rows = [json.loads((job.scores / "table.json").read_text(encoding="utf-8"))["rows"][0] for job in jobs]
    spread = {}
    for name in rows[0]["metrics"]:
        values = [row["metrics"][name]["value"] for row in rows]
        known = [value for value in values if value is not None]
        spread[name] = {
            "mean": float(np.mean(known)) if known else None,
            "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
            "values": values,
        }  # fmt: skip
    return spread


def to_markdown(data: dict[str, Any]) -> str:
    """Mean and spread as a table: a line a metric, a column a system and split."""
    groups = data["summary"]
    if not groups:
        return f"# {data['name']}\n\nNo drafts were scored.\n"
    heads = ["", *(f"{group['system']}, {group['split']} ({len(group['seeds'])} seeds)" for group in groups)]
    lines = [
        f"# {data['name']} under {data['protocol']}",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" * len(heads) + "|",
    ]
    for name in groups[0]["metrics"]:
        if not name.startswith("F1 "):
            lines.append(f"| {name} | " + " | ".join(_cell(group["metrics"].get(name)) for group in groups) + " |")
    return "\n".join(lines) + "\n"


def _cell(cell: dict[str, Any] | None) -> str:
    if cell is None or cell["mean"] is None:
        return "not scored"
    return f"{cell['mean']:.4f}" + ("" if cell["sd"] is None else f" (sd {cell['sd']:.4f})")


def _write(out: Path, data: dict[str, Any]) -> None:
    with atomic_writer(out / "summary.json") as file:
        json.dump(data, file, indent=2, ensure_ascii=False)
        file.write("\n")
    with atomic_writer(out / "summary.md") as file:
        file.write(to_markdown(data))
    failures = out / "failures.jsonl"
    if data["failed"]:
        with atomic_writer(failures) as file:
            file.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in data["failed"])
    else:
        failures.unlink(missing_ok=True)
