"""Maps: the arithmetic on features that are known, geometry on films of any shape, the command on a corpus."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ResNetConfig

from corpora.errors import ConfigError
from corpora.images.files import read_any
from corpora.images.fit import fit, transform_of
from vision.encoder import FilmEncoder, FilmEncoderConfig
from vision.explain_maps import METHODS, enlarged, label_maps, seen, stage_for
from vision.explain_overlay import overlay
from vision.pointing import Scored, inside, peak, score, summary
from vision.predict import load_model

Radloop = Callable[..., Any]
LABELS = ("Atelectasis", "Cardiomegaly", "Pleural Effusion")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# arithmetic


def features() -> torch.Tensor:
    """Channel 0 lights up at row 1, column 2; channel 1 at row 3, column 0; channel 2 everywhere."""
    maps = torch.zeros(1, 3, 4, 5)
    maps[0, 0, 1, 2], maps[0, 1, 3, 0], maps[0, 2] = 2.0, 3.0, 0.1
    return maps


def head(rows: list[list[float]]) -> torch.nn.Linear:
    linear = torch.nn.Linear(3, len(rows))
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(rows))
    return linear


def mapped(maps: torch.Tensor, linear: torch.nn.Linear, method: str) -> torch.Tensor:
    """Maps of every output of a linear head over the mean of features."""
    leaf = maps.requires_grad_()
    return label_maps(leaf, linear(leaf.mean(dim=(2, 3))), range(linear.out_features), method)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_is_highest_where_the_channels_of_its_label_are(method: str) -> None:
    found = mapped(features(), head([[1.0, 0, 0], [0, 1.0, 0], [1.0, -1.0, 0]]), method).numpy()
    assert found.shape == (1, 3, 4, 5) and found.min() == 0 and found.max() == pytest.approx(1)
    places = [np.unravel_index(each.argmax(), each.shape) for each in found[0]]
    assert places == [(1, 2), (3, 0), (1, 2)]
    # what speaks against a label is not shown
    assert found[0, 2, 3, 0] == 0


def test_grad_cam_of_a_linear_head_is_the_weighted_sum() -> None:
    maps = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    linear = head([[0.5, -1.0, 2.0]])
    found = mapped(maps, linear, "grad-cam")[:, 0]
    expected = torch.einsum("c,bchw->bhw", linear.weight[0], maps).clamp(min=0)
    assert torch.allclose(found, expected / expected.amax(dim=(1, 2), keepdim=True), atol=1e-5)


def test_a_label_that_nothing_speaks_for_has_an_empty_map() -> None:
    assert mapped(features(), head([[-1.0, 0, 0]]), "grad-cam").abs().sum() == 0
    with pytest.raises(ValueError, match="no method"):
        mapped(features(), head([[1.0, 0, 0]]), "lime")


# geometry


@pytest.mark.parametrize(("rows", "columns"), [(300, 200), (120, 400), (128, 128)])
def test_a_bright_square_of_a_film_is_found_where_it_is(rows: int, columns: int) -> None:
    film = np.zeros((rows, columns), dtype=np.uint16)
    film[rows // 4 : rows // 4 + 20, columns // 2 : columns // 2 + 20] = 65_535
    box = [columns // 2, rows // 4, columns // 2 + 20, rows // 4 + 20]
    square, transform = fit(film, 128)
    top, hit, pixels, boxes = score(square.astype(np.float32) / 65_535, [box], transform)
    assert hit and pixels > 0.6 and boxes > 0.6
    assert top == pytest.approx((columns // 2 + 10, rows // 4 + 10), abs=max(rows, columns) / 64)
    away = [0, 0, 10, 10]
    assert score(square.astype(np.float32), [away], transform)[1:] == (False, 0.0, 0.0)


def test_padding_is_no_part_of_the_film() -> None:
    transform = transform_of(200, 100, 64)
    values = np.zeros((64, 64), dtype=np.float32)
    values[30, 2] = 1.0
    assert not inside((64, 64), transform)[30, 2] and inside((64, 64), transform).sum() == 64 * 32
    assert peak(values, transform) is None
    assert score(values, [[0, 0, 100, 200]], transform) == (None, False, 0.0, 0.0)


def test_an_overlay_is_the_film_with_the_map_where_it_belongs() -> None:
    film = np.full((300, 150), 20_000, dtype=np.uint16)
    film[:2] = 60_000
    transform = transform_of(300, 150, 64)
    small = np.zeros((4, 4), dtype=np.float32)
    small[0, 2] = 1.0
    picture = overlay(film, enlarged(small, 64), transform)
    assert picture.size == (150, 300)
    found = np.asarray(picture).astype(int)
    colour = found[..., 0] - found[..., 2]
    y, x = np.unravel_index(colour.argmax(), colour.shape)
    assert y < 80 and x > 75
    assert overlay(film, small, transform, longest=100, boxes=[[1, 1, 9, 9]], peak=(5, 5)).size == (50, 100)


def test_the_summary_has_intervals_by_patient_and_a_mean() -> None:
    scored = [
        Scored(f"i{n}", label, f"p{n // 3}", 0.5, (1.0, 1.0), n % 3 != 0, 0.25, 0.5)
        for n in range(60)
        for label in ("A", "B")
    ]
    found = summary(scored, replicates=500)
    assert list(found) == ["A", "B", "mean"] and found["A"]["pointing"].n == 60
    assert found["A"]["pointing"].value == pytest.approx(2 / 3)
    # every patient has two hits of three
    assert found["mean"]["pointing"].lo == pytest.approx(2 / 3)
    assert found["A"]["pixel_iou"].value == pytest.approx(0.25)
    assert summary([]) == {}


# the command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network without training: its second label has three outputs."""
    torch.manual_seed(0)
    body = ResNetConfig(
        num_channels=1, embedding_size=8, hidden_sizes=[8, 8, 8, 16], depths=[1, 1, 1, 1], layer_type="basic"
    )
    backbone = body.to_dict() | {"model_type": "resnet"}
    model = FilmEncoder(FilmEncoderConfig(backbone, LABELS, [1, 3, 1], [-1] * 3, image_size=64))
    torch.nn.init.normal_(model.head.weight)
    folder = tmp_path_factory.mktemp("run")
    model.save_pretrained(folder)
    return folder


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def films(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, shape in (("a", (90, 60)), ("b", (50, 100)), ("c", (64, 64))):
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(folder / f"{name}.png")
    return folder


def boxes(path: Path) -> Path:
    rows = [("a", "Cardiomegaly", 0, 0, 60, 90), ("b", "Cardiomegaly", 0, 0, 100, 50), ("b", "Mass", 1, 1, 5, 5),
            ("zz", "Cardiomegaly", 1, 1, 5, 5)]  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "class_name", "x_min", "y_min", "x_max", "y_max"])
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("method", METHODS)
def test_a_folder_of_films_is_mapped_and_scored(radloop: Radloop, run: Path, tmp_path: Path, method: str) -> None:
    source, out = films(tmp_path / "films"), tmp_path / "out"
    done = radloop(
        "vision", "explain", run, source, "-o", out, "--method", method, "--boxes", boxes(tmp_path / "b.csv"), "--json",
        "--replicates", 50,
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["films"] == 3 and found["maps_scored"] == 2 and list(found["scores"]) == ["Cardiomegaly", "mean"]
    assert "boxes of other labels, not scored: Mass" in found["notes"]
    assert "1 boxes are on no film of the source, left out" in found["notes"]
    with (out / "maps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    # the box is the whole film, so that any map that says something hits it
    of_boxes = [row for row in rows if row["hit"]]
    assert [row["image_id"] for row in of_boxes] == ["a", "b"]
    for row in of_boxes:
        assert row["hit"] == str(int(row["peak_x"] != ""))
    for name, size in (("a", (60, 90)), ("b", (100, 50)), ("c", (64, 64))):
        assert size_of(out / "overlays" / "Cardiomegaly" / f"{name}.png") == size
    assert size_of(out / "sheets" / "Pleural_Effusion.png")[0] > 256
    page = (out / "explain.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3 and "http:" not in page and "<script" not in page
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"] == {"films": 3, "overlays": 9, "rejected": 0, "scored": 2}


def test_the_probabilities_are_those_of_the_network(radloop: Radloop, run: Path, tmp_path: Path) -> None:
    source = films(tmp_path / "films")
    done = radloop("vision", "explain", run, source / "a.png", "-o", tmp_path / "out", "--labels", "Cardiomegaly")
    assert done.code == 0, done.err
    with (tmp_path / "out" / "maps.csv").open() as file:
        (row,) = list(csv.DictReader(file))
    square, _ = fit(read_any(source / "a.png"), 64)
    with torch.no_grad():
        model = FilmEncoder.from_pretrained(run).eval()
        expected = model.probabilities(torch.from_numpy(np.rint(square / 257).astype(np.float32) / 255)[None, None])
    assert float(row["probability"]) == pytest.approx(float(expected[0, 1]), abs=2e-6)


@pytest.mark.parametrize("gather", ["max", "mean_max", "mean_peak", "peak"])
def test_features_are_gathered_as_the_network_gathers_them(run: Path, gather: str) -> None:
    config = FilmEncoderConfig.from_pretrained(run)
    config.gather = gather
    model = FilmEncoder(config).eval()
    greys = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    for stage in (1, 2):
        features, outputs = seen(model, greys, stage)
        assert torch.allclose(outputs, model(greys).outputs, atol=1e-5)
        assert label_maps(features, outputs, [1], "layer-cam").max() <= 1


@pytest.mark.parametrize("method", METHODS)
def test_an_earlier_stage_is_finer_and_has_the_same_outputs(run: Path, method: str) -> None:
    model = load_model(run)
    greys = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    sides = {}
    for stage in (1, 2, 3):
        features, outputs = seen(model, greys, stage)
        assert torch.allclose(outputs, model(greys).outputs, atol=1e-5)
        found = label_maps(features, outputs, [0, 2], method)
        assert found.shape[:2] == (2, 2) and 0 <= found.min() <= found.max() <= 1
        sides[stage] = found.shape[-1]
    assert sides == {1: 2, 2: 4, 3: 8}
    assert (stage_for(model, 64), stage_for(model, 224), stage_for(model, 8)) == (3, 1, 4)
    with pytest.raises(ConfigError, match="no stage 9"):
        seen(model, greys, 9)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from corpora.cli import run as command

    folder = tmp_path_factory.mktemp("corpus") / "phantoms"
    assert command(["corpus", "phantom", "-o", str(folder), "-n", "10"]) == 0
    return folder


def test_predictions_of_films_are_evaluated_by_view(radloop: Radloop, run: Path, corpus: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "p.parquet", tmp_path / "e"
    assert radloop("vision", "predict", run, corpus, "-o", table, "--level", "image", "--workers", 1).code == 0
    truth = corpus / "truth" / "labels.csv"
    done = radloop(
        "vision", "evaluate", table, truth, "-o", out, "--corpus", corpus, "--json", "--replicates", 50
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["units"] == 10 and sorted(found["per_label"]) == sorted(LABELS)
    views = [group for group in found["groups"] if group["grouping"] == "view"]
    assert sum(group["units"] for group in views) > 10 and len(views) > 1


def test_a_corpus_brings_its_boxes(radloop: Radloop, run: Path, corpus: Path, tmp_path: Path) -> None:
    done = radloop(
        "vision", "explain", run, corpus, "-o", tmp_path / "out", "--json", "--most", 1, "--longest", 200,
        "--replicates", 20,
    )  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["boxes_from"].endswith("truth/boxes.csv") and found["maps_scored"] > 0
    (picture,) = (tmp_path / "out" / "overlays" / "Atelectasis").iterdir()
    assert max(size_of(picture)) == 200


def test_a_broken_film_is_rejected_and_the_rest_goes_on(radloop: Radloop, run: Path, tmp_path: Path) -> None:
    source = films(tmp_path / "films")
    (source / "d.png").write_bytes((source / "a.png").read_bytes()[:200])
    options = ("--replicates", 10, "--most", 1, "--labels", "Atelectasis")
    done = radloop("vision", "explain", run, source, "-o", tmp_path / "out", *options)
    assert done.code == 1 and "--max-failures" in done.err
    (failure,) = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    assert json.loads(failure)["code"].startswith("image.") and (tmp_path / "out" / "manifest.json").is_file()
    allowed = radloop("vision", "explain", run, source, "-o", tmp_path / "out", *options, "--max-failures", "50%")
    assert allowed.code == 0
    for name in ("a", "b", "c"):
        (source / f"{name}.png").unlink()
    none = radloop("vision", "explain", run, source, "-o", tmp_path / "out2", *options)
    assert none.code == 2 and "[image.none]" in none.err


def test_refusals(radloop: Radloop, run: Path, tmp_path: Path) -> None:
    source = films(tmp_path / "films")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "empty").mkdir()
    for given, films_, options, code in (
        (tmp_path / "none", source, [], "model.missing"),
        (tmp_path / "other", source, [], "model.kind"),
        (tmp_path / "broken", source, [], "model.damaged"),
        (run, source, ["--part", "test"], "config.value"),
        (run, source, ["--labels", "Mass"], "config.value"),
        (run, source, ["--stage", 9], "config.value"),
        (run, source, ["--method", "lime"], "config.value"),
        (run, tmp_path / "none", [], "data.missing"),
        (run, tmp_path / "empty", [], "image.none"),
        (run, source, ["--boxes", tmp_path / "no.csv"], "data.missing"),
    ):  # fmt: skip
        done = radloop("vision", "explain", given, films_, "-o", tmp_path / "out", *options)
        assert done.code == 2 and f"[{code}]" in done.err, (code, done.err)
        assert len(done.err.splitlines()) <= 3
