"""The notebooks are what their sources give, executed; run again they show the same."""

import importlib.util
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="needs the extra docs")
pytest.importorskip("nbclient", reason="needs the extra docs")

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "notebooks"


def load_make():
    spec = importlib.util.spec_from_file_location("notebooks_make", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = load_make()


@pytest.mark.parametrize("source", make.sources(), ids=lambda path: path.name)
def test_the_notebook_is_its_source_executed(source):
    stored = nbformat.read(make.target(source), as_version=4)
    cells = [(cell.cell_type, cell.source) for cell in make.read(source).cells]
    assert [(cell.cell_type, cell.source) for cell in stored.cells] == cells, "run `make notebooks`"
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert outputs and all(output.output_type != "error" for output in outputs)
    assert make.target(source).stat().st_size < 400_000


def test_there_are_three():
    assert [make.target(path).stem for path in make.sources()] == ["audit", "benchmark", "label_and_explain"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("source", make.sources(), ids=lambda path: path.name)
def test_run_again_it_shows_the_same(source):
    stored = nbformat.read(make.target(source), as_version=4)
    assert make.shown(make.execute(make.read(source))) == make.shown(stored)
