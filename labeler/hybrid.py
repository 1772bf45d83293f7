"""hybrid.v1: rules and a network together, the network asked where the rules are known to be weak.

    load("hybrid.v1:run-7")("No effusion. Possible small pneumothorax.")["Pneumothorax"]

Where both give a label the same state, that is it. Where they do not, the rules' state stands unless the network is
surer of another one than a threshold says, which depends on how the rules came to theirs (``Kind``) and on what the
network says. Thresholds are data (``configs/label/hybrid.v1.yaml``); ``fit`` finds them on labeled reports. Both
voices stay in the mentions of a label they disagree about, and ``disagreements`` lists them for an audit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path
from typing import Any, Final, Literal, Protocol, get_args

import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from corpora.config import config_sha256, load_yaml
from corpora.errors import ConfigError, DataError, RegistryError
from corpora.labels import BLANK, NEGATIVE, POSITIVE, STATE_NAMES, UNCERTAIN, State
from corpora.resources import config_path
from corpora.runs import atomic_writer
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.base import Labeler, load
from labeler.neural.reading import CLASSES
from labeler.schemas import load_schema
from labeler.score_io import EXCLUDED, STATES, read_labels
from labeler.types import LabelVector, Mention

NAME: Final = "hybrid.v1"
DEFAULT_SECTIONS: Final = "findings,impression"
CONFIG: Final = "label/hybrid.v1.yaml"
#: The thresholds in a network's folder; where it has none, the shipped ones are taken.
BESIDE_NETWORK: Final = "hybrid.yaml"

#: How the rules came to a state: nothing of the label was seen; it was seen and not counted; all that was counted says
#: one thing (asserted, denied, left open); it says several; it is only implied.
Kind = Literal["unseen", "set_aside", "asserted", "denied", "left_open", "torn", "implied"]
_PLAIN: Final[dict[State, Kind]] = {POSITIVE: "asserted", NEGATIVE: "denied", UNCERTAIN: "left_open", BLANK: "unseen"}
_IMPLIED: Final = frozenset({"implied", "only compared with before"})
_MENTIONED: Final = (POSITIVE, UNCERTAIN)

# a cell that no score counts
Excluded = Literal["x"]
Gold = Mapping[str, Mapping[str, "State | Excluded"]]


class Thresholds(BaseModel):
    """From which probability on the network overrules the rules, by what it says; null is never."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    blank: float | None = Field(default=None, ge=0, le=1, description="Least probability of a network that says blank.")
    positive: float | None = Field(default=None, ge=0, le=1, description="Of one that says positive.")
    negative: float | None = Field(default=None, ge=0, le=1, description="Of one that says negative.")
    uncertain: float | None = Field(default=None, ge=0, le=1, description="Of one that says uncertain.")


_NEVER: Final = Thresholds()


class HybridRecipe(BaseModel):
    """What decides between rules and network: `configs/label/hybrid.v1.yaml` and files like it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", description="One line for people.")
    rules: str = Field(default="rules.v1", description="Registered labeler whose states stand unless overruled.")
    unseen: Thresholds = Field(default=_NEVER, description="Where the rules see nothing of the label.")
    set_aside: Thresholds = Field(default=_NEVER, description="Where they see it and do not count it.")
    asserted: Thresholds = Field(default=_NEVER, description="Where all that they count asserts it.")
    denied: Thresholds = Field(default=_NEVER, description="Where all that they count denies it.")
    left_open: Thresholds = Field(default=_NEVER, description="Where all that they count leaves it open.")
    torn: Thresholds = Field(default=_NEVER, description="Where they count mentions of several states.")
    implied: Thresholds = Field(default=_NEVER, description="Where it is only implied by something else.")

    def of(self, kind: Kind, network: State) -> float | None:
        """The threshold of a network that says ``network`` where the rules' state is of ``kind``."""
        found: float | None = getattr(getattr(self, kind), STATE_NAMES[network])
        return found

    def least(self, network: State) -> float:
        """The lowest threshold of any kind for a network that says ``network``; above 1 if there is none."""
        found = [self.of(kind, network) for kind in get_args(Kind)]
        return min((least for least in found if least is not None), default=2.0)


