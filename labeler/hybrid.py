"""hybrid.v1: rules and a network together, the network asked where the rules are known to be weak.

    load("hybrid.v1:run-7")("No effusion. Possible small pneumothorax.")["Pneumothorax"]

Where both give a label the same state, that is it. Where they do not, the rules' state stands unless the network is
surer of another one than a threshold says, which depends on how the rules came to theirs (``Kind``) and on what the
network says. Thresholds are data (``configs/label/hybrid.v1.yaml``); ``labeler.hybrid_fit`` finds them on labeled
reports. Both voices stay in the mentions of a label they disagree about, and ``disagreements`` lists them for an audit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
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
from labeler.types import LabelVector, Mention

NAME: Final = "hybrid.v1"
DEFAULT_SECTIONS: Final = "findings,impression"
CONFIG: Final = "label/hybrid.v1.yaml"
#: The thresholds in a network's folder; where it has none, the shipped ones are taken.
BESIDE_NETWORK: Final = "hybrid.yaml"
#: What a run of training leaves of the names it was taught.
NAMES_TAUGHT: Final = "synonyms.jsonl"

#: How the rules came to a state: nothing of the label was seen; it was seen and not counted; all that is said of it is
#: one thing (asserted, denied, left open); it is several; it is only implied, or only compared with before.
Kind = Literal["unseen", "set_aside", "asserted", "denied", "left_open", "torn", "implied"]
_PLAIN: Final[dict[State, Kind]] = {POSITIVE: "asserted", NEGATIVE: "denied", UNCERTAIN: "left_open", BLANK: "unseen"}
_IMPLIED: Final = frozenset({"implied", "only compared with before"})
_MENTIONED: Final = (POSITIVE, UNCERTAIN)


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
    unseen_of: tuple[str, ...] | None = Field(default=None, description="Labels of which `unseen` holds; null is all.")
    set_aside: Thresholds = Field(default=_NEVER, description="Where they see it and do not count it.")
    asserted: Thresholds = Field(default=_NEVER, description="Where all that they count asserts it.")
    denied: Thresholds = Field(default=_NEVER, description="Where all that they count denies it.")
    left_open: Thresholds = Field(default=_NEVER, description="Where all that they count leaves it open.")
    torn: Thresholds = Field(default=_NEVER, description="Where they count mentions of several states.")
    implied: Thresholds = Field(default=_NEVER, description="Where it is only implied by something else.")

    def of(self, kind: Kind, network: State, label: str) -> float | None:
        """The threshold of a network that says ``network`` of ``label`` where the rules' state is of ``kind``."""
        if kind == "unseen" and self.unseen_of is not None and label not in self.unseen_of:
            return None
        return self._of(kind, network)

    def _of(self, kind: Kind, network: State) -> float | None:
        found: float | None = getattr(getattr(self, kind), STATE_NAMES[network])
        return found

    def least(self, network: State) -> float:
        """The lowest threshold of any kind for a network that says ``network``; above 1 if there is none."""
        found = [self._of(kind, network) for kind in get_args(Kind)]
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
                least = self.recipe.of(kind, said, label)
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
    # what is only implied gives way to what is said
    said = [mention for mention in counted if mention.rule not in _IMPLIED]
    if counted and not said:
        return "implied"
    return "torn" if len({mention.state for mention in said}) > 1 else _PLAIN[state]


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


# loading


def load_recipe(path: Path | str | None = None) -> HybridRecipe:
    """The shipped thresholds, or those in the YAML file at ``path``. Raises ``ConfigError``."""
    return load_yaml(config_path(CONFIG) if path is None else path, HybridRecipe)


def shipped_for(labels: Iterable[str]) -> HybridRecipe:
    """The shipped thresholds for a network that was taught unknown names of these labels' findings.

    What the rules do not see is its word against theirs, and hardly ever right where it was taught nothing else.
    """
    return load_recipe().model_copy(update={"unseen_of": tuple(sorted(set(labels)))})


def _taught(folder: Path) -> list[str]:
    """The labels of names that the network's teacher did not know."""
    path = folder / NAMES_TAUGHT
    try:
        return [str(json.loads(line)["label"]) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError):
        hint = "copy it again, or train it again"
        raise DataError(
            "model.damaged", "the list of names taught cannot be read", where=str(path), hint=hint
        ) from None


def write_recipe(recipe: HybridRecipe, folder: Path, path: Path | None = None) -> Path:
    """Write fitted thresholds into the folder of the network they were fitted for, or to ``path``."""
    path = path or folder / BESIDE_NETWORK
    with atomic_writer(path) as file:
        yaml.safe_dump(recipe.model_dump(exclude_defaults=True), file, sort_keys=False)
    return path


def load_hybrid(folder: Path | str, schema: str = "chexpert14.v1") -> HybridLabeler:
    """``hybrid.v1`` with the network in ``folder`` and the thresholds there, or else those of ``shipped_for``.

    Raises ``ConfigError`` and ``DataError`` as ``NeuralLabeler`` and ``load_recipe``.
    """
    from labeler.neural.predict import NeuralLabeler

    network, own = NeuralLabeler(folder, schema), Path(folder) / BESIDE_NETWORK
    recipe = load_recipe(own) if own.is_file() else shipped_for(_taught(Path(folder)))
    return HybridLabeler(schema, network, recipe)


def load_hybrid_v1(schema: str = "chexpert14.v1", folder: str = "") -> HybridLabeler:
    """Rules and a network, ``hybrid.v1:RUN``: where the network is sure and the rules see nothing, it speaks.

    Raises ``ConfigError`` (``model.missing``) without a folder, else as ``load_hybrid``.
    """
    if not folder:
        hint = "name it as hybrid.v1:RUN, where RUN is the folder that `radloop label train` wrote"
        raise ConfigError("model.missing", "hybrid.v1 needs a network", hint=hint)
    return load_hybrid(folder, schema)
