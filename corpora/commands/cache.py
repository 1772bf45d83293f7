"""The command ``radloop corpus cache``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from corpora.options import Resume, Workers

if TYPE_CHECKING:
    from corpora.images.cache import CacheSummary


def cache(
    corpus: Path | str,
    out: Path | str,
    *,
    size: int = 512,
    bits: int = 8,
    workers: int | None = None,
    resume: bool = False,
    command: Sequence[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> CacheSummary:
    """Fit the films of a corpus to one size and store them for training. Raises as ``corpora.images.build_cache`` and
    ``corpora.store.read_studies``."""
    from corpora.images.cache import Film, build_cache
    from corpora.store import image_file, read_studies

    films = [
        Film(
            image.image_id or Path(image.path).stem, str(image_file(corpus, image)), study.study_id, study.patient_id,
            image.view,
        )
        for study in read_studies(corpus)
        for image in study.images
    ]  # fmt: skip
    return build_cache(films, out, size, bits, workers=workers, resume=resume, command=command, watch=watch)


def cache_cli(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="A corpus folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="CACHE", help="Folder that the films are stored in.")],
    size: Annotated[int, typer.Option(metavar="N", help="Rows and columns of the stored films.")] = 512,
    bits: Annotated[int, typer.Option(metavar="8|16", help="Bits of a pixel.")] = 8,
    workers: Workers = None,
    resume: Resume = False,
) -> None:
    """Store a corpus' films at one size, for training."""
    with _watching() as watch:
        summary = cache(
            corpus, out, size=size, bits=bits, workers=workers, resume=resume, command=sys.argv, watch=watch
        )
    rate = summary.films / max(summary.seconds, 1e-9)
    typer.echo(f"{summary.films:,} films in {summary.seconds:.1f} s ({rate:,.1f}/s): {summary.folder}", err=True)
    if summary.rejected:
        typer.echo(
            f"{summary.rejected:,} films could not be read; the reasons are in {summary.folder / 'failures.jsonl'}",
            err=True,
        )


@contextmanager
def _watching() -> Iterator[Callable[[int, int], None]]:
    from corpora.importing.progress import watching

    with watching() as watch:
        yield lambda done, total: watch("films", done, total)
