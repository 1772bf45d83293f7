"""The network by itself: what goes in and comes out, saved and loaded."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedModel

from corpora.errors import ConfigError, RunError
from labeler.neural.batches import logits_of, padded
from labeler.neural.model import BertCnnConfig, BertCnnForLabels
from labeler.neural.reading import IGNORED
from labeler.neural.tokenizer import MASK, SPECIAL, UNKNOWN, train_tokenizer

BERT = {
    "model_type": "bert", "vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "max_position_embeddings": 64,
}  # fmt: skip
TEXTS = ["No pleural effusion.", "No pneumothorax.", "Cardiomegaly; small effusion."] * 3


def network(**fields):
    torch.manual_seed(0)
    config = BertCnnConfig(**{"encoder": dict(BERT), "label_names": ["A", "B", "C"], "filters": 8} | fields)
    return BertCnnForLabels(config).eval()


def logits(model, *texts):
    with torch.inference_mode():
        return model(*padded(list(texts), 0, torch.device("cpu"))).logits


@pytest.mark.parametrize("head", ["cnn", "cls"])
@pytest.mark.parametrize("encoder", [BERT, {"model_type": "distilbert", "vocab_size": 50, "dim": 16, "n_layers": 1,
                                            "n_heads": 2, "hidden_dim": 16}])  # fmt: skip
def test_saved_and_loaded_it_gives_the_same_numbers(head, encoder, tmp_path):
    model = network(head=head, encoder=dict(encoder), temperatures=[1.5, 0.25, 1.0], schema_name="ours.v1")
    model.save_pretrained(tmp_path)
    again = BertCnnForLabels.from_pretrained(tmp_path).eval()
    assert isinstance(again, PreTrainedModel)
    assert torch.equal(logits(model, [2, 7, 9, 3]), logits(again, [2, 7, 9, 3]))
    kept = ("head", "widths", "filters", "label_names", "temperatures", "schema_name", "max_length", "sections")
    assert all(list_of(getattr(model.config, name)) == list_of(getattr(again.config, name)) for name in kept)


def list_of(value):
    return list(value) if isinstance(value, tuple) else value


@given(st.lists(st.lists(st.integers(4, 49), min_size=1, max_size=20), min_size=1, max_size=5))
def test_a_text_comes_out_the_same_whatever_it_is_padded_with(texts):
    model = network()
    together = logits(model, *texts, list(range(4, 34)))
    assert together.shape == (len(texts) + 1, 3, 4)
    for row, text in enumerate(texts):
        torch.testing.assert_close(together[row], logits(model, text)[0], rtol=1e-4, atol=1e-5)


def test_the_loss_is_the_weighted_mean_of_the_cells_that_count():
    model = network()
    ids, mask = padded([[2, 7, 3], [2, 9, 8, 3]], 0, torch.device("cpu"))
    labels = torch.tensor([[0, IGNORED, 2], [IGNORED, IGNORED, 3]])
    weights = torch.tensor([[1.0, 50.0, 2.0], [50.0, 50.0, 5.0]])
    found = model(ids, mask, labels, weights)
    log = found.logits.log_softmax(-1)
    by_hand = -(log[0, 0, 0] + 2 * log[0, 2, 2] + 5 * log[1, 2, 3]) / 8
    torch.testing.assert_close(found.loss, by_hand)
    same = model(ids, mask, labels).loss
    torch.testing.assert_close(same, model(ids, mask, labels, torch.ones(2, 3)).loss)
    assert model(ids, mask).loss is None


def test_no_cell_that_counts_is_no_loss():
    ids, mask = padded([[2, 7, 3]], 0, torch.device("cpu"))
    assert network()(ids, mask, torch.full((1, 3), IGNORED)).loss.item() == 0.0


def test_every_weight_learns():
    model = network().train()
    ids, mask = padded([[2, 7, 11, 3]], 0, torch.device("cpu"))
    model(ids, mask, torch.tensor([[0, 1, 2]])).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


def test_an_unknown_head_is_refused():
    with pytest.raises(ConfigError, match="cnn, cls"):
        BertCnnConfig(head="lstm")


def test_the_same_texts_give_the_same_word_pieces(invented):
    # many pieces are as frequent as others where the vocabulary ends
    texts = [record["text"] for record in invented]
    first, *others = (train_tokenizer(iter(texts), vocab_size=700).get_vocab() for _ in range(5))
    assert len(first) == 700
    assert all(vocabulary == first for vocabulary in others)


def test_a_tokenizer_saved_and_loaded_is_the_same(tmp_path):
    first = train_tokenizer(TEXTS, vocab_size=200)
    first.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.is_fast
    assert loaded("No CARDIOMEGALY.")["input_ids"] == first("no cardiomegaly.")["input_ids"]
    assert loaded.convert_ids_to_tokens(first("effusion")["input_ids"]) == ["[CLS]", "effusion", "[SEP]"]
    assert loaded.mask_token == MASK
    assert set(SPECIAL) <= set(loaded.get_vocab())


def test_a_word_of_any_length_is_one_unknown_piece():
    tokenizer = train_tokenizer(TEXTS, vocab_size=200)
    assert tokenizer.convert_ids_to_tokens(tokenizer("a" * 5000)["input_ids"])[1:-1] == [UNKNOWN]


def test_offsets_lead_to_the_words():
    text = "Small effusion; no pneumothorax"
    found = train_tokenizer(TEXTS, vocab_size=400)(text, add_special_tokens=False, return_offsets_mapping=True)
    ends = np.array(found["offset_mapping"])
    assert text[ends[0, 0] : ends[-1, 1]] == text


def test_a_full_gpu_is_asked_for_less_at_once_and_the_numbers_stay(monkeypatch):
    model, texts = network(), [[2, *range(5, 5 + length), 3] for length in (9, 1, 4, 7, 2, 8, 3)]
    plain = logits_of(model, texts, 0, 7)
    forward, sizes, said = BertCnnForLabels.forward, [], []

    def full(self, input_ids, attention_mask):
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.cuda.OutOfMemoryError
        return forward(self, input_ids, attention_mask)

    monkeypatch.setattr(BertCnnForLabels, "forward", full)
    np.testing.assert_allclose(logits_of(model, texts, 0, 7, say=said.append), plain, rtol=1e-4, atol=1e-5)
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert [line.split()[-2] for line in said] == ["3", "1"]
    monkeypatch.setattr(BertCnnForLabels, "forward", lambda *args: (_ for _ in ()).throw(torch.cuda.OutOfMemoryError()))
    with pytest.raises(RunError) as error:
        logits_of(model, texts, 0, 7, say=said.append)
    assert error.value.code == "neural.memory"


def test_half_precision_says_about_the_same():
    model, texts = network(), [[2, 9, 8, 3], [2, 7, 3]]
    whole, half = (logits_of(model, texts, 0, 2, half=flag) for flag in (False, True))
    assert half.dtype == np.float32
    assert 0 < np.abs(whole - half).max() < 0.1
