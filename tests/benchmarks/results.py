"""The figures of a run and how they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from tests.benchmarks.stages import TOKENIZING

_HEAD: Final = (
    "text", "what", "cores", "reports/s", "seconds", "spread", "CPU s", "start-up s", "peak MiB", "x peer", "bar", "",
)  # fmt: skip
_VERDICTS: Final = {True: "met", False: "NOT MET", None: "not judged here"}


@dataclass(slots=True)
class Line:
    """One measurement. Seconds are the best of ``repeats``; ``spread`` is how much longer the slowest took, as a share.

    ``startup_seconds`` are apart from ``seconds`` where they are given, and part of them where not. ``ratio`` and
    ``cpu_ratio`` compare reports per second, and per second of processor time, with the naive peer's. ``met`` is None
    where the bar does not apply (a smaller corpus, one core only).
    """

    text: str
    what: str
    seconds: float | None = None
    cpu_seconds: float | None = None
    spread: float | None = None
    repeats: int = 1
    cores: int | None = None
    reports: int | None = None
    startup_seconds: float | None = None
    peak_mib: float | None = None
    ratio: float | None = None
    cpu_ratio: float | None = None
    bar: str = ""
    met: bool | None = None

    @property
    def reports_per_second(self) -> float | None:
        """Reports over seconds by the clock."""
        return _rate(self.reports, self.seconds)

    @property
    def reports_per_cpu_second(self) -> float | None:
        """Reports over seconds of processor time."""
        return _rate(self.reports, self.cpu_seconds)


@dataclass(slots=True)
class Results:
    """All lines of a run, what the corpora were, which form of the peer was fastest, what was skipped and why."""

    lines: list[Line] = field(default_factory=list)
    corpora: dict[str, dict[str, Any]] = field(default_factory=dict)
    peers: dict[str, str] = field(default_factory=dict)
    stages: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def figures(self) -> dict[str, Any]:
        """All of it for JSON."""
        lines = [{**asdict(line), "reports_per_second": line.reports_per_second} for line in self.lines]
        return {**asdict(self), "lines": lines}


def _rate(reports: int | None, seconds: float | None) -> float | None:
    return None if reports is None or seconds is None else reports / max(seconds, 1e-9)


def compare(lines: Iterable[Line], peer: Line) -> None:
    """Give every line that has a rate its ratios to the peer's."""
    for line in lines:
        line.ratio = _ratio(line.reports_per_second, peer.reports_per_second)
        line.cpu_ratio = _ratio(line.reports_per_cpu_second, peer.reports_per_cpu_second)


def _ratio(rate: float | None, other: float | None) -> float | None:
    return None if rate is None or other is None else rate / other


def table(lines: Sequence[Line]) -> str:
    """The lines as a Markdown table."""
    return _markdown(_HEAD, [_cells(line) for line in lines], left=(0, 1, 10, 11))


def _cells(line: Line) -> list[str]:
    return [
        line.text, line.what, _shown(line.cores), _shown(line.reports_per_second, ",.0f"), _shown(line.seconds, ".2f"),
        _shown(line.spread if line.repeats > 1 else None, ".0%"), _shown(line.cpu_seconds, ".2f"),
        _shown(line.startup_seconds, ".2f"), _shown(line.peak_mib, ",.0f"), _shown(line.ratio, ".2f"), line.bar,
        _VERDICTS[line.met] if line.bar else "",
    ]  # fmt: skip


def _shown(value: float | None, spelling: str = "") -> str:
    return "" if value is None else format(value, spelling)


def stage_table(stages: Mapping[str, Any]) -> str:
    """The stages of one text as a Markdown table: share of the time, microseconds of processor time a report."""
    whole = stages["cpu_seconds"] / stages["reports"] * 1e6
    rows = [[stage, f"{share:.0%}", f"{share * whole:.0f}"] for stage, share in stages["shares"].items()]
    rows.append(["all", "100%", f"{whole:.0f}"])
    rows.append([f"{TOKENIZING} alone, over every word, cold", "", f"{stages['tokenizer_cold'] * 1e6:.0f}"])
    return _markdown((f"stage ({stages['text']})", "share", "µs a report"), rows, left=(0,))


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> str:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]

    def spelled(row: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    widths = [max(width, 3) for width in widths]
    rule = ["-" * width if column in left else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join([spelled(head), f"| {' | '.join(rule)} |", *map(spelled, rows)])
