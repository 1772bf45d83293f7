"""Phantom films, some of them broken, through import, de-identification, scan and check; nothing else may be lost."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
import pydicom.errors

from corpora.deid.key import Key, read_key
from corpora.store import read_rows
from tests.benchmarks.soak_commands import PROGRAM, Ended, Running, SoakError, call, sha256, start
from tests.benchmarks.soak_faults import break_files

#: Films a phantom study has, at least, in the mean of many.
_FILMS_A_STUDY: Final = 1.42
#: Share of a box that is of one grey where text in it is gone.
_COVERED: Final = 0.9
#: What no reader can tell from a whole film; an import takes films without a UID, too, which it needs not.
_CANNOT_TELL: Final = ("random bytes in the pixels, not compressed",)
_IMPORT_CANNOT_TELL: Final = (*_CANNOT_TELL, "no SOPInstanceUID")
_REJECTS_ALLOWED: Final = "50%"
#: A run is killed within so many seconds, and those that films take at this rate a second, shared between its kills.
_EARLIEST: Final = 0.5
_START: Final = 3.0
_RATE: Final = 100
#: Share of kills that take the main process alone.
_ALONE: Final = 0.3


def draw(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Draw the phantom studies that the films are of; what was drawn before is kept."""
    corpus = folder / "phantoms"
    studies = int(options.films / _FILMS_A_STUDY) + 10
    done = call([
        *PROGRAM, "corpus", "phantom", "-o", str(corpus), "-n", str(studies), "--size", str(options.size),
        "--seed", str(options.seed), "--workers", str(options.workers), *(["--resume"] if corpus.is_dir() else []),
    ])  # fmt: skip
    films = len(list((corpus / "images").iterdir()))
    return {
        "studies": studies,
        "films": films,
        "pixels from top to bottom": options.size,
        "CPU seconds": done.cpu,
        "wrong": [f"{films} films, not {options.films}"] * (films < options.films),
    }


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Break some films, then import and de-identify, killed again and again in both."""
    phantoms = folder.parent / "draw" / "phantoms"
    films, broken = _source(phantoms, folder, options)
    figures: dict[str, Any] = {
        "films": len(films),
        "bytes of the films": sum(path.stat().st_size for path in films),
        "broken": dict(Counter(broken.values())),
        "wrong": [],
    }
    whole = {path.name for path in films} - set(broken)
    moments = random.Random(options.seed)
    steps = _Steps(folder, options)
    steps.begin()
    _import(steps, moments, whole, broken, figures)
    _deidentify(steps, moments, broken, figures)
    return figures


def apart(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """De-identify the films of ``soak`` as they are, broken ones among them, without an import before."""
    steps = _Steps(folder.parent / "films", options)
    shutil.rmtree(steps.apart, ignore_errors=True)
    broken = json.loads(steps.broken.read_text())
    figures: dict[str, Any] = {"broken": dict(Counter(broken.values())), "wrong": []}
    _deidentify_folder(steps, {path.name for path in steps.films.iterdir()} - set(broken), broken, figures)
    return figures


def look(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Scan and check what ``soak`` has written."""
    steps = _Steps(folder.parent / "films", options)
    before = json.loads((options.out / "films.json").read_text())["deidentify the corpus"]
    figures: dict[str, Any] = {"wrong": []}
    phantoms = folder.parent / "draw" / "phantoms"
    _scan(steps, phantoms, before["films written"], figures, pixels=not options.no_pixels)
    _check(steps, before["films written"], figures)
    return figures


