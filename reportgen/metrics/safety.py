"""What a reader should be warned of, whatever a draft's score: ``safety.v1``.

Shares of drafts that compare with a prior, that do so where the reference does not, that contradict themselves, that
repeat a sentence; the share of asserted findings that the reference cannot support; words over the reference's words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np

from labeler.rules.sentences import sentences
from reportgen.clinical import compare_findings, load_reader
from reportgen.types import Array, Pair, Scored

_COMPARED: Final = re.compile(
    r"\b(?:unchanged|(?:un)?changed (?:from|since)|no (?:significant |interval |relevant |appreciable )*change|"
    r"interval|"
    r"compar(?:ed|ison|ing)|prior (?:exam\w*|stud\w+|film|radiograph\w*|chest|image\w*)|previous(?:ly)?|since (?:the )?"
    r"(?:prior|last|previous|yesterday)|again (?:seen|noted|demonstrated|identified|visuali[sz]ed)|(?:has|have) "
    r"(?:improved|worsened|progressed|increased|decreased|resolved|cleared|been (?:removed|placed|advanced|withdrawn))|"
    r"(?:improved|worsened|worsening|improving|persistent|stable|redemonstrated|re-demonstrated))\b",
    re.IGNORECASE,
)


class Safety:
    """``safety.v1``: what a reader should be warned of, whatever a draft's score."""

    name = "safety.v1"
    text = "written"

    def __init__(self, config: str = "radloop-clinical.v1") -> None:
        self._reader = load_reader(config)
        self._config = self._reader.config

    def score(self, pairs: Sequence[Pair]) -> list[Scored]:
        """All columns; lower is better, but for ``length ratio``, where 1 is best."""
        n, ones = len(pairs), np.ones(len(pairs))
        drafts = [compares(pair.hypothesis) for pair in pairs]
        alone = [said and not compares(pair.reference) for said, pair in zip(drafts, pairs, strict=True)]
        asserted, unsupported, contradicting = self._findings(pairs)
        repeats = [repeats_itself(pair.hypothesis) for pair in pairs]
        lengths = [(len(pair.hypothesis.split()), len(pair.reference.split())) for pair in pairs]
        said, meant = np.array(lengths, dtype=np.float64).reshape(n, 2).T
        return [
            _share("drafts that compare", np.array(drafts, dtype=np.float64), ones),
            _share("comparisons not in the reference", np.array(alone, dtype=np.float64), ones),
            _share("drafts that contradict themselves", contradicting, ones),
            _share("drafts that repeat a sentence", np.array(repeats, dtype=np.float64), ones),
            _share("findings the reference cannot support", unsupported, asserted, "the draft asserts no finding"),
            _share("length ratio", said, meant, "the reference is empty"),
        ]

    def _findings(self, pairs: Sequence[Pair]) -> tuple[Array, Array, Array]:
        asserted, unsupported, contradicting = (np.zeros(len(pairs)) for _ in range(3))
        for at, pair in enumerate(pairs):
            draft, reference = self._reader(pair.hypothesis), self._reader(pair.reference)
            errors = compare_findings(draft, reference, self._config).errors
            asserted[at] = len(draft.there)
            unsupported[at] = sum(error.kind == "false finding" for error in errors)
            contradicting[at] = bool(draft.contradicted)
        return asserted, unsupported, contradicting


def compares(text: str) -> bool:
    """Whether a report compares with an earlier film.

    >>> compares("Stable cardiomegaly."), compares("Heart size is normal.")
    (True, False)
    """
    return _COMPARED.search(text) is not None


def repeats_itself(text: str) -> bool:
    """Whether a report has the same sentence twice."""
    said = [" ".join(text[start:end].lower().strip(" .").split()) for start, end in sentences(text)]
    said = [sentence for sentence in said if sentence]
    return len(set(said)) < len(said)


def _share(name: str, part: Array, whole: Array, undefined: str = "") -> Scored:
    values = np.full(len(part), np.nan)
    np.divide(part, whole, out=values, where=whole > 0)
    reasons = dict.fromkeys(np.flatnonzero(np.isnan(values)).tolist(), undefined)
    return Scored(name, values, np.column_stack([part, whole]), "ratio", reasons, higher_is_better=False)
