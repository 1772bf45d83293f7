"""A trained folder as a labeler: states, calibrated probabilities, and the words that decided as evidence.

    labeler = NeuralLabeler("run-7")
    labeler("No effusion. Possible small pneumothorax.")["Pneumothorax"]

A text longer than the network reads is read in windows, one behind the other; for each label the window that is least
blank speaks. Evidence is by occlusion (Zeiler and Fergus, ECCV 2014): a word counts as far as the probability of the
label's state falls when the word is masked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoTokenizer

from corpora.errors import ConfigError, DataError
from corpora.labels import BLANK, State
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.neural.batches import logits_of, quiet
from labeler.neural.measure import softmax
from labeler.neural.model import BertCnnConfig, BertCnnForLabels
from labeler.neural.reading import CLASS_OF, CLASSES, Reading, has_words, read
from labeler.types import LabelVector, Mention

NAMES: Final = {"cnn": "bertcnn.v1", "cls": "bert.v1"}
_NEEDED: Final = ("config.json", "model.safetensors", "tokenizer.json")
_BLANK: Final = CLASS_OF[BLANK]
_CPU_BATCH: Final = 64
_GPU_BATCH: Final = 512
# occlusions of one report: the words of a longer one are masked some at a time
_MOST_OCCLUDED: Final = 128
# a word is evidence if masking it costs this much, and half of what the best word costs
_LEAST_FALL: Final = 0.05
_SHARE_OF_BEST: Final = 0.5
# far above rounding, so that evidence is the same in another batch
_DECIMALS: Final = 4

Array = NDArray[np.float64]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Windows:
    """The tokens of a text in windows, and the span of each token in the text (None for the special ones)."""

    ids: list[list[int]]
    spans: list[list[Span | None]]


class NeuralLabeler:
    """The labeler in ``folder``: what ``radloop label train`` or ``save_pretrained`` wrote there.

    ``schema`` is a shipped name or a YAML file, if it has to be the network's. ``device`` is one of torch; a GPU if
    there is one, and there in bf16. ``batch_size`` texts are read at once; fewer where a GPU's memory does not hold
    them. Raises ``DataError`` (``model.missing``, ``model.damaged``) and ``ConfigError`` (``model.kind``,
    ``model.schema``, ``model.tokenizer``).
    """

    def __init__(
        self, folder: Path | str, schema: str = "", *, device: str | None = None, batch_size: int | None = None
    ) -> None:
        folder = Path(folder)
        model, self._tokenizer = _loaded(folder)
        config = model.config
        self.schema = LabelSchema(config.schema_name, tuple(config.label_names), config.no_finding)
        _check_schema(self.schema, schema, folder)
        self.made_by = f"{NAMES[config.head]}+{_digest(folder / _NEEDED[1])}"
        self._temperatures = np.array(config.temperatures or [1.0] * len(config.label_names), dtype=np.float32)
        self._length = config.max_length - 2
        self._model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._half = self._model.device.type == "cuda"
        self._batch = batch_size or (_GPU_BATCH if self._half else _CPU_BATCH)

    def __call__(self, report: str | Report, sections: str = "findings,impression") -> LabelVector:
        """Label one report, with the words that decided as mentions (rule ``occlusion``)."""
        report = Report("", report) if isinstance(report, str) else report
        reading = read(report, sections)
        windows = self._windows([reading.text])[0]
        each = self._each_window([windows])[0]
        states = _states(_spoken(each))
        mentions = self._mentions(reading, windows, each, states)
        return LabelVector(report.study_id, self.schema.name, self.schema.labels, states, mentions, self.made_by)

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
        found = [_spoken(each) for each in self._each_window(self._windows(texts))]
        return np.stack(found) if found else np.empty((0, len(self.schema.labels), len(CLASSES)))

    def _windows(self, texts: Sequence[str]) -> list[_Windows]:
        if not texts:
            return []
        tokenizer = self._tokenizer
        # half a surrogate pair is nothing a tokenizer can take; its place stays filled
        plain = [text.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if _broken(text) else text
                 for text in texts]  # fmt: skip
        read = tokenizer(
            plain, add_special_tokens=False, return_attention_mask=False, return_offsets_mapping=True, verbose=False
        )
        first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
        made = []
        for text, ids, spans in zip(texts, read["input_ids"], read["offset_mapping"], strict=True):
            begins = range(0, len(ids), self._length) if has_words(text) else range(0)
            made.append(
                _Windows(
                    [[first, *ids[at : at + self._length], last] for at in begins],
                    [[None, *spans[at : at + self._length], None] for at in begins],
                )
            )
        return made

    def _each_window(self, texts: Sequence[_Windows]) -> list[Array]:
        """For each text the probabilities [windows, L, 4]; no window is a text without words."""
        probabilities = self._predicted(list(chain.from_iterable(text.ids for text in texts)))
        ends = np.cumsum([len(text.ids) for text in texts])
        return np.split(probabilities, ends[:-1]) if len(texts) else []

    def _predicted(self, tokens: list[list[int]]) -> Array:
        logits = logits_of(self._model, tokens, self._tokenizer.pad_token_id, self._batch, half=self._half)
        return np.round(softmax(logits / self._temperatures[None, :, None]), _DECIMALS)

    # evidence

    def _mentions(
        self, reading: Reading, windows: _Windows, each: Array, states: tuple[State, ...]
    ) -> tuple[Mention, ...]:
        asserted = [at for at, state in enumerate(states) if state is not BLANK]
        words = reading.words()
        if not asserted or not words:
            return ()
        groups = _groups(words)
        falls = self._falls(windows, each, groups, states)
        found = [
            (reading.place(start), reading.place(end - 1) + 1, at)
            for at in asserted
            for start, end in _spans(groups, falls[:, at])
        ]
        return tuple(
            Mention(self.schema.labels[at], start, end, states[at], (), "occlusion") for start, end, at in sorted(found)
        )

    def _falls(self, windows: _Windows, each: Array, groups: Sequence[Span], states: tuple[State, ...]) -> Array:
        """How far the probability [groups, L] of each label's state falls when a group of words is masked."""
        mask = self._tokenizer.mask_token_id
        rows: list[list[int]] = []
        places: list[tuple[int, int]] = []
        for number, group in enumerate(groups):
            for window, (ids, spans) in enumerate(zip(windows.ids, windows.spans, strict=True)):
                hit = [span is not None and span[0] < group[1] and group[0] < span[1] for span in spans]
                if any(hit):
                    rows.append([mask if one else token for token, one in zip(ids, hit, strict=True)])
                    places.append((number, window))
        without = np.repeat(each[None], len(groups), axis=0)
        for (number, window), probabilities in zip(places, self._predicted(rows), strict=True):
            without[number, window] = probabilities
        classes = np.array([CLASS_OF[state] for state in states])
        labels = np.arange(len(states))
        masked = np.stack([_spoken(one)[labels, classes] for one in without])
        falls: Array = _spoken(each)[labels, classes] - masked
        return falls


