"""Draw the texts that a plan asks for: the smallest permanent random numbers of each stratum.

A draw is the same whenever it is made; a larger one contains every smaller one, and leaves its reading order as it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpora.runs import write_manifest
from labeler.audit.frame import (
    DRAW,
    FRAME,
    PLAN,
    Draw,
    Drawn,
    Frame,
    Plan,
    check_labels_unchanged,
    finish_draw,
    load_draw,
    load_frame,
    load_plan,
    write_draw,
)
from labeler.audit.gates import texts_of_frame
from labeler.audit.plan import counts_of, enlarge
from labeler.audit.prn import permanent_random_numbers
from labeler.audit.types import Stratum

Array = NDArray[Any]


def draw(
    audit: Path | str, *, extend: int | None = None, command: Sequence[str] = ("labeler.audit.draw.draw",)
) -> Draw:
    """Draw what the plan of ``audit`` says, or ``extend`` texts more than are drawn, and write it into the folder.

    What is drawn already stays drawn. Raises ``DataError`` as ``load_frame`` and ``check_labels_unchanged``,
    ``ConfigError``: ``audit.budget`` if fewer than ``extend`` texts are left.
    """
    start, audit = time.perf_counter(), Path(audit)
    plan = load_plan(audit)
    check_labels_unchanged(audit)
    frame = load_frame(audit)
    earlier = load_draw(audit) if (audit / DRAW).is_file() else None
    sizes = [each.planned for each in plan.strata] if earlier is None else [each.drawn for each in earlier.strata]
    if extend is None and earlier is not None:
        finish_draw(audit)
        return earlier
    if extend is not None:
        sizes = enlarge(frame, plan, sizes, extend)
    made = _draw(plan, frame, sizes, earlier)
    write_draw(audit, made)
    before = json.loads((audit / "manifest.json").read_bytes())
    write_manifest(
        audit / "manifest.json", command=command, config=before["config"], inputs=[audit / PLAN, audit / FRAME],
        counts=counts_of(plan) | {"drawn": len(made.texts), "reports_drawn": sum(each.reports for each in made.texts)},
        wall_seconds=time.perf_counter() - start, packages=("numpy", "pyarrow"), continues=before,
    )  # fmt: skip
    return made


def _draw(plan: Plan, frame: Frame, sizes: Sequence[int], earlier: Draw | None) -> Draw:
    texts = texts_of_frame(frame)
    chosen = np.flatnonzero(texts.ranks() < np.array(sizes)[texts.stratum])
    ids = [frame.ids[at] for at in texts.first[chosen]]
    before = earlier.by_id() if earlier else {}
    new = [at for at, study_id in enumerate(ids) if study_id not in before]
    order, double, repeat = _reading(plan, [ids[at] for at in new], len(before))
    members = _members(frame, chosen)
    share = np.array(sizes) / texts.sizes()
    rows = [replace(each, probability=float(share[frame.strata.index(each.stratum)])) for each in before.values()]
    for place, at in enumerate(new):
        text = int(chosen[at])
        stratum = int(texts.stratum[text])
        rows.append(
            Drawn(
                ids[at], text, int(texts.reports[text]), frame.strata[stratum], float(share[stratum]), order[place],
                double[place], repeat[place], members[text],
            )
        )  # fmt: skip
    strata = tuple(
        Stratum(each.name, each.size, each.reports, size) for each, size in zip(plan.strata, sizes, strict=True)
    )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    rows.sort(key=lambda row: row.position)
    return Draw(plan.seed, plan.frame_sha256, plan.labels_sha256, strata, now, tuple(rows))


def _reading(plan: Plan, ids: Sequence[str], after: int) -> tuple[list[int], list[bool], list[bool]]:
    """Of new texts: the place in the reading order, random over strata, behind those that are drawn already; which
    are read by two, and which twice by one."""
    position = np.empty(len(ids), dtype=np.int64)
    position[np.argsort(permanent_random_numbers(f"{plan.seed} order", ids), kind="stable")] = np.arange(len(ids))
    double = _smallest(f"{plan.seed} double", ids, plan.double)
    repeat = _smallest(f"{plan.seed} repeat", ids, plan.repeats)
    return [int(each) + after for each in position], double, repeat


def _smallest(seed: str, ids: Sequence[str], share: float) -> list[bool]:
    numbers = permanent_random_numbers(seed, ids)
    chosen = np.zeros(len(ids), bool)
    chosen[np.argsort(numbers, kind="stable")[: ceil(share * len(ids) - 1e-9)]] = True
    return [bool(each) for each in chosen]


def _members(frame: Frame, chosen: Array) -> dict[int, tuple[str, ...]]:
    """The reports of each chosen text, in lexical order: the first stands for all."""
    wanted = np.zeros(int(frame.cluster.max()) + 1, bool)
    wanted[chosen] = True
    found: dict[int, list[str]] = {}
    for row in np.flatnonzero(wanted[frame.cluster]):
        found.setdefault(int(frame.cluster[row]), []).append(frame.ids[row])
    return {text: tuple(sorted(ids)) for text, ids in found.items()}
