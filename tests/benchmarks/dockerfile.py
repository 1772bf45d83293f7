"""Run the steps of the Dockerfile without a container engine, each in a plain Debian root made by debootstrap.

    debootstrap --variant=minbase bookworm /tmp/debian http://deb.debian.org/debian
    python -m tests.benchmarks.dockerfile /tmp/debian -o /tmp/image --arg TORCH=cpu

Needs root, Linux and the network that the steps need. Each stage is a copy of the root; at the end the entry point runs
as the image's user, in its folder, without a network: it must label a table of reports. Prints what each step took and
what the image weighs, as Markdown. Only the instructions that our file has are understood.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import ROOT

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: In a mount namespace of its own: the kernel's file systems are there while a step runs, and gone after it.
_ENTER: Final = (
    'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --bind /etc/resolv.conf "$0/etc/resolv.conf" '
    '&& exec chroot $USERSPEC "$0" /usr/bin/env -i "$@"'
)
_REPORTS: Final = 'study_id,report\na1,"IMPRESSION: No effusion. Possible pneumonia."\n'


@dataclass(slots=True)
class Stage:
    """A root under construction, and what its instructions have set."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH, "HOME": "/root"})
    arguments: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: str = "/"
    entry: list[str] = field(default_factory=list)


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile, continued lines joined: ``("RUN", "apt-get update && ...")``."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        name, _, rest = line.strip().partition(" ")
        yield name.upper(), rest.strip()


def filled(text: str, values: Mapping[str, str]) -> str:
    """``${NAME}`` as the builder replaces it."""
    return re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], ""), text)


def call(stage: Stage, words: Sequence[str], *, network: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a stage's root."""
    user = f"--userspec={stage.user}" if stage.user != "root" else ""
    variables = [f"{name}={value}" for name, value in {**stage.arguments, **stage.environment}.items()]
    namespace = ["unshare", "--mount", *([] if network else ["--net"])]
    command = [*namespace, "env", f"USERSPEC={user}", "sh", "-c", _ENTER, str(stage.root), *variables, *words]
    return subprocess.run(command, capture_output=True, text=True)


def build(text: str, base: Path, out: Path, given: Mapping[str, str]) -> tuple[Stage, list[tuple[str, float]]]:
    """Every stage of a Dockerfile; the last one, and each step with its seconds. Ends the program if a step fails."""
    stages: dict[str, Stage] = {}
    everywhere: dict[str, str] = {}
    stage: Stage | None = None
    steps = []
    for name, rest in instructions(text):
        begun = time.perf_counter()
        if name == "FROM":
            label = rest.split()[-1]
            stage = stages[label] = Stage(out / label)
            subprocess.run(["cp", "-a", "--reflink=auto", f"{base}/.", str(stage.root)], check=True)
        elif name == "ARG":
            key, _, value = rest.partition("=")
            (everywhere if stage is None else stage.arguments)[key] = given.get(key, value)
        else:
            assert stage is not None
            apply(name, rest, stage, stages)
        steps.append((f"{name} {rest}"[:90], time.perf_counter() - begun))
        print(f"{steps[-1][1]:8.1f} s  {steps[-1][0]}", file=sys.stderr, flush=True)
    assert stage is not None
    return stage, steps


def apply(name: str, rest: str, stage: Stage, stages: Mapping[str, Stage]) -> None:
    """One instruction but ``FROM`` and ``ARG``. Raises ``SystemExit`` for a step that fails or is not known."""
    if name == "RUN":
        done = call(stage, ["sh", "-c", rest])
        if done.returncode:
            sys.exit(f"{rest[:200]}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    elif name == "COPY":
        *words, target = rest.split()
        source = ROOT
        if words[0].startswith("--from="):
            source = stages[words.pop(0).partition("=")[2]].root
        for word in words:
            copy(source / word.lstrip("/"), stage.root / target.lstrip("/"), target.endswith("/"))
    elif name == "ENV":
        key, _, value = rest.partition("=")
        stage.environment[key] = filled(value, stage.arguments)
    elif name == "USER":
        stage.user = rest
    elif name == "WORKDIR":
        stage.folder = rest
    elif name == "ENTRYPOINT":
        stage.entry = json.loads(rest)
    elif name != "CMD":
        sys.exit(f"{name} is not understood here")


def copy(source: Path, target: Path, into: bool) -> None:
    """A file into a folder, or what is in a folder."""
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target = target / source.name if into else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def try_out(stage: Stage) -> str:
    """What doctor says and what a table is labeled with, as the image's user, in its folder, without a network."""
    (stage.root / stage.folder.lstrip("/") / "reports.csv").write_text(_REPORTS)
    radloop = " ".join(stage.entry)
    label = f"{radloop} label run reports.csv -o labels.csv && cat labels.csv"
    words = f"cd {stage.folder} && {radloop} doctor --gpu && {label}"
    done = call(stage, ["sh", "-c", words], network=False)
    if done.returncode:
        sys.exit(f"the image does not label:\n{done.stderr[-3000:]}")
    return done.stdout


def main() -> None:
    """Build, try out, say what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("debian", type=Path, help="a root that debootstrap made")
    parser.add_argument("-o", "--out", type=Path, required=True, help="where the stages go; must not be there")
    parser.add_argument("--arg", action="append", default=[], metavar="NAME=VALUE", help="as --build-arg")
    parser.add_argument("--file", type=Path, default=ROOT / "Dockerfile")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    given = dict(each.split("=", 1) for each in options.arg)
    stage, steps = build(options.file.read_text(), options.debian, options.out, given)
    said = try_out(stage)
    size = subprocess.run(["du", "-sm", str(stage.root)], capture_output=True, text=True, check=True).stdout.split()[0]
    print("| step | seconds |\n|---|---:|")
    for step, seconds in steps:
        print(f"| `{step}` | {seconds:.1f} |")
    print(f"\nThe image: {int(size):,} MiB, as {stage.user}. Without a network:\n\n{said}")


if __name__ == "__main__":
    main()
