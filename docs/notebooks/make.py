"""Make the notebooks of this folder from their sources: NAME.source.md becomes NAME.ipynb, executed.

    make notebooks

A source is Markdown; each block of python or bash in it is a cell, what is between is text. Each notebook runs in a
folder of its own, which is thrown away. ``tests/docs/test_notebooks.py`` runs them again and compares.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
# its functions have no types
_nbformat: Any = nbformat
_BLOCK = re.compile(r"^```(python|bash)([^\n]*)\n(.*?)^```$", re.M | re.S)
#: Colours and bold, which a notebook's kernel asks every program for.
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: What differs from run to run: moments, rates, times, places, memory addresses, hashes.
_VOLATILE = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.+]+|[\d,]+/s\b|\d+(\.\d+)? ?(s|ms|seconds)\b|/\S*/|\b0x[0-9a-f]+|[0-9a-f]{32,}"
)


def sources() -> list[Path]:
    """The sources of all notebooks."""
    return sorted(HERE.glob("*.source.md"))


def target(source: Path) -> Path:
    """Where the notebook of a source is."""
    return source.with_name(source.name.removesuffix(".source.md") + ".ipynb")


def read(path: Path) -> Any:
    """The notebook of a source, not executed. Cells are numbered, so that nothing in the file is by chance."""
    notebook = _nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    texts = _BLOCK.split(path.read_text(encoding="utf-8"))
    parts = [("", "", text) for text in texts[0:1]]
    for at in range(1, len(texts), 4):
        parts += [(texts[at], texts[at + 1], texts[at + 2]), ("", "", texts[at + 3])]
    for number, (language, words, text) in enumerate(part for part in parts if part[2].strip()):
        if not language:
            cell = _nbformat.v4.new_markdown_cell(text.strip())
        else:
            head = f"%%bash{words}\n" if language == "bash" else ""
            cell = _nbformat.v4.new_code_cell(head + text.strip())
        cell["id"] = f"cell-{number}"
        notebook.cells.append(cell)
    return notebook


def execute(notebook: Any) -> Any:
    """The notebook with its outputs. Raises what a cell raises."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ.update(NO_COLOR="1", COLUMNS="100", OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)
    return notebook


def _joined(outputs: list[Any]) -> list[Any]:
    """What a cell wrote, in one piece for each stream: in how many it comes is by chance."""
    streams: dict[str, Any] = {}
    kept = []
    for output in outputs:
        if output.output_type != "stream":
            kept.append(output)
            continue
        if output.name in streams:
            streams[output.name].text += output.text
        else:
            streams[output.name] = output
            kept.append(output)
    for output in streams.values():
        output.text = _ANSI.sub("", output.text)
    return sorted(kept, key=lambda output: output.get("name", "") == "stderr")


def shown(notebook: Any) -> list[str]:
    """What the cells printed and showed as text, without what differs from run to run."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            text = output.get("text") or data.get("text/html") or data.get("text/plain") or ""
            texts.append(_VOLATILE.sub("~", "".join(text)).strip())
    return texts


def main() -> None:
    """Make all of them, or those that are named."""
    for path in sources():
        if not sys.argv[1:] or path.name.removesuffix(".source.md") in sys.argv[1:]:
            text = _nbformat.writes(execute(read(path))) + "\n"
            target(path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
