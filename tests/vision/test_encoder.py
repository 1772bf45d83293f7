"""The network: what it keeps when saved, and weights of others under their own names."""

import pytest
import torch
from safetensors.torch import save_file
from transformers import ResNetConfig, ResNetModel

from corpora.errors import ConfigError
from vision.encoder import FilmEncoder, FilmEncoderConfig, backbone_config, chain_logit, chains
from vision.weights import begin, fit_channels, from_torchvision, resnet_names

torch.set_num_threads(1)
SMALL = {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [2, 1], "layer_type": "bottleneck"}


def encoder(labels=("a", "b", "c"), heads=(1, 3, 1), parents=(-1, 0, 1), channels=1, **more):
    torch.manual_seed(0)
    body = backbone_config("resnet", SMALL, channels, 32)
    return FilmEncoder(FilmEncoderConfig(body.to_dict(), labels, heads, parents, 32, channels, **more)).eval()


def test_resnet50_is_the_one_of_the_papers():
    with torch.device("meta"):
        body = ResNetModel(backbone_config("resnet", {}, 3, 224))
    assert sum(weight.numel() for weight in body.parameters()) == 23_508_032


def test_it_comes_back_as_it_was_saved(tmp_path):
    model = encoder(thresholds={"a": 0.5}, temperatures=[1.0, 2.0, 3.0])
    model.save_pretrained(tmp_path)
    again = FilmEncoder.from_pretrained(tmp_path)
    greys = torch.rand(2, 1, 32, 32)
    assert torch.equal(model(greys).logits, again.eval()(greys).logits)
    assert again.config.thresholds == {"a": 0.5} and again.config.temperatures == [1.0, 2.0, 3.0]
    assert torch.equal(model.probabilities(greys), torch.sigmoid(model(greys).logits / torch.tensor([1.0, 2.0, 3.0])))


def test_scores_are_products_of_the_chain():
    output = encoder()(torch.rand(3, 1, 32, 32))
    assert torch.allclose(torch.sigmoid(output.logits), torch.sigmoid(output.own).cumprod(dim=1), atol=1e-5)
    assert output.last_hidden_state.shape == (3, 32, 4, 4) and output.pooled.shape == (3, 32)
    # a chain of certainties is no infinity
    assert torch.isfinite(chain_logit(torch.full((1, 3), 80.0))).all()


def test_the_peak_of_each_label():
    model = encoder(heads=(1, 1, 1), parents=(-1, -1, -1), gather="mean_peak")
    torch.nn.init.normal_(model.head.weight)
    found = torch.rand(2, 32, 4, 4)
    outputs, pooled = model.judged(found)
    assert torch.equal(pooled, found.mean(dim=(2, 3)))
    of_mean, of_place = model.head.weight[:, :32], model.head.weight[:, 32:]
    placed = torch.einsum("bchw,kc->bkhw", found, of_place).flatten(2)
    means = pooled @ of_mean.T + model.head.bias
    # a soft maximum lies between the mean and the highest
    assert (outputs - means >= placed.mean(dim=2) - 1e-4).all() and (outputs - means <= placed.amax(dim=2)).all()
    far = found.clone()
    far[:, :, 0, 0] += 100 * of_place[0]
    lifted = model.judged(far)[0][:, 0] - model.judged(found)[0][:, 0]
    assert (lifted > 50 * of_place[0].square().sum()).all()


def test_the_peak_of_each_label_alone():
    model = encoder(heads=(1, 1, 1), parents=(-1, -1, -1), gather="peak")
    torch.nn.init.normal_(model.head.weight)
    found = torch.rand(2, 32, 4, 4)
    outputs, pooled = model.judged(found)
    assert model.head.weight.shape == (3, 32) and torch.equal(pooled, found.mean(dim=(2, 3)))
    placed = torch.einsum("bchw,kc->bkhw", found, model.head.weight).flatten(2) + model.head.bias[:, None]
    assert (outputs >= placed.mean(dim=2) - 1e-4).all() and (outputs <= placed.amax(dim=2)).all()


def test_parents_that_lead_round_are_refused():
    with pytest.raises(ConfigError, match="lead back"):
        chains([1, 0])


@pytest.mark.parametrize("how", ["max", "mean_max"])
def test_peaks_of_features(how):
    model = encoder(gather=how)
    output = model(torch.rand(2, 1, 32, 32))
    peaks = output.last_hidden_state.amax(dim=(2, 3))
    assert torch.equal(output.pooled[:, -32:], peaks)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("convnext", {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}),
        ("vit", {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}),
    ],
)
def test_other_backbones_of_transformers(kind, settings):
    body = backbone_config(kind, settings, 1, 32)
    model = FilmEncoder(FilmEncoderConfig(body.to_dict(), ["a"], image_size=32)).eval()
    output = model(torch.rand(2, 1, 32, 32))
    assert output.last_hidden_state.ndim == 4 and output.logits.shape == (2, 1)


def test_a_backbone_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="no backbone 'resnot'"):
        backbone_config("resnot", {}, 1, 32)


# Weights of others