class Network(Labeler, Protocol):
    """A labeler that says how sure it is: ``labeler.neural.predict.NeuralLabeler``, or one of yours."""

    def text_of(self, report: Report, sections: str = DEFAULT_SECTIONS) -> str:
        """What it reads of a report."""
        ...

    def probabilities(self, texts: Sequence[str]) -> NDArray[Any]:
        """Calibrated probabilities [N, L, 4] of blank, positive, negative, uncertain."""
        ...


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A label of a study that rules and network read differently, and what was decided.

    ``confidence`` is the network's probability of its own state; ``kind`` how the rules came to theirs.
    """

    study_id: str
    label: str
    rules_state: State
    network_state: State
    decided: State
    confidence: float
    kind: Kind


class HybridLabeler:
    """Rules and ``network`` as one labeler, for ``schema`` (a shipped name or a YAML file).

    ``recipe`` holds the thresholds; the shipped ones if not given. ``rules`` are those of the recipe if not given.
    Raises ``ConfigError`` (``model.schema``) if the two have other labels.
    """

    def __init__(
        self, schema: str, network: Network, recipe: HybridRecipe | None = None, *, rules: Labeler | None = None
    ) -> None:
        self.recipe = recipe or load_recipe()
        self.network = network
        self.rules = rules or load(self.recipe.rules, schema)
        self.schema: LabelSchema = self.rules.schema
        if network.schema.labels != self.schema.labels:
            message = (
                f"the network gives the labels of {network.schema.name!r}, the rules those of {self.schema.name!r}"
            )
            raise ConfigError("model.schema", message, hint="train a network for this schema")
        self._named = schema
        self._blocking = _blocking(self.schema, schema)
        self.made_by = f"{NAME}+{network.made_by}+{config_sha256(self.recipe)[:8]}"

    def __call__(self, report: str | Report, sections: str = DEFAULT_SECTIONS) -> LabelVector:
        """Label one report. Mentions are the rules', and the network's too where the two disagree."""
        report = Report("", report) if isinstance(report, str) else report
        vector = self.rules(report, sections)
        found = self._compare(vector, self._probabilities([report], sections)[0])
        mentions = _with_both_voices(vector, self.network(report, sections), found) if found else vector.mentions
        return replace(vector, states=self._decided(vector.states, found), mentions=mentions, made_by=self.made_by)

    def states(self, reports: Sequence[Report], sections: str = DEFAULT_SECTIONS) -> list[tuple[State, ...]]:
        """The states alone of each report."""
        states = self.rules.states(reports, sections)
        for at, (row, probabilities) in enumerate(zip(states, self._probabilities(reports, sections), strict=True)):
            if self._may_change(row, probabilities):
                found = self._compare(self.rules(reports[at], sections), probabilities)
                states[at] = self._decided(row, found)
        return states

    def disagreements(self, reports: Sequence[Report], sections: str = DEFAULT_SECTIONS) -> list[Disagreement]:
        """Every label of ``reports`` that the two read differently, by report and label."""
        found = []
        for report, probabilities in zip(reports, self._probabilities(reports, sections), strict=True):
            vector = self.rules(report, sections)
            differing = self._compare(vector, probabilities)
            states = dict(zip(vector.labels, self._decided(vector.states, differing), strict=True))
            found += [replace(one, decided=states[one.label]) for one in differing]
        return found

    def with_recipe(self, recipe: HybridRecipe) -> HybridLabeler:
        """The same two with other thresholds."""
        return HybridLabeler(self._named, self.network, recipe, rules=self.rules)

    def _probabilities(self, reports: Sequence[Report], sections: str) -> NDArray[Any]:
        return self.network.probabilities([self.network.text_of(report, sections) for report in reports])

    def _may_change(self, states: Sequence[State], probabilities: NDArray[Any]) -> bool:
        """Whether the network says something else somewhere, as surely as any threshold asks for."""
        return any(
            said != state and sure >= self.recipe.least(said)
            for state, (said, sure) in zip(states, map(_said, probabilities), strict=True)
        )

    def _compare(self, vector: LabelVector, probabilities: NDArray[Any]) -> list[Disagreement]:
        """The labels that the two read differently, each decided by its threshold alone."""
        found = []
        for label, state, row in zip(vector.labels, vector.states, probabilities, strict=True):
            said, sure = _said(row)
            if said != state:
                kind = kind_of(vector, label)
                least = self.recipe.of(kind, said)
                decided = said if least is not None and sure >= least else state
                found.append(Disagreement(vector.study_id, label, state, said, decided, sure, kind))
        return found

    def _decided(self, states: Sequence[State], found: Sequence[Disagreement]) -> tuple[State, ...]:
        """The states with what was overruled; No Finding is blank where something abnormal is asserted or open."""
        decided = dict(zip(self.schema.labels, states, strict=True)) | {one.label: one.decided for one in found}
        if self.schema.no_finding and any(decided[label] in _MENTIONED for label in self._blocking):
            decided[self.schema.no_finding] = BLANK
        return tuple(decided.values())


def kind_of(vector: LabelVector, label: str) -> Kind:
    """How the rules came to the state of ``label``, by their mentions of it."""
    state = vector[label]
    mentions = [mention for mention in vector.mentions if mention.label == label]
    if state is BLANK:
        return "set_aside" if mentions else "unseen"
    counted = [mention for mention in mentions if mention.state is not BLANK]
    if len({mention.state for mention in counted}) > 1:
        return "torn"
    if counted and all(mention.rule in _IMPLIED for mention in counted):
        return "implied"
    return _PLAIN[state]


def _said(row: NDArray[Any]) -> tuple[State, float]:
    at = int(row.argmax())
    return CLASSES[at], float(row[at])


def _blocking(labels: LabelSchema, schema: str) -> tuple[str, ...]:
    """The labels that stand in the way of No Finding."""
    try:
        beside = load_schema(schema).beside_no_finding
    except RegistryError:
        beside = frozenset()
    return tuple(label for label in labels.labels if label not in beside and label != labels.no_finding)


def _with_both_voices(
    rules: LabelVector, network: LabelVector, found: Sequence[Disagreement]
) -> tuple[Mention, ...]:  # fmt: skip
    """The rules' mentions, and of what is in ``found`` the network's too, each saying whose it is."""
    about = {one.label: one for one in found}
    mentions = []
    for mention in rules.mentions:
        one = about.get(mention.label)
        mentions.append(mention if one is None else replace(mention, rule=f"{rules.made_by}: {mention.rule}"))
    for mention in network.mentions:
        one = about.get(mention.label)
        if one is not None and mention.state == one.network_state:
            mentions.append(replace(mention, rule=f"network {_short(one.confidence)}"))
    return tuple(sorted(mentions, key=lambda mention: (mention.start, mention.end)))


def _short(share: float) -> str:
    return f"{share:.2f}".removeprefix("0")


# thresholds


def fit(
    hybrid: HybridLabeler, reports: Sequence[Report], gold: Gold, sections: str = DEFAULT_SECTIONS, *,
    chance: float = 0.05,
) -> HybridRecipe:  # fmt: skip
    """The hybrid's recipe with the thresholds that serve best on ``reports``, whose true labels are ``gold``.

    For each kind and state the network is followed from the confidence on at which most is won by it: cells that it
    reads right and the rules wrong, less those that the rules read right and it wrong. It is followed only where that
    many more wins than losses would come with at most ``chance`` from a coin (a sign test). Where there are too few
    cells to tell, what holds of all cells together is taken, unless more is lost than won by it; and where these do not
    tell either, the hybrid's own threshold stays, unless a coin would lose that much by it with at most ``chance``. A
    label that ``gold`` leaves out is blank, and ``x`` does not count.
    """
    won: defaultdict[tuple[Kind, State], list[tuple[float, int]]] = defaultdict(list)
    for one in hybrid.disagreements([report for report in reports if report.study_id in gold], sections):
        true = gold[one.study_id].get(one.label)
        if true != "x":
            gain = (one.network_state == true) - (one.rules_state == true)
            won[one.kind, one.network_state].append((one.confidence, gain))
    of_all = _threshold([cell for cells in won.values() for cell in cells], chance)
    fitted = {
        kind: Thresholds(
            **{
                STATE_NAMES[state]: _fitted(won[kind, state], of_all, hybrid.recipe.of(kind, state), chance)
                for state in CLASSES
            }
        )
        for kind in get_args(Kind)
    }
    return hybrid.recipe.model_copy(update=fitted)


def _fitted(
    cells: Sequence[tuple[float, int]], of_all: float | None, before: float | None, chance: float
) -> float | None:
    own = _threshold(cells, chance)
    if own is not None:
        return own
    if of_all is not None:
        return of_all if sum(gain for sure, gain in cells if sure >= of_all) >= 0 else None
    followed = [gain for sure, gain in cells if before is not None and sure >= before]
    wins, losses = (sum(gain == one for gain in followed) for one in (1, -1))
    return before if losses <= wins or _by_chance(losses, wins) > chance else None


def _threshold(cells: Sequence[tuple[float, int]], chance: float) -> float | None:
    """The confidence from which on most is won, if hardly by chance: between the last that counts and the next."""
    ordered = sorted(cells, reverse=True)
    best, found = 0, None
    wins = losses = 0
    for at, (sure, gain) in enumerate(ordered):
        wins, losses = wins + (gain > 0), losses + (gain < 0)
        below = ordered[at + 1][0] if at + 1 < len(ordered) else 0.0
        if sure > below and wins - losses > best and _by_chance(wins, losses) <= chance:
            best, found = wins - losses, round((sure + below) / 2, 4)
    return found


def _by_chance(wins: int, losses: int) -> float:
    """How often a coin gives at least so many wins."""
    tosses = wins + losses
    return sum(comb(tosses, hits) for hits in range(wins, tosses + 1)) / float(2**tosses)


def read_gold(path: Path, labels: Sequence[str]) -> Gold:
    """A gold table as ``fit`` takes it. Raises ``DataError``: as ``read_labels``, or ``data.label``, ``data.cell``."""
    table = read_labels(path, gold=True)
    unknown = [name for name, column in table.columns.items() if name not in labels and not column.holds_no_state()]
    if unknown:
        message = f"{unknown[0][:40]!r} is no label of the schema"
        raise DataError("data.label", message, where=str(path), hint=f"the labels are {', '.join(labels)}")
    gold: dict[str, dict[str, State | Excluded]] = {study_id: {} for study_id in table.ids}
    for label in labels:
        column = table.columns.get(label)
        if column is None:
            if not table.sparse:
                for cells in gold.values():
                    cells[label] = "x"
            continue
        if column.bad is not None:
            row, shown = column.bad
            raise DataError("data.cell", f"{shown} is none of 1, 0, -1, x and empty", where=f"{path}, row {row}")
        for study_id, code in zip(table.ids, column.codes, strict=True):
            gold[study_id][label] = "x" if code == EXCLUDED else STATES[code]
    return gold


# loading


def load_recipe(path: Path | str | None = None) -> HybridRecipe:
    """The shipped thresholds, or those in the YAML file at ``path``. Raises ``ConfigError``."""
    return load_yaml(config_path(CONFIG) if path is None else path, HybridRecipe)


def write_recipe(recipe: HybridRecipe, folder: Path) -> Path:
    """Write fitted thresholds into the folder of the network they were fitted for."""
    path = folder / BESIDE_NETWORK
    with atomic_writer(path) as file:
        yaml.safe_dump(recipe.model_dump(exclude_defaults=True), file, sort_keys=False)
    return path


def load_hybrid(folder: Path | str, schema: str = "chexpert14.v1") -> HybridLabeler:
    """``hybrid.v1`` with the network in ``folder`` and the thresholds there, or the shipped ones.

    Raises ``ConfigError`` and ``DataError`` as ``NeuralLabeler`` and ``load_recipe``.
    """
    from labeler.neural.predict import NeuralLabeler

    own = Path(folder) / BESIDE_NETWORK
    return HybridLabeler(schema, NeuralLabeler(folder, schema), load_recipe(own if own.is_file() else None))


def load_hybrid_v1(schema: str = "chexpert14.v1", folder: str = "") -> HybridLabeler:
    """Rules and a network, ``hybrid.v1:RUN``: where the network is sure and the rules see nothing, it speaks.

    Raises ``ConfigError`` (``model.missing``) without a folder, else as ``load_hybrid``.
    """
    if not folder:
        hint = "name it as hybrid.v1:RUN, where RUN is the folder that `radloop label train` wrote"
        raise ConfigError("model.missing", "hybrid.v1 needs a network", hint=hint)
    return load_hybrid(folder, schema)
