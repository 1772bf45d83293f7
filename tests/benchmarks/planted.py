"""What the network recovers of findings whose names its teacher has forgotten.

    python -m tests.benchmarks.planted -o OUT                               phantom reports, the truth is the grammar's
    python -m tests.benchmarks.planted -o OUT --corpus reports.jsonl        one's own, the truth is the whole rules'
    python -m tests.benchmarks.planted -o OUT --label "Support Devices" --set made=20000

A fifth of the names that one label has in the corpus, chosen by the seed, are taken out of a copy of the lexicon. The
network learns from the rules with that lexicon, on four fifths of the reports; on the others it is counted what these
rules miss where the whole ones are right, and how much of that the network and the hybrid find. Prints Markdown to
stdout.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml

from corpora.config import load_yaml, read_document
from corpora.labels import BLANK, State
from corpora.phantom.model import ChestModel, PeopleModel
from corpora.phantom.patients import Cohort
from corpora.phantom.reports import Reporter
from corpora.phantom.settings import grammar_of, read_settings
from corpora.readers import ReadOptions, open_source
from corpora.resources import config_path
from corpora.types import Report, Study
from labeler.base import Labeler, load
from labeler.hybrid import HybridLabeler
from labeler.hybrid_fit import fit
from labeler.neural.data import held_out
from labeler.neural.predict import NeuralLabeler
from labeler.neural.recipe import TrainRecipe
from labeler.neural.train import train
from labeler.rules.phrases import expand

LEXICON: Final = "lexicons/chexpert14.en.yaml"
SCHEMA: Final = "schemas/chexpert14.v1.yaml"
_PHRASES: Final = ("findings", "weak", "located")
_TESTED: Final = 0.2
_FILM: Final = 256

Truth = Mapping[str, Mapping[str, State]]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Reports, and the states of each by label; a label that is not there is blank."""

    reports: list[Report]
    truth: Truth


@dataclass(frozen=True, slots=True)
class Planted:
    """Which names were taken out, the schema without them, and how many reports each stood in."""

    schema: Path
    removed: dict[str, int]
    kept: dict[str, int]


@dataclass(frozen=True, slots=True)
class Recovered:
    """Of the cells that crippled rules miss, how many a labeler reads right; and what it spoils of the others."""

    labeler: str
    missed: int
    found: int
    right_before: int
    spoilt: int


def phantom_corpus(studies: int, seed: int) -> Corpus:
    """Reports of phantom patients, without their films; the truth is that of their words."""
    settings = read_settings(seed, _FILM)
    chest = ChestModel.model_validate_json(settings.chest)
    cohort = Cohort(chest, PeopleModel.model_validate_json(settings.people), seed)
    reporter = Reporter(grammar_of(settings), chest.reporting, chest.phi.text)
    reports, truth = [], {}
    for visit in cohort.visits(0, studies):
        written = reporter.write(visit, np.random.default_rng([seed, 200, visit.index]))
        study_id = f"ph{visit.index:07d}"
        reports.append(Report(study_id, written.text))
        truth[study_id] = written.states
    return Corpus(reports, truth)


def own_corpus(source: str, rules: Labeler) -> Corpus:
    """The reports of a source; the truth is what ``rules`` read."""
    records = open_source(source, ReadOptions())
    reports = [one.report for one in records if isinstance(one, Study) and one.report is not None]
    states = rules.states(reports)
    return Corpus(reports, {
        report.study_id: dict(zip(rules.schema.labels, row, strict=True))
        for report, row in zip(reports, states, strict=True)
    })  # fmt: skip


def names_of(label: str) -> list[str]:
    """The shortest names of a label in the shipped lexicon: those that hold no other one."""
    phrases = read_document(config_path(LEXICON)).data["labels"][label]
    names = {name for kind in _PHRASES for pattern in phrases.get(kind, []) for name in expand(pattern)}
    return sorted(name for name in names if not any(other != name and _holds(name, other) for other in names))


def _holds(phrase: str, name: str) -> bool:
    return f" {name} " in f" {phrase} "


def plant(corpus: Corpus, rules: Labeler, label: str, share: float, seed: int, folder: Path) -> Planted:
    """Write a schema whose lexicon lacks a share of the label's names that occur in the corpus."""
    counts = _occurring(corpus, rules, label)
    chosen = random.Random(seed).sample(sorted(counts), max(1, round(share * len(counts))))
    lexicon = read_document(config_path(LEXICON)).data
    phrases = lexicon["labels"][label]
    for kind in _PHRASES:
        names = [name for pattern in phrases.get(kind, []) for name in expand(pattern)]
        phrases[kind] = [name for name in names if not any(_holds(name, one) for one in chosen)]
    schema = read_document(config_path(SCHEMA)).data | {"findings": "reduced.en.yaml"}
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in (("reduced.en.yaml", lexicon), ("reduced.yaml", schema)):
        (folder / name).write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return Planted(
        folder / "reduced.yaml",
        {name: counts[name] for name in chosen}, {name: n for name, n in counts.items() if name not in chosen},
    )  # fmt: skip


