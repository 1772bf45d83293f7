"""The whole loop at its smallest: once in one go, once killed again and again; the page; done again and compared."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from html import unescape
from urllib.parse import unquote

import pytest

from corpora.reproduce.compare import compare_runs
from tests.demo.conftest import TINY, links_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
RADLOOP = [sys.executable, "-c", "from corpora.cli import main; main()"]


def start(folder, *more):
    return subprocess.Popen(
        [*RADLOOP, "demo", "-o", "demo", *TINY, *more], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A demo in one go."""
    folder = tmp_path_factory.mktemp("whole")
    ended = start(folder)
    out, err = ended.communicate()
    assert ended.returncode == 0, err
    assert out == "demo/index.html\n"
    return folder / "demo"


def test_all_stages_leave_run_folders_and_the_page_leads_to_them(whole):
    notes = [json.loads(path.read_text()) for path in sorted((whole / "stages").glob("*.json"))]
    assert len(notes) == json.loads((whole / "manifest.json").read_text())["counts"]["stages"]
    for note in notes:
        assert note["commands"] and note["cpu_seconds"] >= 0
        for folder in note["folders"]:
            place = whole / folder
            manifest = place / "manifest.json" if place.is_dir() else place.with_name(f"{place.name}.manifest.json")
            nested = list(place.glob("*/manifest.json")) if place.is_dir() else []
            assert manifest.is_file() or nested, folder
    text = (whole / "index.html").read_text(encoding="utf-8")
    assert "Not for clinical use." in text and "<script" not in text
    assert "was left out" in text, "the hybrid labeler, in a quick demo"
    for link in links_of(whole / "index.html"):
        assert (whole / link).exists(), link


def test_figures_are_those_of_the_run_folders(whole):
    text = (whole / "index.html").read_text(encoding="utf-8")
    for name, *place in (
        ("phantoms/manifest.json", "counts", "films"), ("check/check.json", "counts", "fail"),
        ("truth/pixels.json", "wholly"), ("audit/manifest.json", "counts", "drawn"),
        ("evaluation/evaluation.json", "units"), ("certificate/certified.json", "gates"),
    ):  # fmt: skip
        value = json.loads((whole / name).read_text())
        for key in place:
            value = value[key]
        assert f'<a href="{name}" title="{name}: {" / ".join(place)}">{value:,}</a>' in text


def test_every_figure_leads_to_its_run_with_command_configuration_and_inputs(whole):
    text = (whole / "index.html").read_text(encoding="utf-8")
    main, made = text.split('<section id="made">')
    sections = re.split(r'<section id="[^"]*">', main)[1:]
    assert len(sections) == 8
    seen = 0
    for section in sections:
        manifests = [unquote(unescape(link)) for link in re.findall(r'\(<a href="([^"]*)">manifest</a>\)', section)]
        figures = re.findall(r'<dd><a href="([^"]*)" title="', section)
        sources = [unquote(unescape(link)) for link in figures + re.findall(r'[Ff]rom <a href="([^"]*)">', section)]
        assert figures and manifests
        for source in sources:
            # the run folder that the file is in, or the table itself
            near = [name for name in manifests if source.startswith(name.removesuffix("manifest.json").rstrip("."))]
            assert near, source
            found = json.loads((whole / max(near, key=len)).read_text())
            assert found["command"][0] == "radloop" and "config" in found and "inputs" in found, source
            assert all(given["sha256"] for given in found["inputs"])
            seen += 1
        assert "<dd></dd>" not in section
    assert seen > 50
    # and the commands of all runs, the demo's own as it was given
    assert "radloop" in made and "--quick" in made and "--studies" in made


def test_texts_on_the_page_are_escaped(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "demo")
    drafts = tmp_path / "demo" / "drafts" / "drafter" / "drafts.jsonl"
    records = [json.loads(line) for line in drafts.read_text().splitlines()]
    hostile = "<script>alert('1')</script> \"></p> {{ 7 * 7 }}"
    drafts.write_text("".join(json.dumps(record | {"text": hostile}) + "\n" for record in records))
    ended = start(tmp_path)
    _, err = ended.communicate()
    assert ended.returncode == 0 and "0 stages" in err
    text = (tmp_path / "demo" / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text and "<script" not in text and "{{ 7 * 7 }}" in text


def test_killed_again_and_again_it_ends_with_the_same(whole, tmp_path):
    rng, kills, stages = random.Random(0), 0, set()
    while True:
        running = start(tmp_path)
        try:
            # the first stages are short and the last ones long; in the end it is left alone
            _, err = running.communicate(timeout=rng.uniform(4, 25) if kills < 8 else None)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.communicate()
            kills += 1
            stages.add(len(list((tmp_path / "demo" / "stages").glob("*.json"))))
            time.sleep(0.2)
            continue
        assert running.returncode == 0, err
        break
    assert kills >= 2
    found = list(compare_runs(whole, tmp_path / "demo", {str(whole): str(tmp_path / "demo")}))
    # the page tells what the stages took, and those are not the same seconds
    other = [each for each in found if each.verdict not in ("equal", "same") and each.name != "index.html"]
    assert other == [], f"killed {kills} times, after {sorted(stages)} stages"


def test_done_again_it_is_the_same(whole):
    for run in ("audit", "drafter", "card", "pages", "scan", "trace", "predictions", "final/labels.csv"):
        done = subprocess.run(
            [*RADLOOP, "reproduce", f"demo/{run}"], cwd=whole.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (run, done.stdout, done.stderr)


@pytest.mark.browser
def test_the_page_fits_a_phone_and_asks_for_nothing(whole):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((whole / "index.html").as_uri())
        page.evaluate("document.querySelectorAll('img').forEach(image => { image.loading = 'eager' })")
        page.wait_for_timeout(500)
        assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth)")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert said == [] and all(url.startswith("file:") for url in asked)
        page.click(".loop-tall a[href='#trace']")
        assert page.evaluate("document.querySelector('#trace').getBoundingClientRect().top < 100")
        browser.close()
