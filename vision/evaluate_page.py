"""An evaluation as one self-contained page: nothing to load, no script, prints well."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vision.tables import grids

if TYPE_CHECKING:
    from jinja2 import Template

    from vision.evaluate import Evaluation

_VISIBLE: Final = {**{code: 0x2400 + code for code in range(32)}, **dict.fromkeys(range(0x7F, 0xA0), 0xFFFD)}


def page(found: Evaluation, plots: Mapping[str, str]) -> str:
    """The page; ``plots`` are SVG by file name."""
    from vision.evaluate import undefined

    macro = found.table.macro.scores["auroc"]
    return template("evaluation.html").render(
        found=found, grids=grids(found), plots=list(plots.values()), undefined=undefined(found.table), macro=macro,
        said=found.choices.said(), units=len(found.cohort.ids), clusters=found.cohort.n_clusters,
    )  # fmt: skip


@lru_cache(maxsize=8)
def template(name: str) -> Template:
    """A template of ``vision/templates``; what is filled in is escaped, control characters are made visible."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def visible(value: Any) -> Any:
        plain = isinstance(value, str) and not hasattr(value, "__html__")
        return value.translate(_VISIBLE) if plain else value

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=visible,
    )  # fmt: skip
    environment.filters["number"] = lambda value: f"{value:,}"
    return environment.get_template(name)
