"""The benchmark of the bootstrap measures two ways that agree; nothing is asserted about time."""

from tests.benchmarks.auroc import loop, ours


def test_both_ways_give_the_same_values():
    assert loop(200, 3)["largest_difference"] < 1e-12
    found = ours(200, 50, precision=True, threads=1)
    assert 0.5 < found["lo"] < found["hi"] < 1 and found["peak_mib"] > 0
