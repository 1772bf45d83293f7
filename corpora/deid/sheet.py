"""What was found in the pixels of each film: a table, and a contact sheet for the person who signs off."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from corpora.runs import atomic_writer

COLUMNS: Final = ("file", "verdict", "left", "top", "right", "bottom", "characters", "marker", "read_by", "sheet_cell")
_TILE: Final = 250
_ACROSS: Final = 8
_ROWS: Final = 40
_CAPTION: Final = 14


def write_findings(folder: Path, findings: Sequence[Mapping[str, Any]], thumbs: Path) -> None:
    """Write ``pixels.csv``, a line for each text found and one for each film without, and ``pixels.png``.

    A sheet holds 320 films; further ones are ``pixels-2.png`` and so on. Raises ``RunError``.
    """
    shown = [finding for finding in findings if finding["thumb"] and (thumbs / finding["thumb"]).is_file()]
    cells = {finding["file"]: number for number, finding in enumerate(shown, 1)}
    with atomic_writer(folder / "pixels.csv") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for finding in findings:
            writer.writerows(_lines(finding, cells.get(finding["file"], "")))
    each = _ACROSS * _ROWS
    for number, start in enumerate(range(0, len(shown), each), 1):
        name = "pixels.png" if number == 1 else f"pixels-{number}.png"
        _write_sheet(folder / name, shown[start : start + each], thumbs, start)


def _lines(finding: Mapping[str, Any], cell: int | str) -> list[tuple[Any, ...]]:
    by = "tesseract" if finding["read"] else "nobody"
    if not finding["boxes"]:
        return [(finding["file"], "nothing found", "", "", "", "", 0, "", by, "")]
    verdict = {"marker": "marker, left"}
    doubtful = "blacked out" if finding["cleaned"] else "left"
    return [
        (finding["file"], verdict.get(box["verdict"], f"{box['verdict']}, {doubtful}"), box["left"], box["top"], box["right"],  # noqa: E501
         box["bottom"], box["characters"], box["shown"], by, cell)
        for box in finding["boxes"]
    ]  # fmt: skip


def _write_sheet(path: Path, findings: Sequence[Mapping[str, Any]], thumbs: Path, first: int) -> None:
    from PIL import Image, ImageDraw

    rows = -(-len(findings) // _ACROSS)
    sheet = Image.new("RGB", (_ACROSS * _TILE, rows * (_TILE + _CAPTION)), (40, 40, 40))
    draw = ImageDraw.Draw(sheet)
    for number, finding in enumerate(findings):
        left, top = number % _ACROSS * _TILE, number // _ACROSS * (_TILE + _CAPTION)
        draw.text((left + 3, top + 1), str(first + number + 1), fill=(240, 240, 240))
        with Image.open(thumbs / finding["thumb"]) as tile:
            sheet.paste(tile, (left + 3, top + _CAPTION))
    with atomic_writer(path, "wb") as file:
        sheet.save(file, format="PNG")
