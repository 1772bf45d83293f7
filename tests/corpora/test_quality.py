"""Measures of films: invented ones whose truth is known, and the real ones where they are."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from corpora.quality import fingerprint, measure, same_film

SIDE = 320


def chest(seed=0, side=SIDE, noise=0.02):
    """A film with two dark lungs beside a bright middle, ribs and noise; values from 0 to 1."""
    y, x = np.mgrid[0:side, 0:side] / side
    film = np.full((side, side), 0.65)
    for middle in (0.3, 0.7):
        film -= 0.45 * ((((x - middle) / 0.16) ** 2 + ((y - 0.45) / 0.33) ** 2) < 1)
    film += 0.06 * np.sin(40 * (y + 0.3 * (x - 0.5) ** 2)) + 0.15 * (np.abs(x - 0.5) < 0.06)
    return film + np.random.default_rng(seed).normal(0, noise, film.shape)


def test_a_film_and_its_negative():
    film = chest()
    good, bad = measure(film), measure(1 - film)
    assert good.polarity > 0.2 and bad.polarity < -0.2
    assert good.chest > 0.5 > bad.chest
    assert good.polarity == pytest.approx(-bad.polarity, abs=0.05)


def test_sixteen_bits_measure_as_floats_do():
    film = chest()
    stored = np.round((film - film.min()) / np.ptp(film) * 65535).astype(np.uint16)
    assert measure(stored).polarity == pytest.approx(measure(film).polarity, abs=0.01)


@pytest.mark.parametrize("end", ["low", "high"])
def test_clipped_is_the_share_that_is_stuck(end):
    film = chest()
    level = np.quantile(film, 0.3 if end == "low" else 0.7)
    clipped = np.maximum(film, level) if end == "low" else np.minimum(film, level)
    assert measure(film).clipped < 0.01
    assert measure(clipped).clipped == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_margin_is_measured_and_not_taken_for_clipping(value):
    framed = np.full((400, 400), value)
    framed[40:360, 40:360] = chest()
    found = measure(framed)
    assert found.border == pytest.approx(1 - (320 / 400) ** 2, abs=0.03)
    assert found.clipped < 0.02
    assert found.chest > 0.5
    assert measure(chest()).border == 0


def test_noise_is_no_chest():
    assert measure(np.random.default_rng(0).normal(size=(SIDE, SIDE))).chest < 0.25


def test_a_flat_film_is_all_clipped_and_has_no_polarity():
    found = measure(np.zeros((50, 60)))
    assert (found.clipped, found.polarity, found.chest, found.border) == (1.0, None, None, 1.0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 9), (3000, 20), (257, 511)])
def test_films_of_any_shape_are_measured(shape):
    found = measure(np.random.default_rng(0).normal(size=shape))
    assert found.clipped is not None and 0 <= found.clipped <= 1
    assert fingerprint(np.random.default_rng(0).normal(size=shape)).shape == (64 * 64,)


@pytest.mark.parametrize("film", [np.zeros((2, 3, 4)), np.zeros((0, 5)), np.array([[np.nan, 1.0]])])
def test_what_is_no_film_is_refused(film):
    with pytest.raises(ValueError, match=r"film"):
        measure(film)


def test_copies_have_one_fingerprint_and_other_films_another():
    film = chest(1, noise=0.2)
    smaller = Image.fromarray(film.astype(np.float32)).resize((200, 200), Image.Resampling.BOX)
    for copy in (0.5 * film + 7, 1 - film, np.asarray(smaller, dtype=float)):
        assert same_film(fingerprint(film), fingerprint(copy))
    other = np.random.default_rng(3).normal(size=film.shape)
    assert not same_film(fingerprint(film), fingerprint(other))
    assert not same_film(fingerprint(np.ones((9, 9))), fingerprint(np.ones((9, 9))))


# ---- real films


@pytest.fixture(scope="module")
def nih(shared):
    """Every sixth film of the folder, with its patient."""
    with (shared / "data" / "nih" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::6]
    folder = shared / "data" / "nih" / "images"
    return [(row["patient_id"], np.asarray(Image.open(folder / row["image"]).convert("L"))) for row in rows]


def test_real_frontal_films_are_upright_chests(nih):
    found = [measure(film) for _, film in nih]
    assert np.mean([each.polarity > 0 for each in found]) >= 0.98
    assert np.mean([each.chest > 0.25 for each in found]) >= 0.95
    assert np.mean([measure(255 - film).polarity < 0 for _, film in nih[:40]]) >= 0.95
    assert np.quantile([each.border for each in found], 0.95) < 0.2


def test_real_films_of_different_patients_are_told_apart(nih):
    prints = np.array([fingerprint(film) for _, film in nih])
    patients = np.array([patient for patient, _ in nih])
    alike = np.abs(prints @ prints.T)
    assert alike[patients[:, None] != patients].max() < 0.85
    for _, film in nih[::10]:
        stored = io.BytesIO()
        Image.fromarray(film).save(stored, "JPEG", quality=40)
        assert same_film(fingerprint(film), fingerprint(np.asarray(Image.open(stored))))
