"""Pass the tests from a clean environment: the wheel, made from the sdist, under the tests that the sdist has.

    python -m tests.benchmarks.dist -o dist-test
    python -m tests.benchmarks.dist -o dist-test -- -n 2 tests/labeler

Makes the sdist, the wheel out of the unpacked sdist, and an environment with nothing but the wheel and its extra
``test`` (pip's own index and options hold). Then the packages are taken out of the unpacked sdist, so that the tests
cannot meet other code than that of the wheel, and pytest runs there, by what follows ``--``. An environment that is in
``-o`` already is kept, and gets the new wheel. Exits as pytest does.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Final

from tests.benchmarks.measure import ROOT

_PACKAGES: Final = ("corpora", "labeler", "vision", "reportgen", "configs")


def build(folder: Path) -> tuple[Path, Path]:
    """The unpacked sdist, and the wheel made of it."""
    _call(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    (archive,) = folder.glob("radloop-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    unpacked = folder / archive.name.removesuffix(".tar.gz")
    _call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=unpacked)
    (wheel,) = folder.glob("radloop-*.whl")
    return unpacked, wheel


def install(wheel: Path, environment: Path) -> Path:
    """The Python of an environment that has the wheel and what its tests need."""
    python = environment / "bin" / "python"
    if not python.exists():
        _call(sys.executable, "-m", "venv", environment)
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _call(*pip, f"{wheel}[test]")
    # a version that is installed already is not installed again, whatever is in the wheel
    _call(*pip, "--force-reinstall", "--no-deps", wheel)
    return python


def without_packages(unpacked: Path) -> None:
    """Leave tests and documentation alone."""
    for name in _PACKAGES:
        shutil.rmtree(unpacked / name)


def _call(*words: str | Path, cwd: Path | None = None) -> None:
    subprocess.run([str(word) for word in words], cwd=cwd, check=True)


def main() -> int:
    """Build, install, test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("-o", "--out", type=Path, required=True, help="a folder for all of it, 2 GB")
    parser.add_argument(
        "pytest", nargs="*", default=["tests"], help="options for pytest, and which tests (%(default)s)"
    )
    options = parser.parse_args()
    made = options.out.resolve() / "made"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    unpacked, wheel = build(made)
    python = install(wheel, made.parent / "venv")
    without_packages(unpacked)
    return subprocess.run([python, "-m", "pytest", *options.pytest], cwd=unpacked).returncode


if __name__ == "__main__":
    sys.exit(main())
