"""A drafter's run folder: the model with its base decoder, the adapters beside it, the tokenizer.

RUN/config.json, model.safetensors     encoder, projector, base decoder; ``Drafter.from_pretrained`` reads them
RUN/adapter/                           a folder of peft for the base decoder, if there are adapters
RUN/tokenizer.json ...                 its tokenizer
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoTokenizer

from corpora.accelerating import quiet
from corpora.errors import ConfigError
from corpora.runs import atomic_writer, writing
from reportgen.model import Drafter, DrafterConfig

ADAPTER: Final = "adapter"
_BASE: Final = "base.json"


def save_drafter(model: Drafter, tokenizer: Any, folder: Path) -> None:
    """Write a drafter. The adapters, if its decoder has any, go beside the base and not into it; the model is left
    with the base decoder alone."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(model.decoder, PeftModel):
            model.decoder.save_pretrained(str(folder / ADAPTER))
            with peft_quiet():
                model.decoder = model.decoder.unload()
            _forget_peft(model.decoder)
            with atomic_writer(folder / ADAPTER / _BASE) as file:
                json.dump({"base_sha256": weights_sha256(model.decoder)}, file)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def load_drafter(
    run: Path | str, *, merged: bool = True, device: str | None = None, adapter: Path | None = None
) -> tuple[Drafter, Any]:
    """The drafter of a run with its adapters, merged into the decoder or apart, and its tokenizer; ready to draft.

    ``adapter`` is another folder of adapters for the same base. Raises ``ConfigError``: ``model.missing``,
    ``model.kind``, ``model.damaged``, ``report.adapter`` for adapters of another base.
    """
    folder = Path(run)
    _check_kind(folder)
    quiet()
    try:
        model: Drafter = Drafter.from_pretrained(folder, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # safetensors, torch and transformers raise their own kinds for damaged files
        raise ConfigError(
            "model.damaged", "its files cannot be read, or do not fit each other", where=str(run),
            hint="copy it again, or train it again",
        ) from error  # fmt: skip
    tokenizer.padding_side = "left"
    adapters = adapter or folder / ADAPTER
    if adapter is not None or adapters.is_dir():
        model.decoder = with_adapters(model.decoder, adapters)
        if merged:
            with peft_quiet():
                model.decoder = model.decoder.merge_and_unload()
            _forget_peft(model.decoder)
    nn.Module.to(model, torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    model.train(False)
    return model, tokenizer


def with_adapters(decoder: Any, folder: Path) -> Any:
    """A decoder with adapters of peft. Raises ``ConfigError``: ``report.adapter``, ``model.damaged``."""
    note = folder / _BASE
    if note.is_file():
        made_for = json.loads(note.read_text(encoding="utf-8"))["base_sha256"]
        if made_for != weights_sha256(decoder):
            raise _other_base(folder)
    try:
        with peft_quiet():
            return PeftModel.from_pretrained(decoder, folder)
    except (RuntimeError, ValueError, KeyError) as error:
        # shapes or names of another decoder
        raise _other_base(folder) from error
    except Exception as error:  # of damaged files: safetensors and json raise their own kinds
        raise ConfigError("model.damaged", "the adapters cannot be read", where=str(folder)) from error


@contextmanager
def peft_quiet() -> Iterator[None]:
    """peft asks a model of transformers for gradient checkpointing by its old name, which warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def weights_sha256(model: nn.Module) -> str:
    """The SHA-256 of a model's weights, names and values."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _other_base(folder: Path) -> ConfigError:
    return ConfigError(
        "report.adapter", "these adapters were trained on another decoder", where=str(folder),
        hint="take the ones of this run, or the run they came from",
    )  # fmt: skip


def _forget_peft(decoder: Any) -> None:
    # peft leaves its configuration on the model, and transformers would save it as an adapter
    for name in ("peft_config", "_hf_peft_config_loaded"):
        decoder.__dict__.pop(name, None)


def _check_kind(folder: Path) -> None:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except OSError as error:
        raise ConfigError(
            "model.missing", "no trained drafter is here", where=str(folder), hint="radloop report train makes one"
        ) from error  # fmt: skip
    except (ValueError, AttributeError) as error:
        raise ConfigError("model.damaged", "its config.json cannot be read", where=str(folder)) from error
    if kind != DrafterConfig.model_type:
        raise ConfigError("model.kind", f"this is a {kind}, not a drafter of radloop report train", where=str(folder))
