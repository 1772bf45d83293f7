"""Findings of a draft against those of a reference: what fits, what is missing, what is invented, what is off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from corpora.labels import UNCERTAIN
from reportgen.clinical.attributes import Attributes
from reportgen.clinical.config import ClinicalConfig, Costs
from reportgen.clinical.read import Finding, Findings

Kind = Literal[
    "omission", "false finding", "near miss", "side", "place", "severity", "size", "change", "uncertainty", "age"
]
_SEVERITIES: Final = 3


@dataclass(frozen=True, slots=True)
class Error:
    """A difference that costs: of which finding, what kind, how much, and the sentences of both reports."""

    kind: Kind
    label: str
    cost: float
    draft: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome for a pair: ``score`` (0 to 1), the weight of what fits, the errors."""

    score: float
    right: float
    errors: tuple[Error, ...]

    @property
    def cost(self) -> float:
        """The sum of all errors."""
        return sum(error.cost for error in self.errors)


def compare_findings(draft: Findings, reference: Findings, config: ClinicalConfig) -> Comparison:
    """Match the findings of two reports and add up what differs."""
    costs = config.costs
    pairs = _matched(draft, reference, config)
    errors: list[Error] = []
    right = 0.0
    for said, meant in pairs:
        weight = _weight(meant, config)
        found = list(_differences(said, meant, weight, config))
        errors += found
        right += max(weight - sum(error.cost for error in found), 0.0)
    errors += _missing(draft, reference, {meant.label for _, meant in pairs}, config)
    errors += _invented(draft, reference, {said.label for said, _ in pairs}, config)
    normal, lacking = _normal(draft, reference, config)
    right += normal
    cost = sum(error.cost for error in errors) + lacking
    worth = costs.base + costs.credit * right
    return Comparison(worth / (worth + cost), right, tuple(errors))


def _weight(finding: Finding, config: ClinicalConfig) -> float:
    """What a finding weighs, as it is said."""
    said, costs = finding.attributes, config.costs
    weight = config.weights.get(finding.label, 0.3)
    if said.severity is not None:
        weight *= config.severity_weight.get(min(4, max(1, round(said.severity))), 1.0)
    if said.size is not None and finding.label in config.size_weight:
        weight *= [by for least, by in sorted(config.size_weight[finding.label].items()) if said.size >= least][-1]
    if said.alarming:
        weight *= costs.alarming_weight
    if "old" in said.ages and "acute" not in said.ages:
        weight *= costs.old_weight
    return weight * (costs.uncertain_weight if finding.state == UNCERTAIN else 1.0)


def _matched(draft: Findings, reference: Findings, config: ClinicalConfig) -> list[tuple[Finding, Finding]]:
    """The pairs of findings of the draft and the reference, same labels first, then near ones by cost."""
    pairs = [(draft.there[label], meant) for label, meant in reference.there.items() if label in draft.there]
    used_said, used_meant = {said.label for said, _ in pairs}, {meant.label for _, meant in pairs}
    for one, other, _ in sorted(config.near, key=lambda near: near[2]):
        for said, meant in ((one, other), (other, one)):
            free = said not in used_said and meant not in used_meant
            if free and said in draft.there and meant in reference.there:
                pairs.append((draft.there[said], reference.there[meant]))
                used_said.add(said)
                used_meant.add(meant)
    return pairs


def _differences(said: Finding, meant: Finding, weight: float, config: ClinicalConfig) -> Iterator[Error]:
    """What is off in a finding that is there; together never more than missing it and inventing another."""
    most = 1.4 * weight
    heavier = max(weight, _weight(said, config))
    for kind, share in _shares(said, meant, config):
        cost = min(share * (heavier if kind in ("severity", "size") else weight), most)
        most -= cost
        if cost > 0:
            yield Error(kind, meant.label, cost, said.sentences, meant.sentences)


