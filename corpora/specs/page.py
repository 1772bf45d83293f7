"""A check for people and programs: a table for the terminal, JSON, one page with the plots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeGuard

from corpora.runs import atomic_writer, manifest_beside, write_manifest, writing
from corpora.specs.check import CheckResult
from corpora.specs.evidence import Outcome
from corpora.specs.labelling import labels_by_study, prevalence
from corpora.specs.model import Criterion, Distinct, FilmQuality, LabelNames
from corpora.specs.values import view_of

if TYPE_CHECKING:
    from rich.console import RenderableType

_MARKS: Final = {"pass": "\u2713", "fail": "\u2717", "not judged": "\u2013"}
_STYLES: Final = {"pass": "green", "fail": "bold red", "not judged": "yellow"}
#: Study ids that a person is shown; JSON has them all.
_SHOWN: Final = 10
_VISIBLE: Final = {**{code: 0x2400 + code for code in range(32)}, **dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)}


def to_json(result: CheckResult) -> dict[str, Any]:
    """The check in JSON's types, with every offending study."""
    criteria = result.criteria
    return {
        "spec": result.spec.name,
        "corpus": str(result.corpus),
        "studies": len(result.evidence.studies),
        "passed": result.passed,
        "counts": result.counts(),
        "seconds": round(result.seconds, 2),
        "criteria": [
            {
                "id": name,
                "group": criteria[name].group,
                "asks": criteria[name].asks,
                "required": criteria[name].required,
                "verdict": outcome.verdict,
                "measured": outcome.measured,
                "shown": outcome.shown,
                "threshold": outcome.threshold,
                "reason": outcome.reason,
                "offending": list(outcome.offending),
                "details": dict(outcome.details),
            }
            for name, outcome in result.outcomes.items()
        ],
    }


def write_page(result: CheckResult, page: Path, *, command: Sequence[str], inputs: Iterable[Path]) -> None:
    """Write the check as a page, and its manifest beside it. Raises ``RunError`` as ``corpora.runs.atomic_writer``."""
    with writing(page):
        manifest_beside(page).unlink(missing_ok=True)
    with atomic_writer(page) as file:
        file.write(to_html(result))
    write_manifest(
        manifest_beside(page), command=command, config=result.spec.model_dump(mode="json"), inputs=inputs,
        counts=result.counts(), wall_seconds=result.seconds,
    )  # fmt: skip


def summary(result: CheckResult) -> str:
    """The verdict on the whole corpus in one line."""
    counts = result.counts()
    parts = [f"{counts['pass']} pass", f"{counts['fail']} fail", f"{counts['not judged']} not judged"]
    optional = f" ({len(result.missed)} of the fails not required)" if result.missed else ""
    return f"{result.spec.name}: {', '.join(parts)}{optional}"


def to_table(result: CheckResult) -> RenderableType:
    """The verdicts as a table for a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        "Criterion", "Verdict", "Measured", "Asked", "Studies against it", box=box.HORIZONTALS, pad_edge=False
    )
    for name, outcome in result.outcomes.items():
        verdict = Text(f"{_MARKS[outcome.verdict]} {outcome.verdict}", style=_STYLES[outcome.verdict], no_wrap=True)
        measured = "; ".join(filter(None, (outcome.shown, outcome.reason)))
        optional = "" if result.criteria[name].required else " (not required)"
        cells = (name + optional, verdict, measured, outcome.threshold, _ids(outcome))
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell.translate(_VISIBLE)) for cell in cells))
    return table


def _ids(outcome: Outcome) -> str:
    if not outcome.offending:
        return ""
    first = ", ".join(outcome.offending[:3])
    return f"{len(outcome.offending):,}: {first}{' ...' if len(outcome.offending) > 3 else ''}"


def to_html(result: CheckResult) -> str:
    """One self-contained page: the verdicts, why, the studies against each, and plots of what was counted."""
    criteria = result.criteria
    groups: dict[str, list[_Row]] = {}
    for name, outcome in result.outcomes.items():
        shown = [study_id.translate(_VISIBLE) for study_id in outcome.offending[:_SHOWN]]
        more = max(0, len(outcome.offending) - _SHOWN)
        row = _Row(name, criteria[name], outcome, _MARKS[outcome.verdict], shown, more)
        # a group is where its first criterion is, wherever the others are written
        groups.setdefault(criteria[name].group, []).append(row)
    counts, line = result.counts(), summary(result)
    return render("check.html", result=result, groups=groups, counts=counts, line=line, plots=list(_plots(result)))


class _Row(NamedTuple):
    """One criterion as the page shows it."""

    id: str
    criterion: Criterion
    outcome: Outcome
    mark: str
    ids: list[str]
    more: int


def render(template: str, **values: Any) -> str:
    """A template of ``corpora/templates`` filled in; what comes from data is escaped in HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def escaped(name: str | None) -> bool:
        return name is not None and name.endswith(".html")

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent / "templates"), autoescape=escaped,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment.get_template(template).render(**values)


def _plots(result: CheckResult) -> Iterator[str]:
    from corpora import plots
    from corpora.specs.aggregates import tally

    evidence = result.evidence
    for field, title in (("year", "Studies by year"), ("age", "Studies by age in decades")):
        if counts := tally(evidence, field).counts:
            yield plots.columns(counts, title)
    if sexes := tally(evidence, "sex").counts:
        yield plots.bars(sexes, "Studies by sex")
    vendors = next((each.names for each in result.criteria.values() if _counts_vendors(each)), {})
    if counts := tally(evidence, "manufacturer", vendors).counts:
        yield plots.bars(dict(sorted(counts.items(), key=lambda item: -item[1])), "Studies by vendor")
    if views := _views(result):
        yield plots.bars(views, "Images by view")
    yield from _label_plot(result)
    for name, criterion in result.criteria.items():
        values = result.outcomes[name].details.get("values")
        if isinstance(criterion, FilmQuality) and values:
            limits = [bound for bound in (criterion.rule.at_least, criterion.rule.at_most) if bound is not None]
            yield plots.histogram(values, f"Films by {criterion.measure}", limits=limits)


def _counts_vendors(criterion: Criterion) -> TypeGuard[Distinct]:
    return isinstance(criterion, Distinct) and criterion.field == "manufacturer"


def _views(result: CheckResult) -> dict[str, int]:
    from collections import Counter

    views = Counter(view_of(image) or "unknown" for study in result.evidence.studies for image in study.images)
    return dict(views.most_common())


def _label_plot(result: CheckResult) -> Iterator[str]:
    from corpora import plots

    names = next((each.names for each in result.criteria.values() if isinstance(each, LabelNames)), None)
    found = labels_by_study(result.evidence)
    if names and found:
        yield plots.states(prevalence(found, names), "Labels by state")
