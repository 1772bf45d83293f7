"""What a run trains with: an encoder and tokenizer of one's own or small new ones."""

from __future__ import annotations

from typing import Any

from transformers import BertConfig, PreTrainedTokenizerFast

from corpora.errors import ConfigError
from labeler.neural.recipe import EncoderRecipe


def pretrained(kind: Any, source: str) -> Any:
    """``kind`` from a folder or the local cache of the hub. Raises ``ConfigError`` (``model.missing``)."""
    try:
        return kind.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            "model.missing", "no encoder with a tokenizer is there, nor in the local cache of the hub", where=source,
            hint="name a folder that save_pretrained wrote; nothing is downloaded",
        ) from error  # fmt: skip


def small_bert(encoder: EncoderRecipe, tokenizer: PreTrainedTokenizerFast, max_length: int) -> BertConfig:
    """The configuration of a BERT of the recipe's size."""
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=encoder.hidden_size,
        num_hidden_layers=encoder.layers,
        num_attention_heads=encoder.attention_heads,
        intermediate_size=encoder.intermediate_size,
        max_position_embeddings=max_length,
        pad_token_id=tokenizer.pad_token_id,
    )


def check_fit(config: Any, tokenizer: PreTrainedTokenizerFast, max_length: int, where: str) -> None:
    """Whether the encoder can read the tokenizer's pieces, and as many as the recipe wants.

    Raises ``ConfigError`` (``model.tokenizer``, ``config.value``).
    """
    if not tokenizer.is_fast or None in (tokenizer.pad_token_id, tokenizer.mask_token_id):
        hint = "it takes a fast tokenizer that can pad and mask"
        raise ConfigError("model.tokenizer", "the tokenizer does not fit", where=where, hint=hint)
    if len(tokenizer) > config.vocab_size:
        message = f"the tokenizer has {len(tokenizer)} pieces, the encoder {config.vocab_size}"
        raise ConfigError("model.tokenizer", message, where=where)
    longest = getattr(config, "max_position_embeddings", max_length)
    if max_length > longest:
        message = f"max_length is {max_length}, and the encoder reads {longest} tokens at most"
        raise ConfigError("config.value", message, where=where, hint=f"--set max_length={longest}")
