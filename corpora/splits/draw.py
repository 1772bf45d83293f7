"""Who goes where: a keyed hash orders the patients of a stratum, the ratios cut the order."""

from __future__ import annotations

import hmac
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from corpora.errors import ConfigError, DataError
from corpora.specs.facts import StudyFacts
from corpora.splits.leaks import balance_of, find_leaks
from corpora.splits.types import PARTS, Split

if TYPE_CHECKING:
    from corpora.specs.duplicates import Alike

DEFAULT_RATIOS: Final = "train=.8,validate=.1,test=.1"
_UNLABELLED: Final = "\0unlabelled"
_NOTHING: Final = "\0no positive label"


def parse_ratios(text: str) -> dict[str, float]:
    """``train=.8,validate=.1,test=.1`` as numbers that add up to 1. Raises ``ConfigError`` (``config.value``).

    >>> parse_ratios("train=3,test=1")
    {'train': 0.75, 'test': 0.25}
    """
    ratios: dict[str, float] = {}
    for piece in text.split(","):
        name, _, number = (part.strip() for part in piece.partition("="))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if name not in PARTS or name in ratios or not 0 <= value < math.inf:
            raise ConfigError(
                "config.value", f"{piece!r} is not a part with its ratio", where="--ratios",
                hint=f"such as {DEFAULT_RATIOS}; the parts are {', '.join(PARTS)}",
            )  # fmt: skip
        ratios[name] = value
    total = sum(ratios.values())
    if not total:
        raise ConfigError("config.value", "the ratios are all 0", where="--ratios")
    return {name: value / total for name, value in ratios.items()}


