"""Which words make a network give a label its state.

    mentions(labeler, report, labeler.states([report])[0], "integrated_gradients")

Two ways, both in probability of the label's state:

- occlusion (Zeiler and Fergus, ECCV 2014): how far it falls when the word is masked; any labeler that gives
  probabilities can be asked. ``MOST_READ`` texts are read at most: the words of a longer report are masked some at a
  time.
- integrated gradients (Sundararajan, Taly and Yan, ICML 2017, arXiv:1703.01365): the gradient by the word's embeddings
  along the straight way from a text of masks alone to the text. They add up to what all words together change. The way
  is taken in ``STEPS`` points of Gauss and Legendre for each sentence in which a label is decided; in ``MORE_STEPS``
  instead where the sum of some label is off by more than ``TOLERANCE``.

A label gets one mention, of the words that count most. Its cues say how much these add, and which others add as much
as half of that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corpora.errors import ConfigError
from corpora.labels import BLANK, State
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.neural.predict import NeuralLabeler
from labeler.neural.reading import CLASS_OF, Reading, read
from labeler.types import Cue, Mention

#: The methods, and the name of the rule in their mentions.
RULES: Final[dict[str, str]] = {"occlusion": "occlusion", "integrated_gradients": "integrated gradients"}
DEFAULT_SECTIONS: Final = "findings,impression"
MOST_READ: Final = 128
STEPS: Final = 24
MORE_STEPS: Final = 96
TOLERANCE: Final = 0.05
# points of the way through the network at once
_AT_ONCE: Final = 12
# a word is evidence if it adds this much, and half of what the best word adds
_LEAST: Final = 0.05
_SHARE_OF_BEST: Final = 0.5
# far above rounding, so that evidence is the same in another batch
_DECIMALS: Final = 3

Array = NDArray[np.float64]
Span = tuple[int, int]


class Probable(Protocol):
    """What occlusion asks for."""

    @property
    def schema(self) -> LabelSchema: ...

    def probabilities(self, texts: Sequence[str]) -> NDArray[Any]:
        """Probabilities [N, L, 4] of blank, positive, negative, uncertain."""
        ...


@dataclass(frozen=True, slots=True)
class Attribution:
    """What each word, or group of words, adds to the probability of each label's state.

    ``words`` are spans of the text, ``added`` is [L, words] (0 for a label that is blank). ``rest`` [L] is what tokens
    outside of words add, and ``changed`` [L] what all together do: of integrated gradients the sum of the others.
    """

    words: tuple[Span, ...]
    added: Array
    rest: Array
    changed: Array


def mentions(
    labeler: Probable, report: str | Report, states: Sequence[State], method: str = "occlusion",
    sections: str = DEFAULT_SECTIONS,
) -> tuple[Mention, ...]:  # fmt: skip
    """A mention for each label of ``states`` that is not blank, in the order of the text; none where no word counts.

    ``method`` is one of ``RULES``; ``states`` are those that ``labeler`` gave the report. Raises ``ConfigError``
    (``config.value``) for another method, or for integrated gradients of what is no ``NeuralLabeler``.
    """
    reading = read(Report("", report) if isinstance(report, str) else report, sections)
    if method == "occlusion":
        found = occlusion(labeler, reading.text, states)
    elif method in RULES and isinstance(labeler, NeuralLabeler):
        found = integrated_gradients(labeler, reading.text, states)
    else:
        raise ConfigError("config.value", f"no {method!r} of this labeler", hint=f"one of {', '.join(RULES)}")
    made = [
        mention
        for at, state in enumerate(states)
        if state is not BLANK
        for mention in _mention(reading, labeler.schema.labels[at], state, found.words, found.added[at], RULES[method])
    ]
    return tuple(sorted(made, key=lambda mention: (mention.start, mention.end)))


def _mention(
    reading: Reading, label: str, state: State, words: Sequence[Span], added: Array, rule: str
) -> Iterator[Mention]:
    spans = _counting(words, added)
    if spans:
        placed = [(reading.place(start), reading.place(end - 1) + 1, much) for start, end, much in spans]
        start, end, _ = max(placed, key=lambda one: (one[2], -one[0]))
        cues = tuple(Cue(first, last, f"adds {f'{much:.2f}'.removeprefix('0')}") for first, last, much in placed)
        yield Mention(label, start, end, state, cues, rule)


def _counting(words: Sequence[Span], added: Array) -> list[tuple[int, int, float]]:
    """Spans of the words that count, side by side as one, with what the best word of each adds."""
    best = float(added.max(initial=0.0))
    if best <= 0:
        return []
    least = min(best, max(_LEAST, _SHARE_OF_BEST * best))
    spans: list[tuple[int, int, float]] = []
    before = -2
    for at in np.flatnonzero(added >= least).tolist():
        start, end, much = *words[at], float(added[at])
        if at == before + 1:
            first, _, other = spans.pop()
            start, much = first, max(much, other)
        spans.append((start, end, much))
        before = at
    return spans


# occlusion


def occlusion(labeler: Probable, text: str, states: Sequence[State], mask: str = "[MASK]") -> Attribution:
    """How far the probability of each label's state falls without a word, for which ``mask`` is put.

    Reads ``MOST_READ`` texts at most, the text itself among them.
    """
    words = _groups(Reading(text).words(), MOST_READ - 2)
    chosen = np.arange(len(states)), np.array([CLASS_OF[state] for state in states], dtype=np.int64)
    without = [text[:start] + mask + text[end:] for start, end in words]
    nothing = _masked(text, words, mask)
    asserted = np.array([state is not BLANK for state in states])
    whole, empty, *each = labeler.probabilities([text, nothing, *without])
    added = np.array([whole[chosen] - one[chosen] for one in each], dtype=np.float64).reshape(len(words), len(states))
    changed = np.where(asserted, whole[chosen] - empty[chosen], 0.0)
    return Attribution(tuple(words), np.round(added.T * asserted[:, None], _DECIMALS), np.zeros(len(states)), changed)


def _masked(text: str, words: Sequence[Span], mask: str) -> str:
    ends = [0, *(end for _, end in words)]
    kept = [text[before:start] for before, (start, _) in zip(ends, words, strict=False)]
    return mask.join([*kept, text[ends[-1] :]])


def _groups(words: Sequence[Span], most: int) -> list[Span]:
    """Spans of one word each, or of as many as keep the number of spans in bounds."""
    size = -(-len(words) // most) or 1
    return [(words[at][0], words[min(at + size, len(words)) - 1][1]) for at in range(0, len(words), size)]


# integrated gradients


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of the text as the network reads it: ids, which of them are masked at the start of the way, spans."""

    ids: list[int]
    inner: list[bool]
    spans: list[Span]


