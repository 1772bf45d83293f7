"""The loop as a picture, and numbers for people."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reportgen.demo.picture import Node, tall, wide
from reportgen.demo.site_parts import shown

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"))


@given(st.lists(st.builds(Node, TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=9), st.booleans())
def test_any_text_makes_a_well_formed_picture(nodes, closed):
    for draw in (wide, tall):
        svg = ET.fromstring(draw(nodes, closed=closed))
        assert [text.text or "" for text in svg.iter("text")] == [
            part for node in nodes for part in (node.title, node.headline, node.unit)
        ]


def test_the_arrow_back_is_drawn_where_the_loop_is_closed():
    nodes = [Node(str(at), str(at), "", "") for at in range(8)]
    for draw in (wide, tall):
        arrows = [draw(nodes, closed=closed).count("marker-end") for closed in (False, True)]
        assert arrows == [7, 8]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, ".000"), (-0.25, "-.250"), (12345, "12,345"), (1.0, "1.000"), (None, "undefined"),
     ({"value": None, "lo": None, "hi": None}, "undefined"), ({"value": 0.5, "lo": None, "hi": None}, ".500"),
     ({"value": 0.5, "lo": 0.1, "hi": 0.9}, ".500 (.100 to .900)")],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert shown(value) == text
