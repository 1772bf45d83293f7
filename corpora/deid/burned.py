"""Text that was burned into pixels: found by its shape, read by tesseract where that is installed, blacked out.

Stamped characters are small, of one grey, and stand in a line; anatomy is none of these. What is found is read second
(a white top-hat, a threshold, twice the size), for the words alone tell a marker (R, PA, ERECT) from a name. What is
no marker is blacked out in the stored values, also where it could not be read.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.deid.lines import Greys, Line, find_lines, merged
from corpora.dicom.header import text, whole
from corpora.errors import DataError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from corpora.deid.header import Context


MARKERS: Final = frozenset(
    "R L PA AP RIGHT LEFT ERECT UPRIGHT SUPINE SITTING SEMI SEMIERECT PORTABLE PORT MOBILE"
    " LAT LATERAL LL RL CHEST THORAX"
    " INSP EXP INSPIRATION EXPIRATION DECUB DECUBITUS STANDING BEDSIDE BED ICU STAT LINKS RECHTS GAUCHE DROITE OBL"
    " OBLIQUE RAO LAO LPO RPO PRONE VIEW WALL STAND GRID NONGRID KV KVP MAS CM MM RE LI".split()
)
_PAD: Final = 4
_MOST_FRAMES: Final = 8
_LIMIT: Final = 60
_TILE: Final = 240


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found in the pixels of a film. ``cleaned``: it was looked at, and what was no marker is blacked out."""

    boxes: tuple[Line, ...]
    cleaned: bool
    blacked: int
    read: bool
    thumb: str = ""

    def to_json(self) -> dict[str, Any]:
        """For the journal of a run."""
        return {"boxes": [asdict(box) for box in self.boxes], "cleaned": self.cleaned, "blacked": self.blacked,
                "read": self.read, "thumb": self.thumb}  # fmt: skip


def reader() -> str | None:
    """The program that reads text; None if it is not installed."""
    return shutil.which("tesseract")