def _occurring(corpus: Corpus, rules: Labeler, label: str) -> Counter[str]:
    """In how many reports the rules see each name of the label."""
    patterns = {name: re.compile(rf"\b{re.escape(name)}(?:s|es)?\b") for name in names_of(label)}
    counts: Counter[str] = Counter()
    for report in corpus.reports:
        seen = [one for one in rules(report).mentions if one.label == label]
        words = " | ".join(report.text[one.start : one.end].lower() for one in seen)
        counts.update(name for name, pattern in patterns.items() if pattern.search(words))
    return counts


def recovered(
    name: str, states: Iterable[Sequence[State]], whole: Iterable[Sequence[State]], crippled: Iterable[Sequence[State]],
    corpus: Corpus, at: int, label: str,
) -> Recovered:  # fmt: skip
    """How a labeler's ``states`` of one label compare with those of crippled rules, where the whole rules are right."""
    missed = found = right = spoilt = 0
    for report, mine, full, less in zip(corpus.reports, states, whole, crippled, strict=True):
        true = corpus.truth[report.study_id].get(label, BLANK)
        if less[at] == true:
            right, spoilt = right + 1, spoilt + (mine[at] != true)
        elif full[at] == true:
            missed, found = missed + 1, found + (mine[at] == true)
    return Recovered(name, missed, found, right, spoilt)


def experiment(options: argparse.Namespace) -> dict[str, Any]:
    """Plant, train, count."""
    if options.threads:
        torch.set_num_threads(options.threads)
    rules = load("rules.v1")
    corpus = own_corpus(options.corpus, rules) if options.corpus else phantom_corpus(options.reports, options.seed)
    planted = plant(corpus, rules, options.label, options.share, options.seed, options.out)
    source = options.out / "reports.jsonl"
    lines = [json.dumps({"study_id": one.study_id, "report": one.text}) + "\n" for one in corpus.reports]
    source.write_text("".join(lines), encoding="utf-8")
    is_test = held_out([report.text for report in corpus.reports], _TESTED)
    recipe = load_yaml(config_path(options.config), TrainRecipe, [f"label_schema={planted.schema}", *options.set])
    test = Corpus([corpus.reports[at] for at in np.flatnonzero(is_test)], corpus.truth)
    folder = options.out / "model"
    summary = train(
        [str(source)], folder, recipe, leave_out=frozenset(report.study_id for report in test.reports),
        watch=lambda epoch: print(f"{epoch}", file=sys.stderr, flush=True),
    )  # fmt: skip
    rows = compare(test, corpus, is_test, rules, planted, folder, options.label)
    return {"label": options.label, "planted": planted, "rows": rows, "seconds": summary.seconds}


def compare(
    test: Corpus, corpus: Corpus, is_test: np.ndarray[Any, Any], rules: Labeler, planted: Planted, folder: Path,
    label: str,
) -> list[Recovered]:  # fmt: skip
    """The network, the hybrid with the shipped thresholds, and with thresholds of some training reports with truth."""
    crippled = load("rules.v1", str(planted.schema))
    network = NeuralLabeler(folder)
    hybrid = HybridLabeler(str(planted.schema), network)
    some = [corpus.reports[at] for at in np.flatnonzero(~is_test)[:400]]
    fitted = hybrid.with_recipe(fit(hybrid, some, corpus.truth))
    at = rules.schema.labels.index(label)
    whole, less = rules.states(test.reports), crippled.states(test.reports)
    labelers: dict[str, Labeler] = {
        "network": network, "hybrid, shipped thresholds": hybrid, "hybrid, fitted on 400": fitted,
    }  # fmt: skip
    return [recovered(name, one.states(test.reports), whole, less, test, at, label) for name, one in labelers.items()]


def table(figures: Mapping[str, Any]) -> str:
    """The figures in Markdown."""
    planted: Planted = figures["planted"]
    lines = [
        f"{figures['label']}: taken out (reports): {_counted(planted.removed)}; left: {_counted(planted.kept)}", "",
        "| labeler | missed by the crippled rules | found again | share | read right by them | spoilt |",
        "|---|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for row in figures["rows"]:
        share = f"{row.found / row.missed:.0%}" if row.missed else ""
        lines.append(f"| {row.labeler} | {row.missed} | {row.found} | {share} | {row.right_before} | {row.spoilt} |")
    return "\n".join([*lines, "", f"trained in {figures['seconds']:.0f} s"])


def _counted(names: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(names.items(), key=lambda one: -one[1]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.planted", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--corpus", help="reports to learn from; phantom ones if not given")
    parser.add_argument("--reports", type=int, default=2500, help="phantom reports (%(default)s)")
    parser.add_argument("--label", default="Pleural Effusion", help="label whose names are taken out (%(default)s)")
    parser.add_argument("--share", type=float, default=0.2, help="share of its names (%(default)s)")
    parser.add_argument("--config", default="label/bertcnn", help="recipe of the network (%(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--seed", type=int, default=0, help="seed of reports and of what is taken out (%(default)s)")
    parser.add_argument("--threads", type=int, help="threads of the CPU; torch's own choice if not given")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print."""
    print(table(experiment(_options(arguments))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
