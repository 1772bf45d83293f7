"""`radloop report`: the commands, thin, without torch until they run."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corpora.options import Cache, Changes, Config, Resume, Summary, recipe_from, resumable

if TYPE_CHECKING:
    from reportgen.loop import Epoch
    from reportgen.records import DraftSummary
    from reportgen.train import ReportTrainSummary

Split = Annotated[Path | None, typer.Option(metavar="FILE", help="The split; split.csv of the corpus if not given.")]
Seen = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Folder that keeps what the encoder sees, for later runs.")
]
Failures = Annotated[str, typer.Option(metavar="N|SHARE", help="Films that may be unusable before it stops.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all that is drawn.")]


def pretrain_cli(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Reports, as every command reads them.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="Folder for the decoder.")],
    config: Config = "report/pretrain-small",
    set_: Changes = None,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Read the studies of its part train alone.")
    ] = None,
    resume: Resume = False,
    as_json: Summary = False,
) -> None:
    """Pretrain a decoder and its tokenizer on reports alone: where no weights are at hand."""
    from corpora.bars import training
    from reportgen.pretrain import pretrain
    from reportgen.recipes import ReportPretrainRecipe

    recipe = recipe_from(config, ReportPretrainRecipe, set_)
    with resumable(), training("pretraining", "reports") as steps:
        summary = pretrain(
            sources, out, recipe, leave_out=_outside_train(split), resume=resume, command=sys.argv, watch=steps
        )
    if _silent():
        return
    if summary.untouched:
        typer.echo(f"nothing left to do: {out} is complete", err=True)
    else:
        for epoch in summary.epochs:
            typer.echo(f"epoch {epoch.epoch}: loss {epoch.loss:.4f}, held out {-epoch.score:.4f}", err=True)
        typer.echo(f"{summary.counts['training']:,} reports read in {summary.seconds:.0f} s; wrote {out}", err=True)
    if as_json:
        _print({"counts": summary.counts, "epochs": [asdict(epoch) for epoch in summary.epochs]})


def train_cli(
    corpus: Annotated[Path, typer.Option(metavar="CORPUS", help="Corpus folder with films and reports.")],
    vision: Annotated[Path, typer.Option(metavar="RUN", help="A run of radloop vision train: the encoder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="RUN", help="Folder for the drafter.")],
    config: Config = "report/lora",
    decoder: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="The decoder, in place of the recipe's decoder_source.")
    ] = None,
    set_: Changes = None,
    split: Split = None,
    cache: Cache = None,
    seen: Seen = None,
    resume: Resume = False,
    max_failures: Failures = "1%",
    as_json: Summary = False,
) -> None:
    """Train a drafter: an encoder, a decoder, what joins them."""
    from corpora.bars import counting, training
    from reportgen.recipes import ReportTrainRecipe
    from reportgen.train import train

    named = [f"decoder_source={json.dumps(decoder)}"] if decoder else []
    recipe = recipe_from(config, ReportTrainRecipe, [*(set_ or ()), *named])
    with resumable(), counting("looking at films") as caching, training("training", "studies") as steps:
        summary = train(
            corpus, vision, out, recipe, split=split, cache=cache, seen=seen, resume=resume, max_failures=max_failures,
            command=sys.argv, watch=steps, told=_say_epoch, caching=caching,
        )  # fmt: skip
    if _silent():
        return
    _say_training(summary, out)
    if as_json:
        _print({
            "best": summary.best, "counts": dict(summary.counts), "warnings": summary.warnings,
            "epochs": [asdict(epoch) for epoch in summary.epochs],
        })  # fmt: skip


def _say_training(summary: ReportTrainSummary, out: Path) -> None:
    for warning in summary.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if summary.untouched:
        typer.echo(f"nothing left to do: {out} is complete", err=True)
        return
    counts = summary.counts
    if counts["rejected"]:
        typer.echo(f"{counts['rejected']:,} could not be used; see {out / 'failures.jsonl'}", err=True)
    typer.echo(
        f"{counts['studies, train']:,} studies learned from in {summary.seconds:.0f} s; comparisons: "
        f"{counts['sentences dropped']:,} sentences dropped, {counts['sentences trimmed']:,} trimmed",
        err=True,
    )
    typer.echo(f"wrote {out}", err=True)


def draft_cli(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A trained drafter; for generators, an encoder, too.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="A corpus, a folder of films, or one film.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="Drafts (.jsonl), or a run folder.")],
    generator: Annotated[
        str, typer.Option(metavar="NAME", help="Draft by a registered generator, such as label-template.v1.")
    ] = "",
    part: Annotated[
        str | None, typer.Option(metavar="PART", help="Only this part of the corpus' split: train, validate, test.")
    ] = None,
    split: Split = None,
    cache: Cache = None,
    seen: Seen = None,
    section: Annotated[str, typer.Option(metavar="NAME", help="Only findings, or only impression.")] = "",
    beams: Annotated[int, typer.Option(min=1, metavar="N", help="Beams; 1 is greedy.")] = 1,
    sample: Annotated[bool, typer.Option("--sample", help="Draw each token by its probability.")] = False,
    temperature: Annotated[float, typer.Option(min=0.01, metavar="T", help="Temperature of sampling.")] = 1.0,
    top_p: Annotated[float, typer.Option(min=0.01, max=1, metavar="P", help="Mass of tokens to draw from.")] = 1.0,
    candidates: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Sampled drafts a study, until one fits the encoder."),
    ] = 1,
    prior: Annotated[
        bool, typer.Option("--prior/--no-prior", help="Read the patient's last report, if the drafter learned to.")
    ] = True,
    block: Annotated[int, typer.Option(min=0, metavar="N", help="Word groups that may not come twice; 3 or 0.")] = 0,
    max_tokens: Annotated[int, typer.Option(min=1, metavar="N", help="Longest draft in tokens.")] = 160,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Studies at once.")] = 64,
    adapter: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Other adapters for the same decoder.")] = None,
    merged: Annotated[bool, typer.Option("--merged/--unmerged", help="Adapters inside the weights, or apart.")] = True,
    compiled: Annotated[bool, typer.Option("--compile", help="On a GPU: compile each step; slow to begin.")] = False,
    labeler: Annotated[str, typer.Option(metavar="NAME", help="Labeler that reads the drafts.")] = "rules.v1",
    seed: Seed = 0,
    resume: Resume = False,
    max_failures: Failures = "1%",
    as_json: Summary = False,
) -> None:
    """Draft reports of films. Drafts are not for clinical use."""
    from corpora.bars import counting

    with resumable(), counting("drafting") as watch:
        if generator:
            from reportgen.generating import draft_by

            summary = draft_by(
                generator, run, source, out, part=part, split=split, cache=cache, seen=seen, labeler=labeler, seed=seed,
                max_failures=max_failures, command=sys.argv, watch=watch,
            )  # fmt: skip
        else:
            from reportgen.draft import draft
            from reportgen.generate import Decoding

            how = Decoding(max_tokens, beams, sample, temperature, top_p, block, section, compiled)
            summary = draft(
                run, source, out, how=how, part=part, split=split, cache=cache, seen=seen, batch_size=batch_size,
                candidates=candidates, prior=prior, labeler=labeler, seed=seed, merged=merged, adapter=adapter,
                resume=resume, max_failures=max_failures, command=sys.argv, watch=watch,
            )  # fmt: skip
    _say_drafts(summary)
    if as_json:
        _print(asdict(summary))
    if summary.too_many:
        raise typer.Exit(1)


def _say_drafts(summary: DraftSummary) -> None:
    rate = summary.drafts / max(summary.seconds, 1e-9)
    typer.echo(
        f"{summary.drafts:,} drafts, {summary.distinct:,} distinct, in {summary.seconds:.1f} s ({rate:,.1f}/s); "
        f"{summary.flagged:,} disagree with the encoder",
        err=True,
    )
    if summary.unusual:
        typer.echo(f"{summary.unusual:,} studies have films unlike those of training: perhaps no chest films", err=True)
    if summary.rejected:
        typer.echo(f"{summary.rejected:,} rejected; the reasons are in the failures file", err=True)
    typer.echo(f"wrote {summary.table}: drafts of a model, not for clinical use", err=True)


def export_cli(
    drafts: Annotated[Path, typer.Argument(metavar="DRAFTS", help="A .jsonl of radloop report draft, or its folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="Folder; one file a study.")],
    format_: Annotated[str, typer.Option("--format", metavar="text|markdown|sr|fhir", help="What to write.")] = "text",
    max_failures: Failures = "1%",
    as_json: Summary = False,
) -> None:
    """Write drafts as text, Markdown, DICOM Basic Text SR or FHIR DiagnosticReport, each marked as a draft."""
    from reportgen.export import export

    summary = export(drafts, out, format_, max_failures=max_failures, command=sys.argv)
    typer.echo(f"wrote {summary.written:,} files to {out}", err=True)
    if summary.rejected:
        typer.echo(f"{summary.rejected:,} rejected; the reasons are in {out / 'failures.jsonl'}", err=True)
    if as_json:
        typer.echo(json.dumps(asdict(summary), default=str))
    if summary.too_many:
        raise typer.Exit(1)


def view_cli(
    drafts: Annotated[Path, typer.Argument(metavar="RUN", help="A .jsonl of radloop report draft, or its folder.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="SITE", help="Where the pages go; a folder beside.")
    ] = None,
    most: Annotated[int, typer.Option("-n", "--most", min=1, metavar="N", help="Studies to show.")] = 50,
    maps: Annotated[bool, typer.Option("--maps/--no-maps", help="A map behind each sentence.")] = True,
    as_json: Summary = False,
) -> None:
    """Write pages, one a study: film, draft, reference, findings that differ, the map behind a sentence."""
    from corpora.bars import counting
    from reportgen.view import view

    with resumable(), counting("drawing pages") as watch:
        summary = view(drafts, out, most=most, maps=maps, command=sys.argv, watch=watch)
    typer.echo(f"wrote {summary.pages:,} pages; open {summary.site / 'index.html'}", err=True)
    for note in summary.notes:
        typer.echo(f"note: {note}", err=True)
    if as_json:
        typer.echo(json.dumps(asdict(summary), default=str))


def _outside_train(split: Path | None) -> frozenset[str]:
    if split is None:
        return frozenset()
    from corpora.splits.files import read_split

    return frozenset(name for name, part in read_split(split).items() if part != "train")


def _silent() -> bool:
    # one of several processes speaks for all
    return os.environ.get("RANK", "0") != "0"


def _say_epoch(epoch: Epoch) -> None:
    said = ", ".join(f"{name} {value:.4f}" for name, value in epoch.measured.items())
    typer.echo(f"{epoch.stage}, epoch {epoch.epoch}: loss {epoch.loss:.4f}, {said}", err=True)


def _print(data: dict[str, Any]) -> None:
    typer.echo(json.dumps(data, default=str))
