"""Films as arrays: files, fitting and the way back, hashes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from corpora.errors import DataError
from corpora.images import fit, hamming, phash, read_any
from corpora.images.fit import transform_of

SIDES = st.integers(1, 3000)


def picture(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_pictures_of_every_depth(tmp_path):
    grey = np.array([[0, 128, 255]], np.uint8)
    assert read_any(picture(tmp_path / "a.png", grey)).tolist() == [[0, 128 * 257, 65_535]]
    deep = np.array([[0, 40_000, 65_535]], np.uint16)
    assert read_any(picture(tmp_path / "b.png", deep)).tolist() == deep.tolist()
    colour = np.array([[[255, 0, 0], [255, 255, 255]]], np.uint8)
    assert read_any(picture(tmp_path / "c.png", colour)).tolist() == [[76 * 257, 65_535]]
    clear = np.array([[[255, 255, 255, 0], [255, 255, 255, 255]]], np.uint8)
    assert read_any(picture(tmp_path / "d.png", clear)).tolist() == [[0, 65_535]]
    inked = Image.new("CMYK", (2, 1), (0, 0, 0, 0))
    inked.save(tmp_path / "e.jpg")
    assert read_any(tmp_path / "e.jpg").min() > 60_000


def test_the_file_says_what_it_is_not_its_name(tmp_path):
    path = picture(tmp_path / "film.png", np.eye(4, dtype=np.uint8))
    assert read_any(path.rename(tmp_path / "film.dcm")).shape == (4, 4)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "image.empty"),
        (b"\x89PNG\r\n\x1a\n", "image.broken"),
        (b"\xff\xd8\xff\xe0 no picture", "image.broken"),
        (b"words", "dicom.not_dicom"),
    ],
)
def test_what_is_no_film_is_refused(tmp_path, content, code):
    path = tmp_path / "film.png"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_any(path)
    assert (caught.value.code, caught.value.where) == (code, str(path))


def test_a_picture_that_is_cut_off_is_refused(tmp_path):
    path = picture(tmp_path / "film.png", np.random.default_rng(0).integers(0, 255, (90, 90), np.uint8))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError) as caught:
        read_any(path)
    assert caught.value.code in {"image.truncated", "image.broken"}


def test_a_picture_that_claims_too_much_is_refused(tmp_path):
    path = picture(tmp_path / "film.png", np.zeros((2, 2), np.uint8))
    raw = bytearray(path.read_bytes())
    raw[16:24] = (60_000).to_bytes(4, "big") * 2
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_any(path)
    assert caught.value.code in {"image.too_large", "image.broken"}


@given(SIDES, SIDES, st.integers(8, 1024), st.data())
def test_boxes_come_back(rows, columns, size, data):
    transform = transform_of(rows, columns, size)
    x, y = (sorted(data.draw(st.tuples(st.floats(0, side), st.floats(0, side)))) for side in (columns, rows))
    box = [x[0], y[0], x[1], y[1]]
    model = transform.to_model(box)
    assert np.allclose(transform.to_image(model), box, atol=1e-6)
    assert model.min() >= -1e-9 and model.max() <= size + 1e-9


@given(SIDES, SIDES, st.integers(8, 1024))
def test_the_longer_side_fills_the_square(rows, columns, size):
    transform = transform_of(rows, columns, size)
    assert max(transform.height, transform.width) == size
    assert 0 <= size - transform.width - 2 * transform.left <= 1
    assert 0 <= size - transform.height - 2 * transform.top <= 1


@pytest.mark.parametrize("shape", [(300, 200), (90, 400), (64, 64), (1024, 1000), (20, 10)])
def test_a_bright_square_stays_where_it_is(shape):
    film = np.zeros(shape, np.uint16)
    box = [shape[1] // 4, shape[0] // 4, 3 * shape[1] // 4, 3 * shape[0] // 4]
    film[box[1] : box[3], box[0] : box[2]] = 60_000
    square, transform = fit(film, 64)
    inside = square > 30_000
    ys, xs = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    found = [xs[0], ys[0], xs[-1] + 1, ys[-1] + 1]
    assert np.abs(transform.to_model(box) - found).max() <= 1
    back = transform.map_to_image(square.astype(np.float32))
    assert back.shape == shape
    assert np.abs(back - film).mean() < 0.12 * 60_000


def test_a_coarse_map_lies_over_the_film():
    _, transform = fit(np.zeros((200, 100), np.uint16), 64)
    coarse = np.zeros((8, 8), np.float32)
    coarse[:, :4] = 1
    shown = transform.map_to_image(coarse)
    assert shown.shape == (200, 100)
    assert shown[:, :30].min() > 0.9 and shown[:, 70:].max() < 0.1


def test_shrinking_averages_and_keeps_16_bits():
    film = np.indices((512, 512)).sum(0) % 2 * np.uint16(60_000)
    square, _ = fit(film.astype(np.uint16), 64)
    assert np.abs(square.astype(int) - 30_000).max() < 600
    ramp = np.tile(np.arange(512, dtype=np.uint16) * 128, (512, 1))
    assert len(np.unique(fit(ramp, 256)[0])) > 250


def test_a_film_of_the_right_size_is_not_touched():
    film = np.random.default_rng(0).integers(0, 65_535, (64, 64), np.uint16)
    assert np.array_equal(fit(film, 64)[0], film)


def blobs(seed):
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 65_535, (9, 9)).astype(np.float32)
    return np.asarray(Image.fromarray(small).resize((600, 700), Image.Resampling.BICUBIC)).clip(0, 65_535)


def test_hashes_know_a_film_again(tmp_path):
    film = blobs(1)
    smaller = np.asarray(Image.fromarray(film).resize((240, 280), Image.Resampling.BILINEAR))
    pressed = read_any(picture(tmp_path / "film.jpg", (film / 257).astype(np.uint8), quality=60))
    assert hamming(phash(film), phash(smaller)) <= 4
    assert hamming(phash(film), phash(pressed)) <= 4
    assert hamming(phash(film), phash(film * 0.5 + 4000)) <= 4
    assert min(hamming(phash(film), phash(blobs(seed))) for seed in range(2, 12)) > 12
    assert len(phash(film)) == 16


def test_real_films_have_hashes_of_their_own(shared):
    films = [read_any(path) for path in sorted((shared / "data/cxr").iterdir())]
    assert all(film.dtype == np.uint16 and film.std() > 3000 for film in films)
    assert len({phash(film) for film in films}) == len(films)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_films_of_every_type_are_fitted(kind):
    film = (np.arange(90 * 120).reshape(90, 120) % 200).astype(kind)
    expected, _ = fit(film.astype(np.uint16), 16)
    assert np.abs(fit(film, 16)[0].astype(int) - expected).max() <= 1
