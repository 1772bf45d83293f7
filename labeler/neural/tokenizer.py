"""Word pieces learned from reports (WordPiece, lower case), as a fast tokenizer of transformers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, FIRST, LAST, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LONGEST_WORD: Final = 100


def train_tokenizer(
    texts: Iterable[str], *, vocab_size: int = 8000, min_frequency: int = 2, max_length: int = 200
) -> PreTrainedTokenizerFast:
    """A tokenizer of at most ``vocab_size`` pieces, each ``min_frequency`` times in ``texts``; same texts, same pieces.

    A word longer than 100 characters is unknown as a whole.
    """
    texts = list(texts)
    tokenizer = _empty(None)
    # the trainer numbers the inner letters in an order of chance, and breaks ties by number: so they are numbered here
    inner = sorted({f"##{letter}" for text in texts for word in _words(tokenizer, text) for letter in word[1:]})
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=[*SPECIAL, *inner], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer = _empty(tokenizer.get_vocab(with_added_tokens=False))
    ends = [(token, tokenizer.token_to_id(token)) for token in (FIRST, LAST)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{FIRST} $A {LAST}", special_tokens=ends)
    tokenizer.decoder = decoders.WordPiece()
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_max_length=max_length, pad_token=PAD, unk_token=UNKNOWN, cls_token=FIRST,
        sep_token=LAST, mask_token=MASK,
    )  # fmt: skip


def _empty(vocab: dict[str, int] | None) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token=UNKNOWN, max_input_chars_per_word=_LONGEST_WORD))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _words(tokenizer: Tokenizer, text: str) -> list[str]:
    plain = tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(plain)]
