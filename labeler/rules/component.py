"""The labeler inside a spaCy pipeline: ``nlp.add_pipe("radloop_labeler")``.

The vector is on ``doc._.radloop``, the mentions are in ``doc.spans["radloop"]`` (label and ``label_``; the state is
on ``span._.radloop_state``, the whole mention on ``span._.radloop_mention``).
"""

from __future__ import annotations

from collections.abc import Callable

from spacy.language import Language
from spacy.tokens import Doc, Span

from corpora.labels import State
from labeler.types import Mention


@Language.factory("radloop_labeler", default_config={"schema": "chexpert14.v1", "sections": "findings,impression"})
def create_radloop_labeler(nlp: Language, name: str, schema: str, sections: str) -> Callable[[Doc], Doc]:
    """Label documents by ``rules.v1``, whatever tokenizer the pipeline has."""
    from labeler.rules.pipeline import load_rules_v1

    if not Doc.has_extension("radloop"):
        Doc.set_extension("radloop", default=None)
        Span.set_extension("radloop_mention", getter=_mention)
        Span.set_extension("radloop_state", getter=_state)
    labeler = load_rules_v1(schema)

    def label(doc: Doc) -> Doc:
        vector = labeler(doc.text, sections)
        doc._.radloop = vector
        spans = []
        for mention in vector.mentions:
            span = doc.char_span(mention.start, mention.end, label=mention.label, alignment_mode="expand")
            if span is not None:
                spans.append(span)
        doc.spans["radloop"] = spans
        return doc

    return label


def _mention(span: Span) -> Mention | None:
    """The mention that a span of ``doc.spans["radloop"]`` was made of.

    Looked up by place and label, because spaCy keeps one value for all spans at a place, whatever their label.
    """
    vector = span.doc._.radloop
    inside = [
        mention
        for mention in (vector.mentions if vector else ())
        if mention.label == span.label_ and span.start_char <= mention.start and mention.end <= span.end_char
    ]
    return next((mention for mention in inside if mention.state is not None), inside[0] if inside else None)


def _state(span: Span) -> State:
    mention = _mention(span)
    return mention.state if mention else None
