"""Planes beside the film: what they are blind to, and networks that see them."""

import pytest
import torch

from vision.encoder import FilmEncoder, FilmEncoderConfig, backbone_config
from vision.export import _write_onnx, largest_difference
from vision.planes import count_of, local_contrast, places, planes
from vision.weights import begin

SMALL = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}


def encoder(extras, channels=1):
    torch.manual_seed(0)
    body = backbone_config("resnet", SMALL, channels + count_of(extras), 40)
    return FilmEncoder(
        FilmEncoderConfig(body.to_dict(), ["a", "b"], image_size=40, channels=channels, extras=extras)
    ).eval()


@pytest.mark.parametrize("side", [16, 33, 160])
def test_local_contrast_is_blind_to_brightness_and_nearly_to_contrast(side):
    greys = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.1
    found = local_contrast(greys)
    assert found.shape == greys.shape and found.abs().max() <= 2
    assert torch.allclose(found, local_contrast(greys + 0.2), atol=0.02)
    assert torch.allclose(found, local_contrast(greys * 1.4), atol=0.15)
    assert not local_contrast(torch.full((1, 1, side, side), 0.7)).abs().gt(0.05).any()


def test_a_faint_spot_stands_out_on_a_slope():
    greys = torch.linspace(0, 1, 96).expand(1, 1, 96, 96).clone()
    without = local_contrast(greys)[0, 0]
    greys[..., 40:44, 40:44] += 0.05
    change = (local_contrast(greys)[0, 0] - without)[41:43, 41:43].mean()
    assert change > 0.2


def test_places_run_from_edge_to_edge():
    across, down = places(torch.zeros(2, 1, 5, 5))
    assert across[0, 0, 3].tolist() == down[1, 0, :, 3].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert planes(torch.zeros(1, 1, 5, 5), []) == []


@pytest.mark.parametrize("extras", [["contrast"], ["place"], ["contrast", "place"]])
def test_a_network_with_planes_is_saved_exported_and_comes_back(tmp_path, extras):
    model, greys = encoder(extras), torch.rand(2, 1, 40, 40)
    model.save_pretrained(tmp_path)
    again = FilmEncoder.from_pretrained(tmp_path).eval()
    assert again.config.extras == extras and torch.equal(model(greys).logits, again(greys).logits)
    assert not torch.equal(encoder([])(greys).logits, model(greys).logits)
    pytest.importorskip("onnxruntime")
    _write_onnx(model, tmp_path / "model.onnx")
    assert largest_difference(model, tmp_path / "model.onnx") < 1e-4


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_of_a_network_without_planes_begin_one_with_them(tmp_path, channels):
    plain, seeing = encoder([]), encoder(["contrast", "place"], channels)
    plain.save_pretrained(tmp_path)
    begin(seeing, str(tmp_path))
    greys = torch.rand(2, 1, 40, 40)
    assert torch.allclose(plain.features(greys), seeing.features(greys), atol=1e-5)
