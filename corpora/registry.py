"""What is registered under which name: the entry points of the groups ``radloop.*``, loaded when first asked for.

The built-ins register in ``pyproject.toml`` as a user's own package would:

    [project.entry-points."radloop.labelers"]
    "mine.v1" = "my_package.module:load"

Nothing here imports a target before ``load`` does; ``where`` and ``summary`` read its source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from corpora.errors import RegistryError

KINDS: Final = ("commands", "generators", "labelers", "metrics", "readers", "schemas", "validators")
_SENTENCE: Final = re.compile(r".*?\.(?= [A-Z`]|$)")


@cache
def _group(kind: str) -> dict[str, tuple[EntryPoint, ...]]:
    if kind not in KINDS:
        raise unknown("registry.unknown_kind", "kind", kind, KINDS)
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in sorted(entry_points(group=f"radloop.{kind}"), key=lambda entry: (entry.name, entry.value)):
        known = found.get(entry.name, ())
        # the same distribution can lie twice on the path; that is no conflict
        if entry.value not in {other.value for other in known}:
            found[entry.name] = (*known, entry)
    return found


def names(kind: str) -> list[str]:
    """The names registered for ``kind`` (``labelers``, ``schemas``, ``readers`` ...), sorted."""
    return list(_group(kind))


def find(kind: str, name: str) -> EntryPoint:
    """What ``name`` is registered as, not yet loaded.

    Raises ``RegistryError``: ``<kind>.unknown``, or ``<kind>.ambiguous`` if two packages claim the name.
    """
    entries = _group(kind).get(name)
    if entries is None:
        raise unknown(f"{kind}.unknown", kind.removesuffix("s"), name, names(kind))
    if len(entries) > 1:
        claims = " and ".join(f"{entry.value} ({_distribution(entry)})" for entry in entries)
        raise RegistryError(
            f"{kind}.ambiguous", f"{name!r} is registered twice: {claims}", hint="uninstall one of the two packages"
        )
    return entries[0]


def load(kind: str, name: str) -> Any:
    """The object registered as ``name``; imports its module.

    Raises ``RegistryError``: as ``find``, or ``<kind>.broken`` if the module or the object in it is not there.
    """
    entry = find(kind, name)
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        raise RegistryError(
            f"{kind}.broken",
            f"{name!r} cannot be loaded: {error}",
            where=f"{entry.value} ({_distribution(entry)})",
            hint=f"install what it needs, or reinstall {_distribution(entry).split()[0]}",
        ) from error


def where(name: str) -> dict[str, str]:
    """Where ``name`` is defined: ``{kind: "labeler/rules/pipeline.py:31"}`` for every kind that knows it.

    Raises ``RegistryError`` (``registry.unknown_name``) if none does.
    """
    found = {kind: origin(find(kind, name)) for kind in KINDS if name in _group(kind)}
    if not found:
        known = {other for kind in KINDS for other in names(kind)}
        raise unknown("registry.unknown_name", "name", name, known)
    return found


def origin(entry: EntryPoint) -> str:
    """File and line of the target, the file relative to the folder that holds its top package."""
    path, shown = _source(entry)
    node = _definition(path, entry.attr)
    return f"{shown}:{1 if node is None else node.lineno}"


def summary(entry: EntryPoint) -> str:
    """The first line of the target's docstring, or of its ``help`` if a call makes it, else of its module's.

    Up to the end of the sentence, where that is longer. Read without importing either; without the name in front, which
    whoever asks knows.
    """
    path, _ = _source(entry)
    node = _definition(path, entry.attr)
    own = ast.get_docstring(node) if isinstance(node, ast.FunctionDef | ast.ClassDef) else _help(node)
    text = own or ast.get_docstring(_tree(path)) or ""
    first = text.partition("\n")[0]
    if not first.endswith("."):
        paragraph = " ".join(text.partition("\n\n")[0].split())
        sentence = _SENTENCE.match(paragraph)
        first = sentence[0] if sentence else paragraph
    said = first.removeprefix(f"``{entry.name}``: ")
    return said[:1].upper() + said[1:]


def _help(node: ast.stmt | None) -> str | None:
    call = getattr(node, "value", None)
    if not isinstance(call, ast.Call):
        return None
    given = (word.value for word in call.keywords if word.arg == "help")
    return next((str(value.value) for value in given if isinstance(value, ast.Constant)), None)


def unknown(code: str, noun: str, name: str, known: Iterable[str]) -> RegistryError:
    """The error for a ``name`` that is none of ``known``, with the nearest ones.

    >>> print(unknown("labelers.unknown", "labeler", "rule.v1", ["rules.v1", "toy.v1"]))
    [labelers.unknown] no labeler 'rule.v1'. Did you mean rules.v1? Known: rules.v1, toy.v1
    """
    from difflib import get_close_matches

    choices = sorted(known)
    near = get_close_matches(name, choices, n=2, cutoff=0.6)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return RegistryError(code, f"no {noun} {name!r}.{guess} Known: {', '.join(choices) or 'none'}")


def _distribution(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"


def _source(entry: EntryPoint) -> tuple[Path, str]:
    # only the top package is looked up, which imports nothing; find_spec of a submodule would import its parents
    top, *rest = entry.module.split(".")
    spec = find_spec(top)
    if spec is not None and spec.origin is not None:
        file = Path(spec.origin)
        root = file.parent.parent if spec.submodule_search_locations else file.parent
        stem = root.joinpath(top, *rest)
        for path in (stem / "__init__.py", stem.with_name(stem.name + ".py")):
            if path.is_file():
                return path, path.relative_to(root).as_posix()
    raise RegistryError("registry.no_source", f"no source file for {entry.value}", where=_distribution(entry))


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def _definition(path: Path, attr: str) -> ast.stmt | None:
    name = attr.split(".")[0]
    for node in _tree(path).body:
        if getattr(node, "name", None) == name or name in _assigned(node):
            return node
    return None


def _assigned(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return set()
    return {target.id for target in targets if isinstance(target, ast.Name)}
