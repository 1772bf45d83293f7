"""Sentences and reports as the tokens that training reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from transformers import PreTrainedTokenizerFast

from labeler.neural.data import Examples
from labeler.neural.loop import Encoded
from labeler.neural.reading import sentences_of

_AT_ONCE: Final = 5000


def encode(tokenizer: PreTrainedTokenizerFast, examples: Examples, max_length: int) -> Encoded:
    """The tokens of sentences, cut to ``max_length``, with their classes."""
    return Encoded(_ids(tokenizer, examples.texts, max_length), examples.classes, examples.trust)


def encode_reports(tokenizer: PreTrainedTokenizerFast, examples: Examples, max_length: int) -> Encoded:
    """The tokens of the sentences of whole reports, cut to ``max_length`` each, with the reports' classes."""
    bags = [[text[start:end] for start, end in sentences_of(text)] for text in examples.texts]
    sentences = [sentence for bag in bags for sentence in bag]
    tokens = _ids(tokenizer, sentences, max_length) if sentences else []
    return Encoded(tokens, examples.classes, examples.trust, tuple(map(len, bags)))


def number_cut(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int) -> int:
    """How many of the texts are longer than ``max_length`` tokens."""
    return sum(len(ids) > max_length for read in _read(tokenizer, texts, verbose=False) for ids in read)


def _ids(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int) -> list[list[int]]:
    # one object for each number, however often it stands there
    numbers = list(range(len(tokenizer)))
    return [
        [numbers[at] for at in ids]
        for read in _read(tokenizer, texts, truncation=True, max_length=max_length)
        for ids in read
    ]


def _read(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], **options: Any) -> Iterator[list[list[int]]]:
    """Some thousand texts at a time: what a tokenizer says of a text takes far more room than its ids."""
    for at in range(0, len(texts), _AT_ONCE):
        yield tokenizer(list(texts[at : at + _AT_ONCE]), return_attention_mask=False, **options)["input_ids"]
