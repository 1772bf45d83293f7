"""Files of boxes, and the command ``radloop corpus boxes``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from corpora.boxes.coco import parse_coco, to_coco
from corpora.boxes.layer import BoxLayer, BoxProblem, Found, against_corpus, corpus_images
from corpora.boxes.vindr import parse_csv, to_csv
from corpora.errors import ConfigError, DataError

_SHOWN: Final = 20


def read_boxes(path: Path | str) -> Found:
    """The boxes in a ``.csv`` or COCO ``.json`` file that are well formed, and the problems of all others.

    Raises ``DataError``: ``data.missing``, ``data.encoding``, ``data.json``, ``data.columns`` if the file as a whole is
    not one of boxes; ``ConfigError`` (``config.value``) for another kind of file.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (".csv", ".json"):
        raise ConfigError("config.value", "boxes are read from .csv and .json (COCO)", where=str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError("data.missing", "there is no such file of boxes", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise DataError("data.encoding", "the file of boxes is not UTF-8", where=str(path)) from error
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=str(path)) from error
    return parse_csv(text, str(path)) if kind == ".csv" else parse_coco(text, str(path))


def convert_boxes(source: Path | str, out: Path | str, corpus: Path | str | None = None) -> BoxLayer:
    """Write the boxes of ``source`` as ``out``, CSV to COCO or COCO to CSV; with a corpus, they must lie on its images.

    Nothing is written if a box is wrong. Raises ``DataError`` with the code and place of the first problem, and as
    ``read_boxes``; ``ConfigError`` (``config.value``) if the two are of one kind; ``RunError`` as ``atomic_writer``.
    """
    from corpora.runs import atomic_writer

    source, out = Path(source), Path(out)
    if {source.suffix.lower(), out.suffix.lower()} != {".csv", ".json"}:
        raise ConfigError("config.value", "one of the two must be .csv and the other .json", where=f"{source}, {out}")
    layer, problems = read_boxes(source)
    if corpus is not None:
        from corpora.specs.facts import read_facts

        layer, more = against_corpus(layer, corpus_images(read_facts(corpus)), str(source))
        problems += more
    _refuse(problems)
    with atomic_writer(out) as file:
        if out.suffix.lower() == ".csv":
            file.write(to_csv(layer))
        else:
            json.dump(to_coco(layer), file, indent=1, ensure_ascii=False, allow_nan=False)
            file.write("\n")
    return layer


def _refuse(problems: list[BoxProblem]) -> None:
    if not problems:
        return
    first, *rest = problems
    others = "; ".join(_others(rest))
    raise DataError(
        first.code, f"{first.message} ({len(problems):,} boxes are wrong)" if rest else first.message,
        where=first.where, hint=f"then: {others}" if others else "",
    )  # fmt: skip


def _others(problems: list[BoxProblem]) -> Iterator[str]:
    yield from (f"{problem.where}: {problem.message}" for problem in problems[:_SHOWN])
    if len(problems) > _SHOWN:
        yield f"and {len(problems) - _SHOWN:,} more"


def boxes_cli(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Boxes: .csv as VinDr-CXR has them, or COCO .json.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The other of the two: .json or .csv.")],
    corpus: Annotated[
        Path | None, typer.Option(metavar="CORPUS", help="Check the boxes against its images, and take their sizes.")
    ] = None,
) -> None:
    """Turn boxes from the CSV of VinDr-CXR into COCO JSON, or back."""
    layer = convert_boxes(source, out, corpus)
    drawn = sum(box.corners is not None for box in layer.boxes)
    rest = len(layer.boxes) - drawn
    whole = f" and {rest:,} labels of whole images" if rest else ""
    typer.echo(f"wrote {out}: {drawn:,} boxes{whole} on {len(layer.images):,} images", err=True)
    if out.suffix.lower() == ".csv":
        bare = len({image.image_id for image in layer.images} - {box.image_id for box in layer.boxes})
        if bare:
            typer.echo(f"{bare:,} images without a box are not in it: the layout has no rows for them", err=True)
