"""The blocks of the documentation that are marked to be run are run, page by page, in the order of the page.

A block of shell with ``<!-- run -->`` above it is run by bash in the page's own folder; what a block with
``<!-- prints -->`` right after it shows must be what it printed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import blocks, pages

ROOT = Path(__file__).resolve().parents[2]
RUN = [path for path in pages(ROOT) if any("run" in block.marks for block in blocks(path))]
BIN = Path(sys.executable).parent


def bash(script, folder):
    """Run a block as it stands; what it printed. Output of a terminal's width that every machine has."""
    environment = {
        **os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100", "NO_COLOR": "1",
        "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", RUN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_page_runs_as_it_stands(path, tmp_path):
    printed = None
    for block in blocks(path):
        if "run" in block.marks:
            printed = bash(block.text, tmp_path)
        elif "prints" in block.marks:
            assert printed is not None, "nothing was run before"
            assert block.text == printed


def test_every_page_of_a_job_or_of_another_tool_is_run():
    named = {path.relative_to(ROOT / "docs").as_posix() for path in RUN if ROOT / "docs" in path.parents}
    wanted = {
        path.relative_to(ROOT / "docs").as_posix()
        for folder in ("jobs", "from")
        for path in (ROOT / "docs" / folder).glob("*.md")
    }
    assert wanted - named == set()
    assert len(wanted) == 13 and "quickstart.md" in named
