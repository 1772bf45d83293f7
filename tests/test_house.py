"""The house holds together: what is registered, what is loaded at start, what a wheel contains."""

import json
import subprocess
import sys
import time
import tomllib
import zipfile
from importlib.metadata import distribution

import pytest

from corpora import registry
from corpora.resources import config_root

HEAVY = ["torch", "transformers", "datasets"]
LOADED = """
import sys
{statement}
print(*[name for name in {names} if name in sys.modules], file=sys.stderr)
"""


def loaded_by(statement, names, root):
    """Which of ``names`` a fresh Python has imported after ``statement``."""
    program = LOADED.format(statement=statement, names=names)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    return done.stderr.split()


def test_help_loads_nothing_heavy(root):
    light = [*HEAVY, "spacy", "pyarrow", "numpy", "pydantic", "yaml", "rich", "labeler"]
    assert loaded_by("from corpora.cli import run; run(['--help'])", light, root) == []


@pytest.mark.parametrize(
    "statement",
    ["import labeler", "import labeler.cli", "from corpora.cli import run; run(['label', 'run', '--help'])"],
)
def test_labeling_loads_no_network(root, statement):
    assert loaded_by(statement, HEAVY, root) == []


def test_the_command_line_of_the_labeler_starts_without_spacy(root):
    statement = "from corpora.cli import run; run(['label', '--help'])"
    assert loaded_by(statement, ["spacy", "pyarrow", "pandas"], root) == []


@pytest.mark.slow
def test_help_starts_in_half_a_second(root):
    program = "from corpora.cli import main; main()"

    def seconds():
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, cwd=root, check=True)
        assert b"Usage: radloop" in done.stdout
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.5


def declared(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {group: dict(sorted(names.items())) for group, names in sorted(project["entry-points"].items())}


def test_registered_names_are_the_listed_ones(root):
    golden = json.loads((root / "tests" / "registry.json").read_text(encoding="utf-8"))
    assert declared(root) == golden, "a registered name came or went: say so in tests/registry.json and the changelog"


def test_what_is_declared_is_installed(root):
    installed = distribution("radloop").entry_points
    for group, names in declared(root).items():
        assert {entry.name: entry.value for entry in installed.select(group=group)} == names, "run `make` again"


@pytest.mark.parametrize("kind", registry.KINDS)
def test_everything_registered_loads_and_says_what_it_is(kind):
    for name in registry.names(kind):
        registry.load(kind, name)
        assert registry.summary(registry.find(kind, name)), f"{kind} {name} has no docstring"
        assert int(registry.where(name)[kind].rpartition(":")[2]) >= 1


def test_a_wheel_carries_the_configs(root, home, tmp_path):
    if home != root:
        pytest.skip("the packages are those of a wheel already")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path,
        ".",
    ]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("radloop-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    shipped = {path.relative_to(config_root()).as_posix() for path in config_root().rglob("*") if path.is_file()}
    assert shipped
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r})\n"
        "import corpora.resources as r\n"
        "print(*(p.relative_to(r.config_root()).as_posix() for p in r.config_root().rglob('*') if p.is_file()))\n"
        f"print(r.config_path({min(shipped)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    listed, path = done.stdout.splitlines()
    assert set(listed.split()) == shipped
    assert path == str(tmp_path / "site" / "corpora" / "_configs" / min(shipped))
