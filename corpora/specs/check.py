"""Check a corpus against a specification: one pass over its studies, then a verdict on each criterion.

result = check("corpus", "thoracic-40k")
result.passed, result.criteria["vendors"].verdict
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from corpora.errors import DataError
from corpora.specs import labelling, reports, sameness, values
from corpora.specs.aggregates import aggregates_of
from corpora.specs.evidence import Evidence, Outcome
from corpora.specs.facts import manifest_of, read_facts
from corpora.specs.films import MOST_COMPARED, compare, film_quality, films_to_see, look_at
from corpora.specs.labels import read_label_table
from corpora.specs.model import Criterion, FilmQuality, SpecFile, load_spec

Check = Callable[[Any, Evidence], Outcome]

#: What measures the criteria of each ``check``.
CHECKS: Final[dict[str, Check]] = {
    "count": values.count,
    "count_per": values.count_per,
    "view_share": values.view_share,
    "image_values": values.image_values,
    "study_values": values.study_values,
    "distinct": values.distinct,
    "split_sizes": values.split_sizes,
    "sections": reports.sections,
    "sound_text": reports.sound_text,
    "indication": reports.indication,
    "labelled": labelling.labelled,
    "label_names": labelling.label_names,
    "label_states": labelling.label_states,
    "audit": labelling.audit,
    "boxes": labelling.boxes,
    "film_quality": film_quality,
    "scan": sameness.scan,
    "patient_duplicates": sameness.patient_duplicates,
    "near_duplicates": sameness.near_duplicates,
    "beyond": sameness.beyond,
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The outcome of every criterion of a specification, in its order, with the criteria themselves."""

    corpus: Path
    spec: SpecFile
    outcomes: Mapping[str, Outcome]
    evidence: Evidence
    seconds: float

    @property
    def failed(self) -> list[str]:
        """The required criteria that failed."""
        return [name for name in self._failed() if self.criteria[name].required]

    @property
    def missed(self) -> list[str]:
        """The criteria that failed and are not required."""
        return [name for name in self._failed() if not self.criteria[name].required]

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def criteria(self) -> dict[str, Criterion]:
        return self.spec.kept()

    def counts(self) -> dict[str, int]:
        """Criteria by verdict."""
        counted = Counter(outcome.verdict for outcome in self.outcomes.values())
        return {verdict: counted[verdict] for verdict in ("pass", "fail", "not judged")}

    def _failed(self) -> list[str]:
        return [name for name, outcome in self.outcomes.items() if outcome.verdict == "fail"]


def check(
    corpus: Path | str,
    spec: str | SpecFile = "thoracic-40k",
    *,
    labels: Path | str | None = None,
    boxes: Path | str | None = None,
    certificate: Path | str | None = None,
    scan: Path | str | None = None,
    pixels: str = "100",
    watch: Callable[[int, int], None] | None = None,
) -> CheckResult:
    """Judge a corpus by a specification: a shipped name, a YAML file, or one already read.

    ``labels`` is a label table, ``boxes`` a file of boxes, ``certificate`` that of the audit, ``scan`` the result of a
    scan for identities. ``pixels`` is how many films to look at: a number, ``all`` or ``none``; unless
    it is none, films whose hashes agree are compared. Nothing is written.
    Raises ``DataError`` and ``ConfigError`` for a corpus, table or specification that cannot be read,
    ``RunError`` (``run.worker``) if a process that reads films is killed.
    """
    start, corpus = time.perf_counter(), Path(corpus)
    read = spec if isinstance(spec, SpecFile) else load_spec(spec)
    most = films_to_see(pixels)
    evidence = gather(corpus, read, labels=labels, boxes=boxes, certificate=certificate, scan=scan)
    if most != 0:
        evidence = replace(
            evidence, compare=partial(compare, corpus, most=None if most is None else MOST_COMPARED, watch=watch)
        )
        if any(isinstance(criterion, FilmQuality) for criterion in read.kept().values()):
            evidence = replace(evidence, films=look_at(corpus, evidence.studies, most, watch))
    outcomes = {name: CHECKS[getattr(each, "check")](each, evidence) for name, each in read.kept().items()}  # noqa: B009
    return CheckResult(corpus, read, outcomes, evidence, time.perf_counter() - start)


def gather(
    corpus: Path,
    spec: SpecFile,
    *,
    labels: Path | str | None = None,
    boxes: Path | str | None = None,
    certificate: Path | str | None = None,
    scan: Path | str | None = None,
) -> Evidence:
    """All that the checks look at but the films. Raises as ``check``."""
    from corpora.boxes import read_boxes

    layer = None if boxes is None else read_boxes(boxes)
    papers = [None if path is None else (Path(path), _json_object(Path(path))) for path in (certificate, scan)]
    studies = list(read_facts(corpus))
    if not studies:
        raise DataError("data.empty", "the corpus has no studies", where=str(corpus))
    table = None if labels is None else read_label_table(labels, {study.study_id for study in studies})
    return Evidence(spec, studies, aggregates_of(manifest_of(corpus)), table, layer, papers[0], papers[1])


def _json_object(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError("data.missing", "there is no such file", where=str(path)) from error
    except OSError as error:
        raise DataError("data.unreadable", error.strerror or "cannot be read", where=str(path)) from error
    except (ValueError, RecursionError) as error:
        raise DataError("data.json", "the file is not JSON", where=str(path)) from error
    if not isinstance(data, dict):
        raise DataError("data.json", "the file is not a JSON object", where=str(path))
    return data
