"""MIMIC-CXR: a folder or an archive of text files ``p10/p10000032/s50414267.txt``, one report a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from corpora.readers.files import codec
from corpora.readers.members import members
from corpora.readers.options import ReadOptions, Record
from corpora.readers.records import make_study
from corpora.types import Provenance, Reject

#: Which files of a folder or archive are reports.
TXT: Final = re.compile(r"(?:^|/)s\d+\.txt$")
_PATIENT: Final = re.compile(r"(?:^|/)(p\d{8})/")


def read_mimic(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of a MIMIC-CXR tree: ids ``s50414267``, patients ``p10000032``, the text as it is in the file.

    A file that is not in the encoding (UTF-8 if none is given) is a ``Reject`` (``data.encoding``).
    Raises ``DataError`` as ``members``.
    """
    encoding = codec(options.encoding)
    for member in members(source, TXT):
        if isinstance(member, Reject):
            yield member
            continue
        provenance = Provenance(source, member=member.name)
        study_id = member.name.rpartition("/")[2].removesuffix(".txt")
        try:
            text = member.data.decode(encoding)
        except UnicodeDecodeError:
            yield Reject("data.encoding", f"the text is not {options.encoding or 'UTF-8'}", provenance, study_id)
            continue
        patient = _PATIENT.search(member.name)
        yield make_study(study_id, text, provenance, patient_id=patient[1] if patient else None)
