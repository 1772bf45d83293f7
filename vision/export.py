"""Export: a run as ONNX, with its safetensors, for programs that have no PyTorch.

DIR/model.onnx           greys [B, 1, S, S] float32 in 0..1 -> probabilities [B, L] (calibrated), features [B, C]
DIR/model.safetensors    the weights, with config.json: what transformers reads
DIR/labels.json          labels in order, thresholds, size, and how to make greys of a film
DIR/manifest.json        last of all
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from corpora.errors import ConfigError, RunError
from corpora.runs import atomic_writer, write_manifest, writing
from vision.encoder import FilmEncoder
from vision.predict import load_model

#: Largest difference of a probability between the exported network and this one.
CLOSE: Final = 1e-4
ONNX: Final = "model.onnx"
_PACKAGES: Final = ("torch", "transformers", "onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True, slots=True)
class ExportSummary:
    """Where the export is, and how far its probabilities are off; None if onnxruntime is not there to tell."""

    folder: Path
    difference: float | None
    seconds: float


class _Exported(nn.Module):
    def __init__(self, model: FilmEncoder) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("temperatures", torch.tensor(model.config.temperatures))

    def forward(self, greys: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(greys)
        return torch.sigmoid(output.logits / self.temperatures), output.pooled


def export(run: Path, out: Path, *, command: Iterable[str] = ()) -> ExportSummary:
    """Write the network of ``run`` into the folder ``out``, and check it by onnxruntime if that is installed.

    Raises ``ConfigError`` (``model.*``, ``extra.missing``), ``RunError``: ``run.not_empty``, ``vision.export`` if the
    exported network gives other probabilities.
    """
    began = time.monotonic()
    if out.is_dir() and any(out.iterdir()):
        raise RunError("run.not_empty", "something is there already", where=str(out), hint="name a new folder")
    _need_onnx()
    model = load_model(run, "cpu")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        _write_onnx(model, out / ONNX)
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(run / name, out / name)
    difference = largest_difference(model, out / ONNX)
    if difference is not None and difference > CLOSE:
        raise RunError("vision.export", f"the exported network differs by {difference:.2g}", where=str(out))
    _write_labels(model, out / "labels.json")
    seconds = time.monotonic() - began
    write_manifest(
        out / "manifest.json", command=list(command), config={"run": str(run)},
        inputs=[run / "config.json", run / "model.safetensors"], counts={"labels": len(model.config.label_names)},
        wall_seconds=seconds, packages=_PACKAGES,
    )  # fmt: skip
    return ExportSummary(out, difference, seconds)


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "extra.missing", "onnx and onnxscript are not installed", hint="pip install 'radloop[onnx]'"
        ) from error


def _write_onnx(model: FilmEncoder, path: Path) -> None:
    size = model.config.image_size
    example = torch.rand(2, 1, size, size)
    # of operators of torchvision, which none of our networks has
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # the exporter's own
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _Exported(model).eval(), (example,), dynamo=True, input_names=["greys"],
            output_names=["probabilities", "features"], dynamic_shapes={"greys": {0: torch.export.Dim("films", min=1)}},
            verbose=False,
        )  # fmt: skip
    assert program is not None
    program.save(path, external_data=False)


def largest_difference(model: FilmEncoder, path: Path) -> float | None:
    """How far the probabilities of three made films are off at most; None without onnxruntime."""
    try:
        from onnxruntime import InferenceSession  # type: ignore[import-untyped]
    except ImportError:
        return None
    size = model.config.image_size
    greys = np.random.default_rng(0).random((3, 1, size, size), dtype=np.float32)
    found = InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["probabilities"], {"greys": greys})[0]
    with torch.inference_mode():
        expected = model.probabilities(torch.from_numpy(greys)).numpy()
    return float(np.abs(np.asarray(found) - expected).max())


def _write_labels(model: FilmEncoder, path: Path) -> None:
    config = model.config
    said = {
        "labels": config.label_names,
        "thresholds": config.thresholds,
        "size": config.image_size,
        "pooling": config.pooling,
        "input": "greys in 0..1, bones white, longer side fitted to size, padded with black on both sides",
    }
    with atomic_writer(path) as file:
        json.dump(said, file, indent=2, ensure_ascii=False)
        file.write("\n")
