"""What the tests of the demo share: a small one, and how a page is read."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

#: The whole loop at its smallest: networks that have seen next to nothing.
TINY = (
    "--quick", "--studies", "60", "--set", "size=64", "--set", "ratios=train=.6,validate=.2,test=.2",
    "--set", 'eye.changes=["size=64","training.epochs=1","min_positive=1"]',
    "--set", 'decoder.changes=["lm_course.epochs=1","composed=0"]',
    "--set", "candidates=1", "--set", "replicates=100", "--set", "pages=2", "--set", "maps=1",
)  # fmt: skip


def links_of(page: Path) -> list[str]:
    """The places that a page leads to or shows, anchors in it left out."""
    found = re.findall(r'(?:href|src)="([^"]*)"', page.read_text(encoding="utf-8"))
    return [unquote(unescape(link)) for link in found if not link.startswith(("#", "data:"))]
