"""Which stages a demo has, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reportgen.demo import corpus, drafts, films, own, text
from reportgen.demo.job import Stage
from reportgen.demo.recipe import DemoRecipe

_NETWORK: Final = (
    Stage(text.NETWORK, "teach a network", text.teach_network, "neural"),
    Stage(text.HYBRID, "label by rules and network", text.label_by_both, "neural"),
)


def loop(recipe: DemoRecipe) -> Iterator[Stage]:
    """The stages of the whole loop, on phantoms."""
    yield Stage(corpus.PHANTOMS, "draw phantom studies", corpus.phantoms, "corpus")
    yield Stage(corpus.CHECK, "check against a specification", corpus.check_corpus, "corpus")
    yield Stage(corpus.CLEAN, "de-identify", corpus.deidentify_corpus, "corpus")
    yield Stage("split", "split by patient", corpus.split_corpus, "corpus")
    yield Stage(corpus.SCAN, "scan what is left", corpus.scan_corpus, "corpus")
    yield Stage(corpus.TRUTH, "bring the truth under the new ids", corpus.truth, "corpus")
    yield Stage(text.RULES, "label by rules", text.label_by_rules)
    yield Stage(corpus.CARD, "write the card", corpus.describe, "corpus")
    yield from _NETWORK if recipe.hybrid else ()
    yield Stage(text.AGREEMENT, "score the labels", text.agree)
    yield Stage(text.AUDIT, "draw an audit", text.draw_audit, "review")
    yield Stage(text.READER, "read it, by simulation", text.read_by_simulation, "review")
    yield Stage(text.ESTIMATES, "estimate from the readings", text.estimate_audit, "review")
    yield Stage(text.FINAL, "certify the labels", text.certify_labels, "review")
    yield Stage(films.EYE, "train the encoder", films.train_eye, "report")
    yield Stage(films.PREDICTIONS, "predict the test films", films.predict_films, "report")
    yield Stage(films.EVALUATION, "evaluate", films.evaluate_eye, "report")
    yield Stage(films.MAPS, "map where it looks", films.map_films, "report")
    yield Stage(drafts.DECODER, "pretrain a decoder", drafts.pretrain_decoder, "report")
    yield Stage(drafts.DRAFTER, "train the drafter", drafts.train_drafter, "report")
    yield Stage(drafts.DRAFTS, "draft reports", drafts.draft_reports, "report")
    yield Stage(drafts.BENCH, "benchmark the drafts", drafts.benchmark, "report")
    yield Stage(drafts.TRACE, "trace what the loop lost", drafts.trace_loop, "report")
    yield Stage(drafts.PAGES, "write pages of drafts", drafts.show_drafts, "report")


def text_half(recipe: DemoRecipe, reports: int) -> Iterator[Stage]:
    """The stages of the text half, on so many reports of your own."""
    yield Stage(own.COUNTED, "read the reports", own.count_reports)
    yield Stage(own.CLEANED, "de-identify a copy", own.clean_reports, "corpus")
    yield Stage(text.RULES, "label by rules", text.label_by_rules)
    yield from _NETWORK if recipe.hybrid and reports <= recipe.most_reports else ()
    yield Stage(own.EXPLAINED, "explain some labels", own.explain_some)
    yield Stage(text.AUDIT, "draw an audit", text.draw_audit, "review")
    yield Stage(own.SHEET, "write the sheet for a reader", own.write_sheet, "review")