def torchvision_state(model):
    """The state dict of a ResNet's body under torchvision's names, from its architecture and not by our mapping."""
    state = {}

    def norm(name, layer):
        state.update({f"{name}.{key}": value for key, value in layer.state_dict().items()})

    body = model.backbone
    state["conv1.weight"] = body.embedder.embedder.convolution.weight.detach().expand(-1, 3, -1, -1) / 3
    norm("bn1", body.embedder.embedder.normalization)
    for stage, layers in enumerate(body.encoder.stages, 1):
        for number, block in enumerate(layers.layers):
            for place, conv in enumerate(block.layer, 1):
                state[f"layer{stage}.{number}.conv{place}.weight"] = conv.convolution.weight.detach()
                norm(f"layer{stage}.{number}.bn{place}", conv.normalization)
            if not isinstance(block.shortcut, torch.nn.Identity):
                name = f"layer{stage}.{number}.downsample"
                state[f"{name}.0.weight"] = block.shortcut.convolution.weight.detach()
                norm(f"{name}.1", block.shortcut.normalization)
    state |= {"fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}
    return {name: value.contiguous().clone() for name, value in state.items()}


def written(tmp_path, kind, state):
    if kind == "safetensors":
        save_file(state, tmp_path / "w.safetensors")
        return tmp_path / "w.safetensors"
    if kind == "moco":
        other = {f"module.encoder_k.{name}": torch.zeros_like(value) for name, value in state.items()}
        state = {"state_dict": {f"module.encoder_q.{name}": value for name, value in state.items()} | other, "epoch": 3}
    if kind == "torchxrayvision":
        state = {f"model.{name}": value for name, value in state.items()}
    torch.save(state, tmp_path / "w.pt")
    return tmp_path / "w.pt"


@pytest.mark.parametrize("kind", ["plain", "safetensors", "moco", "torchxrayvision"])
def test_weights_of_others_give_the_same_features(tmp_path, kind):
    there = encoder()
    path = written(tmp_path, kind, torchvision_state(there))
    here = encoder()
    torch.nn.init.zeros_(here.backbone.encoder.stages[0].layers[0].layer[0].convolution.weight)
    begin(here, str(path))
    greys = torch.rand(2, 1, 32, 32)
    assert torch.allclose(here.features(greys), there.features(greys), atol=1e-5)


def test_every_weight_of_a_resnet50_has_a_name():
    with torch.device("meta"):
        body = ResNetModel(ResNetConfig()).state_dict()
    convolutions = [f"layer{s}.{n}.conv{c}.weight" for s, d in ((1, 3), (2, 4), (3, 6), (4, 3)) for n in range(d)
                    for c in (1, 2, 3)]  # fmt: skip
    names = {from_torchvision(name) for name in convolutions}
    assert len(names) == 48 and names <= set(body)
    assert from_torchvision("fc.weight") is None


def test_colours_are_summed_and_shared_out():
    weight = torch.rand(4, 3, 7, 7)
    assert torch.allclose(fit_channels(weight, 1), weight.sum(dim=1, keepdim=True))
    shared = fit_channels(fit_channels(weight, 1), 3)
    assert torch.allclose(shared.sum(dim=1), weight.sum(dim=1), atol=1e-6)
    assert fit_channels(weight, 3) is weight


def test_from_a_folder_of_transformers_with_three_channels(tmp_path):
    torch.manual_seed(1)
    body = ResNetModel(backbone_config("resnet", SMALL, 3, 32)).eval()
    body.save_pretrained(tmp_path)
    model = encoder()
    begin(model, str(tmp_path))
    films = (torch.rand(2, 1, 32, 32) - 0.5) / 0.25
    assert torch.allclose(
        model.backbone(films).last_hidden_state, body(films.expand(-1, 3, -1, -1)).last_hidden_state, atol=1e-5
    )


def test_a_run_with_other_labels_gives_its_body_but_not_its_head(tmp_path):
    encoder(labels=("x", "y", "z")).save_pretrained(tmp_path)
    model = encoder()
    begin(model, str(tmp_path))
    with pytest.raises(ConfigError) as refused:
        begin(model, str(tmp_path), with_head=True)
    assert refused.value.code == "model.schema" and "x, y, z" in refused.value.hint


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "model.damaged"), (b"\x80\x04broken", "model.damaged"), (None, "model.missing")],
)
def test_weights_that_are_none(tmp_path, content, code):
    path = tmp_path / "w.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        begin(encoder(), str(path))
    assert refused.value.code == code


def test_a_file_with_code_in_it_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    torch.save({"conv1.weight": Evil()}, tmp_path / "w.pt")
    with pytest.raises(ConfigError) as refused:
        begin(encoder(), str(tmp_path / "w.pt"))
    assert refused.value.code == "model.damaged" and not (tmp_path / "made").exists()


def test_weights_of_another_network_are_refused(tmp_path):
    state = torchvision_state(encoder())
    del state["layer2.0.conv3.weight"]
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"1 of .* are not there, such as encoder.stages.1"):
        begin(encoder(), str(tmp_path / "w.pt"))
    assert resnet_names({"epoch": 3}) == {}