def _shares(said: Finding, meant: Finding, config: ClinicalConfig) -> Iterator[tuple[Kind, float]]:
    costs, a, b = config.costs, said.attributes, meant.attributes
    if said.label != meant.label:
        yield "near miss", _near(said.label, meant.label, config)
    yield "side", _sets(a.sides, b.sides, (costs.side_wrong, costs.side_partly, costs.side_unsaid))
    yield "place", _places(a, b, costs)
    yield "severity", _severity(a.severity, b.severity, costs)
    yield "size", 0.0 if _safe(meant.label, a.size, b.size, config) else _size(a.size, b.size, costs)
    yield "change", _change(a.changes, b.changes, costs)
    yield "age", costs.age_wrong if _old(a) != _old(b) and (a.ages and b.ages) else 0.0
    yield "uncertainty", costs.uncertainty if said.state != meant.state else 0.0


def _near(said: str, meant: str, config: ClinicalConfig) -> float:
    return next(cost for one, other, cost in config.near if {one, other} == {said, meant})


def _sets(a: frozenset[str], b: frozenset[str], costs: tuple[float, float, float]) -> float:
    wrong, partly, unsaid = costs
    if a == b:
        return 0.0
    if not a or not b:
        return unsaid
    return partly if a & b else wrong


def _places(a: Attributes, b: Attributes, costs: Costs) -> float:
    if ("everywhere" in a.places and len(b.places) > 1) or ("everywhere" in b.places and len(a.places) > 1):
        return costs.place_partly
    return _sets(a.places, b.places, (costs.place_wrong, costs.place_partly, costs.place_unsaid))


def _severity(a: float | None, b: float | None, costs: Costs) -> float:
    if a is None and b is None:
        return 0.0
    if a is None or b is None:
        return costs.severity_unsaid
    return costs.severity_step * min(abs(a - b), _SEVERITIES)


def _size(a: float | None, b: float | None, costs: Costs) -> float:
    if b is None:
        return 0.0
    if a is None:
        return costs.size_unsaid
    off = max(a, b) / max(min(a, b), 0.1) - 1
    return 0.0 if off < 0.1 else costs.size_wrong * min(off / 0.5, 1.0)


def _safe(label: str, a: float | None, b: float | None, config: ClinicalConfig) -> bool:
    """Whether both say a distance at which a tube lies well, or only one says one."""
    limits = config.safe_distance.get(label)
    return limits is not None and all(size is None or limits[0] <= size <= limits[1] for size in (a, b))


def _change(a: frozenset[str], b: frozenset[str], costs: Costs) -> float:
    if a == b or a & b:
        return 0.0
    if not a or not b:
        return costs.change_unsaid
    worse = {"worse", "new"}
    if a <= worse and b <= worse:
        return costs.change_partly / 2
    opposed = ("better" in a and b & worse) or ("better" in b and a & worse)
    return costs.change_wrong if opposed else costs.change_partly


def _old(said: Attributes) -> bool:
    return "old" in said.ages


def _missing(draft: Findings, reference: Findings, matched: set[str], config: ClinicalConfig) -> Iterator[Error]:
    for label, meant in reference.there.items():
        if label in matched:
            continue
        denied = draft.denied.get(label)
        share = config.costs.omission_denied if denied else config.costs.omission_silent
        share = min(share, _told(label, draft, config))
        yield Error("omission", label, share * _weight(meant, config), _of(denied), meant.sentences)


def _invented(draft: Findings, reference: Findings, matched: set[str], config: ClinicalConfig) -> Iterator[Error]:
    for label, said in draft.there.items():
        if label in matched:
            continue
        denied = reference.denied.get(label)
        share = config.costs.false_denied if denied else config.costs.false_silent
        share = min(share, _told(label, reference, config)) if not denied else share
        yield Error("false finding", label, share * _weight(said, config), said.sentences, _of(denied))


def _told(label: str, other: Findings, config: ClinicalConfig) -> float:
    implied = any(name in other.there for name in config.told_by.get(label, ()))
    return config.costs.told if implied else 1.0


def _of(finding: Finding | None) -> tuple[str, ...]:
    return finding.sentences if finding else ()


def _normal(draft: Findings, reference: Findings, config: ClinicalConfig) -> tuple[float, float]:
    """What shared denials are worth, and what the lack of one costs."""
    share: Callable[[str], float] = lambda label: config.costs.normal * config.weights.get(label, 0.3)  # noqa: E731
    denied = [label for label in reference.denied if label not in reference.there]
    shared = sum(share(label) for label in denied if label in draft.denied)
    lacking = sum(share(label) for label in denied if label not in draft.denied and label not in draft.there)
    return shared, lacking