def patient_number(patient: str, seed: int) -> float:
    """The number of a patient in [0, 1), from HMAC-SHA256 under the seed."""
    digest = hmac.digest(f"radloop split {seed}".encode(), patient.encode("utf-8", "surrogatepass"), "sha256")
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def assign(
    strata: Mapping[str, str], ratios: Mapping[str, float], seed: int = 0, kept: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The part of each patient, from the stratum of each; those in ``kept`` stay where they are.

    In each stratum the parts get their share of all its patients, in whole numbers, what is left over by lot. The order
    of ``strata`` does not count.
    """
    kept = kept or {}
    members: dict[str, list[str]] = defaultdict(list)
    for patient, stratum in strata.items():
        members[stratum].append(patient)
    parts: dict[str, str] = {}
    for stratum, patients in members.items():
        fixed = {patient: kept[patient] for patient in patients if patient in kept}
        new = sorted(
            (p for p in patients if p not in kept), key=lambda patient: (patient_number(patient, seed), patient)
        )
        quotas = _quotas(len(patients), ratios, Counter(fixed.values()), f"{seed} {stratum}")
        parts |= fixed
        parts |= dict(zip(new, [part for part, size in quotas.items() for _ in range(size)], strict=True))
    return parts


def _quotas(total: int, ratios: Mapping[str, float], fixed: Counter[str], salt: str) -> dict[str, int]:
    """How many new patients each part of a stratum takes."""
    new = total - fixed.total()
    lacking = {part: max(0.0, total * ratio - fixed[part]) for part, ratio in ratios.items()}
    scale = new / (sum(lacking.values()) or 1.0)
    exact = {part: lack * scale for part, lack in lacking.items()}
    if not sum(exact.values()):
        exact = {part: new * ratio for part, ratio in ratios.items()}
    sizes = {part: math.floor(value + 1e-9) for part, value in exact.items()}
    # a stratum of one or two goes to a part by its own lot, or small strata would all end in the largest part
    order = sorted(exact, key=lambda part: -_lot(exact[part] - sizes[part], f"{salt} {part}"))
    for part in order[: new - sum(sizes.values())]:
        sizes[part] += 1
    return sizes


def _lot(remainder: float, salt: str) -> float:
    """A key that draws without replacement with chances near the remainders (Efraimidis and Spirakis 2006)."""
    return patient_number(salt, 0) ** (1 / remainder) if remainder > 1e-9 else -1.0


def strata_of(studies: Iterable[StudyFacts], labels: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """The stratum of each patient: the rarest label that is positive in any of their studies, by number of patients."""
    positive: dict[str, set[str]] = {}
    labelled: set[str] = set()
    for study in studies:
        found = labels.get(study.study_id)
        positive.setdefault(study.patient, set()).update(name for name, state in (found or {}).items() if state == 1)
        if found is not None:
            labelled.add(study.patient)
    counts = Counter(name for names in positive.values() for name in names)
    rarest = {
        patient: min(names, key=lambda name: (counts[name], name), default="") for patient, names in positive.items()
    }
    return {patient: name or (_NOTHING if patient in labelled else _UNLABELLED) for patient, name in rarest.items()}


def official_parts(studies: Iterable[StudyFacts]) -> dict[str, str]:
    """The part that the source itself puts a study in, by study; names as in ``corpora.specs.values.SPLIT_NAMES``."""
    from corpora.specs.values import SPLIT_NAMES

    named = {
        study.study_id: SPLIT_NAMES.get(study.split.strip().lower(), study.split) for study in studies if study.split
    }
    return {study_id: part for study_id, part in named.items() if part in PARTS}


def late_patients(studies: Sequence[StudyFacts], year: int) -> set[str]:
    """The patients with a study of ``year`` or later. Raises ``DataError`` (``split.no_years``)."""
    if all(study.year is None for study in studies):
        hint = "a table with a column year or study_date brings them, and so do films whose dates were kept"
        raise DataError("split.no_years", "no study of the corpus has a year", where="--test-from", hint=hint)
    return {study.patient for study in studies if study.year is not None and study.year >= year}


def make_split(
    studies: Sequence[StudyFacts],
    labels: Mapping[str, Mapping[str, int]],
    ratios: Mapping[str, float],
    *,
    seed: int = 0,
    respect: bool = True,
    earlier: Mapping[str, str] | None = None,
    test_from: int | None = None,
    compare: Callable[[Sequence[Alike]], list[Alike]] | None = None,
) -> Split:
    """Split studies by patient; ``earlier`` is the part of patients (``StudyFacts.patient``) in a split to be kept,
    ``compare`` goes to ``corpora.splits.find_leaks``.

    With ``respect`` a study stays in the part that its source gives it, even if the source has the patient in two
    (which the leaks say), and other studies of the patient follow the first. A part that the ratios have and the source
    has not is taken out of the source's training part. With ``test_from`` the patients with a study of that year or a
    later one are the test part, with all their studies, and the ratios of the others divide the rest; what the source
    says does not count then. Raises ``DataError`` (``split.no_years``) if no study has a year.
    """
    late = set() if test_from is None else late_patients(studies, test_from)
    official = official_parts(studies) if respect and test_from is None else {}
    named = set(official.values())
    absent = [part for part, ratio in ratios.items() if ratio and part not in named] if "train" in named else []
    fixed, undecided = dict(earlier or {}), set[str]()
    for study in studies:
        part = official.get(study.study_id)
        if part == "train" and absent:
            undecided.add(study.patient)
        elif part:
            fixed.setdefault(study.patient, part)
    strata = strata_of(studies, labels)
    anywhere = {patient: stratum for patient, stratum in strata.items() if patient not in undecided | late}
    within_train = {patient: strata[patient] for patient in undecided}
    parts = assign(anywhere, ratios if test_from is None else _only(ratios, ("train", "validate")), seed, fixed)
    parts |= dict.fromkeys(late, "test")
    parts |= assign(within_train, _only(ratios, ("train", *absent)), seed, fixed)
    by_study = {study.study_id: parts[study.patient] for study in studies}
    for study_id, part in official.items():
        if not (part == "train" and by_study[study_id] in absent):
            by_study[study_id] = part
    return Split(
        by_study,
        {study.study_id: study.patient_id for study in studies},
        find_leaks(studies, by_study, compare),
        len((earlier or {}).keys() & strata.keys()),
        len(official),
        sum(not study.patient_id for study in studies),
        balance_of(studies, labels, by_study),
    )


def _only(ratios: Mapping[str, float], parts: Sequence[str]) -> dict[str, float]:
    kept = {part: ratios.get(part, 0.0) for part in parts}
    total = sum(kept.values()) or 1.0
    return {part: ratio / total for part, ratio in kept.items()}
