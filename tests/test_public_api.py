"""What each package promises: its ``__all__`` is the list in public_api.txt, and everything in it is there."""

import importlib

import pytest

PACKAGES = ("corpora", "labeler", "vision", "reportgen")


def test_the_public_names_are_the_listed_ones(root):
    listed = (root / "tests" / "public_api.txt").read_text(encoding="utf-8").splitlines()
    found = [f"{name}.{public}" for name in PACKAGES for public in sorted(importlib.import_module(name).__all__)]
    assert found == listed, "a public name came or went: say so in tests/public_api.txt and the changelog"


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_documented(name):
    package = importlib.import_module(name)
    assert package.__doc__
    for public in package.__all__:
        value = getattr(package, public)
        assert not callable(value) or value.__doc__, f"{name}.{public} has no docstring"
