"""Text in pixels: found, and the same whether films are read together or alone, or the program fails at many."""

import shutil
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from corpora.scan.run import scan

TESSERACT = shutil.which("tesseract")
pytestmark = pytest.mark.skipif(TESSERACT is None, reason="needs tesseract")

#: Reads one picture as tesseract does, and fails at more.
ONE_ONLY = """#!{python}
import io, subprocess, sys
from PIL import Image
data = sys.stdin.buffer.read()
if Image.open(io.BytesIO(data)).n_frames > 1:
    sys.exit(1)
sys.exit(subprocess.run(["{tesseract}", *sys.argv[1:]], input=data).returncode)
"""


TEXTS = ("MRN 8841207", "", "PORTABLE", "14.03.1962", "KOWALSKI")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Pictures of a grey slope with something written in a corner."""
    folder = tmp_path_factory.mktemp("text")
    for number, text in enumerate(TEXTS):
        picture = Image.fromarray(np.tile(np.linspace(20, 120, 400).astype(np.uint8), (300, 1)))
        ImageDraw.Draw(picture).text((20, 20), text, fill=255, font=ImageFont.load_default(size=24))
        picture.save(folder / f"f{number}.png")
    return folder


def told(folder):
    return {(leak.file, leak.what) for leak in scan(folder, workers=1).leaks if leak.kind == "pixels"}


def test_films_read_together_tell_what_each_tells_alone(films):
    together = told(films)
    assert {file for file, what in together if what == "a date or number"} == {"f0.png", "f3.png"}
    assert {file for file, _ in together} == {"f0.png", "f3.png", "f4.png"}
    assert together == {each for path in films.iterdir() for each in told(path)}


def test_pages_for_the_person_who_signs_off_are_no_films(films, tmp_path):
    names = ("pixels.png", "pixels-2.png", "images/pixels-2.png")
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(films / f"f{3 * (number % 2)}.png", tmp_path / name)
    result = scan(tmp_path, workers=1)
    assert (result.files, result.others) == (1, 2)
    assert {leak.file for leak in result.leaks} == {"images/pixels-2.png"}


def test_where_the_program_fails_at_many_each_is_read_alone(films, tmp_path, monkeypatch):
    before = told(films)
    program = tmp_path / "tesseract"
    program.write_text(ONE_ONLY.format(python=sys.executable, tesseract=TESSERACT))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert told(films) == before
