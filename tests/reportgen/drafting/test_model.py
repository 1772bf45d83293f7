"""The drafter as a model of transformers: what is saved comes back, and what is drafted is the same any way."""

import shutil

import pytest
import torch
from peft import PeftModel
from transformers import AutoModel, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from corpora.errors import ConfigError
from reportgen.fast import Greedy
from reportgen.model import Drafter, Films, register
from reportgen.store import load_drafter, peft_quiet, save_drafter

PROMPT = torch.tensor([[5, 6, 7], [0, 8, 9]])
MASK = torch.tensor([[1, 1, 1], [0, 1, 1]])


def made_films(model, rows=2):
    draw = torch.Generator().manual_seed(1)
    features = model.projector[0].normalized_shape[0]
    cells = torch.randn(rows, 2, model.config.side**2, features, generator=draw)
    present = torch.tensor([[1, 1], [0, 1]])[:rows]
    return Films(cells, present, torch.tensor([[0, 1], [0, 0]])[:rows])


def written(model, **settings):
    return model.generate(made_films(model), PROMPT, MASK, max_new_tokens=12, **settings)


@pytest.fixture
def loaded(drafter):
    return load_drafter(drafter)[0]


@pytest.mark.parametrize("settings", [{"do_sample": False}, {"num_beams": 3}, {"do_sample": True, "top_p": 0.9}])
def test_a_saved_drafter_comes_back_and_drafts_the_same(loaded, tmp_path, settings):
    loaded.save_pretrained(tmp_path)
    again = Drafter.from_pretrained(tmp_path).eval()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    torch.manual_seed(3)
    first = written(loaded, **settings)
    torch.manual_seed(3)
    assert torch.equal(first, written(again, **settings))


def test_transformers_reads_a_run_by_its_config(drafter):
    register()
    assert type(AutoModel.from_pretrained(drafter)) is Drafter


def test_adapters_apart_draft_what_merged_ones_do(drafter, loaded):
    apart = load_drafter(drafter, merged=False)[0]
    assert isinstance(apart.decoder, PeftModel)
    assert torch.equal(written(apart, do_sample=False), written(loaded, do_sample=False))


def test_the_adapter_folder_is_one_of_peft(drafter):
    base = Drafter.from_pretrained(drafter)
    base.eval()
    with peft_quiet():
        base.decoder = PeftModel.from_pretrained(base.decoder, drafter / "adapter")
    merged = load_drafter(drafter)[0]
    films = made_films(merged)
    same = base(films, PROMPT, MASK).logits - merged(films, PROMPT, MASK).logits
    assert same.abs().max() < 1e-4


