"""radloop demo --reports: reports of one's own through the text half."""

import json
import re
import subprocess
import sys

import pytest

from tests.demo.conftest import links_of

HOSTILE = """study_id,report
"<img src=x onerror=alert(2)>","FINDINGS: The heart is enlarged. <script>alert(1)</script> Small left effusion."
"a""b' &amp; c","FINDINGS: Lungs are clear. </p></section></body> IMPRESSION: Normal chest."
s3,"Possible pneumonia in the right lower lobe. Dr. John Smith, MRN 12345678."
s4,"=HYPERLINK(""http://x"")  No acute cardiopulmonary process."
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A demo on hostile reports, as a person would start it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "reports.csv").write_text(HOSTILE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", "from corpora.cli import main; main()", "demo", "-o", "out <b>", "--reports",
         "reports.csv", "--quick"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "out <b>/index.html\n"
    assert "6 of 6  write the sheet for a reader" in done.stderr
    return folder


def test_all_is_escaped_and_every_link_leads_somewhere(made):
    page = made / "out <b>" / "index.html"
    text = page.read_text(encoding="utf-8")
    assert "Not for clinical use." in text and "http" not in re.sub(r"http-equiv|xmlns\S*=\S+", "", text)
    for each in (text, (page.parent / "explained" / "explained.html").read_text(encoding="utf-8")):
        assert (
            "<script" not in each
            and "<img src=x" not in each
            and "</section></body>" not in each.partition("<main>")[0]
        )
    assert "&lt;b&gt;" in text and "<b>" not in text, "the command names the folder"
    links = links_of(page)
    assert {"rules/labels.csv", "sheet/read.csv", "explained/explained.html"} <= set(links)
    for link in links:
        assert (page.parent / link).exists(), link


def test_every_figure_is_in_the_file_it_leads_to(made):
    root = made / "out <b>"
    text = (root / "index.html").read_text(encoding="utf-8")
    assert json.loads((root / "reports" / "reports.json").read_text())["reports"] == 4
    assert '<a href="reports/reports.json" title="reports/reports.json: reports">4</a>' in text
    assert json.loads((root / "rules" / "manifest.json").read_text())["counts"]["reports"] == 4
    assert '<a href="rules/manifest.json" title="rules/manifest.json: counts / reports">4</a>' in text
    cleaned = (root / "cleaned" / "reports.csv").read_text()
    assert "John Smith" not in cleaned and "12345678" not in cleaned


def test_again_nothing_is_left_to_do_and_another_demo_is_refused(made, radloop, monkeypatch):
    monkeypatch.chdir(made)
    before = (made / "out <b>" / "rules" / "labels.csv").stat().st_mtime_ns
    code, out, err = radloop("demo", "-o", "out <b>", "--reports", "reports.csv", "--quick", "--json")
    found = json.loads(out)
    assert (code, found["done"], len(found["kept"]), found["left_out"]) == (0, [], 6, [])
    assert "0 stages in" in err
    assert (made / "out <b>" / "rules" / "labels.csv").stat().st_mtime_ns == before
    assert "[run.changed]" in radloop("demo", "-o", "out <b>", "--reports", "reports.csv", "--quick", "--seed", 1).err
    assert "[run.changed]" in radloop("demo", "-o", "out <b>", "--quick").err
    assert "[run.not_empty]" in radloop("demo", "-o", ".", "--reports", "reports.csv").err
    assert "[run.is_file]" in radloop("demo", "-o", "reports.csv", "--reports", "reports.csv").err


def test_a_stage_whose_folder_is_gone_is_done_again(made, radloop, monkeypatch):
    import shutil

    monkeypatch.chdir(made)
    labels = (made / "out <b>" / "rules" / "labels.csv").read_bytes()
    shutil.rmtree(made / "out <b>" / "rules")
    found = json.loads(radloop("demo", "-o", "out <b>", "--reports", "reports.csv", "--quick", "--json").out)
    assert found["done"] == ["rules"]
    assert (made / "out <b>" / "rules" / "labels.csv").read_bytes() == labels


def test_bad_input_is_one_clear_line(radloop, tmp_path):
    assert "[config.value]" in radloop("demo", "-o", tmp_path / "a", "--reports", "-").err
    code, out, err = radloop("demo", "-o", tmp_path / "b", "--reports", tmp_path / "no.csv")
    assert (code, out) == (2, "") and "no.csv" in err and "Traceback" not in err
    assert "[config." in radloop("demo", "-o", tmp_path / "c", "--config", "demo/none").err
    assert radloop("demo", "-o", tmp_path / "d", "--studies", 3).code == 2


def test_what_an_extra_would_bring_is_left_out_and_said(radloop, tmp_path, monkeypatch):
    monkeypatch.setattr("reportgen.demo.job.find_spec", lambda name: None)
    code, out, err = radloop("demo", "-o", tmp_path / "light", "--json")
    found = json.loads(out)
    assert code == 0
    assert "bundled sample of invented reports" in err
    assert found["done"] == ["reports", "rules", "explained"]
    assert ["audit", "review"] in found["left_out"] and ["network", "neural"] in found["left_out"]
    page = (tmp_path / "light" / "index.html").read_text(encoding="utf-8")
    assert "pip install &#39;radloop[review]&#39;" in page or "pip install 'radloop[review]'" in page


def test_help_loads_nothing_heavy():
    program = (
        "import sys; from corpora.cli import run; run(['demo', '--help']); run(['reproduce', '--help'])\n"
        "sys.exit(bool({'torch', 'spacy', 'scipy', 'numpy', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "--quick" in done.stdout and "--anyway" in done.stdout
