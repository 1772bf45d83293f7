"""Text that is left in pixels, read by tesseract from strips along the borders of a film, where it is stamped."""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.scan.texts import look_for_patterns
from corpora.scan.types import Terms, plain

_MARKERS: Final = frozenset(
    "pa ap l r left right erect upright supine sitting portable port mobile lat lateral"
    " chest thorax semi semierect insp"
    " exp inspiration expiration decub decubitus standing bedside icu stat links rechts"
    " droite gauche oblique obl rao lao"
    " prone view feet head ll rl".split()
)
_SURE: Final = 60.0
_LIMIT: Final = 60
_LONGEST: Final = 3000


def reader() -> str | None:
    """The program that reads text in pictures; None if it is not installed."""
    return shutil.which("tesseract")


def scan_pixels(path: Path, terms: Terms, program: str) -> Iterator[str]:
    """What text in the pixels of a film tells; nothing if the pixels cannot be decoded."""
    picture = _picture(path)
    if picture is None:
        return
    words = [word for strip in _strips(picture) for word in _read(strip, program)]
    told: set[str] = set()
    for text, sure in words:
        folded = plain(text)
        parts = re.findall(r"[^\W_]{2,}", folded)
        if _is_known(folded, parts, terms):
            told.add("a value of the source header")
        elif (sure >= _SURE and any(look_for_patterns(text))) or re.fullmatch(r"\W*\d{6,}\W*", text):
            told.add("a date or number")
        elif (
            sure >= 80
            and len(folded) > 3
            and folded.isalpha()
            and folded not in _MARKERS
            and (text.isupper() or text.istitle())
        ):
            told.add("a word that is no marker")
    yield from sorted(told)


def _is_known(folded: str, parts: list[str], terms: Terms) -> bool:
    bare = re.sub(r"[^\w]", "", folded)
    if len(bare) > 4 and (bare in terms.values or bare in terms.words or folded in terms.values):
        return True
    return any(part in terms.names and len(part) > 3 for part in parts)


def _picture(path: Path) -> NDArray[np.uint8] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = _decoded(path)
        except Exception:  # a broken stream raises anything; the header scan tells of the file
            return None
    if values is None or values.ndim != 2:
        return None
    low, high = np.percentile(values[::4, ::4], (0.5, 99.9))
    top = max(float(high), float(low) + 1)
    return np.asarray(np.clip((values - low) / (top - low), 0, 1) * 255, dtype=np.uint8)


def _decoded(path: Path) -> NDArray[Any] | None:
    with path.open("rb") as file:
        head = file.read(132)
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        from PIL import Image

        with Image.open(path) as picture:
            return np.asarray(picture.convert("I" if picture.mode.startswith("I") else "L"), dtype=np.float32)
    import pydicom

    dataset = pydicom.dcmread(path, force=True)
    values = dataset.pixel_array
    values = values[0] if values.ndim == 3 and dataset.get("SamplesPerPixel", 1) == 1 else values
    if values.ndim == 3:
        values = values[..., :3].mean(axis=-1)
    values = values.astype(np.float32)
    return values.max() - values if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else values


def _strips(picture: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """Top and bottom of the film, and the whole of it when it is small; as they are, and negative."""
    rows = picture.shape[0]
    if max(picture.shape) <= 1200:
        yield from _both(picture)
        return
    edge = max(rows // 6, 200)
    yield from _both(picture[:edge])
    yield from _both(picture[-edge:])
    yield from _both(picture[edge:-edge])


def _both(strip: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    from scipy import ndimage

    # what is brighter than its surroundings, and what is darker
    size = 25
    bright = ndimage.white_tophat(strip, size=size)
    dark = ndimage.black_tophat(strip, size=size)
    for hat in (bright, dark):
        strong = hat > max(60, np.percentile(hat, 99.0))
        if 40 < strong.sum() < 0.2 * strong.size:
            yield np.where(strong, 0, 255).astype(np.uint8)


def _read(strip: NDArray[np.uint8], program: str) -> Iterator[tuple[str, float]]:
    import io

    from PIL import Image

    image = Image.fromarray(strip)
    factor = 2 if max(strip.shape) * 2 <= _LONGEST * 2 else 1
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    try:
        done = subprocess.run(
            [program, "stdin", "stdout", "--psm", "11", "-l", "eng", "tsv"], input=buffer.getvalue(), capture_output=True,  # noqa: E501
            timeout=_LIMIT, check=False, env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin:/usr/local/bin"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return
    lines: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    for line in done.stdout.decode("utf-8", "replace").splitlines()[1:]:
        cells = line.split("\t")
        if len(cells) == 12 and cells[11].strip():
            lines.setdefault(tuple(cells[1:5]), []).append((cells[11].strip(), float(cells[10])))
    for words in lines.values():
        yield from words
        yield " ".join(word for word, _ in words), min(sure for _, sure in words)
