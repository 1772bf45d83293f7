"""The labeler in a spaCy pipeline, whatever the pipeline's own tokens are."""

from __future__ import annotations

import pytest
import spacy

from labeler import load

TEXTS = (
    "FINDINGS: No pleural effusion. Possible small pneumothorax.\nIMPRESSION: Cardiomegaly.",
    "\U0001fac1 Bibasilar opacities, which may represent atelectasis.",
    "",
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_pipeline_gives_the_labelers_vector_and_spans(text: str) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("radloop_labeler")
    doc = nlp(text)
    vector = load("rules.v1")(text)
    assert doc._.radloop == vector
    assert [(span.label_, span._.radloop_state) for span in doc.spans["radloop"]] == [
        (mention.label, mention.state) for mention in vector.mentions
    ]
    for span in doc.spans["radloop"]:
        mention = span._.radloop_mention
        assert text[mention.start : mention.end] in span.text


def test_options_are_the_labelers() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("radloop_labeler", config={"sections": "impression"})
    doc = nlp("FINDINGS: Fracture.\nIMPRESSION: No effusion.")
    assert doc._.radloop.asserted() == {"No Finding": 1, "Pleural Effusion": 0}
