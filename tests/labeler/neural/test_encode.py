"""Sentences as tokens."""

import numpy as np
from transformers import AutoTokenizer

from labeler.neural.data import Examples
from labeler.neural.encode import encode, number_cut


def test_many_texts_are_encoded_as_few(trained, monkeypatch):
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    texts = [f"No effusion. Film {number}." * (1 + number % 4) for number in range(23)]
    rows = np.zeros((len(texts), 1), dtype=np.int64)
    examples = Examples(texts, rows, rows.astype(np.float32))
    whole = (encode(tokenizer, examples, 12).tokens, number_cut(tokenizer, texts, 12))
    monkeypatch.setattr("labeler.neural.encode._AT_ONCE", 5)
    assert (encode(tokenizer, examples, 12).tokens, number_cut(tokenizer, texts, 12)) == whole
    assert whole[0] == tokenizer(texts, truncation=True, max_length=12)["input_ids"]
    assert 0 < whole[1] < len(texts)
