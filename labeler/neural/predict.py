"""A trained folder as a labeler: states, calibrated probabilities, and the words that decided as evidence.

    labeler = NeuralLabeler("run-7")
    labeler("No effusion. Possible small pneumothorax.")["Pneumothorax"]

A report is read sentence by sentence (a sentence longer than the network reads, in parts), and what is said of it
follows from what is said of them: ``labeler.neural.combine``. Evidence: ``labeler.neural.evidence``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoTokenizer

from corpora.accelerating import quiet
from corpora.errors import ConfigError, DataError
from corpora.labels import State
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.neural.batches import logits_of
from labeler.neural.combine import report_probabilities
from labeler.neural.measure import softmax
from labeler.neural.model import BertCnnConfig, BertCnnForLabels
from labeler.neural.reading import CLASSES, read, sentences_of
from labeler.types import LabelVector

NAMES: Final = {"cnn": "bertcnn.v1", "cls": "bert.v1"}
_NEEDED: Final = ("config.json", "model.safetensors", "tokenizer.json")
_CPU_BATCH: Final = 64
_GPU_BATCH: Final = 512
# far above rounding, so that evidence is the same in another batch
_DECIMALS: Final = 4

Array = NDArray[np.float64]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Pieces:
    """The tokens of a text sentence by sentence, and the span of each token in it (None for the special ones)."""

    ids: list[list[int]]
    spans: list[list[Span | None]]


class NeuralLabeler:
    """The labeler in ``folder``: what ``radloop label train`` or ``save_pretrained`` wrote there.

    ``schema`` is a shipped name or a YAML file, if it has to be the network's. ``device`` is one of torch; a GPU if
    there is one, and there in bf16. ``batch_size`` sentences are read at once; fewer where a GPU's memory does not hold
    them. ``evidence`` is a method of ``labeler.neural.evidence``. Raises ``DataError`` (``model.missing``,
    ``model.damaged``) and ``ConfigError`` (``model.kind``, ``model.schema``, ``model.tokenizer``).
    """

    def __init__(
        self, folder: Path | str, schema: str = "", *, device: str | None = None, batch_size: int | None = None,
        evidence: str = "occlusion",
    ) -> None:  # fmt: skip
        folder = Path(folder)
        model, self._tokenizer = _loaded(folder)
        config = model.config
        self.schema = LabelSchema(config.schema_name, tuple(config.label_names), config.no_finding)
        _check_schema(self.schema, schema, folder)
        self.made_by = f"{NAMES[config.head]}+{_digest(folder / _NEEDED[1])}"
        self.evidence = evidence
        self._temperatures = np.array(config.temperatures or [1.0] * len(config.label_names), dtype=np.float32)
        self._length = config.max_length - 2
        self._model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._half = self._model.device.type == "cuda"
        self._batch = batch_size or (_GPU_BATCH if self._half else _CPU_BATCH)

    def __call__(self, report: str | Report, sections: str = "findings,impression") -> LabelVector:
        """Label one report, with the words that decided as mentions."""
        from labeler.neural.evidence import mentions

        report = Report("", report) if isinstance(report, str) else report
        states = self.states([report], sections)[0]
        found = mentions(self, report, states, self.evidence, sections)
        return LabelVector(report.study_id, self.schema.name, self.schema.labels, states, found, self.made_by)

    def text_of(self, report: Report, sections: str = "findings,impression") -> str:
        """What is read of a report: its ``sections``, with a line break between them."""
        return read(report, sections).text

    def states(self, reports: Sequence[Report], sections: str = "findings,impression") -> list[tuple[State, ...]]:
        """The states alone of each report."""
        probabilities = self.probabilities([self.text_of(report, sections) for report in reports])
        return [_states(rows) for rows in probabilities]

    def probabilities(self, texts: Sequence[str]) -> Array:
        """Calibrated probabilities [N, L, 4] of blank, positive, negative, uncertain: of ``texts`` as a whole.

        Of a report pass on what is to be read of it: its Findings and Impression. One without words is blank.
        """
        pieces = self.pieces(texts)
        rows = [ids for text in pieces for ids in text.ids]
        return self._combined(self.piece_probabilities(rows), [len(text.ids) for text in pieces])

    def pieces(self, texts: Sequence[str]) -> list[Pieces]:
        """What the network reads of each text."""
        spans = [sentences_of(text) for text in texts]
        # half a surrogate pair is nothing a tokenizer can take; its place stays filled
        plain = [
            _whole(text[start:end]) for text, found in zip(texts, spans, strict=True) for start, end in found
        ]  # fmt: skip
        if not plain:
            return [Pieces([], []) for _ in texts]
        read = self._tokenizer(
            plain, add_special_tokens=False, return_attention_mask=False, return_offsets_mapping=True, verbose=False
        )
        tokens = zip(read["input_ids"], read["offset_mapping"], strict=True)
        return [self._pieces([(start, *next(tokens)) for start, _ in found]) for found in spans]

    def _pieces(self, sentences: Sequence[tuple[int, list[int], list[Span]]]) -> Pieces:
        first, last = self._tokenizer.cls_token_id, self._tokenizer.sep_token_id
        made = Pieces([], [])
        for start, ids, spans in sentences:
            placed = [(begin + start, end + start) for begin, end in spans]
            for at in range(0, len(ids), self._length):
                made.ids.append([first, *ids[at : at + self._length], last])
                made.spans.append([None, *placed[at : at + self._length], None])
        return made

    def piece_probabilities(self, rows: Sequence[Sequence[int]]) -> Array:
        """Calibrated probabilities [S, L, 4] of sentences by their tokens; equal ones are read once."""
        places: dict[tuple[int, ...], int] = {}
        at = [places.setdefault(tuple(ids), len(places)) for ids in rows]
        logits = logits_of(self._model, list(places), self._tokenizer.pad_token_id, self._batch, half=self._half)
        # as many decimals as do not depend on the batch, and no more: what follows from them is the same, too
        found: Array = np.round(softmax(logits / self._temperatures[None, :, None]), _DECIMALS)
        return found[at] if at else found

    def _combined(self, pieces: Array, sizes: Sequence[int]) -> Array:
        names, no_finding = self.schema.labels, self.schema.no_finding
        found = report_probabilities(pieces, sizes, names.index(no_finding) if no_finding in names else None)
        return np.round(found, _DECIMALS)


def _whole(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


def _states(probabilities: Array) -> tuple[State, ...]:
    return tuple([CLASSES[number] for number in probabilities.argmax(axis=-1)])


# loading


def _loaded(folder: Path) -> tuple[Any, Any]:
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        what = f"there is no {missing[0]} in it" if folder.is_dir() else "no such folder"
        hint = "a model is a folder that `radloop label train` wrote"
        raise DataError("model.missing", what, where=str(folder), hint=hint)
    quiet()
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if not isinstance(config, BertCnnConfig):
            message = f"it is a model of the kind {config.model_type!r}, not {BertCnnConfig.model_type!r}"
            raise ConfigError("model.kind", message, where=str(folder / "config.json"))
        found: Any = BertCnnForLabels.from_pretrained(folder, local_files_only=True, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except ConfigError:
        raise
    except Exception as error:  # what the libraries raise for a damaged file is theirs to choose
        raise _damaged(folder, type(error).__name__) from error
    model, report = found
    if report["missing_keys"] or report["mismatched_keys"]:
        raise _damaged(folder, "weights are missing")
    _check_tokenizer(tokenizer, config, folder)
    return model, tokenizer


def _damaged(folder: Path, what: str) -> DataError:
    message = f"the model cannot be read ({what})"
    return DataError("model.damaged", message, where=str(folder), hint="copy it again, or train it again")


def _check_tokenizer(tokenizer: Any, config: BertCnnConfig, folder: Path) -> None:
    needed = (tokenizer.pad_token_id, tokenizer.mask_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id)
    size = config.encoder.vocab_size  # type: ignore[union-attr]
    if None in needed or len(tokenizer) > size:
        message = f"the tokenizer ({len(tokenizer)} pieces) is not that of the network ({size})"
        raise ConfigError("model.tokenizer", message, where=str(folder / "tokenizer.json"))


def _check_schema(own: LabelSchema, wanted: str, folder: Path) -> None:
    if not wanted or wanted == own.name:
        return
    from labeler.schemas import load_schema

    schema = load_schema(wanted).schema
    if (schema.name, schema.labels) != (own.name, own.labels):
        message = f"the model gives the labels of {own.name!r}, not those of {schema.name!r}"
        raise ConfigError("model.schema", message, where=str(folder), hint=f"--schema {own.name}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
