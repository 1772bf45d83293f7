"""What is on this machine of all that radloop can use, what is missing, and what that would buy.

radloop doctor            a table; nothing is loaded that takes long, but torch with --gpu
radloop doctor --json

Reads the extras of the installed package, so that it never falls behind ``pyproject.toml``.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from typing import Any, Final

from corpora import __version__
from corpora.pool import usable_cores

#: What each extra is for; ``dev``, ``test`` and ``check`` are for those who change radloop.
BUYS: Final = {
    "neural": "label train, label pretrain, a trained network as a labeler",
    "corpus": "films: import, check, de-identify, phantoms, cache",
    "review": "audit review: the page on which reports are read; spreadsheets",
    "vision": "vision train, predict, evaluate, explain",
    "onnx": "vision export to ONNX",
    "bench": "scores by evaluate, sacrebleu and rouge-score beside ours",
    "ray": "label run --engine ray: many machines",
    "report": "report pretrain, train, draft: drafts from films",
}
#: Programs, the options that make them say their version, and what they are for.
PROGRAMS: Final = {
    "tesseract": (("--version",), "reads text that was burned into films (de-identification, scan)"),
    "dciodvfy": ((), "checks that DICOM output is valid (Debian: dicom3tools); only tests use it"),
    "java": (("-version",), "METEOR, with the jar of pycocoevalcap or RADLOOP_METEOR_JAR"),
    "chromium": (("--version",), "tests of the review page"),
}
_SECONDS: Final = 10.0
_NAME: Final = re.compile(r"^([A-Za-z0-9._-]+)(?:\[([^\]]*)\])?\s*([^;]*)(?:;(.*))?$")
_EXTRA: Final = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


@dataclass(frozen=True, slots=True)
class Part:
    """Something that radloop can use: whether it is there, its version or what is missing, and what it is for."""

    kind: str
    name: str
    there: bool
    found: str
    buys: str
    hint: str = ""


def doctor(*, gpu: bool = False) -> list[Part]:
    """What is there and what is not. ``gpu`` loads torch, which takes seconds, to ask for devices."""
    parts = [*_machine(), *map(_extra, _extras()), *map(_program, PROGRAMS)]
    return [*parts, _gpu()] if gpu else parts


def _machine() -> list[Part]:
    python = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30 if hasattr(os, "sysconf") else 0.0
    return [
        Part("machine", "radloop", True, __version__, ""),
        Part("machine", "python", True, python, ""),
        Part("machine", "cores", True, f"{usable_cores()}, {memory:.1f} GiB of memory", "workers of a batch"),
    ]


def _extras() -> list[str]:
    try:
        named = metadata("radloop").get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []
    return [name for name in named if name in BUYS]


def _extra(name: str) -> Part:
    missing, versions = [], []
    for package in sorted(needs(name)):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    hint = f"pip install 'radloop[{name}]'" if missing else ""
    found = f"missing: {', '.join(missing)}" if missing else ", ".join(versions)
    return Part("extra", name, not missing, found, BUYS[name], hint)


def needs(extra: str) -> set[str]:
    """The packages that an extra asks for, those of extras that it names included."""
    found: set[str] = set()
    for line in requires("radloop") or []:
        parsed = _NAME.match(line)
        of = _EXTRA.search(line)
        if parsed is None or of is None or of[1] != extra:
            continue
        if parsed[1].lower() == "radloop":
            for other in (parsed[2] or "").split(","):
                found |= needs(other.strip())
        else:
            found.add(parsed[1].lower())
    return found


def _program(name: str) -> Part:
    arguments, buys = PROGRAMS[name]
    path = shutil.which(name)
    if path is None:
        return Part("program", name, False, "not installed", buys)
    return Part("program", name, True, _said(path, arguments) if arguments else path, buys)


def _said(path: str, arguments: tuple[str, ...]) -> str:
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return f"{path} (does not answer)"
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0][:80] if lines else path


def _gpu() -> Part:
    buys = "trains and drafts at speed; everything runs without it, slowly"
    try:
        import torch
    except ModuleNotFoundError:
        return Part("gpu", "torch", False, "torch is not installed", buys, "pip install 'radloop[neural]'")
    if not torch.cuda.is_available():
        return Part("gpu", "cuda", False, f"torch {torch.__version__} sees no GPU", buys)
    cards = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return Part("gpu", "cuda", True, f"{', '.join(cards)}; torch {torch.__version__}", buys)


def to_json(parts: list[Part]) -> list[dict[str, Any]]:
    """The parts in JSON's types."""
    return [asdict(part) for part in parts]


def lines_of(parts: list[Part]) -> list[str]:
    """The parts for people, a line each and what to do where something is missing."""
    width = max(len(part.name) for part in parts)
    lines = []
    for part in parts:
        lines.append(f"{'ok     ' if part.there else 'missing'}  {part.name:{width}}  {part.found}".rstrip())
        if not part.there:
            lines += [f"{'':{width + 11}}{text}" for text in (part.buys, part.hint) if text]
    return lines
