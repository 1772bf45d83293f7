"""Weights to begin with: transformers folders, runs of ours, and state dicts of torchvision, torchxrayvision and MoCo.

A ResNet is a ResNet: their names map one to one.

    conv1.weight                       embedder.embedder.convolution.weight
    layer2.0.conv3.weight              encoder.stages.1.layers.0.layer.2.convolution.weight
    layer2.0.downsample.1.bias         encoder.stages.1.layers.0.shortcut.normalization.bias

MoCo writes ``module.encoder_q.`` before the names (MoCo-CXR ``module.``; Lightning ``model.``), torchxrayvision
``model.``. A film has one channel: the first layer's weights are summed over the channels of colour, which is what a
grey picture would meet; from one to three channels they are shared out evenly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, PretrainedConfig

from corpora.errors import ConfigError
from vision.encoder import FilmEncoder, FilmEncoderConfig
from vision.kinds import kind_of

_STEM: Final = "embedder.embedder.convolution.weight"
_PREFIXES: Final = ("module.", "encoder_q.", "base_encoder.", "backbone.", "model.", "resnet.", "encoder.", "net.")
_NESTED: Final = ("state_dict", "model", "model_state_dict", "teacher")
_FILES: Final = (".safetensors", ".pt", ".pth", ".bin", ".tar", ".ckpt")


def from_torchvision(name: str) -> str | None:
    """The name in transformers of a ResNet's weight in torchvision; None for one that is not of the body.

    >>> from_torchvision("layer1.2.bn3.running_mean")
    'encoder.stages.0.layers.2.layer.2.normalization.running_mean'
    """
    if found := re.fullmatch(r"(conv|bn)1\.(\w+)", name):
        return f"embedder.embedder.{_part(found[1])}.{found[2]}"
    if found := re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)", name):
        stage, layer, kind, number, rest = found.groups()
        return f"encoder.stages.{int(stage) - 1}.layers.{layer}.layer.{int(number) - 1}.{_part(kind)}.{rest}"
    if found := re.fullmatch(r"layer(\d)\.(\d+)\.downsample\.([01])\.(\w+)", name):
        stage, layer, which, rest = found.groups()
        part = _part("conv" if which == "0" else "bn")
        return f"encoder.stages.{int(stage) - 1}.layers.{layer}.shortcut.{part}.{rest}"
    return None


def _part(kind: str) -> str:
    return "convolution" if kind == "conv" else "normalization"


def resnet_names(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights of a ResNet's body, named as in transformers; heads and momentum encoders are left out."""
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    if any("encoder_q." in name for name in tensors):
        tensors = {name: value for name, value in tensors.items() if "encoder_q." in name}
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        plain = _stripped(name)
        mapped = from_torchvision(plain) or (plain if plain.startswith(("embedder.", "encoder.stages.")) else None)
        if mapped is not None:
            found[mapped] = value
    return found


def _stripped(name: str) -> str:
    while not name.startswith("encoder.stages."):
        prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            break
        name = name[len(prefix) :]
    return name


def fit_channels(weight: Tensor, channels: int) -> Tensor:
    """The first layer's weight [F, c, k, k] for so many channels: a sum, or equal shares."""
    if weight.shape[1] == channels:
        return weight
    total = weight.sum(dim=1, keepdim=True)
    return total.expand(-1, channels, -1, -1) / channels


def _with_planes(weight: Tensor, channels: int, wanted: int) -> Tensor:
    """The same for ``wanted`` channels, of which those after the film's own are planes, and count nothing at first."""
    if weight.shape[1] == wanted:
        return weight
    fitted = fit_channels(weight, channels)
    return torch.cat([fitted, fitted.new_zeros(len(fitted), wanted - channels, *fitted.shape[2:])], dim=1)


