"""The maps behind the sentences of drafts, by the drafter that wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from corpora.errors import RadloopError
from corpora.images.files import read_any
from corpora.images.fit import fit
from labeler.rules.sentences import sentences
from reportgen.attribution import sentence_maps, spans_of
from reportgen.export import sections_in
from reportgen.model import Drafter, Films
from reportgen.store import load_drafter


def maps_of(records: Sequence[Mapping[str, Any]], run: Path) -> dict[str, list[NDArray[np.float32]]]:
    """By study, for each sentence maps [V, side, side] of its films; a study whose films cannot be read has none.

    Raises ``ConfigError`` (``model.*``) if the drafter is not there any more.
    """
    model, _ = load_drafter(run)
    found = {}
    for record in records:
        films = _films(model, record)
        if films is None or not record["tokens"]:
            continue
        # the ids as they were drafted: a text may be cut into others
        prompt, tokens = record["prompt_ids"], record["token_ids"]
        several = [text[start:end] for text in sections_in(record).values() for start, end in sentences(text)]
        spans = spans_of(record["tokens"], several)
        found[record["study_id"]] = list(sentence_maps(model, films, prompt, tokens, spans))
    return found


def _films(model: Drafter, record: Mapping[str, Any]) -> Films | None:
    greys = []
    for path in record["films"]:
        try:
            film, _ = fit(read_any(path), model.encoder.config.image_size)
        except (RadloopError, OSError):
            return None
        greys.append(torch.from_numpy(np.rint(film / 257).astype(np.float32) / 255)[None])
    cells = model.see(torch.stack(greys).to(model.device)).cells
    views = torch.tensor([record["views"]])
    return Films(cells[None].cpu(), torch.ones_like(views), views)
