"""`radloop report view`: pages of drafts that need no network, one a study.

SITE/index.html             studies, with how many findings differ
SITE/0001.html ...          film, draft, reference, findings that differ; under each sentence the map behind it
"""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from corpora.errors import DataError, RadloopError
from corpora.images.files import read_any
from corpora.images.fit import fit
from corpora.readers.corpus import is_corpus
from corpora.runs import atomic_writer, write_manifest, writing
from corpora.store import read_studies
from corpora.types import Report
from labeler.base import load
from labeler.rules.sentences import sentences
from reportgen.export import drafts_file, read_drafts, sections_in
from reportgen.page import environment
from reportgen.targets import read_sections

_SHOWN: Final = 384
_WORDS: Final = {1: "present", 0: "absent", -1: "uncertain", None: "not mentioned"}

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ViewSummary:
    """What was written: the folder, pages, what could not be shown."""

    site: Path
    pages: int
    notes: tuple[str, ...]


def view(
    drafts: Path, site: Path | None = None, *, most: int = 50, maps: bool = True, command: Iterable[str] = (),
    watch: Callable[[int, int], None] = lambda done, total: None,
) -> ViewSummary:  # fmt: skip
    """Write the pages of the first ``most`` drafts. References come from the corpus that was drafted.

    Raises ``DataError`` (``data.missing``, ``report.drafts``) and ``RunError`` if the site cannot be written.
    """
    begun, path = time.monotonic(), drafts_file(drafts)
    records = list(read_drafts(path))[:most]
    if not records:
        raise DataError("report.drafts", "it holds no draft", where=str(path))
    made = _made(path)
    site = site or path.with_name(f"{path.stem}-site")
    notes: list[str] = []
    references = _references(made.get("source"), {record["study_id"] for record in records}, notes)
    reader = load(made.get("labeler") or "rules.v1")
    drawn = _maps(records, made, notes) if maps else {}
    with writing(site):
        site.mkdir(parents=True, exist_ok=True)
        (site / "manifest.json").unlink(missing_ok=True)
    listed = []
    for number, record in enumerate(records, 1):
        page = _page(record, references.get(record["study_id"]), reader, drawn.get(record["study_id"]), notes)
        name = f"{number:04d}.html"
        _write(site / name, "draft.html", page=page, at=number, count=len(records))
        listed.append({"name": name, "study_id": record["study_id"], "differ": sum(r["differs"] for r in page["rows"]),
                       "flags": len(record["flags"]), "compared": page["reference"] is not None})  # fmt: skip
        watch(number, len(records))
    _write(site / "index.html", "drafts.html", listed=listed, notice=records[0]["notice"], table=path.name)
    write_manifest(
        site / "manifest.json", command=list(command), config={"most": most, "maps": maps}, inputs=[path],
        counts={"pages": len(listed)}, wall_seconds=time.monotonic() - begun,
    )  # fmt: skip
    return ViewSummary(site, len(listed), tuple(dict.fromkeys(notes)))


def _made(path: Path) -> Mapping[str, Any]:
    """The settings that drafts were made with, of the manifest beside them; none without it."""
    for manifest in (path.with_name(f"{path.name}.manifest.json"), path.with_name("manifest.json")):
        try:
            found = json.loads(manifest.read_text(encoding="utf-8"))["config"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _references(source: str | None, wanted: set[str], notes: list[str]) -> dict[str, Report]:
    if not source or not is_corpus(source):
        notes.append("no references: the drafts are not of a corpus that is still there")
        return {}
    found = read_studies(Path(source))
    return {each.study_id: each.report for each in found if each.study_id in wanted and each.report}


def _page(record: Record, reference: Report | None, reader: Any, maps: Any, notes: list[str]) -> dict[str, Any]:
    films = [shown for path in record["films"] if (shown := _film(path, notes)) is not None]
    read = dict(read_sections(reference)) if reference else None
    drafted = _states(reader, " ".join(sections_in(record).values()))
    meant = _states(reader, " ".join(read.values())) if read else {}
    flags = {flag["label"]: flag["kind"] for flag in record["flags"]}
    rows = [
        {
            "label": label, "draft": _WORDS[drafted[label]], "reference": _WORDS[meant.get(label)] if read else "",
            "probability": record["probabilities"].get(label), "judged": record.get("judged", {}).get(label),
            "flag": flags.get(label, ""),
            "differs": bool(read) and _positive(drafted[label]) != _positive(meant.get(label)),
        }
        for label in drafted
        if drafted[label] is not None or meant.get(label) is not None or label in flags
    ]  # fmt: skip
    wrong = {row["label"] for row in rows if row["differs"]}
    return {
        "record": record, "films": films, "reference": _parts(read, reader, wrong) if read else None, "rows": rows,
        "draft": _parts(sections_in(record), reader, wrong, maps),
    }  # fmt: skip


def _states(reader: Any, text: str) -> dict[str, Any]:
    return dict(zip(reader.schema.labels, reader.states([Report("", text)])[0], strict=True))


def _positive(state: Any) -> bool:
    return state in (1, -1)


def _parts(sections: Mapping[str, str], reader: Any, wrong: set[str], maps: Any = None) -> list[dict[str, Any]]:
    """Sections as sentences; one that mentions a finding on which draft and reference differ is marked."""
    pictures = iter(maps or ())
    parts = []
    for name, text in sections.items():
        found = []
        for start, end in sentences(text):
            sentence = text[start:end]
            said = {label for label, state in _states(reader, sentence).items() if state is not None} - {"No Finding"}
            found.append({"text": sentence, "wrong": sorted(said & wrong), "maps": next(pictures, None)})
        parts.append({"name": name, "sentences": found})
    return parts


# Films and maps


def _film(path: str, notes: list[str]) -> str | None:
    try:
        greys, _ = fit(read_any(path), _SHOWN)
    except (RadloopError, OSError):
        notes.append("some films cannot be read any more, and are not shown")
        return None
    return _png((greys / 257).astype(np.uint8))


def _png(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def _maps(records: Sequence[Record], made: Mapping[str, Any], notes: list[str]) -> dict[str, list[list[str]]]:
    """For each study and sentence, a picture of the map for each film; none of drafts by a generator."""
    if made.get("generator") or not made.get("run"):
        notes.append("no maps: they are of drafts by a decoder")
        return {}
    from reportgen.view_maps import maps_of

    try:
        found = maps_of(records, Path(made["run"]))
    except RadloopError as error:
        notes.append(f"no maps: {error.message}")
        return {}
    return {study: [[_heat(one) for one in films] for films in maps] for study, maps in found.items()}


def _heat(found: NDArray[np.float32]) -> str:
    """A map [side, side] as a red veil with as much cover as it says."""
    from PIL import Image

    grey = Image.fromarray((found * 255).astype(np.uint8)).resize((96, 96), Image.Resampling.BICUBIC)
    veil = np.zeros((96, 96, 4), dtype=np.uint8)
    veil[..., 0], veil[..., 3] = 255, np.asarray(grey) // 2
    return _png(veil)


def _write(path: Path, template: str, **values: Any) -> None:
    with atomic_writer(path) as file:
        file.write(environment().get_template(template).render(**values))
