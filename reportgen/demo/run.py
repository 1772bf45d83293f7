"""What ``radloop demo`` does: the stages that are left, then the page.

demo(Path("demo"), load_recipe("demo/quick"))
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import labeler
from corpora.config import config_sha256
from corpora.errors import ConfigError, RunError
from corpora.runs import hash_input, write_manifest, writing
from reportgen.demo.display import Display, display
from reportgen.demo.job import Job, Stage, do, note_of, read_json, write_json
from reportgen.demo.own import count_in
from reportgen.demo.recipe import DemoRecipe
from reportgen.demo.stages import loop, text_half

BEGUN: Final = "demo.json"
#: Invented reports, for an install without what films need.
SAMPLE: Final = Path(labeler.__file__).parent / "sample" / "reports.csv"


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """Where the page is; stages done now, done before, and left out (with the extra that each needs)."""

    page: Path
    done: tuple[str, ...]
    kept: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    cpu_seconds: float
    seconds: float


def load_recipe(config: str, overrides: Iterable[str] = ()) -> DemoRecipe:
    """The recipe of a shipped name or a file, with changes. Raises ``ConfigError``."""
    from corpora.options import recipe_from

    return recipe_from(config, DemoRecipe, overrides)


def demo(
    out: Path, recipe: DemoRecipe, *, reports: str | None = None, seed: int = 0, command: Sequence[str] = ()
) -> DemoSummary:  # fmt: skip
    """Go through the loop in the folder ``out``, or through its text half with ``reports`` of your own.

    What an earlier demo in the folder finished is kept; one that was interrupted goes on. A stage whose extra is not
    installed is left out. Raises ``RunError``: ``run.changed`` if the folder holds a demo of other settings,
    ``run.not_empty`` if it holds something else, and whatever a stage raises.
    """
    from reportgen.demo.site import write_site

    begun = time.monotonic()
    if reports == "-":
        message = "reports from standard input are gone once they are read, and a demo reads them several times"
        raise ConfigError("config.value", message, where="--reports -", hint="write them to a file")
    # a source that cannot be read shows before anything is made
    stages = list(loop(recipe) if reports is None else text_half(recipe, count_in(reports)))
    _begin(out, recipe, reports, seed)
    done: list[str] = []
    kept: list[str] = []
    left_out: list[tuple[str, str]] = []
    with display(stages) as shown:
        for number, stage in enumerate(stages, 1):
            if note_of(out, stage.name) is not None:
                kept.append(stage.name)
                shown.end(number, stage, "is there")
            elif stage.lacking:
                left_out.append((stage.name, stage.extra))
                shown.end(number, stage, f"left out: pip install 'radloop[{stage.extra}]'")
            else:
                _do(number, stage, Job(out, recipe, seed, reports, command), shown)
                done.append(stage.name)
    notes = [note for stage in stages if (note := note_of(out, stage.name))]
    cpu = round(sum(note["cpu_seconds"] for note in notes), 1)
    seconds = time.monotonic() - begun
    page = write_site(out, recipe, notes, left_out, reports=reports, seed=seed)
    write_manifest(
        out / "manifest.json", command=command, config=recipe.model_dump(), inputs=[reports] if reports else [],
        counts={"stages": len(notes), "left out": len(left_out)}, wall_seconds=seconds, seed=seed,
    )  # fmt: skip
    return DemoSummary(page, tuple(done), tuple(kept), tuple(left_out), cpu, seconds)


def _do(number: int, stage: Stage, job: Job, shown: Display) -> None:
    watch = shown.begin(number, stage)
    note = do(stage, replace(job, watch=watch))
    shown.end(number, stage, f"{note['wall_seconds']:.0f} s, {note['cpu_seconds']:.0f} s of a core")


def _begin(out: Path, recipe: DemoRecipe, reports: str | None, seed: int) -> None:
    """Note what the demo is begun with, or see that it is the one that is there."""
    source: Any = None if reports is None else hash_input(reports)["sha256"]
    key = {"recipe": config_sha256(recipe), "seed": seed, "reports": source}
    if out.exists() and not out.is_dir():
        raise RunError("run.is_file", f"{out} is a file, not a folder", hint="name a folder")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        # a file that was being written when the demo was killed is nothing yet
        held = any(not each.name.startswith(".") for each in out.iterdir())
    try:
        before = read_json(out / BEGUN)
    except (OSError, ValueError):
        if held:
            raise RunError(
                "run.not_empty", "the folder is not empty, and what is in it is no demo", where=str(out),
                hint="name another folder",
            ) from None  # fmt: skip
        write_json(out / BEGUN, key)
        return
    if before != key:
        raise RunError(
            "run.changed", "the demo in the folder was begun with other settings, seed or reports", where=str(out),
            hint="give the same options, or name another folder",
        )  # fmt: skip
