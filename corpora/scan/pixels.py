"""Text that is left in pixels, read by tesseract from strips along the borders of a film, where it is stamped."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.scan.texts import look_for_patterns
from corpora.scan.types import Terms, plain

if TYPE_CHECKING:
    from PIL import Image

_MARKERS: Final = frozenset(
    "pa ap l r left right erect upright supine sitting portable port mobile lat lateral"
    " chest thorax semi semierect insp"
    " exp inspiration expiration decub decubitus standing bedside icu stat links rechts"
    " droite gauche oblique obl rao lao"
    " prone view feet head ll rl".split()
)
#: How sure the program must be of a date, and of a word that is nothing else than no marker.
_SURE: Final = 60.0
_SURER: Final = 80.0
#: Seconds for one strip.
_LIMIT: Final = 60
#: A longer strip is not enlarged before it is read.
_LONGEST: Final = 3000
_PIXELS_AT_ONCE: Final = 1 << 25


def reader() -> str | None:
    """The program that reads text in pictures; None if it is not installed."""
    return shutil.which("tesseract")


def scan_pixels(paths: Sequence[Path], terms: Terms, program: str) -> list[list[str]]:
    """What text in the pixels of each film tells; nothing if the pixels cannot be decoded.

    Many strips are read by one start of ``program``, which takes longer than to read a small one.
    """
    told: list[set[str]] = [set() for _ in paths]
    for batch in _batches(_strips_of(paths)):
        for (film, _), words in zip(batch, _read([strip for _, strip in batch], program), strict=True):
            told[film] |= {what for text, sure in words if (what := _tells(text, sure, terms))}
    return [sorted(each) for each in told]


#: An enlarged strip, and the number of the film that it is of.
Strip = tuple[int, "Image.Image"]


def _strips_of(paths: Sequence[Path]) -> Iterator[Strip]:
    for number, path in enumerate(paths):
        if (picture := _picture(path)) is not None:
            yield from ((number, _enlarged(strip)) for strip in _strips(picture))


def _batches(strips: Iterable[Strip]) -> Iterator[list[Strip]]:
    """As many strips at a time as memory has room for, not more."""
    batch: list[Strip] = []
    pixels = 0
    for number, strip in strips:
        batch.append((number, strip))
        pixels += strip.width * strip.height
        if pixels > _PIXELS_AT_ONCE:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _tells(text: str, sure: float, terms: Terms) -> str | None:
    """What a word or a line is, if it is of those that must not be there."""
    folded = plain(text)
    if _is_known(folded, re.findall(r"[^\W_]{2,}", folded), terms):
        return "a value of the source header"
    if (sure >= _SURE and any(look_for_patterns(text))) or re.fullmatch(r"\W*\d{6,}\W*", text):
        return "a date or number"
    is_word = sure >= _SURER and len(folded) > 3 and folded.isalpha() and (text.isupper() or text.istitle())
    return "a word that is no marker" if is_word and folded not in _MARKERS else None


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


def _enlarged(strip: NDArray[np.uint8]) -> Image.Image:
    from PIL import Image

    image = Image.fromarray(strip)
    factor = 2 if max(strip.shape) <= _LONGEST else 1
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.BICUBIC)


Words = list[tuple[str, float]]


def _read(images: Sequence[Image.Image], program: str) -> list[Words]:
    """Words and lines in each image, with how sure the program is of them, 0 to 100; one by one if it fails at many."""
    try:
        done = subprocess.run(
            [program, "stdin", "stdout", "--psm", "11", "-l", "eng", "tsv"], input=_pages(images), capture_output=True,
            timeout=_LIMIT * len(images), check=len(images) > 1,
            env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin:/usr/local/bin"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return [_read([image], program)[0] for image in images] if len(images) > 1 else [[]]
    return _words(done.stdout.decode("utf-8", "replace"), len(images))


def _pages(images: Sequence[Image.Image]) -> bytes:
    """One TIFF of all of them, in memory: no picture of a patient's film goes to the disk."""
    buffer = io.BytesIO()
    images[0].save(buffer, format="TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


def _words(table: str, pages: int) -> list[Words]:
    lines: list[dict[tuple[str, ...], Words]] = [{} for _ in range(pages)]
    for row in table.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) == 12 and cells[11].strip():
            place, word = tuple(cells[2:5]), (cells[11].strip(), float(cells[10]))
            lines[int(cells[1]) - 1].setdefault(place, []).append(word)
    return [[found for words in page.values() for found in (*words, _line(words))] for page in lines]


def _line(words: Words) -> tuple[str, float]:
    return " ".join(word for word, _ in words), min(sure for _, sure in words)
