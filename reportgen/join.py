"""Drafts and references put together by study id; nothing is left out and nothing made up."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from corpora.errors import DataError
from reportgen.inputs import Texts
from reportgen.types import Pair


def join(drafts: Texts, references: Texts) -> list[Pair]:
    """A pair for each reference, in the order of the references.

    Where one of the two has no ids of its own, they are joined by order. Raises ``DataError``: ``bench.ids`` if an id
    is missing on one side, ``bench.rows`` if files without ids have different lengths.
    """
    if drafts.numbered or references.numbered:
        if len(drafts.ids) != len(references.ids):
            raise DataError(
                "bench.rows", f"{len(drafts.ids)} drafts and {len(references.ids)} references, without ids to join by",
                where=f"{drafts.path}, {references.path}", hint="give both files a column study_id",
            )  # fmt: skip
        ids = drafts.ids if references.numbered else references.ids
        return [
            Pair(name, draft[0], texts)
            for name, draft, texts in zip(ids, drafts.texts, references.texts, strict=True)
        ]  # fmt: skip
    by_id = dict(zip(drafts.ids, drafts.texts, strict=True))
    _refuse(drafts, references, by_id.keys() - set(references.ids), set(references.ids) - by_id.keys())
    return [Pair(name, by_id[name][0], texts) for name, texts in zip(references.ids, references.texts, strict=True)]


def _refuse(drafts: Texts, references: Texts, extra: set[str], missing: set[str]) -> None:
    if not extra and not missing:
        return
    said = []
    if missing:
        said.append(f"{len(missing)} references have no draft ({_some(missing)})")
    if extra:
        said.append(f"{len(extra)} drafts have no reference ({_some(extra)})")
    raise DataError(
        "bench.ids", "; ".join(said), where=f"{drafts.path}, {references.path}",
        hint="a system that gave nothing for a study has a row with an empty text",
    )  # fmt: skip


def _some(names: Iterable[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(name[:40] for name in shown) + (" ..." if len(set(names)) > len(shown) else "")


def texts_sha256(texts: Iterable[Sequence[str]]) -> str:
    """A fingerprint of references that neither order nor white space nor ids change.

    >>> texts_sha256([("a  b",), ("c",)]) == texts_sha256([("c",), ("a b",)])
    True
    """
    lines = sorted("\t".join(" ".join(text.split()) for text in several) for several in texts)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def ids_sha256(ids: Iterable[str]) -> str:
    """A fingerprint of a set of study ids."""
    return hashlib.sha256("\n".join(sorted(ids)).encode("utf-8", "surrogatepass")).hexdigest()
