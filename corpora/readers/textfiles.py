"""Text files: a folder or an archive of ``NAME.txt``, one report a file, however the folders are named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from corpora.readers.files import codec
from corpora.readers.members import members, names, wanted_name
from corpora.readers.options import ReadOptions, Record
from corpora.readers.records import make_study
from corpora.types import Provenance, Reject

#: Which files of a folder or archive are reports; what is called so by custom is about them.
TEXTS: Final = re.compile(r"(?:^|/)(?!(?:readme|licen[cs]e|sha256sums|checksums|changelog|index)\.)[^/]+\.txt$", re.I)


def read_txt(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a tree of text files. Ids are the files' names; where two are the same, paths from ``source`` on.

    A file that is not in the encoding (UTF-8 if none is given) is a ``Reject`` (``data.encoding``).
    Raises ``DataError`` as ``members``.
    """
    encoding = codec(options.encoding)
    by_path = _has_twins(source)
    for member in members(source, TEXTS):
        if isinstance(member, Reject):
            yield member
            continue
        provenance = Provenance(source, member=member.name)
        study_id = _id(member.name, by_path)
        try:
            text = member.data.decode(encoding)
        except UnicodeDecodeError:
            yield Reject("data.encoding", f"the text is not {options.encoding or 'UTF-8'}", provenance, study_id)
            continue
        yield make_study(study_id, text, provenance)


def _id(name: str, by_path: bool) -> str:
    return (name if by_path else name.rpartition("/")[2])[: -len(".txt")]


def _has_twins(source: str) -> bool:
    seen: set[str] = set()
    for name in names(source):
        if wanted_name(name, TEXTS):
            study_id = _id(name, by_path=False)
            if study_id in seen:
                return True
            seen.add(study_id)
    return False