def integrated_gradients(
    labeler: NeuralLabeler, text: str, states: Sequence[State], steps: int | None = None
) -> Attribution:  # fmt: skip
    """What each word adds to the probability of each label's state, on the way from masks alone to the text.

    A label is explained in the sentence that most probably has its state. Costs ``steps`` readings of each such
    sentence (``STEPS``, and ``MORE_STEPS`` where these are too few, if not given), and as many gradients for each label
    in it that is not blank.
    """
    words = Reading(text).words()
    asserted = [at for at, state in enumerate(states) if state is not BLANK]
    added = np.zeros((len(states), len(words)))
    rest, changed = np.zeros(len(states)), np.zeros(len(states))
    sentences = list(_sentences(labeler, text)) if words and asserted else []
    deciding = _deciding(labeler, sentences, states) if sentences else []
    for number, sentence in enumerate(sentences):
        labels = [at for at in asserted if deciding[at] == number]
        if not labels:
            continue
        targets = [(at, CLASS_OF[states[at]]) for at in labels]
        tokens, difference = _along(labeler, sentence, targets, steps or STEPS)
        if steps is None and np.abs(tokens.sum(axis=1) - difference).max() > TOLERANCE:
            tokens, difference = _along(labeler, sentence, targets, MORE_STEPS)
        changed[labels] = difference
        for place, span in enumerate(sentence.spans):
            word = _word_at(words, span) if sentence.inner[place] else None
            if word is None:
                rest[labels] += tokens[:, place]
            else:
                added[labels, word] += tokens[:, place]
    return Attribution(tuple(words), np.round(added, _DECIMALS), rest, changed)


