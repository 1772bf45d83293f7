"""With ``hash`` the pixels are read: films get a perceptual hash, and what cannot be decoded is set aside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpora.images import hamming, phash, read_any
from corpora.importing import import_corpus


def test_films_get_the_hash_of_their_pixels(tmp_path, png, dicom, by_id):
    film = png(tmp_path / "f" / "a.png", 1, (64, 64))
    dicom(tmp_path / "f" / "b.dcm", "1")
    import_corpus(tmp_path / "f", tmp_path / "out", hash=True)
    images = {Path(image.path).name: image for study in by_id(tmp_path / "out").values() for image in study.images}
    assert images["a.png"].phash == phash(read_any(film)) and images["b.dcm"].phash
    import_corpus(tmp_path / "f", tmp_path / "without")
    assert all(image.phash is None for study in by_id(tmp_path / "without").values() for image in study.images)


def test_pixels_that_cannot_be_decoded(tmp_path, png, written):
    content = bytearray(png(tmp_path / "f" / "good.png", 1, (64, 64)).read_bytes())
    at = content.index(b"IDAT") + 8
    content[at : at + 40] = bytes(40)
    written(tmp_path / "f" / "bad.png", bytes(content))
    assert import_corpus(tmp_path / "f", tmp_path / "header").counts["images"] == 2
    done = import_corpus(tmp_path / "f", tmp_path / "out", hash=True)
    assert done.counts["images"] == done.counts["rejected"] == 1
    line = json.loads((tmp_path / "out" / "failures.jsonl").read_text())
    assert line["file"].endswith("bad.png") and line["code"].startswith("image.")


@pytest.mark.slow
def test_of_two_real_films_with_one_uid_the_one_that_decodes_is_kept(shared, tmp_path, by_id):
    source = shared / "data" / "dicom"
    if not (source / "966.dcm").is_file():
        pytest.skip("needs data/dicom")
    (tmp_path / "f").mkdir()
    for name in ("966.dcm", "966_fixed.dcm"):
        (tmp_path / "f" / name).symlink_to(source / name)
    import_corpus(tmp_path / "f", tmp_path / "out", hash=True)
    (study,) = by_id(tmp_path / "out").values()
    (image,) = study.images
    assert image.path.endswith("966_fixed.dcm") and image.phash
    assert hamming(image.phash, phash(read_any(source / "966_fixed.dcm"))) == 0
