"""Configuration files: YAML that remembers its lines, checked by a pydantic model.

    base: schemas/chexpert14.v1   # a shipped name or a file beside this one; mappings merge, the rest replaces
    labels: ...

A mistake is reported as ``my.yaml:12`` with the path of the field. Scalars are read as YAML 1.2 does: only true and
false are booleans, so that the negation cue ``no`` stays a word, and ``1e-4`` is a number.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

try:
    from yaml import CSafeLoader as _SafeLoader
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]

from corpora.errors import ConfigError
from corpora.registry import unknown
from corpora.resources import config_path

Model = TypeVar("Model", bound=BaseModel)
Loc = tuple[str | int, ...]

_MERGE: Final = "tag:yaml.org,2002:merge"
# aliases of aliases multiply; a real file has a few thousand places
_DEEPEST: Final = 100
_MOST_PLACES: Final = 500_000


@dataclass(frozen=True, slots=True)
class Document:
    """A resolved configuration: its data, where each value was written (``file:line``), and the files it came from."""

    data: dict[str, Any]
    places: Mapping[Loc, str] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def where(self, *loc: str | int) -> str:
        """File and line of the value at ``loc``, or of the nearest value around it that is written anywhere."""
        for length in range(len(loc), -1, -1):
            if loc[:length] in self.places:
                return self.places[loc[:length]]
        return str(self.files[0]) if self.files else ""


def load_yaml(path: Path | str, model: type[Model], overrides: Iterable[str] = ()) -> Model:
    """The file at ``path``, over its ``base`` if it names one, with ``--set`` ``overrides``, checked by ``model``.

    Raises ``ConfigError`` (``config.*``) naming file, line and field.
    """
    return validate(read_document(path, overrides), model)


def read_document(path: Path | str, overrides: Iterable[str] = ()) -> Document:
    """As ``load_yaml``, not yet checked by a model: for callers that want lines for checks of their own."""
    document = _resolve(Path(path), ())
    data, places = copy.deepcopy(document.data), dict(document.places)
    for override in overrides:
        places[_override(data, override)] = f"--set {override}"
    return Document(data, places, document.files)


def validate(document: Document, model: type[Model]) -> Model:
    """``document`` as a ``model``.

    Raises ``ConfigError`` (``config.field``, ``config.unknown_field``) naming file, line and field.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise _field_error(error, document, model) from None


def config_sha256(config: BaseModel | Mapping[str, Any]) -> str:
    """The SHA-256 of a resolved configuration: of its canonical JSON, so the order of keys does not count."""
    data = config.model_dump(mode="json") if isinstance(config, BaseModel) else config
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


# Reading


