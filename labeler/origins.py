"""What a labeler's labels depend on besides the reports: files, and versions of packages."""

from __future__ import annotations

from typing import Any, Final

from corpora.errors import RegistryError
from corpora.runs import hash_input, package_versions
from labeler.base import DEFAULT_LANGUAGE, is_trained, network_of
from labeler.languages import AUTO
from labeler.schemas import load_schema
from labeler.several import schemas_in

_PACKAGES: Final = ("spacy", "negspacy")
_TRAINED_BY: Final = ("torch", "transformers", "tokenizers")
# what a trained labeler's labels depend on, in its folder
_TRAINED: Final = ("config.json", "model.safetensors", "tokenizer.json", "hybrid.yaml", "synonyms.jsonl")


def files_of(labeler: str, schema: str, language: str = DEFAULT_LANGUAGE) -> list[str]:
    """The files of the schema, in all languages of a run, or of a trained labeler."""
    folder = network_of(labeler)
    # thresholds of the hybrid say nothing of the network by itself
    names = [name for name in _TRAINED if not (is_trained(labeler) and name == "hybrid.yaml")]
    network = [str(folder / name) for name in names if (folder / name).is_file()] if folder else []
    if is_trained(labeler):
        return network
    try:
        found = [load_schema(name, one) for name in schemas_in(schema) for one in _languages(name, language)]
    except RegistryError:
        # the labeler may have a schema of its own, or else says what is wrong
        return network
    files = dict.fromkeys(file for one in found for file in getattr(one, "files", ()))
    return [*map(str, files), *network]


def _languages(schema: str, language: str) -> tuple[str, ...]:
    if language != AUTO:
        return (language,)
    return (DEFAULT_LANGUAGE, *getattr(load_schema(schema), "others", ()))


def packages_of(labeler: str) -> tuple[str, ...]:
    """The packages that a labeler reads with."""
    if is_trained(labeler):
        return _TRAINED_BY
    return _PACKAGES if network_of(labeler) is None else (*_PACKAGES, *_TRAINED_BY)


def fingerprint(labeler: str, schema: str, language: str = DEFAULT_LANGUAGE) -> dict[str, Any]:
    """Versions of packages and the SHA-256 of each file: the same on two machines whose labels are the same."""
    files = [hash_input(file)["sha256"] for file in files_of(labeler, schema, language)]
    return {"files": files, **package_versions(packages_of(labeler))}
