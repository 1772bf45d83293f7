"""The films of the drawn studies, rendered on this machine as 16-bit greys; the page windows, enlarges, moves them."""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from corpora.store import image_file, read_rows
from corpora.types import ImageRef

# the longer side of what goes to the page; more than a screen shows
_LONGEST_SIDE: Final = 2048


class Films:
    """Where the films of some studies of a corpus are, and their pixels."""

    def __init__(self, corpus: Path | str | None = None, study_ids: Collection[str] = ()) -> None:
        self._corpus = Path(corpus) if corpus is not None else None
        self._of: dict[str, list[ImageRef]] = {}
        if corpus is not None:
            wanted = set(study_ids)
            for row in read_rows(corpus, ["study_id", "images"]):
                if row["study_id"] in wanted:
                    self._of[row["study_id"]] = [_image(image) for image in row["images"] or ()]

    def views(self, study_id: str) -> list[str]:
        """The views of a study's films, in order; ``film`` where the view is not known."""
        return [image.view or "film" for image in self._of.get(study_id, ())]

    def pixels(self, study_id: str, number: int) -> bytes:
        """A film as the page takes it: rows and columns as little-endian 32-bit numbers, then 16-bit greys.

        Raises ``DataError``: ``data.missing`` where there is none, and as ``corpora.images.read_any``.
        """
        from corpora.images.files import read_any

        images = self._of.get(study_id, [])
        if self._corpus is None or not 0 <= number < len(images):
            raise DataError("data.missing", "there is no such film")
        image = images[number]
        film = read_any(image_file(self._corpus, image), 0 if (image.frames or 1) > 1 else None)
        small = _shrunk(film)
        greys: bytes = small.astype("<u2").tobytes()
        return struct.pack("<II", *small.shape) + greys


def _image(row: dict[str, Any]) -> ImageRef:
    return ImageRef(row["path"], row.get("view"), frames=row.get("frames"))


def _shrunk(film: Any) -> Any:
    """The film with its longer side at most so long, by averages; never enlarged."""
    import numpy as np
    from PIL import Image

    rows, columns = film.shape
    scale = _LONGEST_SIDE / max(rows, columns)
    if scale >= 1:
        return film
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    shown = Image.fromarray(np.ascontiguousarray(film, dtype=np.float32))
    resized = np.asarray(shown.resize(size, Image.Resampling.BOX))
    return np.clip(np.rint(resized), 0, 65_535).astype(np.uint16)
