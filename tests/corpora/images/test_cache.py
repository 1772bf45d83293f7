"""The cache of fitted films: the same bytes however it was made, resumed, read as it was written."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from PIL import Image

from corpora.commands.cache import cache as cache_corpus
from corpora.errors import ConfigError, DataError, RunError
from corpora.images import ImageCache, build_cache, fit, read_any
from corpora.images import cache as module
from corpora.images.cache import Film
from corpora.store import StudyWriter
from corpora.types import ImageRef, Study


@pytest.fixture
def films(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    rng = np.random.default_rng(0)
    made = []
    for number in range(40):
        path = folder / f"{number}.png"
        shape = (30 + number % 7, 40 - number % 5)
        Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(path)
        made.append(Film(f"film-{number}", str(path), f"s{number // 2}", f"p{number // 4}", "PA"))
    return made


def bytes_of(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.npy"))}


def test_what_is_read_is_what_was_fitted(films, tmp_path):
    summary = build_cache(films, tmp_path / "cache", 32, workers=1)
    assert (summary.films, summary.rejected) == (40, 0)
    cache = ImageCache(tmp_path / "cache")
    assert len(cache) == 40 and list(cache) == [film.image_id for film in films] and "film-3" in cache
    for film in films[::7]:
        expected, transform = fit(read_any(film.path), 32)
        pixels, found = cache[film.image_id]
        assert pixels.dtype == np.uint8 and np.array_equal(pixels, np.rint(expected / 257))
        assert found == transform
    assert cache.rows[0]["study_id"] == "s0" and cache.rows[0]["view"] == "PA"
    assert not (tmp_path / "cache/partial").exists()


def test_16_bits_are_kept(films, tmp_path):
    build_cache(films, tmp_path / "cache", 32, 16, workers=1)
    assert np.array_equal(ImageCache(tmp_path / "cache")["film-5"][0], fit(read_any(films[5].path), 32)[0])


def test_workers_change_nothing(films, tmp_path, monkeypatch):
    monkeypatch.setattr("corpora.pool._WORTH", 1)
    monkeypatch.setattr(module, "_SHARD_BYTES", 32 * 32 * 16)
    for workers in (1, 2):
        build_cache(films, tmp_path / f"cache{workers}", 32, workers=workers)
    assert bytes_of(tmp_path / "cache1") == bytes_of(tmp_path / "cache2")
    assert len(bytes_of(tmp_path / "cache1")) == 3


def test_a_film_that_cannot_be_read_is_set_aside(films, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    films[3] = films[3]._replace(path=str(broken))
    films[9] = films[9]._replace(path=str(tmp_path / "gone.png"))
    summary = build_cache(films, tmp_path / "cache", 32, workers=1)
    assert (summary.films, summary.rejected) == (38, 2)
    lines = [json.loads(line) for line in (tmp_path / "cache/failures.jsonl").read_text().splitlines()]
    assert [(line["image_id"], line["code"]) for line in lines] == [
        ("film-3", "image.broken"), ("film-9", "data.missing"),
    ]  # fmt: skip
    assert "film-3" not in ImageCache(tmp_path / "cache")


def test_a_killed_run_is_resumed_to_the_same_bytes(films, tmp_path, monkeypatch):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    script = tmp_path / "build.py"
    script.write_text(
        textwrap.dedent("""
        import sys, time
        from corpora.images import cache
        from corpora.images.cache import Film
        cache._SHARD_BYTES = 32 * 32 * 16
        original = cache._write_shard
        def slowly(*given):
            original(*given)
            print("shard", flush=True)
            time.sleep(30 if sys.argv[1] == "cut" else 0)
        cache._write_shard = slowly
        films = [Film(*line.split("|")) for line in open(sys.argv[2]).read().splitlines()]
        cache.build_cache(films, sys.argv[3], 32, workers=1, resume=True)
    """)
    )
    listed = tmp_path / "films.txt"
    listed.write_text("\n".join("|".join(map(str, film)) for film in films))
    process = subprocess.Popen([sys.executable, script, "cut", listed, cut], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"shard\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (cut / "manifest.json").exists()
    with pytest.raises(DataError, match="not finished"):
        ImageCache(cut)
    monkeypatch.setattr(module, "_SHARD_BYTES", 32 * 32 * 16)
    before = (cut / "films-00000.npy").stat().st_mtime_ns
    time.sleep(0.01)
    build_cache(films, cut, 32, workers=1, resume=True)
    build_cache(films, whole, 32, workers=1)
    assert bytes_of(cut) == bytes_of(whole)
    assert (cut / "films-00000.npy").stat().st_mtime_ns == before
    assert ImageCache(cut).rows == ImageCache(whole).rows


def test_another_cache_is_not_resumed_and_nothing_is_overwritten(films, tmp_path):
    out = tmp_path / "cache"
    (out / "partial").mkdir(parents=True)
    (out / "partial/key.json").write_text("{}")
    with pytest.raises(RunError) as caught:
        build_cache(films, out, 32, resume=True)
    assert caught.value.code == "run.changed"
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "notes.txt").write_text("mine")
    with pytest.raises(RunError) as caught:
        build_cache(films, taken, 32)
    assert caught.value.code == "run.not_empty"


@pytest.mark.parametrize(
    ("change", "options", "error"),
    [
        (lambda films: films, {"size": 0}, ConfigError),
        (lambda films: films, {"size": 32, "bits": 12}, ConfigError),
        (lambda films: [], {"size": 32}, DataError),
        (lambda films: [films[0], films[0]], {"size": 32}, DataError),
        (lambda films: [films[0]._replace(path="gone.png")], {"size": 32}, DataError),
    ],
)
def test_what_cannot_be_cached_is_refused(films, tmp_path, change, options, error):
    with pytest.raises(error):
        build_cache(change(films), tmp_path / "cache", **options)


def test_a_corpus_is_cached(films, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    with StudyWriter(corpus) as writer:
        for film in films[:4]:
            writer.append(Study(film.study_id, film.patient_id, (ImageRef(film.path, "PA", film.image_id),)))
    (corpus / "manifest.json").write_text("{}")
    assert cache_corpus(corpus, tmp_path / "cache", size=32).films == 4
    assert ImageCache(tmp_path / "cache").rows[3]["patient_id"] == films[3].patient_id


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("at", range(2, 10))
def test_an_interrupted_run_can_be_resumed_or_started_over(films, tmp_path, monkeypatch, at, resume):
    monkeypatch.setattr(module, "_SHARD_BYTES", 16 * 256)
    build_cache(films, tmp_path / "whole", 16, workers=1)
    calls = iter(range(1, 100))
    real = module.atomic_writer

    def killed(path, mode="w"):
        # as after a kill: what was being written lies about
        if next(calls) == at:
            path.with_name(f".{path.name}.tmp").write_bytes(b"half of i")
            raise KeyboardInterrupt
        return real(path, mode)

    monkeypatch.setattr(module, "atomic_writer", killed)
    if at == 9:  # after the index: the manifest, which is written elsewhere
        monkeypatch.setattr(module, "write_manifest", lambda path, **_: killed(path))
    with pytest.raises(KeyboardInterrupt):
        build_cache(films, tmp_path / "cache", 16, workers=1)
    monkeypatch.undo()
    monkeypatch.setattr(module, "_SHARD_BYTES", 16 * 256)
    assert build_cache(films, tmp_path / "cache", 16, workers=1, resume=resume).films == len(films)
    assert bytes_of(tmp_path / "cache") == bytes_of(tmp_path / "whole")
    assert not (tmp_path / "cache/partial").exists()


@pytest.mark.parametrize("other", ["thesis.txt", "partial/rows"])
def test_starting_over_removes_nothing_of_others(films, tmp_path, monkeypatch, other):
    monkeypatch.setattr(module, "_publish", lambda *_: pytest.fail("interrupted"))
    with pytest.raises(pytest.fail.Exception):
        build_cache(films, tmp_path / "cache", 16, workers=1)
    (tmp_path / "cache" / other).touch()
    before = sorted((tmp_path / "cache").rglob("*"))
    with pytest.raises(RunError) as caught:
        build_cache(films, tmp_path / "cache", 16, workers=1)
    assert caught.value.code == "run.not_empty"
    assert sorted((tmp_path / "cache").rglob("*")) == before


def test_a_finished_cache_is_left_as_it_is(films, tmp_path, monkeypatch):
    made = build_cache(films, tmp_path / "cache", 16, workers=1)
    before = bytes_of(tmp_path / "cache")
    # the run was killed while it tidied up
    (tmp_path / "cache/partial").mkdir()
    monkeypatch.setattr(module, "_fitted", lambda *_, **__: pytest.fail("a film was read again"))
    again = build_cache(films, tmp_path / "cache", 16, workers=1, resume=True)
    assert (again.films, again.rejected) == (made.films, made.rejected)
    assert bytes_of(tmp_path / "cache") == before and not (tmp_path / "cache/partial").exists()
    for options in ({"size": 32, "resume": True}, {"size": 16, "resume": False}):
        with pytest.raises(RunError) as caught:
            build_cache(films, tmp_path / "cache", workers=1, **options)
        assert caught.value.code == ("run.changed" if options["resume"] else "run.not_empty")
        assert bytes_of(tmp_path / "cache") == before


def test_a_film_that_vanishes_is_set_aside(films, tmp_path, monkeypatch):
    def read(path):
        film = read_any(path)
        if path == films[3].path:
            films_file.unlink()
        return film

    films_file = tmp_path / "films/3.png"
    monkeypatch.setattr(module, "read_any", read)
    summary = build_cache(films, tmp_path / "cache", 16, workers=1)
    assert (summary.films, summary.rejected) == (39, 1)
