"""Years, ages, sexes and vendors counted: from the studies, or from the manifest where the studies have them no more.

De-identification takes dates and, on request, ages and sexes out of the studies. The import counts them before that
and writes the counts into the manifest's ``aggregates``:

    "aggregates": {"years": {"2019": 812}, "ages": {"40-49": 230}, "sexes": {"F": 401}, "manufacturers": {...}}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from corpora.specs.evidence import Evidence
from corpora.specs.facts import StudyFacts

#: What the manifest may call the counts of a field.
_NAMES: Final = {
    "year": ("years", "year"),
    "age": ("age_decades", "ages", "age", "decades", "age_decade"),
    "sex": ("sexes", "sex"),
    "manufacturer": ("manufacturers", "manufacturer", "vendors", "vendor"),
    "model": ("models", "model"),
    "source": ("sources", "source"),
}
_DECADE: Final = re.compile(r"(\d+)\s*[-\u2013]\s*(\d+)")
_UNKNOWN: Final = frozenset({"", "unknown", "none", "null", "nan"})


@dataclass(frozen=True, slots=True)
class Tally:
    """Studies by value, in order; ``source`` is empty if they were counted in the studies themselves."""

    counts: Mapping[str, int]
    source: str = ""

    def span(self, text: str) -> tuple[Any, Any]:
        """The lowest and highest value that the bin ``text`` may hold.

        >>> Tally({}).span("10-19"), Tally({}).span("100+"), Tally({}).span("F")
        ((10.0, 19.999), (100.0, 150.0), ('F', 'F'))
        """
        if bounds := _DECADE.fullmatch(text):
            # a bin of whole years holds those who are not yet a year older
            return float(bounds[1]), float(bounds[2]) + 0.999
        if text.endswith("+") and text[:-1].isdigit():
            return float(text[:-1]), 150.0
        number = float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else text
        return number, number


def aggregates_of(manifest: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """The counts in a manifest by field: ``year``, ``age`` and so on; what is no count is left out."""
    given = manifest.get("aggregates")
    found: dict[str, dict[str, int]] = {}
    for field, names in _NAMES.items():
        counts = next((given[name] for name in names if name in given), None) if isinstance(given, Mapping) else None
        if isinstance(counts, Mapping):
            whole = {str(key): number for key, number in counts.items() if isinstance(number, int) and number > 0}
            found[field] = {key: number for key, number in whole.items() if key.strip().lower() not in _UNKNOWN}
    return found


def decades(ages: Iterable[float]) -> dict[str, int]:
    """Ages in bins of ten years.

    >>> decades([0.5, 41, 49.9, 104])
    {'0-9': 1, '40-49': 2, '100+': 1}
    """
    bins = Counter(min(int(age // 10), 10) for age in ages if age >= 0)
    return {"100+" if low == 10 else f"{10 * low}-{10 * low + 9}": bins[low] for low in sorted(bins)}


def tally(evidence: Evidence, field: str, names: Mapping[str, list[str]] | None = None) -> Tally:
    """Studies by the value of a field; ages by decade. ``names`` maps a value to the spellings of it."""
    counts = count_values(evidence.studies, field, names)
    if counts:
        return Tally(counts)
    given = evidence.aggregates.get(field, {})
    renamed: Counter[str] = Counter()
    for value, number in given.items():
        renamed[canonical(value, names or {})] += number
    return Tally(dict(sorted(renamed.items(), key=_order)), "aggregates" if renamed else "")


def count_values(
    studies: Iterable[StudyFacts], field: str, names: Mapping[str, list[str]] | None = None
) -> dict[str, int]:
    """Studies by the value of a field, in order of value; a study whose images differ counts once for each."""
    if field == "age":
        return decades(study.age for study in studies if study.age is not None)
    counts: Counter[str] = Counter()
    for study in studies:
        if field in ("manufacturer", "model"):
            values = {getattr(image, field) for image in study.images}
        else:
            values = {getattr(study, field)}
        counts.update({canonical(str(value), names or {}) for value in values if value not in (None, "")})
    return dict(sorted(counts.items(), key=_order))


def _order(item: tuple[str, int]) -> tuple[int, str]:
    digits = re.match(r"\d+", item[0])
    return (int(digits[0]) if digits else 0, item[0])


def canonical(value: str, names: Mapping[str, list[str]]) -> str:
    """The name that a spelling stands for.

    >>> canonical("PHILIPS Medical Systems", {"Philips": ["philips"]})
    'Philips'
    """
    text = value.strip()
    for name, patterns in names.items():
        if any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns):
            return name
    return text
