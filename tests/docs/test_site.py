"""The site: it builds without a warning, and a page of it loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="needs the extra docs")
pytest.importorskip("material", reason="needs the extra docs")

ROOT = Path(__file__).resolve().parents[2]
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href", "object": "data"}


class Loaded(HTMLParser):
    """What a page makes a browser fetch without a click."""

    def __init__(self):
        super().__init__()
        self.places = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        named = attributes.get(LOADS.get(tag, ""), "")
        if named and attributes.get("rel") != "canonical":
            self.places.append(named)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site):
    pages = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    found = [path for path in (ROOT / "docs").rglob("*.md") if not path.name.endswith(".source.md")]
    written = {path.relative_to(ROOT / "docs").as_posix() for path in found}
    notebooks = {f"notebooks/{path.stem}.md" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert written | notebooks <= pages
    assert len(notebooks) == 3


def test_a_page_loads_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        page = Loaded()
        page.feed(path.read_text(encoding="utf-8"))
        assert [place for place in page.places if re.match(r"(https?:)?//", place)] == [], path.name
        assert page.places, path.name
    for path in [*site.rglob("*.css")]:
        assert not re.search(r"url\(['\"]?(https?:)?//|@import", path.read_text(encoding="utf-8")), path.name


def test_it_can_be_searched_without_a_network(site):
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "Youden" in index and "radloop label run" in index
