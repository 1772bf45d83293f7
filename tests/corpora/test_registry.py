"""The registry: names found, loaded, explained; nothing imported before it is needed."""

import sys
from importlib.metadata import EntryPoint

import pytest

from corpora import RegistryError, registry

SOURCE = '''"""A package from elsewhere.

More about it.
"""
import sys

def load_mine():
    """A labeler of one's own.

    With details.
    """
    return "mine"

app = object()
'''


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    package = tmp_path / "plugin_elsewhere" / "sub"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text(SOURCE)
    (package / "mine.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "plugin_elsewhere"
    for name in [name for name in sys.modules if name.startswith("plugin_elsewhere")]:
        del sys.modules[name]


@pytest.fixture
def register(monkeypatch):
    """Registers ``(name, target)`` pairs of a kind, in place of what is installed."""
    registry._group.cache_clear()
    installed = {}
    monkeypatch.setattr(registry, "entry_points", lambda group: installed.get(group, []))

    def add(kind, *pairs):
        group = f"radloop.{kind}"
        installed[group] = [EntryPoint(name, target, group) for name, target in pairs]
        registry._group.cache_clear()

    yield add
    registry._group.cache_clear()


def test_names_are_sorted(register):
    register("labelers", ("b.v1", "m:b"), ("a.v1", "m:a"))
    assert registry.names("labelers") == ["a.v1", "b.v1"]


def test_load_imports_only_then(register, plugin):
    register("labelers", ("mine.v1", f"{plugin}.sub.mine:load_mine"))
    entry = registry.find("labelers", "mine.v1")
    assert registry.origin(entry) == f"{plugin}/sub/mine.py:7"
    assert registry.summary(entry) == "A labeler of one's own."
    assert plugin not in sys.modules
    assert registry.load("labelers", "mine.v1")() == "mine"
    assert plugin in sys.modules


def test_source_of_a_package_and_of_an_assignment(register, plugin):
    register("commands", ("mine", f"{plugin}.sub:app"))
    entry = registry.find("commands", "mine")
    assert registry.origin(entry) == f"{plugin}/sub/__init__.py:14"
    assert registry.summary(entry) == "A package from elsewhere."


def test_where_answers_for_every_kind(register, plugin):
    register("labelers", ("mine", f"{plugin}.sub.mine:load_mine"))
    register("readers", ("mine", f"{plugin}.sub.mine:app"))
    assert registry.where("mine") == {
        "labelers": f"{plugin}/sub/mine.py:7",
        "readers": f"{plugin}/sub/mine.py:14",
    }


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ("rule.v1", "no labeler 'rule.v1'. Did you mean rules.v1? Known: rules.v1, toy.v1"),
        ("zzz", "no labeler 'zzz'. Known: rules.v1, toy.v1"),
    ],
)
def test_unknown_name_suggests(register, asked, line):
    register("labelers", ("rules.v1", "m:a"), ("toy.v1", "m:b"))
    with pytest.raises(RegistryError) as caught:
        registry.load("labelers", asked)
    assert caught.value.lines() == [f"[labelers.unknown] {line}"]


def test_unknown_kind_and_unknown_name_anywhere(register):
    register("labelers", ("rules.v1", "m:a"))
    with pytest.raises(RegistryError, match=r"no kind 'labeler'. Did you mean labelers"):
        registry.names("labeler")
    with pytest.raises(RegistryError, match=r"registry.unknown_name.*Did you mean rules.v1"):
        registry.where("rules.v2")


def test_a_name_claimed_twice_is_refused(register):
    register("labelers", ("rules.v1", "mine:a"), ("rules.v1", "theirs:b"))
    with pytest.raises(RegistryError, match=r"registered twice: mine:a .* and theirs:b"):
        registry.find("labelers", "rules.v1")


def test_the_same_target_twice_is_no_conflict(register):
    register("labelers", ("rules.v1", "mine:a"), ("rules.v1", "mine:a"))
    assert registry.find("labelers", "rules.v1").value == "mine:a"


@pytest.mark.parametrize("target", ["no_such_module_here:x", "corpora.labels:no_such_name"])
def test_a_target_that_is_not_there(register, target):
    register("labelers", ("broken.v1", target))
    with pytest.raises(RegistryError) as caught:
        registry.load("labelers", "broken.v1")
    assert caught.value.code == "labelers.broken"
    assert target in caught.value.where


def test_no_source_for_a_built_in_module(register):
    register("labelers", ("clock.v1", "time:time"))
    with pytest.raises(RegistryError, match=r"registry.no_source"):
        registry.origin(registry.find("labelers", "clock.v1"))