def test_saving_leaves_the_base_alone(drafter, tmp_path):
    model, tokenizer = load_drafter(drafter, merged=False)
    save_drafter(model, tokenizer, tmp_path / "again")
    again = load_drafter(tmp_path / "again")[0]
    assert torch.equal(written(again, do_sample=False), written(load_drafter(drafter)[0], do_sample=False))
    one, other = (Drafter.from_pretrained(folder).state_dict() for folder in (drafter, tmp_path / "again"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_adapters_of_another_decoder_are_refused(drafter, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(drafter, other)
    model = Drafter.from_pretrained(other)
    with torch.no_grad():
        model.decoder.get_input_embeddings().weight.add_(1)
    model.save_pretrained(other)
    with pytest.raises(ConfigError, match=r"report\.adapter"):
        load_drafter(other)
    with pytest.raises(ConfigError, match=r"report\.adapter"):
        load_drafter(drafter, adapter=_another_shape(tmp_path))


def _another_shape(folder):
    from peft import LoraConfig, get_peft_model

    small = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=1, vocab_size=40, bos_token_id=1, eos_token_id=1))
    adapters = LoraConfig(target_modules=["c_attn"], fan_in_fan_out=True)
    with peft_quiet():
        get_peft_model(small, adapters).save_pretrained(folder / "adapter")
    return folder / "adapter"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_run_is_said_to_be(drafter, tmp_path, name):
    shutil.copytree(drafter, tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(b"{")
    with pytest.raises(ConfigError, match=r"model\.damaged"):
        load_drafter(tmp_path / "run")


def test_no_run_and_a_run_of_another_kind(eye, tmp_path):
    with pytest.raises(ConfigError, match=r"model\.missing"):
        load_drafter(tmp_path)
    with pytest.raises(ConfigError, match=r"model\.kind"):
        load_drafter(eye)


def test_the_encoder_stays_as_it_is_in_training(loaded):
    before = {name: value.clone() for name, value in loaded.encoder.state_dict().items()}
    loaded.train()
    with torch.no_grad():
        loaded.see(torch.rand(4, 1, 32, 32))
    assert not loaded.encoder.training
    assert all(torch.equal(value, before[name]) for name, value in loaded.encoder.state_dict().items())


def test_an_absent_film_changes_nothing(loaded):
    films = made_films(loaded)
    other = Films(films.cells.clone(), films.present, films.views)
    other.cells[1, 0] = 99.0
    one, two = (loaded(each, PROMPT, MASK).logits[:, -1] for each in (films, other))
    assert torch.allclose(one, two, atol=1e-5)


def test_several_views_and_a_loss_on_the_target_alone(loaded):
    labels = torch.tensor([[-100, -100, 7], [-100, -100, -100]])
    found = loaded(made_films(loaded), PROMPT, MASK, labels)
    by_hand = torch.nn.functional.cross_entropy(found.logits[:1, -2], PROMPT[:1, -1])
    assert found.loss.item() == pytest.approx(by_hand.item(), rel=1e-5)


# with 130 tokens a step attends to three spans of the cache, one after another
@pytest.mark.parametrize(("kind", "most"), [("gpt2", 30), ("gpt2", 110), ("llama", 130)])
def test_recorded_greedy_decoding_is_that_of_generate(kind, most):
    torch.manual_seed(0)
    common = {"vocab_size": 120, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    if kind == "gpt2":
        decoder = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=160, **common))
    else:
        decoder = LlamaForCausalLM(LlamaConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            **common,
        ))  # fmt: skip
    for value in decoder.parameters():
        value.data.mul_(5)
    decoder.eval()
    embeds, mask = torch.randn(4, 9, 32), torch.ones(4, 9, dtype=torch.long)
    mask[1, :5] = 0
    settings = {"pad_token_id": 0, "eos_token_id": [7, 9, 11], "suppress_tokens": [3], "do_sample": False}
    expected = decoder.generate(inputs_embeds=embeds, attention_mask=mask, max_new_tokens=most, **settings)
    greedy = Greedy(decoder, rows=6, before=9, most=most)
    for rows in (4, 2):
        found, sure = greedy(embeds[:rows], mask[:rows], pad=0, ends=[7, 9, 11], banned=[3])
        width = min(found.shape[1], expected.shape[1])
        assert torch.equal(found[:, :width], expected[:rows, :width])
        assert (found[:, width:] == 0).all()
        assert (sure <= 0).all()


def test_recorded_decoding_knows_how_sure_it_was_and_what_is_banned():
    torch.manual_seed(0)
    decoder = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, vocab_size=60, n_positions=96)).eval()
    embeds, mask = torch.randn(3, 5, 32), torch.ones(3, 5, dtype=torch.long)
    greedy = Greedy(decoder, rows=3, before=5, most=40)
    for banned in ([], [4, 8], list(range(1, 50))):
        found, sure = greedy(embeds, mask, pad=0, ends=[59], banned=banned)
        assert not set(found.flatten().tolist()) & set(banned)
        whole = torch.cat([embeds, decoder.transformer.wte(found)], dim=1)
        log = decoder(inputs_embeds=whole).logits[:, 4:-1].log_softmax(dim=-1).gather(2, found[..., None])[..., 0]
        lived = (found != 0) & (found != 59)
        assert torch.allclose(sure[lived], log[lived], atol=1e-4)
