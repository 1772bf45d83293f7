"""What a reader of the card should know before using the corpus, each sentence from a count that crossed a limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from corpora.card.numbers import CardNumbers
from corpora.specs.evidence import share_text

#: Fields that say where a study came from, not what it is.
_NO_LOSS: Final = frozenset({"split", "source"})
#: A field that more than this share lacks is a limitation.
_LACKING: Final = 0.05
#: A group with more than this share of the whole makes the corpus one of that group.
_ONE_SIDED: Final = 0.8
#: A label with fewer positive studies than this cannot be scored well: the 95 % interval of a recall of 0.8 is then
#: wider than 0.3.
_RARE: Final = 30


def limitations(numbers: CardNumbers) -> list[str]:
    """Sentences, in order of weight for a reader; empty if no count crosses its limit."""
    return [sentence for part in _PARTS for sentence in part(numbers)]


def _patients(numbers: CardNumbers) -> Iterator[str]:
    if numbers.without_patient:
        share = share_text(numbers.without_patient / numbers.studies)
        number = f"{numbers.without_patient:,} studies ({share})"
        yield f"{number} have no patient id: no split can keep their patients in one part."


def _labels(numbers: CardNumbers) -> Iterator[str]:
    if not numbers.labelled:
        yield "There are no labels."
        return
    if numbers.labelled < numbers.studies:
        yield f"{numbers.studies - numbers.labelled:,} studies have no labels."
    rare = [f"{name} ({row['positive']:,})" for name, row in numbers.labels.items() if row["positive"] < _RARE]
    if rare:
        yield f"Fewer than {_RARE} studies are positive for {', '.join(rare)}: too few to score a model on."
    if not any(row["uncertain"] for row in numbers.labels.values()):
        yield "No label is uncertain: the labels do not say where their makers doubted."


def _one_sided(numbers: CardNumbers) -> Iterator[str]:
    kinds = {"manufacturer": "vendor", "sex": "sex", "year": "year", "source": "source"}
    for field, what in kinds.items():
        counts = numbers.tallies[field].counts
        total = sum(counts.values())
        if not total:
            continue
        top = max(counts, key=lambda name: counts[name])
        if len(counts) == 1:
            yield f"All studies whose {what} is known are of one {what}: {top}."
        elif counts[top] / total > _ONE_SIDED:
            yield f"{share_text(counts[top] / total)} of the studies whose {what} is known are of one {what}: {top}."


def _children(numbers: CardNumbers) -> Iterator[str]:
    counts = numbers.tallies["age"].counts
    total = sum(counts.values())
    young = counts.get("0-9", 0) + counts.get("10-19", 0)
    if total and young == 0:
        yield "There is no patient under 20: nothing can be said of children."
    if total and sum(number for name, number in counts.items() if name in ("70-79", "80-89", "90-99", "100+")) == 0:
        yield "There is no patient of 70 or more."


def _views(numbers: CardNumbers) -> Iterator[str]:
    lateral = numbers.views.get("LATERAL", 0)
    if numbers.images and not lateral:
        yield "No image is known to be a lateral view."
    portable = numbers.views.get("AP", 0)
    frontal = portable + numbers.views.get("PA", 0)
    if portable and portable < frontal:
        share = share_text(portable / frontal)
        yield f"{share} of the frontal films are AP: AP patients are often sicker, so results should be given by view."


def _reports(numbers: CardNumbers) -> Iterator[str]:
    if numbers.faulty_text:
        yield f"{numbers.faulty_text:,} reports hold damaged characters."
    if numbers.reports and numbers.repeated_reports / numbers.reports > _LACKING:
        share = share_text(numbers.repeated_reports / numbers.reports)
        yield f"{share} of the reports repeat an earlier one word for word."


def _lacking(numbers: CardNumbers) -> Iterator[str]:
    gaps = [
        f"{name} ({share_text(without / of)})"
        for name, (without, of) in numbers.missing.items()
        if of and without / of > _LACKING and name not in _NO_LOSS and not _aggregated(numbers, name)
    ]
    if gaps:
        yield f"Often missing: {', '.join(gaps)}."


def _aggregated(numbers: CardNumbers, name: str) -> bool:
    field = name.removeprefix("image ")
    return field in numbers.tallies and bool(numbers.tallies[field].source)


def _splits(numbers: CardNumbers) -> Iterator[str]:
    if not numbers.splits and not numbers.official:
        yield "There is no split: results of different authors on this corpus cannot be compared."
    if numbers.splits.get("in none"):
        yield f"{numbers.splits['in none']:,} studies are in no part of the split."


_PARTS: Final[tuple[Callable[[CardNumbers], Iterator[str]], ...]] = (
    _patients, _labels, _one_sided, _children, _views, _reports, _lacking, _splits,
)  # fmt: skip
