"""The command ``radloop corpus split``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpora.splits.types import Split

if TYPE_CHECKING:
    from corpora.specs.facts import StudyFacts

_PACKAGES = ("pyarrow",)


def split(
    corpus: Path | str,
    out: Path | str | None = None,
    *,
    ratios: str = "train=.8,validate=.1,test=.1",
    seed: int = 0,
    labels: Path | str | None = None,
    respect: bool = True,
    fresh: bool = False,
    test_from: int | None = None,
    pixels: str = "1000",
    command: Sequence[str] = ("corpora.splits.split",),
) -> Split:
    """Split a corpus by patient and write the split as CSV with its manifest beside it; into the corpus if ``out`` is
    None.

    A split that is there already is kept and extended, unless ``fresh``. Labels are those of the corpus, or of the
    table ``labels``. ``test_from`` as ``make_split`` has it. ``pixels`` is how many films with like hashes are
    compared: a number, ``all`` or ``none``. Raises ``DataError`` and ``ConfigError`` for bad input, ``RunError``:
    ``split.changed`` if the split there was made with another seed or ratios, and as ``atomic_writer``.
    """
    from corpora.runs import output_target, write_manifest
    from corpora.specs.facts import read_facts
    from corpora.specs.films import compare, films_to_see
    from corpora.splits.draw import make_split, parse_ratios
    from corpora.splits.files import write_split

    start, corpus = time.perf_counter(), Path(corpus)
    config = {"ratios": parse_ratios(ratios), "seed": seed, "respect": respect, "labels": labels and str(labels),
              "test_from": test_from}  # fmt: skip
    target = output_target(_table(corpus, out), "split.csv")
    most = films_to_see(pixels)
    studies = list(read_facts(corpus))
    earlier = {} if fresh else _earlier(target.table, target.manifest, config)
    made = make_split(
        studies,
        _labels(studies, labels),
        parse_ratios(ratios),
        seed=seed,
        respect=respect,
        earlier=earlier,
        test_from=test_from,
        compare=None if most == 0 else partial(compare, corpus, most=most),
    )
    target.table.parent.mkdir(parents=True, exist_ok=True)
    target.manifest.unlink(missing_ok=True)
    write_split(target.table, made)
    write_manifest(
        target.manifest, command=command, config=config, seed=seed, packages=_PACKAGES, counts=counts_of(made),
        inputs=[corpus / "manifest.json", *([labels] if labels and Path(labels).is_file() else [])],
        wall_seconds=time.perf_counter() - start,
    )  # fmt: skip
    return made


def _table(corpus: Path, out: Path | str | None) -> Path:
    from corpora.errors import ConfigError

    table = corpus / "split.csv" if out is None else Path(out)
    if table.suffix.lower() not in (".csv", ""):
        raise ConfigError("config.value", "a split is written as .csv, or into a folder", where=f"-o {out}")
    return table


def _earlier(table: Path, manifest: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The parts of the patients in the split that is there, if one is."""
    from corpora.errors import RunError
    from corpora.splits.files import read_patients

    if not table.is_file():
        return {}
    made_with = _config_of(manifest)
    # a split of before there was a choice was made without it
    made_with = {"test_from": None} | made_with
    chosen = ("ratios", "seed", "respect", "test_from")
    changed = [name for name in chosen if made_with.get(name, config[name]) != config[name]]
    if changed:
        raise RunError(
            "split.changed", f"the split that is there was made with another {' and '.join(changed)}", where=str(table),
            hint="--fresh replaces it, -o writes another file",
        )  # fmt: skip
    return read_patients(table)


def _config_of(manifest: Path) -> dict[str, Any]:
    try:
        data = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    config = data.get("config") if isinstance(data, dict) else None
    return config if isinstance(config, dict) else {}


def _labels(studies: Sequence[StudyFacts], table: Path | str | None) -> Mapping[str, Mapping[str, int]]:
    from corpora.specs.labels import read_label_table

    if table is not None:
        return read_label_table(table, {study.study_id for study in studies}).labels
    return {study.study_id: study.labels for study in studies if study.labels is not None}


def counts_of(made: Split) -> dict[str, int]:
    """The numbers of a split: studies by part, patients kept, official studies, leaks."""
    return {
        **made.sizes(),
        "patients_kept": made.kept,
        "official": made.official,
        "without_patient": made.without_patient,
        "leaking_patients": len(made.leaks.patients),
        "leaking_films": len(made.leaks.films),
        "reports_in_two_parts": made.leaks.reports,
    }


def split_cli(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder that `radloop corpus import` made.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Where the split goes; CORPUS/split.csv.")
    ] = None,
    ratios: Annotated[str, typer.Option(metavar="PART=R,...", help="Parts and their ratios.")] = (
        "train=.8,validate=.1,test=.1"
    ),
    seed: Annotated[int, typer.Option(metavar="N", help="Key of the hash that draws the patients.")] = 0,
    labels: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="Label table to stratify by; without it, the corpus's labels.")
    ] = None,
    respect: Annotated[
        bool, typer.Option("--respect/--ignore", help="Keep studies where their source's own split puts them.")
    ] = True,
    test_from: Annotated[
        int | None,
        typer.Option(metavar="YEAR", help="Patients with a study of this year or later are the test part."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget the split that is there already.")] = False,
    pixels: Annotated[
        str, typer.Option(metavar="N|all|none", help="How many films with like hashes are read to compare them.")
    ] = "1000",
    json_: Annotated[bool, typer.Option("--json", help="Print JSON: sizes, leaks, balance of the labels.")] = False,
) -> None:
    """Split a corpus by patient, stratified by labels; exits with 1 if patients or films are in two parts."""
    made = split(
        corpus,
        out,
        ratios=ratios,
        seed=seed,
        labels=labels,
        respect=respect,
        fresh=fresh,
        test_from=test_from,
        pixels=pixels,
        command=sys.argv,
    )
    if json_:
        typer.echo(json.dumps(to_json(made), indent=2, ensure_ascii=False))
    for line in lines_of(made):
        typer.echo(line, err=True)
    if made.leaks.patients or made.leaks.films:
        raise typer.Exit(1)


def to_json(made: Split) -> dict[str, Any]:
    """A split's numbers, leaks and balance in JSON's types."""
    leaks = {"patients": list(made.leaks.patients), "films": [list(ids) for ids in made.leaks.films]}
    return {
        "counts": counts_of(made),
        "leaks": leaks,
        "balance": {name: dict(row) for name, row in made.balance.items()},
    }


def lines_of(made: Split) -> list[str]:
    """What a person should know of a split."""
    total = len(made.parts) or 1
    lines = [f"{part}: {size:,} studies ({100 * size / total:.1f} %)" for part, size in made.sizes().items()]
    notes = {
        "patients kept where the earlier split has them": made.kept,
        "studies in the part that their source gives them": made.official,
        "studies without a patient id, each taken for a patient of its own": made.without_patient,
        "patients in two parts": len(made.leaks.patients),
        "groups of near-duplicate films in two parts": len(made.leaks.films),
        "reports whose very words are in two parts (short reports repeat)": made.leaks.reports,
    }
    return [*lines, *(f"{number:,} {what}" for what, number in notes.items() if number)]
