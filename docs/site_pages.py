"""What the site has besides the pages of this folder: a hook of mkdocs.

A notebook ``docs/notebooks/NAME.ipynb`` becomes the page ``notebooks/NAME.md``, as it is stored, outputs and all;
nothing is executed. A link to a file of the project that is no page becomes its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_LONGEST_OUTPUT = 6_000
_LINK = re.compile(r"\[([^\]\n]+)\]\((\.\./[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each notebook, and leave the notebook itself to be downloaded."""
    for path in sorted(Path(config.docs_dir, "notebooks").glob("*.ipynb")):
        uri = path.relative_to(config.docs_dir).with_suffix(".md").as_posix()
        files.append(File.generated(config, uri, content=page(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that lead out of the documentation lead nowhere on the site: their words stay."""
    home = Path(config.docs_dir, page.file.src_uri).parent

    def kept(link: re.Match[str]) -> str:
        target = (home / link[2].partition("#")[0]).resolve()
        return link[0] if target.is_relative_to(Path(config.docs_dir).resolve()) else link[1]

    return _LINK.sub(kept, markdown)


def page(path: Path) -> str:
    """A notebook as Markdown: its texts, its code, what it printed and drew."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    parts = [part for cell in notebook["cells"] for part in _cell(cell)]
    return "\n\n".join([*parts, f"[The notebook]({path.name})"]) + "\n"


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"])
    if cell["cell_type"] != "code":
        yield text
        return
    yield f"```python\n{text}\n```"
    for output in cell["outputs"]:
        yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[str]:
    data = output.get("data", {})
    if "image/svg+xml" in data:
        yield "<div>" + "".join(data["image/svg+xml"]) + "</div>"
    elif "image/png" in data:
        yield f"![drawn by the cell above](data:image/png;base64,{''.join(data['image/png']).strip()})"
    elif "text/markdown" in data:
        yield "".join(data["text/markdown"])
    elif "text/html" in data:
        yield "<div>" + "".join(data["text/html"]) + "</div>"
    else:
        text = "".join(output.get("text", data.get("text/plain", "")))
        if text.strip():
            yield f"```text\n{text[:_LONGEST_OUTPUT].rstrip()}\n```"