def look(dataset: FileDataset, context: Context, blacken: bool, thumbs: Path | None = None) -> Finding:
    """Look for text in the pixels of a data set, and black it out if asked.

    Raises ``DataError`` (``deid.pixels``) for pixels that cannot be decoded: nobody could say what is in them.
    """
    values = _stored(dataset)
    frames = values if _has_frames(dataset) else values[np.newaxis]
    judged, read = _found(frames)
    doubtful = [line for line in judged if line.verdict != "marker"]
    inverted = text(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    name = f"{context.key.pseudonym('thumb', text(dataset, 'SOPInstanceUID') or '')}.png"
    # before it is blacked out, for the greys are those of the whole film
    named = _thumb(frames[0], judged, name, thumbs, inverted=inverted)
    if blacken and doubtful:
        _black_out(dataset, values, frames, doubtful)
    return Finding(tuple(judged), blacken, len(doubtful) if blacken else 0, read, named)


def look_at_picture(values: NDArray[Any], blacken: bool, name: str, thumbs: Path | None = None) -> Finding:
    """As ``look``, for a picture of shape (rows, columns) or (rows, columns, channels), whose black is 0.

    ``values`` is changed where text is blacked out; ``name`` is that of the small picture for the contact sheet.
    """
    frames = values[np.newaxis]
    judged, read = _found(frames)
    doubtful = [line for line in judged if line.verdict != "marker"]
    named = _thumb(values, judged, name, thumbs)
    if blacken:
        _cover(frames[..., :3] if values.ndim > 2 else frames, doubtful, 0)
    return Finding(tuple(judged), blacken, len(doubtful) if blacken else 0, read, named)


def _found(frames: NDArray[Any]) -> tuple[list[Line], bool]:
    """Lines of text in a film's frames, and whether they were read."""
    lines = merged(line for frame in frames[:_MOST_FRAMES] for line in find_lines(_grey(frame)))
    program = reader()
    return _judged(_grey(frames[0]), lines, program), program is not None


def _stored(dataset: FileDataset) -> NDArray[Any]:
    try:
        return np.array(dataset.pixel_array)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise what they like
        raise DataError(
            "deid.pixels",
            f"the pixels cannot be decoded, so text in them cannot be looked for ({type(error).__name__})",
        ) from error


def _has_frames(dataset: FileDataset) -> bool:
    return (whole(dataset, "NumberOfFrames") or 1) > 1


def _grey(frame: NDArray[Any]) -> Greys:
    """Eight bits of a frame's range, but for the few pixels at its ends."""
    plane = frame[..., :3].mean(axis=-1) if frame.ndim == 3 else frame
    low, high = (float(value) for value in np.percentile(plane[::3, ::3], (0.2, 99.8)))
    # text may be beyond all else
    low, high = min(low, float(plane.min()) * 0.25 + low * 0.75), max(high, float(plane.max()) * 0.25 + high * 0.75)
    scaled = (plane.astype(np.float32) - low) * (255 / max(high - low, 1e-6))
    return np.asarray(np.clip(scaled, 0, 255), dtype=np.uint8)


# Reading


def _judged(grey: Greys, lines: Sequence[Line], program: str | None) -> list[Line]:
    """Which lines are markers; all of the others are taken for text about somebody."""
    said = _read(grey, lines, program) if program is not None and lines else [""] * len(lines)
    judged = []
    for line, words in zip(lines, said, strict=True):
        plain = re.findall(r"[A-Z0-9]+", words.upper())
        is_marker = bool(plain) and all(word in MARKERS or (len(word) == 1 and word in "RL") for word in plain)
        verdict = "marker" if is_marker else "read" if plain else "unread"
        judged.append(
            Line(
                line.left,
                line.top,
                line.right,
                line.bottom,
                line.characters,
                verdict,
                " ".join(plain) if is_marker else "",
            )
        )
    return judged


def _read(grey: Greys, lines: Sequence[Line], program: str) -> list[str]:
    """What tesseract makes of each line: all of them below each other in one picture, in black on white."""
    from PIL import Image

    crops = [_crop(grey, line) for line in lines]
    width, gap = max(crop.shape[1] for crop in crops) + 40, 24
    sheet = np.full((sum(crop.shape[0] + gap for crop in crops) + gap, width), 255, dtype=np.uint8)
    tops, at = [], gap
    for crop in crops:
        sheet[at : at + crop.shape[0], 20 : 20 + crop.shape[1]] = crop
        tops.append(at)
        at += crop.shape[0] + gap
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG", compress_level=1)
    try:
        done = subprocess.run(
            [program, "stdin", "stdout", "--psm", "11", "-l", "eng", "tsv"], input=buffer.getvalue(), capture_output=True,  # noqa: E501
            timeout=_LIMIT, check=False, env={"OMP_THREAD_LIMIT": "1", "PATH": "/usr/bin:/bin:/usr/local/bin"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return [""] * len(lines)
    said = [""] * len(lines)
    for row in done.stdout.decode("utf-8", "replace").splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) == 12 and cells[11].strip():
            middle = int(cells[7]) + int(cells[9]) / 2
            place = max((number for number, top in enumerate(tops) if top - gap / 2 <= middle), default=0)
            said[place] = f"{said[place]} {cells[11].strip()}".strip()
    return said


def _crop(grey: Greys, line: Line) -> Greys:
    """A line in black on white, about 40 pixels high."""
    from PIL import Image

    pad = 4
    part = grey[max(0, line.top - pad) : line.bottom + pad, max(0, line.left - pad) : line.right + pad]
    around = float(np.median(part))
    middle = part[pad:-pad, pad:-pad] if min(part.shape) > 2 * pad + 2 else part
    bright = float(middle.max()) - around > around - float(middle.min())
    flat = 255 - part if bright else part
    low, high = float(flat.min()), float(flat.max())
    stretched = np.clip((flat.astype(np.float32) - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
    factor = min(max(2.0, 40 / max(part.shape[0] - 2 * pad, 1)), 4.0)
    size = (max(1, round(part.shape[1] * factor)), max(1, round(part.shape[0] * factor)))
    return np.asarray(Image.fromarray(stretched).resize(size, Image.Resampling.BICUBIC), dtype=np.uint8)


# Blacking out


def _black_out(dataset: FileDataset, values: NDArray[Any], frames: NDArray[Any], lines: Sequence[Line]) -> None:
    """Put the value of black into the boxes, in every frame, and the pixels back into the data set."""
    compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
    black = values.max() if text(dataset, "PhotometricInterpretation") == "MONOCHROME1" else values.min()
    if values.dtype.kind == "u" and text(dataset, "PhotometricInterpretation") != "MONOCHROME1":
        black = 0 if values.ndim > 2 and not _has_frames(dataset) else black
    _cover(frames, lines, black)
    if compressed:
        dataset.decompress(generate_instance_uid=False)
    big = dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.2"
    raw = values.astype(values.dtype.newbyteorder(">" if big else "<")).tobytes()
    if values.ndim >= 3 and whole(dataset, "SamplesPerPixel") == 3 and whole(dataset, "PlanarConfiguration") == 1:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = raw + b"\0" * (len(raw) % 2)
    dataset["PixelData"].VR = "OW" if values.dtype.itemsize > 1 else "OB"


def _cover(frames: NDArray[Any], lines: Sequence[Line], black: Any) -> None:
    for line in lines:
        frames[:, max(0, line.top - _PAD) : line.bottom + _PAD, max(0, line.left - _PAD) : line.right + _PAD] = black


def _thumb(
    frame: NDArray[Any], lines: Sequence[Line], name: str, folder: Path | None, *, inverted: bool = False
) -> str:
    """A small picture for the contact sheet: boxes around markers, what is no marker covered."""
    if folder is None or not lines:
        return ""
    from PIL import Image, ImageDraw

    grey = _grey(frame)
    if inverted:
        grey = 255 - grey
    picture = Image.fromarray(grey)
    factor = _TILE / max(picture.size)
    picture = picture.convert("RGB").resize(
        (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    )
    draw = ImageDraw.Draw(picture)
    for line in lines:
        box = [line.left * factor - 1, line.top * factor - 1, line.right * factor + 1, line.bottom * factor + 1]
        draw.rectangle(box, outline=(90, 200, 90) if line.verdict == "marker" else (230, 60, 60),
                       fill=None if line.verdict == "marker" else (0, 0, 0))  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(folder / name)
    return name
