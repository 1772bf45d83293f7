"""Evidence of networks: of one whose answer is known because it was planted, and of a trained one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, PreTrainedTokenizerFast

from corpora.errors import ConfigError
from corpora.schema import LabelSchema
from corpora.types import Report
from labeler.explain import explain_text, to_json
from labeler.neural.evidence import (
    MOST_READ,
    RULES,
    STEPS,
    TOLERANCE,
    integrated_gradients,
    mentions,
    occlusion,
)
from labeler.neural.model import BertCnnConfig, BertCnnForLabels
from labeler.neural.predict import NeuralLabeler
from labeler.neural.reading import Reading
from labeler.types import LabelVector

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["small", "effusion", "fracture", "no", "heart", "of", "the", "."]
# which word decides which label, to which class it pushes
PLANTED = {"effusion": ("Effusion", 1), "fracture": ("Fracture", 2)}
LABELS = ["Effusion", "Fracture"]
LENGTH = 24


def word_tokenizer():
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    plain = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    plain.pre_tokenizer = Whitespace()
    plain.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )  # fmt: skip


def planted_network():
    """One filter sees each of the planted words, and pushes its label to its class; the encoder passes words on."""
    size = len(SPECIAL) + len(WORDS)
    encoder = BertConfig(
        vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=LENGTH, pad_token_id=0,
    )  # fmt: skip
    model = BertCnnForLabels(
        BertCnnConfig(
            encoder=encoder.to_dict(), widths=[1], filters=len(PLANTED), dropout=0.0, label_names=LABELS,
            schema_name="planted.v1", temperatures=[1.0, 1.0], max_length=LENGTH,
        )
    )  # fmt: skip
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "LayerNorm" not in name:
                weight.zero_()
        embedded = torch.eye(size, 16) * 4
        model.encoder.get_input_embeddings().weight.copy_(embedded)
        for number, (word, (label, to)) in enumerate(PLANTED.items()):
            place = len(SPECIAL) + WORDS.index(word)
            model.convolutions[0].weight[number, place, 0] = 1.0
            model.heads.weight[LABELS.index(label) * 4 + to, number] = 1.5
        model.heads.bias[[0, 4]] = 2.0
    return model


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    planted_network().save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return NeuralLabeler(folder, device="cpu")


@pytest.fixture(scope="module")
def trained_labeler(trained):
    return NeuralLabeler(trained.folder, device="cpu")


TEXT = "INDICATION: fracture\nFINDINGS: the heart . small effusion . no fracture . of the small heart"


@pytest.mark.parametrize("method", RULES)
def test_the_planted_word_is_the_evidence(planted, method):
    report = Report("1", TEXT)
    states = planted.states([report])[0]
    assert states == (1, 0)
    found = mentions(planted, report, states, method)
    assert [(one.label, TEXT[one.start : one.end], one.state, one.rule) for one in found] == [
        ("Effusion", "effusion", 1, RULES[method]), ("Fracture", "fracture", 0, RULES[method])
    ]  # fmt: skip
    # that of the findings, not that of the indication
    assert found[1].start == TEXT.rindex("fracture")
    for one in found:
        assert [(cue.start, cue.end) for cue in one.cues] == [(one.start, one.end)]
        assert 0.3 < float(one.cues[0].kind.removeprefix("adds ")) < 1


def test_what_is_added_is_what_the_word_makes_of_the_probability(planted):
    whole, without = planted.probabilities(["small effusion", "small [MASK]"])[:, 0, 1]
    found = occlusion(planted, "small effusion", (1, None))
    assert found.words == ((0, 5), (6, 14))
    np.testing.assert_allclose(found.added[0], [0, whole - without], atol=1e-3)
    np.testing.assert_allclose(found.changed, [whole - without, 0], atol=1e-3)


@pytest.mark.parametrize("text", ["small effusion", "no fracture of the effusion .", "effusion effusion small"])
def test_integrated_gradients_add_up(planted, text):
    states = planted.states([Report("", text)])[0]
    found = integrated_gradients(planted, text, states, 200)
    np.testing.assert_allclose(found.added.sum(axis=1) + found.rest, found.changed, atol=5e-3)
    masks = " ".join(["[MASK]"] * len(text.split()))
    whole, empty = planted.probabilities([text, masks])
    for at, state in enumerate(states):
        if state is not None:
            number = {1: 1, 0: 2}[state]
            assert found.changed[at] == pytest.approx(whole[at, number] - empty[at, number], abs=1e-3)


def test_integrated_gradients_of_a_trained_network_nearly_add_up(trained_labeler, invented):
    gaps = []
    for record in invented[:15]:
        report = Report("1", record["text"])
        text = trained_labeler.text_of(report)
        found = integrated_gradients(trained_labeler, text, trained_labeler.states([report])[0])
        gaps.append(np.abs(found.added.sum(axis=1) + found.rest - found.changed).max())
    assert np.median(gaps) < TOLERANCE
    assert max(gaps) < 0.3


@pytest.mark.parametrize("method", RULES)
def test_the_mentions_of_a_trained_network(trained_labeler, invented, method):
    named = wanted = 0
    for record in invented[:20]:
        report = Report(record["id"], record["text"])
        states = trained_labeler.states([report])[0]
        found = mentions(trained_labeler, report, states, method)
        labels = [one.label for one in found]
        assert len(labels) == len(set(labels))
        asserted = {
            label: state
            for label, state in zip(trained_labeler.schema.labels, states, strict=True)
            if state is not None
        }
        assert {one.label: one.state for one in found}.items() <= asserted.items()
        for one in found:
            assert (one.start, one.end) in {(cue.start, cue.end) for cue in one.cues}
            for span in (one, *one.cues):
                words = report.text[span.start : span.end]
                assert words == words.strip() != ""
            if one.label == "Pneumothorax":
                wanted += 1
                named += any(
                    "pneumo" in report.text[cue.start : cue.end].lower()
                    or "ptx" in report.text[cue.start : cue.end].lower()
                    for cue in one.cues
                )
        vector = LabelVector(record["id"], "chexpert14.v1", trained_labeler.schema.labels, states, found, "x")
        assert len(to_json(report, vector)["mentions"]) == len(found)
        explain_text(report, vector)
    assert named >= 0.6 * wanted > 3


class Counting:
    """Says always the same, and counts what it reads."""

    schema = LabelSchema("toy.v1", ("effusion",))

    def __init__(self):
        self.read = 0

    def probabilities(self, texts):
        self.read += len(texts)
        return np.full((len(texts), 1, 4), 0.25)


@given(st.integers(0, 2000))
def test_occlusion_of_a_long_report_stays_bounded(words):
    labeler = Counting()
    found = occlusion(labeler, "word " * words, (1,))
    assert labeler.read <= MOST_READ
    assert found.added.shape == (1, len(found.words))
    if words:
        assert (found.words[0][0], found.words[-1][1]) == (0, 5 * words - 1)
    assert mentions(labeler, "word " * words, (1,)) == ()


def test_integrated_gradients_of_a_long_report_are_of_the_window_that_decides(planted, monkeypatch):
    calls = []
    forward = BertCnnForLabels.forward
    monkeypatch.setattr(
        BertCnnForLabels, "forward", lambda self, ids, *rest: calls.append(len(ids)) or forward(self, ids, *rest)
    )
    text = "the heart . " * 20 + "effusion . " + "of the heart . " * 20
    found = integrated_gradients(planted, text, (1, None), STEPS)
    best = found.words[int(found.added[0].argmax())]
    assert text[best[0] : best[1]] == "effusion"
    windows = -(-len(Reading(text).text.split()) // (LENGTH - 2))
    assert sum(calls) <= windows + STEPS + 2


@pytest.mark.parametrize("text", ["", " \n", "...", "FINDINGS:"])
@pytest.mark.parametrize("method", RULES)
def test_nothing_where_there_are_no_words(planted, text, method):
    assert mentions(planted, text, (None, None), method) == ()
    assert mentions(planted, text, (1, 0), method) == ()


@pytest.mark.parametrize("text", ["\ud800 effusion \U0001f480", "effusion" * 500, "e\u0301ffusion effusion\0"])
@pytest.mark.parametrize("method", RULES)
def test_strange_texts(planted, text, method):
    for one in mentions(planted, text, planted.states([Report("", text)])[0], method):
        assert 0 <= one.start < one.end <= len(text)


def test_the_hook_is_gone_afterwards(planted):
    before = planted.probabilities(["small effusion"])
    mentions(planted, "small effusion", (1, None), "integrated_gradients")
    np.testing.assert_array_equal(planted.probabilities(["small effusion"]), before)
    assert not planted._model.encoder.get_input_embeddings()._forward_hooks


def test_what_cannot_be_explained(planted):
    for labeler, method in ((planted, "guess"), (Counting(), "integrated_gradients")):
        with pytest.raises(ConfigError) as error:
            mentions(labeler, "effusion", (1, None), method)
        assert error.value.code == "config.value"
