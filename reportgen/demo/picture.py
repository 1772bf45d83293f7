"""The loop as a picture: boxes with their headlines, arrows between them; one wide, one for a narrow screen."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple

_WIDE, _HIGH, _GAP, _MARGIN = 214, 92, 40, 14
_IN_ROW: Final = 4


class Node(NamedTuple):
    """A box: where it leads to on the page, its title, and up to two lines below it."""

    anchor: str
    title: str
    headline: str
    unit: str


def wide(nodes: Sequence[Node], *, closed: bool) -> str:
    """The boxes four in a row, the second row running back; with an arrow from the last to the first if ``closed``."""
    places = []
    for number in range(len(nodes)):
        row, column = divmod(number, _IN_ROW)
        column = column if row % 2 == 0 else _IN_ROW - 1 - column
        places.append((_MARGIN + column * (_WIDE + _GAP), _MARGIN + row * (_HIGH + 56)))
    across = min(len(nodes), _IN_ROW)
    rows = -(-len(nodes) // _IN_ROW)
    size = (2 * _MARGIN + across * _WIDE + (across - 1) * _GAP, 2 * _MARGIN + rows * _HIGH + (rows - 1) * 56)
    arrows = [_between(one, other) for one, other in pairwise(places)]
    if closed and rows > 1:
        arrows.append(_between(places[-1], places[0]))
    return _svg(size, places, nodes, arrows, "loop-wide")


def tall(nodes: Sequence[Node], *, closed: bool) -> str:
    """The boxes one below the other; the arrow back runs on the right if ``closed``."""
    places = [(_MARGIN, _MARGIN + number * (_HIGH + 26)) for number in range(len(nodes))]
    width = 2 * _MARGIN + _WIDE + (30 if closed else 0)
    size = (width, 2 * _MARGIN + len(nodes) * _HIGH + (len(nodes) - 1) * 26)
    arrows = [_between(one, other) for one, other in pairwise(places)]
    if closed:
        right, top, bottom = _MARGIN + _WIDE, places[0][1] + _HIGH // 2, places[-1][1] + _HIGH // 2
        arrows.append(f"M{right} {bottom} H{right + 26} V{top} H{right + 6}")
    return _svg(size, places, nodes, arrows, "loop-tall")


def _between(one: tuple[int, int], other: tuple[int, int]) -> str:
    (x, y), (u, v) = one, other
    if y == v:
        from_, to = (x + _WIDE, u - 6) if u > x else (x, u + _WIDE + 6)
        return f"M{from_} {y + _HIGH // 2} H{to}"
    from_, to = (y + _HIGH, v - 6) if v > y else (y, v + _HIGH + 6)
    return f"M{x + _WIDE // 2} {from_} V{to}"


def _svg(
    size: tuple[int, int], places: Sequence[tuple[int, int]], nodes: Sequence[Node], arrows: Sequence[str], name: str
) -> str:
    boxes = "".join(_box(place, node) for place, node in zip(places, nodes, strict=True))
    paths = "".join(f'<path d="{arrow}" marker-end="url(#{name}-head)"/>' for arrow in arrows)
    said = escape("; ".join(f"{node.title}: {node.headline} {node.unit}" for node in nodes), quote=True)
    return (
        f'<svg class="{name}" viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="The loop: {said}">'
        f'<defs><marker id="{name}-head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs><g class="arrows">{paths}</g>{boxes}</svg>'
    )


def _box(place: tuple[int, int], node: Node) -> str:
    x, y = place
    lines = ((30, "title", node.title), (58, "headline", node.headline), (78, "unit", node.unit))
    texts = "".join(
        f'<text class="{kind}" x="{x + 14}" y="{y + down}">{escape(text)}</text>' for down, kind, text in lines
    )
    box = f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="8"/>'
    return f'<a href="#{escape(node.anchor, quote=True)}">{box}{texts}</a>'