def _broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text) if not text.isascii() else False


def _spoken(windows: Array) -> Array:
    """Of the probabilities [windows, L, 4] those of the window that is least blank, for each label."""
    if not len(windows):
        alone = np.zeros(windows.shape[1:])
        alone[:, _BLANK] = 1.0
        return alone
    chosen = windows[:, :, _BLANK].argmin(axis=0)
    spoken: Array = windows[chosen, np.arange(windows.shape[1])]
    return spoken


def _states(probabilities: Array) -> tuple[State, ...]:
    return tuple([CLASSES[number] for number in probabilities.argmax(axis=-1)])


def _groups(words: Sequence[Span]) -> list[Span]:
    """Spans of one word each, or of as many as keep the number of spans in bounds."""
    size = -(-len(words) // _MOST_OCCLUDED)
    return [(words[at][0], words[min(at + size, len(words)) - 1][1]) for at in range(0, len(words), size)]


def _spans(groups: Sequence[Span], falls: Array) -> list[Span]:
    """The spans of the groups that decided; those side by side are one."""
    best = falls.max()
    if best <= 0:
        return []
    least = min(best, max(_LEAST_FALL, _SHARE_OF_BEST * best))
    spans: list[Span] = []
    before = -2
    for at in np.flatnonzero(falls >= least).tolist():
        start, end = groups[at]
        if at == before + 1:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
        before = at
    return spans


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
