"""Plan an audit: the frame of texts, its strata, and how many of each are to be read.

    plan("labels.csv", Path("audit"), budget=600)

Nothing is drawn yet; `labeler.audit.draw` does that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import ConfigError, DataError, RunError
from corpora.runs import hash_input, write_manifest, writing
from corpora.sections import select
from corpora.types import Report
from labeler.audit.allocate import wright
from labeler.audit.frame import DRAW, Frame, Plan, PlannedStratum, write_frame, write_plan
from labeler.audit.gates import Texts, first_of, floors, gates_of, texts_of_frame
from labeler.audit.prn import permanent_random_numbers
from labeler.audit.recipe import AssumedErrors, AuditRecipe, load_recipe
from labeler.audit.sources import Origin, hybrid_disagreements, origin_of, schema_labels, site_of
from labeler.audit.strata import assign
from labeler.audit.tables import Labels, read_table, table_file
from labeler.audit.texts import text_digests
from labeler.audit.types import BLANK_CODE
from labeler.audit.widths import expected_widths, spreads

Array = NDArray[Any]
Watch = Callable[[int], None]

SECTIONS: Final = "findings,impression"
SEED: Final = "audit-1"


def plan(
    labels: Path | str,
    audit: Path,
    *,
    second_labels: Path | str | None = None,
    reports: str | None = None,
    sections: str | None = None,
    budget: int | None = None,
    fraction: float | None = None,
    sites: Path | None = None,
    site_column: str | None = None,
    evidence: Path | None = None,
    seed: str = SEED,
    recipe: AuditRecipe | None = None,
    command: Sequence[str] = ("labeler.audit.plan.plan",),
    watch: Watch = lambda done: None,
) -> Plan:
    """Plan the audit of a label table into the folder ``audit``, and return the plan.

    ``second_labels`` is the table of another labeler of the same reports, ``evidence`` what `radloop label run
    --evidence` wrote of a hybrid one: where they differ is a stratum. ``reports`` is the source of the reports; if not
    given, the one that the table's manifest names, if it is still there. ``budget`` is how many texts are read in all;
    if not given, as many as the gates ask for. ``site_column`` is a column of ``sites``, or of the label table.

    Raises ``DataError``, ``ConfigError``: ``audit.budget`` for one below what the gates ask for or above all there is;
    ``RunError``: ``audit.exists`` if the folder holds an audit that was drawn from.
    """
    start = time.perf_counter()
    _refuse_drawn(audit)
    recipe = (recipe or load_recipe()).model_copy(update={} if fraction is None else {"fraction": fraction})
    if not 0 < recipe.fraction <= 1:
        raise ConfigError("config.value", f"{recipe.fraction} is no share of the reports", where="--fraction")
    origin = origin_of(table_file(labels))
    site_file = sites or (table_file(labels) if site_column else None)
    column = (site_column or "site") if site_file else None
    table = _in_schema(read_table(labels, leave_out=[column] if column and sites is None else []), origin)
    source = str(Path(reports).resolve()) if reports is not None else origin.reports
    read = origin.read if source == origin.reports else {}
    wanted = sections or origin.sections or SECTIONS
    select(Report("", ""), wanted)
    texts_sha = {} if source is None else _digests(source, table, wanted, read, watch)
    second = None if second_labels is None else _beside(table, read_table(second_labels))
    frame = make_frame(
        table.names, table.ids, table.states, second=second, seed=seed, recipe=recipe,
        text_sha=None if source is None else [texts_sha.get(each) for each in table.ids],
        sites=None if site_file is None else site_of(site_file, str(column), table.ids),
        hybrid=_hybrid(table, evidence),
    )  # fmt: skip
    strata, widths = allocate(texts_of_frame(frame), recipe, budget)
    with writing(audit):
        audit.mkdir(parents=True, exist_ok=True)
    made = Plan(
        labels=str(table.path.resolve()), labels_sha256=_sha256(table.path), names=table.names, seed=seed,
        fraction=recipe.fraction, least=recipe.least, budget=sum(each.planned for each in strata), strata=strata,
        schema=origin.schema, sections=wanted, second_labels=_absolute(second_labels and table_file(second_labels)),
        second_sha256=None if second_labels is None else _sha256(table_file(second_labels)), reports=source, read=read,
        labeler=origin.labeler, evidence=_absolute(evidence), sites=_absolute(site_file), site_column=column,
        double=recipe.double, repeats=recipe.repeats, errors=recipe.errors.model_dump(), widths=widths,
        notes=_notes(table, source, texts_sha), frame_sha256=write_frame(audit, frame),
    )  # fmt: skip
    write_plan(audit, made)
    inputs = [table.path, *(each for each in (made.second_labels, made.evidence, made.sites) if each)]
    write_manifest(
        audit / "manifest.json", command=command, config=recipe.model_dump() | {"seed": seed, "budget": budget},
        inputs=inputs, counts=counts_of(made), wall_seconds=time.perf_counter() - start, packages=("numpy", "pyarrow"),
    )  # fmt: skip
    return made


def make_frame(
    names: Sequence[str], ids: Sequence[str], machine: Array, *, seed: str, recipe: AuditRecipe,
    second: Array | None = None, text_sha: Sequence[str | None] | None = None, sites: Sequence[str] | None = None,
    hybrid: Array | None = None,
) -> Frame:  # fmt: skip
    """The frame of N reports with their machine labels [N, L]: clusters, strata, permanent random numbers."""
    disagree = np.zeros(len(ids), bool) if hybrid is None else hybrid
    if second is not None:
        disagree = disagree | (machine != second).any(axis=1)
    site_names, site = (), None
    if sites is not None:
        site_names, site = _coded(sites)
    cluster = _clusters(machine, second, disagree, site, text_sha)
    first, reports = first_of(cluster, ids)
    strata, stratum = assign(
        machine[first], reports, disagree[first], None if site is None else site[first], names=names, sites=site_names,
        fraction=recipe.fraction, least=recipe.least,
    )  # fmt: skip
    prn = permanent_random_numbers(seed, [ids[at] for at in first])
    return Frame(
        tuple(names), tuple(ids), cluster, strata, stratum[cluster], prn[cluster], machine, disagree, site_names, site,
        second, tuple(text_sha or [None] * len(ids)),
    )  # fmt: skip


def _clusters(
    machine: Array, second: Array | None, disagree: Array, site: Array | None, text_sha: Sequence[str | None] | None
) -> Array:
    """The cluster of each report; a report without a text is one of its own."""
    if text_sha is None:
        return np.arange(len(machine), dtype=np.int32)
    parts = [np.ascontiguousarray(machine), disagree[:, None].astype(np.int8)]
    parts += [] if second is None else [second]
    parts += [] if site is None else [site.astype("<i4").view(np.int8).reshape(-1, 4)]
    own = (f"{number:032x}" if sha is None else sha for number, sha in enumerate(text_sha))
    digests = np.frombuffer(bytes.fromhex("".join(own)), dtype=np.int8).reshape(-1, 16)
    missing = np.array([[sha is None] for sha in text_sha], dtype=np.int8)
    rows = np.ascontiguousarray(np.concatenate([digests, missing, *parts], axis=1))
    keys = rows.view(np.dtype((np.void, rows.shape[1]))).reshape(-1)
    found: Array = np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int32)
    return found


def allocate(
    texts: Texts, recipe: AuditRecipe, budget: int | None
) -> tuple[tuple[PlannedStratum, ...], dict[str, dict[str, float | None]]]:
    """How many texts of each stratum to draw, and the widths of intervals that are to be expected.

    The floors of the gates first, then Wright's allocation of the rest of ``budget``. Raises ``ConfigError``:
    ``audit.budget``.
    """
    gates, rows = gates_of(texts, recipe.fraction, recipe.least)
    least, sizes = floors(texts, gates, rows), texts.sizes()
    _check_budget(budget, int(least.sum()), int(sizes.sum()), recipe)
    drawn = least if budget is None else wright(sizes, spreads(texts, recipe.errors), budget, floors=least)
    reports = np.bincount(texts.stratum, weights=texts.reports, minlength=len(sizes)).astype(int)
    strata = tuple(
        PlannedStratum(name, int(sizes[at]), int(reports[at]), int(least[at]), int(drawn[at]))
        for at, name in enumerate(texts.strata)
    )
    return strata, expected_widths(texts, drawn, recipe.errors)


def enlarge(frame: Frame, plan: Plan, drawn: Sequence[int], more: int) -> list[int]:
    """How many texts of each stratum to draw if ``more`` are to be read than ``drawn``. Raises ``ConfigError``."""
    texts = texts_of_frame(frame)
    total, sizes = sum(drawn) + more, texts.sizes()
    if more < 1 or total > sizes.sum():
        left = int(sizes.sum()) - sum(drawn)
        raise ConfigError("audit.budget", f"{left:,} texts are left to be drawn", where=f"--extend {more}")
    errors = AssumedErrors.model_validate(plan.errors)
    return [int(each) for each in wright(sizes, spreads(texts, errors), total, floors=np.array(drawn))]


def _check_budget(budget: int | None, least: int, there: int, recipe: AuditRecipe) -> None:
    if budget is not None and budget < least:
        raise ConfigError(
            "audit.budget",
            f"a budget of {budget:,} texts is {least - budget:,} short: the gates ask for {least:,} of {there:,}",
            where="--budget", hint=f"take at least {least}, or ask for less in a recipe of your own (--config): "
            f"a share of {recipe.fraction:g} and {recipe.least} of each label and state are asked for",
        )  # fmt: skip
    if budget is not None and budget > there:
        message = f"a budget of {budget:,} is more than the {there:,} distinct texts there are"
        raise ConfigError("audit.budget", message, where="--budget", hint=f"take {there} to read all of them")


# what it is made from


def _refuse_drawn(audit: Path) -> None:
    if audit.is_file():
        raise RunError("run.is_file", f"{audit} is a file, not a folder", hint="name another output")
    for name in (DRAW, "audit.sqlite"):
        if (audit / name).exists():
            raise RunError(
                "audit.exists", "the folder holds an audit that was drawn already", where=str(audit),
                hint="name another folder; to read more, run `radloop audit draw AUDIT --extend N`",
            )  # fmt: skip


def _in_schema(table: Labels, origin: Origin) -> Labels:
    """The table with the labels of its schema that it never names, where blank is said by silence."""
    schema = schema_labels(origin.schema)
    if not table.sparse or not schema or not set(table.names) <= set(schema):
        return table
    return replace(table, names=schema, states=_columns(table, schema))


def _columns(table: Labels, names: Sequence[str]) -> Array:
    at = {name: place for place, name in enumerate(table.names)}
    blank = np.full(len(table.ids), BLANK_CODE, dtype=np.int8)
    return np.stack([table.states[:, at[name]] if name in at else blank for name in names], axis=1)


def _beside(table: Labels, second: Labels) -> Array:
    """The states of another labeler [N, L] in the order of the table."""
    lacking = [name for name in table.names if name not in second.names]
    if lacking and not second.sparse:
        message = f"it has no column for {len(lacking)} of the labels, first {lacking[0][:40]!r}"
        raise DataError("data.label", message, where=str(second.path))
    row_of = {name: row for row, name in enumerate(second.ids)}
    absent = [name for name in table.ids if name not in row_of]
    if absent:
        message = f"{len(absent):,} of {len(table.ids):,} reports are not in the second table, first {absent[0][:40]!r}"
        hint = "both tables must be of the same reports"
        raise DataError("audit.other_ids", message, where=str(second.path), hint=hint)
    found: Array = _columns(second, table.names)[[row_of[name] for name in table.ids]]
    return found


def _digests(source: str, table: Labels, sections: str, read: Mapping[str, str | None], watch: Watch) -> dict[str, str]:
    found = text_digests(source, table.ids, sections, read, watch)
    if not found:
        raise DataError(
            "audit.other_ids", "the source has a report of none of the studies in the label table", where=source,
            hint="name the source that was labeled with --reports",
        )  # fmt: skip
    return found


def _hybrid(table: Labels, evidence: Path | None) -> Array | None:
    if evidence is None:
        return None
    names = set(table.names)
    studies = {study_id for study_id, label in hybrid_disagreements(evidence) if label in names}
    return np.array([each in studies for each in table.ids], dtype=bool)


def _coded(values: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    names = sorted(set(values))
    place = {name: at for at, name in enumerate(names)}
    return tuple(names), np.array([place[value] for value in values], dtype=np.int32)


def _notes(table: Labels, source: str | None, texts_sha: Mapping[str, str]) -> tuple[str, ...]:
    notes = []
    if source is None:
        notes.append("no source of reports: each report counts as a text of its own, and none can be shown to a reader")
    elif len(texts_sha) < len(table.ids):
        lacking = len(table.ids) - len(texts_sha)
        notes.append(f"{lacking:,} reports are not in the source: each counts as a text of its own")
    if table.left_out:
        notes.append(f"columns that are no labels: {', '.join(name[:40] for name in table.left_out)}")
    return tuple(notes)


def _absolute(path: Path | str | None) -> str | None:
    return str(Path(path).resolve()) if path else None


def _sha256(path: Path) -> str:
    return str(hash_input(path)["sha256"])


def counts_of(plan: Plan) -> dict[str, int]:
    """The numbers of a plan."""
    return {
        "reports": sum(each.reports for each in plan.strata),
        "texts": sum(each.size for each in plan.strata),
        "strata": len(plan.strata),
        "floor": sum(each.floor for each in plan.strata),
        "planned": plan.budget,
    }
