"""Made reports to pretrain on: sentences of real ones put together by their labels, so that rare labels are learned.

Real reports hold a fracture now and then; a decoder that is told one has to write it all the same. A made report has
one to three labels, each as likely as any other, a sentence of the real reports for each, and some that have no label
and deny none of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import numpy as np

from corpora.types import Report
from labeler.base import load
from labeler.rules.sentences import sentences
from reportgen.targets import Target, mentions_prior

_NORMAL: Final = "No Finding"
_MOST_LABELS: Final = 3
_MOST_OTHERS: Final = 4


def compose(targets: Sequence[Target], labeler: str, count: int, seed: int) -> list[tuple[Target, tuple[str, ...]]]:
    """``count`` made reports with their labels, the same for the same seed; none if no sentence has a label alone."""
    reader = load(labeler)
    texts = sorted({
        " ".join(text[start:end].split())
        for target in targets for _, text in target.sections for start, end in sentences(text)
        # a made report has no prior one
        if not mentions_prior(text[start:end])
    })  # fmt: skip
    of_label: dict[str, list[str]] = defaultdict(list)
    others: list[tuple[str, frozenset[str]]] = []
    for text, row in zip(texts, reader.states([Report("", text) for text in texts]), strict=True):
        states = dict(zip(reader.schema.labels, row, strict=True))
        said = [label for label, state in states.items() if state in (1, -1) and label != _NORMAL]
        if len(said) == 1:
            of_label[said[0]].append(text)
        elif not said:
            others.append((text, frozenset(label for label, state in states.items() if state == 0)))
    draw = np.random.default_rng(seed)
    known = [label for label in reader.schema.labels if label in of_label]
    if not known:
        return []
    return [_made(number, known, of_label, others, draw) for number in range(count)]


def _made(
    number: int, known: Sequence[str], of_label: dict[str, list[str]], others: Sequence[tuple[str, frozenset[str]]],
    draw: np.random.Generator,
) -> tuple[Target, tuple[str, ...]]:  # fmt: skip
    places = draw.choice(len(known), size=min(len(known), int(draw.integers(1, _MOST_LABELS + 1))), replace=False)
    labels = tuple(known[at] for at in sorted(places))
    said = [of_label[label][int(draw.integers(len(of_label[label])))] for label in labels]
    for _ in range(int(draw.integers(_MOST_OTHERS + 1)) if others else 0):
        text, denied = others[int(draw.integers(len(others)))]
        if not denied & set(labels) and text not in said:
            said.append(text)
    text = " ".join(said[at] for at in draw.permutation(len(said)))
    return Target(f"made-{number}", (("findings", text),)), labels