def again(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Import and de-identify once more, undisturbed, and compare: what was killed must have come to the same."""
    before, steps = _Steps(folder.parent / "films", options), _Steps(folder, options)
    shutil.rmtree(folder)
    folder.mkdir()
    figures: dict[str, Any] = {"wrong": []}
    for name, words, disturbed, peaceful in (
        ("import", _import_words(before, steps.corpus), before.corpus, steps.corpus),
        ("deidentify the corpus", _deidentify_words(before, steps.clean), before.clean, steps.clean),
    ):
        done = steps.radloop(*words)
        theirs, ours = _files(disturbed), _files(peaceful)
        figures[name] = {"CPU seconds": done.cpu, "seconds": done.seconds, "files compared": len(ours)}
        different = sorted(path for path in {*ours, *theirs} if ours.get(path) != theirs.get(path))
        _expect(figures, f"{name}: files differ from those of the killed run", different)
    return figures


def _files(folder: Path) -> dict[str, str]:
    """The hash of each file of a run, by its path; not of the manifest, which says when the run was."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


class _Steps:
    """The commands and their folders."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.workers, self.kills = folder, str(options.workers), options.film_kills
        self.films, self.corpus, self.clean = folder / "films", folder / "corpus", folder / "clean"
        self.key, self.apart, self.broken = folder / "site.key", folder / "apart", folder / "broken.json"

    def begin(self) -> None:
        """Take away what an earlier soak has written, and make a key."""
        for path in (self.corpus, self.clean, self.apart):
            shutil.rmtree(path, ignore_errors=True)
        self.key.unlink(missing_ok=True)
        call([*PROGRAM, "corpus", "key", str(self.key)])

    def radloop(self, *words: str | Path, codes: tuple[int, ...] = (0,)) -> Ended:
        return call([*PROGRAM, *map(str, words)], codes)

    def disturbed(self, chance: random.Random, films: int, *words: str | Path) -> tuple[Ended, dict[str, int]]:
        """Kill a command, go on with it, again and again, then let it finish; how it ended, and the kills by kind."""
        kills = {"all processes": 0, "the main process alone": 0}
        resumed = (*words, "--resume")
        killed: list[Running] = []
        for _ in range(self.kills):
            alone = chance.random() < _ALONE
            running = self._killed(chance.uniform(_EARLIEST, _START + films / _RATE / self.kills), alone, *resumed)
            if running is None:
                break
            killed.append(running)
            kills["the main process alone" if alone else "all processes"] += 1
        done = self.radloop(*resumed, "--json")
        if outlived := sum(running.left_behind for running in killed):
            raise SoakError(f"{words[1]}: processes of {outlived} killed runs are alive still")
        return done, kills

    def _killed(self, moment: float, alone: bool, *words: str | Path) -> Running | None:
        """Start a command and kill it, with all of its processes or alone; None if it was done before."""
        running = start([*PROGRAM, *map(str, words)])
        deadline = time.monotonic() + moment
        while time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.02)
        was_running = running.poll() is None
        if was_running:
            running.send_signal(signal.SIGKILL) if alone else running.kill_all()
        running.end()
        return running if was_running else None


def _source(phantoms: Path, folder: Path, options: argparse.Namespace) -> tuple[list[Path], dict[str, str]]:
    """The films of one folder, some broken; their reports; and the table that says which film is of which study."""
    films = folder / "films"
    shutil.rmtree(films, ignore_errors=True)
    films.mkdir()
    taken = sorted((phantoms / "images").iterdir())[: options.films]
    for path in taken:
        os.link(path, films / path.name)
    names = {path.name for path in taken}
    with (folder / "reports.jsonl").open("w") as reports, (folder / "map.csv").open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["image", "study_id", "patient_id"])
        for row in read_rows(phantoms, ["study_id", "patient_id", "text", "images"]):
            images = [Path(image["path"]).name for image in row["images"]]
            writer.writerows([image, row["study_id"], row["patient_id"]] for image in images if image in names)
            if names.intersection(images):
                report = {"study_id": row["study_id"], "patient_id": row["patient_id"], "report": row["text"]}
                reports.write(json.dumps(report) + "\n")
    paths = [films / name for name in sorted(names)]
    broken = break_files(paths, options.faults, options.seed)
    named = {name: how + _packing(phantoms / "images" / name, how) for name, how in broken.items()}
    (folder / "broken.json").write_text(json.dumps(named, indent=2))
    return paths, named


def _packing(whole: Path, how: str) -> str:
    """For bytes put among the pixels, whether these were compressed: only then a decoder can tell."""
    if how != "random bytes in the pixels":
        return ""
    syntax = pydicom.dcmread(whole, stop_before_pixels=True).file_meta.TransferSyntaxUID
    return ", compressed" if syntax.is_compressed else ", not compressed"


def _import_words(steps: _Steps, out: Path) -> tuple[str | Path, ...]:
    return (
        "corpus", "import", steps.folder / "reports.jsonl", steps.films, "-o", out, "--hash", "--mapping",
        steps.folder / "map.csv", "--max-failures", _REJECTS_ALLOWED, "--workers", steps.workers,
    )  # fmt: skip


def _deidentify_words(steps: _Steps, out: Path) -> tuple[str | Path, ...]:
    return (
        "corpus", "deidentify", steps.corpus, "-o", out, "--key-file", steps.key, "--option",
        "clean-pixel-data", "--max-failures", _REJECTS_ALLOWED, "--workers", steps.workers,
    )  # fmt: skip


def _import(
    steps: _Steps, moments: random.Random, whole: set[str], broken: dict[str, str], figures: dict[str, Any]
) -> None:
    done, kills = steps.disturbed(moments, len(whole), *_import_words(steps, steps.corpus))
    kept = {Path(image["path"]).name for row in read_rows(steps.corpus, ["images"]) for image in row["images"]}
    set_aside = {Path(line["file"]).name for line in _lines(steps.corpus / "failures.jsonl")}
    figures["import"] = {
        "CPU seconds": done.cpu, "kills": kills, "films kept": len(kept), "rejected": len(set_aside),
        "reports": done.json()["reports"], "by fault": _by_fault(broken, kept, set_aside),
    }  # fmt: skip
    _expect(figures, "import kept films that are broken", _unnoticed(broken, kept, _IMPORT_CANNOT_TELL))
    _expect(figures, "import lost whole films", whole - kept)
    _expect(figures, "import set whole films aside", whole & set_aside)
    _expect(figures, "import is silent of broken films", set(broken) - kept - set_aside)
    _expect(figures, "import kept and rejected", kept & set_aside)
    reports = len((steps.folder / "reports.jsonl").read_text().splitlines())
    _expect(figures, "reports lost", range(reports - done.json()["reports"]))


def _deidentify(steps: _Steps, moments: random.Random, broken: dict[str, str], figures: dict[str, Any]) -> None:
    films = figures["import"]["films kept"]
    done, kills = steps.disturbed(moments, films, *_deidentify_words(steps, steps.clean))
    counts, actions = done.json()["counts"], done.json()["actions"]
    images = [image for row in read_rows(steps.clean, ["images"]) for image in row["images"]]
    figures["deidentify the corpus"] = {
        "CPU seconds": done.cpu, "kills": kills, "films written": counts["images"],
        "rejected": counts["rejected"], "reports": counts["reports"],
        "films with text blacked out": actions.get("pixels_hidden", 0),
    }  # fmt: skip
    key, written = read_key(steps.key), {Path(image["path"]).stem: Path(image["path"]) for image in images}
    imported = {Path(image["path"]).name for row in read_rows(steps.corpus, ["images"]) for image in row["images"]}
    left = {name: how for name, how in broken.items() if name in imported}
    came = {name for name in left if _cleaned(steps.films / name, key, written)}
    figures["deidentify the corpus"]["by fault"] = _by_fault(left, came, set(left) - came)
    _expect(figures, "deidentify wrote films that are broken", _unnoticed(left, came, _CANNOT_TELL))
    _expect(figures, "deidentify rejected others", range(abs(counts["rejected"] - len(set(left) - came))))
    missing = figures["import"]["films kept"] - counts["images"] - counts["rejected"]
    _expect(figures, "deidentify lost films", range(abs(missing)))
    _expect(figures, "written films are not there", [
        image["image_id"] for image in images if not (steps.clean / image["path"]).is_file()
    ])  # fmt: skip
    _expect(figures, "reports lost by deidentify", range(figures["import"]["reports"] - counts["reports"]))
    kept = {Path(image["path"]) for row in read_rows(steps.corpus, ["images"]) for image in row["images"]}
    sound = [steps.films / path.name for path in kept if path.name not in broken]
    changed = _changed(sound, [steps.clean / image["path"] for image in images])
    figures["deidentify the corpus"]["films whose pixels changed"] = changed
    _expect(figures, "pixels changed that were not blacked out", range(changed - actions.get("pixels_hidden", 0)))


def _scan(steps: _Steps, phantoms: Path, written: int, figures: dict[str, Any], *, pixels: bool) -> None:
    done = steps.radloop(
        "corpus", "scan", steps.clean, "--key-file", steps.key, "--source", steps.corpus, "--workers", steps.workers,
        "-o", steps.folder / "scan.json", "--json", "--pixels" if pixels else "--no-pixels", codes=(0, 1),
    )  # fmt: skip
    found = done.json()
    figures["scan"] = {
        "CPU seconds": done.cpu, "films": found["files"], "reports": found["reports"],
        "films whose pixels were read": found["films_whose_pixels_were_read"], "findings": found["by_kind"],
        "films with findings": len({each["file"] for each in found["findings"]}),
    }  # fmt: skip
    figures["text in pixels"] = _text(steps, phantoms)
    missing = written - found["files"]
    _expect(figures, "scan passed over films", range(abs(missing)))
    elsewhere = [each for each in found["findings"] if each["kind"] != "pixels"]
    _expect(figures, "identities left in headers or reports", [each["where"] for each in elsewhere])


def _text(steps: _Steps, phantoms: Path) -> dict[str, int]:
    """How many planted lines of text lie in the films, and how many of them are blacked out from end to end."""
    key = read_key(steps.key)
    written = {path.stem: path for path in steps.clean.rglob("*.dcm")}
    lines = covered = 0
    films = set()
    with (phantoms / "truth" / "phi.jsonl").open() as file:
        planted = [each for each in map(json.loads, file) if each["where"] == "pixels"]
    for image_id, boxes in groupby(planted, key=itemgetter("image_id")):
        source = steps.films / f"{image_id}.dcm"
        if not source.is_file() or (path := _cleaned(source, key, written)) is None:
            continue
        pixels = pydicom.dcmread(path).pixel_array
        films.add(image_id)
        for left, top, right, bottom in (each["box"] for each in boxes):
            lines += 1
            counts = np.unique(pixels[top:bottom, left:right], return_counts=True)[1]
            covered += bool(counts.max() >= _COVERED * counts.sum())
    return {"films": len(films), "lines": lines, "lines wholly blacked out": covered}


def _cleaned(source: Path, key: Key, written: Mapping[str, Path]) -> Path | None:
    try:
        uid = str(pydicom.dcmread(source, stop_before_pixels=True).SOPInstanceUID)
    except (pydicom.errors.InvalidDicomError, AttributeError, EOFError, ValueError):  # one of the broken ones
        return None
    return written.get(key.uid(uid))


def _check(steps: _Steps, written: int, figures: dict[str, Any]) -> None:
    done = steps.radloop(
        "corpus", "check", steps.clean, "--scan", steps.folder / "scan.json", "--json", codes=(0, 1),
    )  # fmt: skip
    result = done.json()
    size = next(each for each in result["criteria"] if each["id"] == "studies")["details"]
    figures["check"] = {
        "CPU seconds": done.cpu,
        "studies": size["studies"],
        "films": size["images"],
        **result["counts"],
    }
    missing = written - size["images"]
    _expect(figures, "check counts other films than were written", range(abs(missing)))


def _deidentify_folder(steps: _Steps, whole: set[str], broken: dict[str, str], figures: dict[str, Any]) -> None:
    done = steps.radloop(
        "corpus", "deidentify", steps.films, "-o", steps.apart, "--key-file", steps.key, "--option",
        "clean-pixel-data", "--max-failures", _REJECTS_ALLOWED, "--workers", steps.workers, "--json",
    )  # fmt: skip
    counts, actions = done.json()["counts"], done.json()["actions"]
    codes = Counter(line["code"] for line in _lines(steps.apart / "failures.jsonl"))
    key, written = read_key(steps.key), {path.stem: path for path in steps.apart.rglob("*.dcm")}
    came = {name for name in broken if _cleaned(steps.films / name, key, written)}
    figures["deidentify the folder"] = {
        "CPU seconds": done.cpu, "films written": counts["films"], "rejected": counts["rejected"],
        "other files": counts["other_files"], "by reason": dict(codes),
        "by fault": _by_fault(broken, came, set(broken) - came),
    }  # fmt: skip
    _expect(figures, "deidentify of a folder wrote films that are broken", _unnoticed(broken, came, _CANNOT_TELL))
    set_aside = counts["rejected"] + counts["other_files"]
    _expect(figures, "deidentify of a folder set others aside", range(abs(set_aside - len(set(broken) - came))))
    missing = len(whole) + len(broken) - counts["films"] - counts["rejected"] - counts["other_files"]
    _expect(figures, "deidentify of a folder lost films", range(abs(missing)))
    changed = _changed([steps.films / name for name in whole], steps.apart.rglob("*.dcm"))
    _expect(figures, "whole films not written by deidentify", range(changed - actions.get("pixels_hidden", 0)))


def _changed(sources: Iterable[Path], written: Iterable[Path]) -> int:
    """How many of the sources have pixels that no written film has."""
    return (Counter(map(_pixels, sources)) - Counter(map(_pixels, written))).total()


def _pixels(path: Path) -> str:
    film = pydicom.dcmread(path)
    return hashlib.sha256(film.PixelData).hexdigest()


def _by_fault(broken: dict[str, str], kept: set[str], set_aside: set[str]) -> dict[str, Any]:
    """For each way of breaking, how many films were kept all the same, and how many rejected."""
    return {
        fault: {"kept": len(names & kept), "rejected": len(names & set_aside)}
        for fault in dict.fromkeys(broken.values())
        if (names := {name for name, how in broken.items() if how == fault})
    }


def _unnoticed(broken: Mapping[str, str], kept: set[str], cannot_tell: Collection[str]) -> list[str]:
    """The broken films that were kept although how they are broken can be told."""
    return [f"{name} ({how})" for name, how in broken.items() if name in kept and how not in cannot_tell]


def _expect(figures: dict[str, Any], what: str, faults: Iterable[object]) -> None:
    """That there are no such faults."""
    found = list(faults)
    if found:
        figures["wrong"].append(f"{what}: {len(found)}, such as {found[0]}")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