def _sentences(labeler: NeuralLabeler, text: str) -> Iterator[_Sentence]:
    (pieces,) = labeler.pieces([text])
    for ids, spans in zip(pieces.ids, pieces.spans, strict=True):
        yield _Sentence(ids, [span is not None for span in spans], [span or (0, 0) for span in spans])


def _deciding(labeler: NeuralLabeler, sentences: Sequence[_Sentence], states: Sequence[State]) -> list[int]:
    """For each label the sentence that most probably has its state."""
    probabilities = labeler.piece_probabilities([one.ids for one in sentences])
    classes = [CLASS_OF[state] for state in states]
    decided: list[int] = probabilities[:, np.arange(len(states)), classes].argmax(axis=0).tolist()
    return decided


def _word_at(words: Sequence[Span], span: Span) -> int | None:
    at = bisect_right([start for start, _ in words], span[0]) - 1
    return at if at >= 0 and span[0] < words[at][1] else None


def _along(
    labeler: NeuralLabeler, sentence: _Sentence, targets: Sequence[tuple[int, int]], steps: int
) -> tuple[Array, Array]:
    """What each token adds [targets, T] on the way from masks to the sentence; the difference [targets] it makes."""
    model, embedding = labeler._model, labeler._model.encoder.get_input_embeddings()
    ids = torch.tensor(sentence.ids, device=model.device)
    inner = torch.tensor(sentence.inner, device=model.device)
    with torch.no_grad():
        end = embedding(ids)
        begin = embedding(torch.where(inner, labeler._tokenizer.mask_token_id, ids))
    points, weights = np.polynomial.legendre.leggauss(steps)
    points, weights = (points + 1) / 2, weights / 2
    summed = torch.zeros(len(targets), *end.shape, device=model.device)
    for first, last in pairwise([*range(0, steps, _AT_ONCE), steps]):
        along = torch.tensor(points[first:last], dtype=end.dtype, device=model.device)[:, None, None]
        weight = torch.tensor(weights[first:last], dtype=end.dtype, device=model.device)
        way = (begin + along * (end - begin)).requires_grad_()
        found = _probabilities(labeler, ids, way)
        for row, (label, number) in enumerate(targets):
            goal = (found[:, label, number] * weight).sum()
            (gradient,) = torch.autograd.grad(goal, way, retain_graph=row + 1 < len(targets))
            summed[row] += gradient.sum(dim=0)
    with torch.no_grad():
        ends = _probabilities(labeler, ids, torch.stack([begin, end]))
    tokens = (summed * (end - begin)).sum(dim=-1)
    difference = [float(ends[1, label, number] - ends[0, label, number]) for label, number in targets]
    return tokens.double().cpu().numpy(), np.array(difference)


def _probabilities(labeler: NeuralLabeler, ids: Tensor, embedded: Tensor) -> Tensor:
    """Probabilities [K, L, 4] of texts given by their embeddings [K, T, H] in place of those of ``ids`` [T]."""
    model = labeler._model
    rows = ids.expand(len(embedded), -1)
    # whatever the encoder does with ids besides looking up their embeddings stays as it is
    hook = model.encoder.get_input_embeddings().register_forward_hook(lambda module, inputs, output: embedded)
    try:
        model.train(False)
        logits = model(rows, torch.ones_like(rows)).logits.float()
    finally:
        hook.remove()
    temperatures = torch.tensor(labeler._temperatures, device=logits.device)
    probabilities: Tensor = (logits / temperatures[None, :, None]).softmax(dim=-1)
    return probabilities