class _Loader(_SafeLoader):
    """Safe YAML with the scalars of YAML 1.2 (core schema) and the merge key."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own class attribute


_NUMBER: Final = [*"-+.0123456789"]
_SCALARS: Final = {
    "null": (r"~|null|Null|NULL|", [*"~nN", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", [*"tTfF"]),
    "int": (r"[-+]?(0|[1-9][0-9]*)", _NUMBER),
    "float": (
        r"[-+]?((\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
        _NUMBER,
    ),
    "merge": (r"<<", ["<"]),
}
for _tag, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _resolve(path: Path, above: tuple[Path, ...]) -> Document:
    document = _read(path)
    if "base" not in document.data:
        return document
    name, place = document.data.pop("base"), document.where("base")
    base_path = _base_path(name, path, place)
    chain = (*above, path.resolve())
    if base_path.resolve() in chain:
        raise ConfigError("config.base_cycle", f"base {name!r} leads back to itself", where=place)
    base = _resolve(base_path, chain)
    merged = _merge(base.data, document.data)
    return Document(merged, {**base.places, **document.places}, (*document.files, *base.files))


def _base_path(name: object, path: Path, place: str) -> Path:
    if not isinstance(name, str):
        raise ConfigError("config.field", "base: must be a shipped name or the path of a file", where=place)
    beside = path.parent / name
    if beside.is_file():
        return beside
    try:
        return config_path(name)
    except ConfigError as error:
        raise ConfigError(error.code, error.message, where=place, hint=error.hint) from None


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _read(path: Path) -> Document:
    try:
        data, places = _parse(_text(path), str(path))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError("config.syntax", f"not YAML: {what}", where=_line(path, mark)) from None
    except yaml.YAMLError as error:
        raise ConfigError("config.syntax", f"not YAML: {str(error).splitlines()[0]}", where=str(path)) from None
    if not isinstance(data, dict):
        raise ConfigError("config.not_a_mapping", "must be a mapping of fields to values", where=f"{path}:1")
    return Document(data, places, (path,))


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError("config.missing", f"no file {path}") from None
    except OSError as error:
        raise ConfigError("config.unreadable", f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError("config.encoding", "not UTF-8", where=f"{path}:{line}", hint="save it as UTF-8") from None
    control = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", text)
    if control:
        line = text.count("\n", 0, control.start()) + 1
        raise ConfigError("config.encoding", "holds a control character", where=f"{path}:{line}")
    return text


def _parse(text: str, file: str) -> tuple[Any, dict[Loc, str]]:
    _refuse_depth(text, file)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise ConfigError("config.empty", "the file is empty", where=file)
        places: dict[Loc, str] = {}
        # before the values are made, because making them folds merged keys into their mapping
        _note(node, (), node.start_mark.line, file, loader, places)
        return loader.construct_document(node), places
    finally:
        loader.dispose()


def _refuse_depth(text: str, file: str) -> None:
    # libyaml composes by recursion and would end the process; its events come one after another
    depth = 0
    try:
        for event in yaml.parse(text, _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise _too_deep(file, event.start_mark)
    except yaml.MarkedYAMLError as error:
        # newer ones have a limit of their own, which is met while looking ahead
        if "nesting depth" in (error.problem or ""):
            raise _too_deep(file, error.problem_mark) from None
        raise


def _too_deep(file: str, mark: Any) -> ConfigError:
    return ConfigError("config.too_deep", "values are nested too deeply", where=_line(file, mark))


def _note(node: yaml.Node, loc: Loc, line: int, file: str, loader: Any, places: dict[Loc, str]) -> None:
    if len(loc) > _DEEPEST or len(places) > _MOST_PLACES:
        raise ConfigError("config.too_deep", "aliases repeat too many values", where=file)
    if isinstance(node, yaml.MappingNode):
        merged, own = _split_merge(node)
        _refuse_duplicates(own, loc, file, loader)
        for value in merged:
            _note(value, loc, line, file, loader, places)
        items = [(loader.construct_object(key, deep=True), key, value) for key, value in own]
    else:
        values = node.value if isinstance(node, yaml.SequenceNode) else []
        items = [(index, value, value) for index, value in enumerate(values)]
    places[loc] = f"{file}:{line + 1}"
    for step, start, value in items:
        _note(value, (*loc, step), start.start_mark.line, file, loader, places)


def _split_merge(node: yaml.MappingNode) -> tuple[list[yaml.Node], list[tuple[yaml.Node, yaml.Node]]]:
    merged = [value for key, value in node.value if key.tag == _MERGE]
    return merged, [pair for pair in node.value if pair[0].tag != _MERGE]


def _refuse_duplicates(pairs: list[tuple[yaml.Node, yaml.Node]], loc: Loc, file: str, loader: Any) -> None:
    first: dict[Any, int] = {}
    for key_node, _ in pairs:
        key, line = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
        if isinstance(key, dict | list):
            raise ConfigError("config.syntax", "not YAML: a list or mapping as a key", where=f"{file}:{line}")
        if key in first:
            field_name = ".".join(map(str, (*loc, key)))
            raise ConfigError(
                "config.duplicate_key",
                f"{field_name}: written twice, first on line {first[key]}",
                where=f"{file}:{line}",
            )
        first[key] = line


def _line(path: Path | str, mark: Any) -> str:
    return f"{path}:{mark.line + 1}" if mark else str(path)


# Overrides


def _override(data: dict[str, Any], override: str) -> Loc:
    key, equals, text = override.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise _override_error(override, "is not of the form field.field=value")
    node: Any = data
    loc: list[str | int] = []
    for part in parts[:-1]:
        step = _step(node, part, override)
        if isinstance(node, dict) and node.get(step) is None:
            node[step] = {}
        node = node[step]
        loc.append(step)
    last = _step(node, parts[-1], override)
    node[last] = _override_value(text, override)
    return (*loc, last)


def _step(node: object, part: str, override: str) -> str | int:
    if isinstance(node, dict):
        return part
    if not isinstance(node, list):
        raise _override_error(override, f"leads to {part!r} inside a plain value")
    if not part.isdecimal() or int(part) >= len(node):
        raise _override_error(override, f"needs a number below {len(node)} in place of {part!r}")
    return int(part)


def _override_value(text: str, override: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        if text.lstrip()[:1] in ("[", "{", '"'):
            raise _override_error(override, f"is not JSON: {error}") from None
        return text


def _override_error(override: str, problem: str) -> ConfigError:
    return ConfigError("config.override", f"--set {override} {problem}", hint="for example --set train.epochs=5")


# What a model has against it


def _field_error(error: ValidationError, document: Document, model: type[BaseModel]) -> ConfigError:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    # a misspelt field is both unknown and missing; the unknown one is what to mend
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    loc = _written(document.data, first["loc"])
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        *around, name = loc
        guess = unknown("config.unknown_field", "field", str(name), _field_names(model, around))
        inside = f"{'.'.join(map(str, around))}: " if around else ""
        return ConfigError(guess.code, f"{inside}{guess.message}{more}", where=document.where(*loc))
    name = ".".join(map(str, loc))
    text = first["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return ConfigError("config.field", f"{name}: {text}{more}" if name else f"{text}{more}", where=document.where(*loc))


def _written(data: Any, loc: Sequence[str | int]) -> Loc:
    # pydantic puts the names of union members and validators among the keys; those are not in the file
    kept: list[str | int] = []
    for index, step in enumerate(loc):
        inside = isinstance(data, dict) and step in data
        if inside or (isinstance(data, list) and isinstance(step, int) and step < len(data)):
            data = data[step]
        elif index < len(loc) - 1:
            continue
        kept.append(step)
    return tuple(kept)


def _field_names(model: type[BaseModel], loc: Sequence[str | int]) -> set[str]:
    models = [model]
    for step in loc:
        infos = [info for each in models for name, info in each.model_fields.items() if step in (name, info.alias)]
        # an index, or the key of a mapping, stays with the models that were found
        models = [inner for info in infos for inner in _models(info.annotation)] or models
    return {info.alias or name for each in models for name, info in each.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
