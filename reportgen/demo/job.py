"""One stage after another: what is done is kept, what is half done goes on, what it took is noted.

DIR/
  demo.json             what the demo was begun with
  stages/NAME.json      written when a stage is done: its commands, run folders, seconds
  phantoms/ clean/ ...  run folders
  index.html
  manifest.json         last
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from corpora.runs import atomic_writer, write_manifest, writing
from reportgen.demo.recipe import DemoRecipe

NOTES: Final = "stages"
#: Modules by which it shows whether an extra is installed.
_EXTRAS: Final = {
    "corpus": ("PIL", "matplotlib", "pydicom", "scipy"),
    "review": ("scipy",),
    "neural": ("accelerate", "safetensors", "scipy", "tokenizers", "torch", "transformers"),
    "report": ("PIL", "accelerate", "matplotlib", "peft", "pydicom", "scipy", "torch", "transformers"),
}


@dataclass(frozen=True, slots=True)
class Job:
    """What a stage works with: the demo's folder, its recipe and seed, whom to tell how far it is.

    ``command`` is the demo's own; ``commands`` collects the command lines that do the same as the stage, ``folders``
    its run folders.
    """

    root: Path
    recipe: DemoRecipe
    seed: int
    reports: str | None = None
    command: Sequence[str] = ()
    watch: Callable[[int, int | None], None] = lambda done, total: None
    commands: list[list[str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)

    def at(self, name: str) -> Path:
        """A place in the demo's folder."""
        return self.root / name

    def run_at(self, name: str) -> Path:
        """The place of a run folder, or of a table, that this stage makes."""
        if name not in self.folders:
            self.folders.append(name)
        return self.at(name)

    def radloop(self, *words: object) -> list[str]:
        """Note the command line that does what follows, and return it for the manifest."""
        command = ["radloop", *map(str, words)]
        self.commands.append(command)
        return command

    def has(self, stage: str) -> bool:
        """Whether a stage is done."""
        return note_of(self.root, stage) is not None

    def manifest(
        self, name: str, command: list[str], *, config: Mapping[str, Any], inputs: Iterable[Path],
        counts: Mapping[str, int], begun: float, stdout: str | None = None,
    ) -> None:  # fmt: skip
        """The manifest of a run folder whose command writes none."""
        write_manifest(
            self.at(name) / "manifest.json", command=command, config=config, inputs=inputs, counts=counts,
            wall_seconds=time.monotonic() - begun, stdout=stdout,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: its name, what it does in words, the function that does it, the extra it needs."""

    name: str
    title: str
    work: Callable[[Job], None]
    extra: str = ""

    @property
    def lacking(self) -> bool:
        """Whether the extra that it needs is not installed."""
        return lacks(self.extra)


def lacks(extra: str) -> bool:
    """Whether an extra is not installed; none is always there."""
    return any(find_spec(module) is None for module in _EXTRAS.get(extra, ()))


def note_of(root: Path, name: str) -> dict[str, Any] | None:
    """What was noted of a stage when it was done; None if it is not, or if a run folder of it is gone."""
    try:
        note = json.loads((root / NOTES / f"{name}.json").read_text(encoding="utf-8"))
        return note if all((root / folder).exists() for folder in note["folders"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def do(stage: Stage, job: Job) -> dict[str, Any]:
    """Do a stage and note it. Raises whatever the stage raises."""
    begun, cpu = time.monotonic(), _cpu_seconds()
    stage.work(job)
    note = {
        "name": stage.name,
        "title": stage.title,
        "commands": [shlex.join(command) for command in job.commands],
        "folders": list(job.folders),
        "wall_seconds": round(time.monotonic() - begun, 2),
        "cpu_seconds": round(_cpu_seconds() - cpu, 2),
    }
    with writing(job.root):
        (job.root / NOTES).mkdir(exist_ok=True)
    with atomic_writer(job.root / NOTES / f"{stage.name}.json") as file:
        json.dump(note, file, indent=2, ensure_ascii=False)
        file.write("\n")
    return note


def _cpu_seconds() -> float:
    """Of this process and of those it started that ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file, whole or not at all. Raises ``RunError``."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_writer(path) as file:
        json.dump(data, file, indent=2, ensure_ascii=False)
        file.write("\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file of the demo's own."""
    return json.loads(path.read_text(encoding="utf-8"))
