"""Sentences and reports as the tokens that training reads."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerFast

from labeler.neural.data import Examples
from labeler.neural.loop import Encoded
from labeler.neural.reading import sentences_of


def encode(tokenizer: PreTrainedTokenizerFast, examples: Examples, max_length: int) -> Encoded:
    """The tokens of sentences, cut to ``max_length``, with their classes."""
    return Encoded(_ids(tokenizer, examples.texts, max_length), examples.classes, examples.trust)


def encode_reports(tokenizer: PreTrainedTokenizerFast, examples: Examples, max_length: int) -> Encoded:
    """The tokens of the sentences of whole reports, cut to ``max_length`` each, with the reports' classes."""
    bags = [[text[start:end] for start, end in sentences_of(text)] for text in examples.texts]
    sentences = [sentence for bag in bags for sentence in bag]
    tokens = _ids(tokenizer, sentences, max_length) if sentences else []
    return Encoded(tokens, examples.classes, examples.trust, tuple(map(len, bags)))


def _ids(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_length: int) -> list[list[int]]:
    read = tokenizer(list(texts), truncation=True, max_length=max_length, return_attention_mask=False)
    ids: list[list[int]] = read["input_ids"]
    return ids
