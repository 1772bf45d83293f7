"""A run: what the source is, its items cleaned by several processes, each noted when done, the manifest last.

OUT/
  PATIENT/STUDY/OBJECT.dcm      or images/ and studies-*.parquet for a corpus, reports.csv for a table
  pixels.csv, pixels.png        what was found in the pixels, for the person who signs off
  audit/*.csv                   a sample for the person who confirms that nothing is left
  failures.jsonl, manifest.json
  partial/                      what is done, until all is
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from corpora.deid.films import films_below, is_dicom, place_of
from corpora.deid.journal import Journal, Sample
from corpora.deid.key import Key, read_key
from corpora.deid.profile import Profile, load_profile
from corpora.deid.tables import Cleaner, Row, clean_row, open_table, table_out
from corpora.deid.totals import Totals, add_facts, add_film
from corpora.deid.work import Plan, Result, clean_file, clean_study, masked
from corpora.errors import RunError
from corpora.pool import ordered, usable_cores
from corpora.readers import ReadOptions
from corpora.readers.corpus import is_corpus
from corpora.runs import OutputTarget, atomic_writer, begin, discard_work, output_target, without_places, write_manifest
from corpora.store import SHARDS, StudyWriter, from_row, read_rows

Watch = Callable[[int, "int | None"], None]
_PACKAGES: Final = ("pydicom", "numpy", "pyarrow")
_MANY: Final = 1 << 30
#: Reports that one process has cleaned before it would pay to start more of them.
_LARGE: Final = 1 << 21
_MOST_NAMED: Final = 20
_FEW: Final = 10


@dataclass(frozen=True, slots=True)
class DeidSummary:
    """What a run did: counts, actions as MIDI-B names them, and rejected files (their places, masked)."""

    out: Path
    kind: str
    counts: dict[str, int]
    actions: dict[str, int]
    faults: tuple[str, ...]
    seconds: float
    untouched: bool = False


def run_deidentify(
    source: Path | str, out: Path | str, key_file: Path | str, *, preset: str = "basic", options: Iterable[str] = (),
    table: str | None = None, surrogates: bool = False, audit_fraction: float = 0.0, pixels: bool = False,
    workers: int | None = None, resume: bool = False, read: ReadOptions | None = None, command: Sequence[str] = (),
    watch: Watch = lambda done, total: None,
) -> DeidSummary:  # fmt: skip
    """Clean a DICOM file or folder, a corpus, or a table of reports. Raises as ``corpora.deid.command.deidentify``."""
    start = time.perf_counter()
    key, profile = read_key(key_file), load_profile(preset, options, table)
    src, target = Path(source), Path(out)
    _check_places(str(source), target, Path(key_file))
    config = {
        "preset": profile.name, "table": profile.table.edition, "options": sorted(profile.options),
        "surrogates": surrogates, "audit_fraction": audit_fraction, "pixels": pixels, "key": key.fingerprint,
    }  # fmt: skip
    run = _Run(src, target, key, profile, config, workers or usable_cores(), resume, tuple(command), watch, start)
    if is_corpus(str(source)):
        return run.corpus(Plan(src, target, profile, key, surrogates, audit_fraction, pixels, work=target / "partial"))
    if str(source) != "-" and is_dicom(src):
        return run.films(surrogates, audit_fraction, pixels)
    return run.reports(str(source), read or ReadOptions(), surrogates, audit_fraction)


def _check_places(source: str, out: Path, key_file: Path) -> None:
    if source != "-":
        inside, around = out.resolve(), Path(source).resolve()
        if inside == around or inside.is_relative_to(around) or around.is_relative_to(inside):
            raise RunError(
                "run.same_file", "source and output lie in each other", where=str(out), hint="name another output"
            )
    if key_file.resolve().is_relative_to(out.resolve()):
        raise RunError(
            "deid.key_place", "the key lies in the output, and whoever gets that would get it", where=str(key_file),
            hint="keep the key elsewhere",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Run:
    source: Path
    out: Path
    key: Key
    profile: Profile
    config: dict[str, Any]
    workers: int
    resume: bool
    command: tuple[str, ...]
    watch: Watch
    start: float

    # DICOM

    def films(self, surrogates: bool, audit: float, pixels: bool) -> DeidSummary:
        """Clean a file or every file below a folder."""
        single = self.out if self.source.is_file() and self.out.suffix.lower() == ".dcm" else None
        target = _film_target(self.out, single)
        done = self._begun(target)
        if done is not None:
            return done
        plan = Plan(self.source, self.out, self.profile, self.key, surrogates, audit, pixels, single, target.work)
        paths, others = films_below(self.source)
        journal = Journal(target.work / "done.jsonl")
        places = {self.key.digest("place", place_of(self.source, path)).hex()[:24]: path for path in paths}
        left = [path for place, path in places.items() if place not in journal.places]
        work = partial(clean_file, plan)
        results = self._noted(
            ordered(work, iter(left), len(left), self.workers, partial(_killed, plan)), journal, len(paths)
        )
        for _ in results:
            pass
        totals = Totals()
        totals.counts["other_files"] = others
        faults = self._finish_films(target, plan, journal.read(), totals, single)
        return self._summary("dicom", target, totals, faults)

    def _finish_films(
        self, target: OutputTarget, plan: Plan, results: Iterable[Result], totals: Totals, single: Path | None
    ) -> list[list[str]]:
        folder = self.out if single is None else None
        faults: list[list[str]] = []
        findings: list[dict[str, Any]] = []
        patients: set[str] = set()
        with ExitStack() as stack:
            sample = Sample(stack, folder, "headers.csv", ("file", "tag", "keyword", "value", "action"), plan.audit)
            for result in results:
                if "fault" in result:
                    faults.append(result["fault"])
                    continue
                add_film(totals, result)
                patients.add(result["patient"])
                findings += [result["finding"] | {"file": result["out"]}] if "finding" in result else []
                sample.add([[result["out"], *line] for line in result.get("sample", ())])
        totals.counts["patients"] = len(patients - {""})
        self._write_findings(target, findings, folder)
        return faults

    def _write_findings(self, target: OutputTarget, findings: list[dict[str, Any]], folder: Path | None) -> None:
        if findings and folder is not None:
            from corpora.deid.sheet import write_findings

            write_findings(folder, findings, target.work / "thumbs")

    # Corpora

    def corpus(self, plan: Plan) -> DeidSummary:
        """Clean a corpus folder into another one."""
        target = output_target(self.out)
        done = self._begun(target)
        if done is not None:
            return done
        journal, totals = Journal(target.work / "done.jsonl"), Totals()
        left = (row for row in read_rows(self.source) if self._place(row["study_id"]) not in journal.places)
        number = _manifest(self.source).get("counts", {}).get("studies")
        work = partial(clean_study, plan)
        results = self._noted(
            ordered(work, left, number or _MANY, self.workers, partial(_killed_study, plan)), journal, number
        )
        for _ in results:
            pass
        self._count_facts(totals)
        faults = self._finish_corpus(target, plan, journal, totals)
        given = _manifest(self.source).get("aggregates")
        return self._summary("corpus", target, totals, faults, given if isinstance(given, dict) else None)

    def _place(self, study_id: str) -> str:
        return self.key.digest("place", study_id).hex()[:24]

    def _count_facts(self, totals: Totals) -> None:
        """Years, ages and sexes, before the studies lose them."""
        for row in read_rows(self.source, ("study_id", "year", "age", "sex", "images", "meta")):
            study = from_row(row)
            makers = {image.manufacturer for image in study.images if image.manufacturer}
            add_facts(totals, dict(study.meta) | {"manufacturer": next(iter(makers), None)})

    def _finish_corpus(self, target: OutputTarget, plan: Plan, journal: Journal, totals: Totals) -> list[list[str]]:
        faults: list[list[str]] = []
        findings: list[dict[str, Any]] = []
        for stale in self.out.glob(SHARDS):
            stale.unlink()
        with ExitStack() as stack:
            headers = Sample(stack, self.out, "headers.csv", ("file", "tag", "keyword", "value", "action"), plan.audit)
            reports = Sample(stack, self.out, "reports.csv", ("study_id", "report"), plan.audit)
            writer = stack.enter_context(StudyWriter(self.out))
            for result in journal.read():
                faults += result["faults"]
                for film in result["films"]:
                    add_film(totals, film | {"facts": {}})
                    findings += [film["finding"] | {"file": film["out"]}] if "finding" in film else []
                    headers.add([[film["out"], *line] for line in film.get("sample", ())])
                for category, found in result.get("spans", {}).items():
                    totals.counts[f"spans_{category.lower()}"] += found
                if result["row"] is None:
                    continue
                totals.counts["studies"] += 1
                totals.counts["reports"] += result["row"]["text"] is not None
                writer.append(from_row(result["row"]))
                reports.add([[result["row"]["study_id"], result["report"]]] if "report" in result else [])
        totals.counts["images"] = totals.counts.pop("films", 0)
        self._write_findings(target, findings, self.out)
        return faults

    # Reports

    def reports(self, source: str, options: ReadOptions, surrogates: bool, audit: float) -> DeidSummary:
        """Clean a table, folder or archive of reports into a table."""
        target = output_target(self.out, "reports.csv")
        done = self._begun(target)
        if done is not None:
            return done
        columns, rows = open_table(source, options)
        cleaner = Cleaner(self.profile, self.key, surrogates, columns, audit)
        size = Path(source).stat().st_size if Path(source).is_file() else 0
        total = _MANY if size > _LARGE else 0
        totals, faults = Totals(), []
        folder = self.out if target.is_folder else None
        with ExitStack() as stack:
            writer = table_out(stack, target.table, target.format, columns.names)
            sample = Sample(stack, folder, "reports.csv", (*columns.names, "spans"), audit)
            for group in ordered(partial(clean_row, cleaner), rows, total, self.workers, _killed_row):
                for row in group:
                    if row.cells is None:
                        where = row.reject.provenance.row if row.reject else None
                        faults.append([row.reject.code, row.reject.message, f"row {where}"] if row.reject else
                                      ["worker.died", "the process that worked on the row died", "a row"])  # fmt: skip
                        continue
                    writer.append(row.cells)
                    sample.add([[*row.cells]] if row.sampled else [])
                    totals.counts["reports"] += 1
                    for category, found in row.found.items():
                        totals.counts[f"spans_{category.lower()}"] += found
                self.watch(totals.counts["reports"], None)
        return self._summary("reports", target, totals, faults)

    # What all have in common

    def _begun(self, target: OutputTarget) -> DeidSummary | None:
        """Begin or go on with a run; its summary if it is complete. Raises ``RunError``."""
        settings = target.work / "settings.json"
        before = _json(target.manifest).get("config") or _json(settings) or None
        busy = target.is_folder and self.out.is_dir() and any(self.out.iterdir())
        if not self.resume and (busy or target.complete or (target.table.exists() and not target.is_folder)):
            hint = (
                "--resume goes on with the run that was interrupted" if before else "name another output, or empty it"
            )
            raise RunError("run.not_empty", "there is something in the output already", where=str(self.out), hint=hint)
        if self.resume and before is not None:
            changed = sorted(name for name in self.config if before.get(name) != self.config[name])
            if changed:
                raise RunError(
                    "run.changed", f"the run there was begun with another {', '.join(changed)}", where=str(self.out),
                    hint="give the same options and the same key, or name another output",
                )  # fmt: skip
            if target.complete:
                manifest = _json(target.manifest)
                return DeidSummary(
                    self.out, "", manifest["counts"], manifest.get("actions", {}), (), 0.0, untouched=True
                )
        elif self.resume and busy:
            raise RunError(
                "run.damaged",
                "there is no unfinished run in the folder",
                where=str(self.out),
                hint="name an empty folder",
            )
        begin(target, resume=self.resume)
        with atomic_writer(settings) as file:
            json.dump(self.config, file)
        return None

    def _noted(self, groups: Iterator[list[Result]], journal: Journal, total: int | None) -> Iterator[Result]:
        done = len(journal.places)
        for group in groups:
            journal.add(group)
            done += len(group)
            self.watch(done, total)
            yield from group

    def _summary(
        self, kind: str, target: OutputTarget, totals: Totals, faults: list[list[str]],
        aggregates: dict[str, Any] | None = None,
    ) -> DeidSummary:  # fmt: skip
        totals.counts["rejected"] = len(faults)
        target.failures.unlink(missing_ok=True)
        if faults:
            with atomic_writer(target.failures) as file:
                for code, message, where in faults:
                    file.write(json.dumps({"code": code, "message": message, "file": where}, ensure_ascii=False) + "\n")
        command = without_places(self.command or [f"deidentify {kind}"])
        manifest = write_manifest(
            target.work / "manifest.json", command=command, config=self.config, inputs=[],
            counts=totals.counts, wall_seconds=time.perf_counter() - self.start, packages=_PACKAGES, nameless=True,
        )  # fmt: skip
        manifest |= {
            "kind": kind,
            "actions": dict(sorted(totals.actions.items())),
            "by_code": dict(sorted(totals.codes.items())),
        }
        manifest["deidentified"] = {
            "profile": "PS3.15 Basic Application Level Confidentiality Profile",
            "dates": self.profile.dates,
        }
        # counts of a few people tell of each of them
        few = max(totals.counts["films"], totals.counts["studies"]) < _FEW
        manifest["aggregates"] = {} if few else aggregates or {
            "years": dict(sorted(totals.years.items())), "age_decades": dict(sorted(totals.ages.items())),
            "sexes": dict(sorted(totals.sexes.items())), "manufacturers": dict(sorted(totals.manufacturers.items())),
        }  # fmt: skip
        with atomic_writer(target.manifest) as file:
            json.dump(manifest, file, indent=2, ensure_ascii=False, default=str)
            file.write("\n")
        discard_work(target)
        return DeidSummary(
            self.out, kind, dict(totals.counts), dict(totals.actions), tuple(f"{where}: {message} [{code}]" for code, message, where in faults[:_MOST_NAMED]),  # noqa: E501
            time.perf_counter() - self.start,
        )  # fmt: skip


def _film_target(out: Path, single: Path | None) -> OutputTarget:
    if single is None:
        return output_target(out)
    if out.is_dir():
        raise RunError("run.is_folder", f"{out} is a folder, not a DICOM file", hint="name another output")
    beside = {"manifest": ".manifest.json", "failures": ".failures.jsonl", "work": ".partial"}
    return OutputTarget(out, False, out, **{name: out.with_name(out.name + end) for name, end in beside.items()})


def _killed(plan: Plan, path: Path) -> Result:
    place = place_of(plan.source, path)
    fault = ["worker.died", "the process that read the file died", masked(place)]
    return {"place": plan.key.digest("place", place).hex()[:24], "fault": fault}


def _killed_study(plan: Plan, row: dict[str, Any]) -> Result:
    place = plan.key.digest("place", row["study_id"]).hex()[:24]
    return {
        "place": place,
        "films": [],
        "row": None,
        "faults": [["worker.died", "the process that read the study died", "*"]],
    }


def _killed_row(row: Any) -> Row:
    return Row(None, Counter())


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _manifest(corpus: Path) -> dict[str, Any]:
    return _json(corpus / "manifest.json")