def begin(model: FilmEncoder, source: str, *, with_head: bool = False) -> None:
    """Give ``model`` the weights at ``source``, in place.

    Raises ``ConfigError``: ``model.missing`` if nothing is there, ``model.damaged`` for a file that cannot be read,
    ``model.kind`` if the weights are of another network, ``model.schema`` if the head is of other labels.
    """
    path = Path(source)
    if path.is_file():
        _load_body(model, resnet_names(_read(path)), source)
        return
    config = _config(source)
    if isinstance(config, FilmEncoderConfig):
        _load_run(model, source, with_head=with_head)
    else:
        body = _from(AutoModel, source)
        _load_body(model, dict(body.state_dict()), source)


def _load_run(model: FilmEncoder, source: str, *, with_head: bool) -> None:
    made: FilmEncoder = _from(FilmEncoder, source)
    if with_head and made.config.label_names != model.config.label_names:
        raise ConfigError(
            "model.schema", "the head of this run gives other labels than those to be learned", where=source,
            hint=f"its labels are {', '.join(made.config.label_names)}; leave out backbone.with_head",
        )  # fmt: skip
    _load_body(model, dict(made.backbone.state_dict()), source)
    if with_head:
        if made.head.weight.shape != model.head.weight.shape:
            raise ConfigError("model.schema", "the head of this run has other outputs: other policies", where=source)
        model.head.load_state_dict(made.head.state_dict())


def _load_body(model: FilmEncoder, state: dict[str, Tensor], source: str) -> None:
    wanted = model.backbone.state_dict()
    if _STEM in state and _STEM in wanted:
        state[_STEM] = _with_planes(state[_STEM], model.config.channels, wanted[_STEM].shape[1])
    shared = {name for name in wanted if name in state and state[name].shape == wanted[name].shape}
    lacking = [name for name in wanted if name not in shared and not name.endswith("num_batches_tracked")]
    if lacking:
        message = f"{len(lacking)} of {len(wanted)} weights of the backbone are not there, such as {lacking[0]}"
        raise ConfigError(
            "model.kind", message, where=source, hint="name the backbone and settings it was made with in the recipe"
        )
    model.backbone.load_state_dict({name: state[name] for name in shared}, strict=False)


def _config(source: str) -> PretrainedConfig:
    from vision.encoder import register

    register()
    try:
        return AutoConfig.from_pretrained(source, local_files_only=True)  # type: ignore[no-any-return]
    except Exception as error:  # a config.json may hold anything, and transformers looks at it in many places
        raise _other_stage(source) or _missing(source) from error


def _other_stage(source: str) -> ConfigError | None:
    """The error for a folder that holds a network, but none that starts an encoder."""
    if not (Path(source) / "config.json").is_file():
        return None
    hint = "runs of radloop vision train and pretrain start an encoder"
    kind = kind_of(source, "network", hint)
    return ConfigError("model.kind", f"this is a {kind}, which starts no encoder", where=source, hint=hint)


def _from(kind: Any, source: str) -> Any:
    try:
        return kind.from_pretrained(source, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise _missing(source) from error
    except Exception as error:  # safetensors and torch raise their own kinds for a damaged file
        hint = "copy the folder again, or make it again"
        raise ConfigError("model.damaged", "the weights cannot be read", where=source, hint=hint) from error


def _missing(source: str) -> ConfigError:
    return ConfigError(
        "model.missing", "no network is there, nor in the local cache of the hub", where=source,
        hint="name a folder that save_pretrained wrote, a run, or a state dict file; nothing is downloaded",
    )  # fmt: skip


def _read(path: Path) -> Mapping[str, Any]:
    """A state dict from a file: safetensors, or torch's own with tensors only."""
    if path.suffix not in _FILES:
        hint = f"a state dict is a file {', '.join(_FILES)}"
        raise ConfigError("model.kind", "not a file of weights by its name", where=str(path), hint=hint)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises for a damaged or an unsafe file depends on where it is damaged
        hint = "a file of tensors only; save its state_dict alone, or as safetensors"
        raise ConfigError("model.damaged", "the weights cannot be read", where=str(path), hint=hint) from error
    for key in _NESTED:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            return state[key]  # type: ignore[no-any-return]
    if not isinstance(state, Mapping):
        raise ConfigError("model.kind", "not a state dict", where=str(path))
    return state
