"""Reports as word pieces, for the second objective of pretraining: a vocabulary of the training reports themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError
from corpora.types import Study
from vision.contrast_recipe import TextRecipe

_PAD, _UNKNOWN = "[PAD]", "[UNK]"
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Reports:
    """Reports by film: ``of_film`` [N] is the row in ``texts``, each a list of sentences of word pieces."""

    of_film: NDArray[np.int64]
    texts: list[list[list[int]]]
    pieces: int
    length: int

    def batch(
        self, rows: NDArray[np.int64], share: float, draw: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Word pieces [B, T], their mask [B, T], and numbers [B] that are equal for equal texts, of films in ``rows``.

        A report is read as a whole or, at ``share`` of times, by one sentence; sentences are put in another order.
        """
        chosen = [self._one(int(row), share, draw) for row in rows]
        longest = max(len(text) for text in chosen)
        pieces = np.zeros((len(chosen), longest), dtype=np.int64)
        for at, text in enumerate(chosen):
            pieces[at, : len(text)] = text
        mask = np.arange(longest)[None] < np.array([len(text) for text in chosen])[:, None]
        numbers: dict[tuple[int, ...], int] = {}
        same = [numbers.setdefault(tuple(sorted(text)), len(numbers)) for text in chosen]
        return pieces, mask.astype(np.int64), np.array(same, dtype=np.int64)

    def _one(self, film: int, share: float, draw: np.random.Generator) -> list[int]:
        sentences = self.texts[self.of_film[film]]
        if draw.random() < share:
            chosen: list[int] = sentences[int(draw.integers(len(sentences)))]
            return chosen[: self.length]
        order: list[int] = draw.permutation(len(sentences)).tolist()
        return [piece for at in order for piece in sentences[at]][: self.length]


def text_of(study: Study, sections: Sequence[str]) -> str:
    """What a report says in ``sections``; all of it if it has none of them; empty without a report."""
    if study.report is None:
        return ""
    found = [
        study.report.text[section.start : section.end]
        for section in study.report.sections
        if section.name.lower() in sections
    ]
    return "\n".join(found) if found else study.report.text


def sentences_of(text: str) -> list[str]:
    """Sentences, roughly: at full stops and line ends.

    >>> sentences_of("No effusion. Heart is large.")
    ['No effusion.', 'Heart is large.']
    """
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


def vocabulary_of(texts: Iterable[str], recipe: TextRecipe) -> Any:
    """A word-piece tokenizer of ``texts``: their characters, and the words that are commonest; other words are spelled.

    The trainer of the tokenizers library breaks ties differently from run to run; a count does not.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    normalizer, splitter = BertNormalizer(lowercase=True), BertPreTokenizer()
    words = Counter(
        word for text in texts for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))
    )  # fmt: skip
    letters = sorted({letter for word in words for letter in word})
    spelled = [_PAD, _UNKNOWN, *letters, *(f"##{letter}" for letter in letters)]
    common = sorted((word for word in words if len(word) > 1), key=lambda word: (-words[word], word))
    pieces = [*spelled, *common[: max(recipe.vocabulary - len(spelled), 0)]]
    model = WordPiece({piece: at for at, piece in enumerate(pieces)}, unk_token=_UNKNOWN)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    return tokenizer


def reports_of(studies: Sequence[str], texts: Mapping[str, str], recipe: TextRecipe, saved: Path) -> Reports:
    """The reports of films, whose studies are ``studies``, as word pieces; the vocabulary is written to ``saved``.

    Raises ``DataError`` (``vision.no_report``) if a study has no text.
    """
    every = list(dict.fromkeys(studies))
    lacking = [study for study in every if not texts.get(study, "").strip()]
    if lacking:
        raise DataError("vision.no_report", f"{len(lacking):,} studies have no report to learn from", where=lacking[0])
    tokenizer = vocabulary_of((texts[study] for study in every), recipe)
    tokenizer.save(str(saved))
    pieces = [
        [found for sentence in sentences_of(texts[study]) if (found := tokenizer.encode(sentence).ids)]
        for study in every
    ]
    place = {study: at for at, study in enumerate(every)}
    rows = np.array([place[study] for study in studies], dtype=np.int64)
    return Reports(rows, pieces, tokenizer.get_vocab_size(), recipe.length)
