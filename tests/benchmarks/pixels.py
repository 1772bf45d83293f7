"""How long a film takes from its file to greys, beside its decoder alone, in one run on one core.

    python -m tests.benchmarks.pixels [--folder FILMS] [--size 512] [--json FILE]

Prints one Markdown table to stdout; docs/benchmarks.md explains it. The films are the DICOM files in ../shared.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import ROOT
from tests.benchmarks.runs import hold_to


def measured(folder: Path, size: int, repeats: int) -> list[dict[str, Any]]:
    """A row for each film in ``folder`` that can be decoded; the best of ``repeats`` counts."""
    import pydicom
    from pydicom.pixels.utils import pixel_array

    from corpora.dicom.header import quiet
    from corpora.dicom.pixels import _plugin, read_image
    from corpora.errors import DataError
    from corpora.images import fit

    rows = []
    for path in sorted(folder.glob("*.dcm")):
        try:
            film = read_image(path)
        except DataError as error:
            print(f"left out: {path.name} ({error.code})", file=sys.stderr)
            continue
        with quiet():
            dataset = pydicom.dcmread(path)
            decoding = _best(lambda dataset=dataset: pixel_array(dataset, decoding_plugin=_plugin(dataset)), repeats)
        reading = _best(lambda path=path: read_image(path), repeats)
        fitting = _best(lambda film=film: fit(film, size), repeats)
        rows.append(
            {
                "film": path.name[:28],
                "syntax": dataset.file_meta.TransferSyntaxUID.name.split(" (")[0][:36],
                "megapixels": round(film.size / 1e6, 2),
                "decoder_ms": 1000 * decoding,
                "read_ms": 1000 * reading,
                "fit_ms": 1000 * fitting,
            }
        )
    return rows


def _best(work: Callable[[], np.ndarray[Any, Any]], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return min(times)


def table(rows: Sequence[dict[str, Any]], size: int) -> str:
    """The rows as Markdown."""
    lines = [
        f"| film | encoding | Mpx | decoder, ms | read_image, ms | over the decoder | fit to {size}, ms | films/s |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        over = row["read_ms"] / row["decoder_ms"] - 1 if row["decoder_ms"] else float("inf")
        rate = 1000 / (row["read_ms"] + row["fit_ms"])
        lines.append(
            f"| {row['film']} | {row['syntax']} | {row['megapixels']} | {row['decoder_ms']:.1f} | {row['read_ms']:.1f} "
            f"| {over:+.0%} | {row['fit_ms']:.1f} | {rate:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    shared = Path(os.environ.get("RADLOOP_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.pixels", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--folder", type=Path, default=shared / "data/dicom", help="DICOM films (%(default)s)")
    parser.add_argument("--size", type=int, default=512, help="side of the square they are fitted to (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of which the best counts (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures as JSON, too")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.exit(0, f"no films to measure in {options.folder}\n")
    hold_to(1)
    rows = measured(options.folder, options.size, options.repeats)
    print(table(rows, options.size))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
