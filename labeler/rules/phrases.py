"""The phrase notation of the lexicons.

    pleural (effusion|fluid)      alternatives
    (small)? effusion             an optional word; also (small|) effusion

>>> expand("pleural (effusion|fluid) (seen)?")
['pleural effusion', 'pleural effusion seen', 'pleural fluid', 'pleural fluid seen']
"""

from __future__ import annotations

import itertools
import re

_PIECE = re.compile(r"\(([^()]*)\)(\?)?|([^()]+)")
_MOST = 4096


def _pieces(phrase: str) -> list[list[str]]:
    """The alternatives at each place of ``phrase``."""
    pieces: list[list[str]] = []
    at = 0
    for found in _PIECE.finditer(phrase):
        if found.start() != at:
            break
        group, optional, plain = found.groups()
        pieces.append([plain] if group is None else [*([""] if optional else []), *group.split("|")])
        at = found.end()
    if at != len(phrase):
        raise ValueError(f"brackets of {phrase!r} do not pair up, or are nested")
    return pieces


def expand(phrase: str) -> list[str]:
    """Every plain phrase that ``phrase`` stands for, sorted, each once.

    Raises ``ValueError`` for unbalanced or nested brackets, a phrase that can be empty, or more than 4,096 expansions.
    """
    pieces = _pieces(phrase)
    count = 1
    for piece in pieces:
        count *= len(piece)
    if count > _MOST:
        raise ValueError(f"{phrase!r} stands for {count} phrases; {_MOST} is the most")
    plain_phrases = {" ".join("".join(choice).split()) for choice in itertools.product(*pieces)}
    if "" in plain_phrases:
        raise ValueError(f"{phrase!r} can be empty")
    return sorted(plain_phrases)
