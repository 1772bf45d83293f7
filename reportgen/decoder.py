"""The decoder and its tokenizer: from a folder, the local cache of the hub, or small and new ones from a recipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from corpora.errors import ConfigError
from reportgen.recipes import DecoderRecipe
from reportgen.targets import END, PAD, SPECIAL


def train_tokenizer(texts: Iterable[str], vocab_size: int, min_frequency: int = 2) -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most ``vocab_size`` tokens with the section tokens; case is kept (Sennrich 2016)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    tokenizer.train_from_iterator(list(texts), trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, padding_side="left")  # type: ignore[no-untyped-call]
    made.add_special_tokens({"additional_special_tokens": [token for token in SPECIAL if token not in (PAD, END)]})
    return made


def fitted_tokenizer(source: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a decoder with our tokens added, padding to the left.

    Raises ``ConfigError`` (``model.missing``).
    """
    tokenizer = _from(AutoTokenizer, source)
    known = tokenizer.get_vocab()
    new = [token for token in SPECIAL if token not in known]
    # a decoder without a pad token gets one here
    tokenizer.add_special_tokens({"pad_token": PAD, "eos_token": END})
    tokenizer.add_special_tokens({"additional_special_tokens": [token for token in new if token not in (PAD, END)]})
    tokenizer.padding_side = "left"
    for name in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(name, None)
    return tokenizer  # type: ignore[no-any-return]


def load_decoder(source: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A causal language model with an embedding for each token. Raises ``ConfigError``: ``model.missing``."""
    model = _from(AutoModelForCausalLM, source)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    return told(model, tokenizer)


def new_decoder(recipe: DecoderRecipe, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A causal language model of the recipe's kind and size. Raises ``ConfigError`` (``config.value``)."""
    try:
        config = AutoConfig.for_model(recipe.kind, **{"vocab_size": len(tokenizer), **recipe.settings})
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"no decoder {recipe.kind!r} with these settings: {str(error).partition(chr(10))[0][:200]}"
        raise ConfigError("config.value", message, where="decoder") from error
    return told(model, tokenizer)


def told(model: Any, tokenizer: PreTrainedTokenizerFast) -> Any:
    """A decoder that knows where a text ends and what pads it."""
    for config in (model.config, model.generation_config):
        config.pad_token_id, config.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
        config.bos_token_id = None
    return model


def _from(kind: Any, source: str) -> Any:
    try:
        return kind.from_pretrained(source, local_files_only=True)
    except Exception as error:  # transformers, tokenizers and safetensors raise their own kinds
        raise ConfigError(
            "model.missing", "no decoder with a tokenizer is there, nor in the local cache of the hub",
            where=source, hint="radloop report pretrain makes one; nothing is downloaded",
        ) from error  # fmt: skip
