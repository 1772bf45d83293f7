"""Which ids came before: as a set of all of them would say, in a fraction of its memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from corpora.unique import SeenIds

IDS = st.lists(st.lists(st.text(st.characters(codec=None), max_size=3), max_size=12), max_size=12)


@given(IDS)
def test_it_says_what_a_set_would(batches):
    seen, known = SeenIds(), set()
    for batch in batches:
        expected = []
        for name in batch:
            expected.append(name in known)
            known.add(name)
        assert seen.add(batch) == expected


def test_many_batches():
    seen = SeenIds()
    for start in range(0, 20_000, 100):
        assert not any(seen.add([f"s{number}" for number in range(start, start + 100)]))
    assert all(seen.add([f"s{number}" for number in range(20_000)]))
    assert seen.add(["s20000", "s20000", "s0"]) == [False, True, True]


def test_nothing():
    assert SeenIds().add([]) == []


def test_ids_that_are_nearly_the_same():
    names = ["a", "A", "a ", " a", "á", "a\u0301", "", "0", "00", "\ud800", "\U0001f480"]
    assert SeenIds().add(names) == [False] * len(names)


def test_the_bytes_of_an_id_do_not_matter_to_its_memory():
    tracemalloc.start()
    try:
        seen = SeenIds()
        for start in range(0, 100_000, 500):
            seen.add([f"{'long ' * 20}{number}" for number in range(start, start + 500)])
        assert tracemalloc.get_traced_memory()[0] < 2_500_000
    finally:
        tracemalloc.stop()
