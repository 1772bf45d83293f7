"""Documentation that cannot drift: what the program has is in the documentation, and the reverse."""

import ast
import importlib
import re
import sys
from pathlib import Path

from pydantic import BaseModel

import corpora
from corpora import registry

PACKAGES = ("corpora", "labeler", "vision", "reportgen")
CODE = re.compile(r"(<\w+>|[a-z]+)\.[a-z]+(_[a-z]+)*")
# a string of the form config.yaml is a file
FILES = {
    "csv",
    "gz",
    "html",
    "json",
    "jsonl",
    "onnx",
    "parquet",
    "py",
    "safetensors",
    "sqlite",
    "tgz",
    "tsv",
    "txt",
    "yaml",
    "yml",
}


def text_of(root, name):
    return (root / name).read_text(encoding="utf-8")


def sources(home):
    return [path for package in PACKAGES for path in sorted((home / package).rglob("*.py"))]


def spelled(node):
    """The text of a string or f-string, with ``<name>`` for what is filled in; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            f"<{ast.unparse(part.value)}>" if isinstance(part, ast.FormattedValue) else part.value
            for part in node.values
        )
    return ""


def raised(tree):
    """The codes that stand in calls of an error, a Reject, or the registry's ``unknown``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name.endswith("Error") or name in ("BoxProblem", "Reject", "unknown"):
                named = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
                yield from (spelled(argument) for argument in [*node.args[:1], *named])


def error_codes(home):
    """Every error code in the source: those in calls, and any string that begins as one of them does."""
    trees = [ast.parse(path.read_bytes()) for path in sources(home)]
    codes = {code for tree in trees for code in raised(tree) if CODE.fullmatch(code)}
    prefixes = {code.partition(".")[0] for code in codes}
    strings = {spelled(node) for tree in trees for node in ast.walk(tree)}
    more = {text for text in strings if CODE.fullmatch(text) and text.partition(".")[0] in prefixes}
    return codes | {text for text in more if text.partition(".")[2] not in FILES}


def test_every_error_code_is_documented_and_the_reverse(root, home):
    documented = set(re.findall(r"^\| `([^`]+)` \|", text_of(root, "docs/errors.md"), re.M))
    found = error_codes(home)
    assert found - documented == set(), "write a line for each in docs/errors.md"
    assert documented - found == set(), "these codes are gone from the source"


def test_every_command_is_documented(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "docs")
    reference = importlib.import_module("reference")
    page = text_of(root, "docs/cli.md")
    for path, command in reference.commands():
        assert re.search(rf"^##+ {re.escape(path)}$", page, re.M), f"{path} is not in docs/cli.md: run `make docs`"
        assert command.help, f"{path} has no help"
        for option in command.params:
            assert option.help, f"{path}: {option.name} has no help"
    sys.modules.pop("reference")


def test_every_registered_name_is_documented(root):
    page = text_of(root, "docs/registry.md")
    missing = {
        f"{kind} {name}" for kind in registry.KINDS for name in registry.names(kind) if f"| `{name}` |" not in page
    }
    assert missing == set(), "run `make docs`"


def models_of(module):
    return [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, BaseModel)]


def test_every_config_field_is_described(home):
    undescribed = set()
    for path in sources(home):
        if "BaseModel" in path.read_text(encoding="utf-8"):
            name = ".".join(path.relative_to(home).with_suffix("").parts).removesuffix(".__init__")
            for model in models_of(importlib.import_module(name)):
                undescribed |= {
                    f"{name}.{model.__name__}.{key}" for key, info in model.model_fields.items() if not info.description
                }
    assert undescribed == set(), "a field says what it is by Field(description=...)"


def test_changelog_begins_with_this_version(root):
    newest = re.search(r"^## \[?v?([0-9][^\s\]]*)", text_of(root, "CHANGELOG.md"), re.M)
    assert newest is not None
    assert newest[1] == corpora.__version__


def tree_lines(page):
    """The paths of the lines ``path  # phrase`` in fenced blocks; an indented path is inside the one above it."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", page, re.M | re.S):
        above: list[tuple[int, Path]] = []
        for indent, path in re.findall(r"^( *)([\w./-]*[\w/])\s+# \S.*$", block, re.M):
            above = [(depth, folder) for depth, folder in above if depth < len(indent)]
            full = above[-1][1] / path if above else Path(path)
            above.append((len(indent), full))
            yield full


def test_every_module_is_listed(root, home):
    listed = [path for path in tree_lines(text_of(root, "docs/modules.md")) if path.parts and path.parts[0] in PACKAGES]
    assert listed, "no lines of the form `path  # phrase`"
    assert [str(path) for path in listed if not (home / path).exists()] == [], "listed, but not there"
    modules = [path.relative_to(home) for path in sources(home) if path.name != "__init__.py"]
    folders = {path for path in listed if (home / path).is_dir() and len(path.parts) > 1}
    unlisted = [str(path) for path in modules if path not in listed and not folders & set(path.parents)]
    assert unlisted == [], "there, but not listed"
