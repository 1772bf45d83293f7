"""Open-i: a folder or an archive of XML, one report a file, as the Indiana University collection comes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from corpora.readers.members import Member, members
from corpora.readers.options import ReadOptions, Record
from corpora.readers.records import compose, make_study
from corpora.sections import heading_name
from corpora.types import Provenance, Reject

#: Which files of a folder or archive are reports.
XML: Final = re.compile(r"\.xml$", re.IGNORECASE)


def read_openi(source: str, options: ReadOptions) -> Iterator[Record]:
    """The studies of an Open-i collection: ids ``CXR1`` ..., each section of the report under its heading.

    A broken file is a ``Reject`` (``data.xml``); a report without findings and impression is a study all the same.
    Raises ``DataError`` as ``members``.
    """
    for member in members(source, XML):
        yield member if isinstance(member, Reject) else _study(member, Provenance(source, member=member.name))


def _study(member: Member, provenance: Provenance) -> Record:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(member.data, forbid_dtd=True)
    except DefusedXmlException:
        return Reject("data.xml", "the file defines entities or has a document type", provenance)
    except (ParseError, ValueError, LookupError):
        return Reject("data.xml", "the file is not well-formed XML", provenance)
    uid = root.find("uId")
    if uid is None:
        return Reject("data.xml", "the file has no uId: it is no Open-i report", provenance)
    parts = ((_name(part.get("Label", "")), "".join(part.itertext())) for part in root.iter("AbstractText"))
    text, sections = compose(parts)
    return make_study(uid.get("id", "").strip(), text, provenance, sections=sections)


def _name(label: str) -> str:
    return heading_name(label) or "body"
