"""The umbrella command, with a sub-app registered for the occasion."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from corpora import __version__, registry

SUB_APP = '''"""Greet people. Nothing else."""
import sys
import typer
from corpora.errors import DataError

app = typer.Typer()

@app.command()
def hello(name: str, times: int = 1):
    """Say hello."""
    for _ in range(times):
        typer.echo(f"hello {name}")

@app.command()
def fail(how: str):
    """Fail in one of several ways."""
    if how == "data":
        raise DataError("data.no_column", "no column 'report'", where="a.csv:1", hint="name it with --text-column")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "needy":
        raise ModuleNotFoundError("No module named 'pydicom.pixels'", name="pydicom.pixels")
    if how == "words":
        typer.echo(" ".join(sys.argv))
        raise typer.Exit(0)
    if how == "exit":
        raise typer.Exit(1)
    raise ValueError("the text of a report")
'''

ONE_COMMAND = '''"""Wave at people."""
import typer

app = typer.Typer(help="Wave at people.")

@app.command()
def wave(whom: str):
    """Wave at somebody."""
    typer.echo(f"waves at {whom}")
'''

STEPS = '''"""What generates, and what validates a file."""
from corpora.errors import ConfigError
from pydantic import BaseModel

def first(out):
    """The first step."""
    (out / "first.html").write_text("<p>first</p>")
    return out / "first.html"

def second(out):
    """The second step."""
    return out / "second.html"

class Greetings(BaseModel, extra="forbid"):
    """Words to greet with."""
    language: str
    greetings: list[str]

class Farewells(BaseModel, extra="forbid"):
    """Words to leave with."""
    language: str
    farewells: list[str]

    def verify(self, document):
        if "so long" not in self.farewells:
            raise ConfigError("config.value", "no so long", where=document.where("farewells"))
'''


@pytest.fixture(autouse=True)
def greet(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("site")
    (folder / "greet_app.py").write_text(SUB_APP)
    (folder / "greet_steps.py").write_text(STEPS)
    (folder / "greet_wave.py").write_text(ONE_COMMAND)
    monkeypatch.syspath_prepend(folder)
    registered = {
        "commands": {"greet": "greet_app:app", "lost": "greet_gone:app", "wave": "greet_wave:app"},
        "generators": {"1st": "greet_steps:first", "2nd": "greet_steps:second"},
        "validators": {"greetings": "greet_steps:Greetings", "farewells": "greet_steps:Farewells"},
    }

    def entry_points(group):
        return [EntryPoint(*pair, group) for pair in registered.get(group.removeprefix("radloop."), {}).items()]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    registry._group.cache_clear()
    yield
    registry._group.cache_clear()
    for name in ("greet_app", "greet_steps", "greet_wave"):
        sys.modules.pop(name, None)


def test_help_lists_sub_apps_without_importing_them(radloop):
    outcome = radloop("--help")
    assert outcome.code == 0
    assert "greet      Greet people. Nothing else." in outcome.out
    assert "lost       (cannot be loaded)" in outcome.out
    assert "greet_app" not in sys.modules


def test_a_sub_app_runs(radloop):
    assert radloop("greet", "hello", "Ada", "--times", 2) == (0, "hello Ada\nhello Ada\n", "")
    assert "Say hello." in radloop("greet", "--help").out


def test_usage_errors_go_to_stderr(radloop):
    for args in (["greet", "hello"], ["greet", "hello", "Ada", "--times", "x"], ["--nonsense"], ["greet", "bye"]):
        code, out, err = radloop(*args)
        assert (code, out) == (2, "")
        assert "Usage: radloop" in err


def test_an_unknown_command_is_explained(radloop):
    code, out, err = radloop("great")
    assert (code, out) == (2, "")
    assert err.startswith("[commands.unknown] no command 'great'. Did you mean greet?")


def test_an_error_is_three_lines_on_stderr(radloop):
    code, out, err = radloop("greet", "fail", "data")
    assert (code, out) == (2, "")
    assert err == "[data.no_column] no column 'report'\n  where: a.csv:1\n  hint: name it with --text-column\n"
    assert radloop("lost").err.startswith("[commands.broken] 'lost' cannot be loaded: No module named 'greet_gone'")


def test_an_unexpected_error_does_not_show_what_it_holds(radloop):
    code, out, err = radloop("greet", "fail", "bug")
    assert (code, out) == (2, "")
    assert err.startswith("[internal.error] unexpected ValueError\n  where: ")
    assert "greet_app.py:28" in err
    assert "report" not in err


@pytest.mark.parametrize("args", [("--debug", "greet", "fail", "bug"), ("greet", "fail", "bug", "--debug")])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(radloop, args):
    code, out, err = radloop(*args)
    assert (code, out) == (2, "")
    assert err.startswith("Traceback (most recent call last):\n")
    assert "greet_app.py" in err
    assert "ValueError: the text" in err


def test_exit_codes(radloop):
    assert radloop("greet", "fail", "exit").code == 1
    assert radloop("greet", "fail", "interrupt").code == 130


def test_debug_after_two_dashes_is_an_argument(radloop):
    assert radloop("greet", "hello", "--", "--debug").out == "hello --debug\n"


def test_version(radloop):
    assert radloop("--version") == (0, f"radloop {__version__}\n", "")


def test_where(radloop):
    assert radloop("where", "greetings").out == "greet_steps.py:14\n"
    assert json.loads(radloop("where", "greetings", "--json").out) == [
        {"kind": "validators", "name": "greetings", "where": "greet_steps.py:14"}
    ]
    assert "Did you mean greetings or greet?" in radloop("where", "greting").err


def test_ls(radloop):
    assert radloop("ls", "generators").out == "1st  The first step.\n2nd  The second step.\n"
    assert json.loads(radloop("ls", "validators", "--json").out) == [
        {"name": "farewells", "summary": "Words to leave with."},
        {"name": "greetings", "summary": "Words to greet with."},
    ]
    assert "generators  1st 2nd\n" in radloop("ls").out
    assert {"kind": "generators", "names": ["1st", "2nd"]} in json.loads(radloop("ls", "--json").out)
    assert "Did you mean generators?" in radloop("ls", "generator").err


def test_validate_says_what_a_file_is(radloop, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("language: en\ngreetings: [a, b]\n")
    assert radloop("validate", path) == (0, "", f"{path}: valid greetings\n")
    path.write_text("language: en\nfarewells: 3\n")
    assert radloop("validate", path).err.splitlines() == [
        "[config.field] farewells: Input should be a valid list",
        f"  where: {path}:2",
    ]
    assert radloop("validate", path, "--set", 'farewells=["so long"]').code == 0
    assert (
        "[config.value] no so long\n  where: --set farewells=[]"
        in radloop("validate", path, "--set", "farewells=[]").err
    )
    assert "[config.unknown_field] no field 'farewells'" in radloop("validate", path, "--kind", "greetings").err
    assert "Did you mean greetings?" in radloop("validate", path, "--kind", "greeting").err
    path.write_text("words: [a, b]\n")
    code, _, err = radloop("validate", path)
    assert code == 2
    assert err.splitlines() == [
        "[config.unknown_kind] its fields are those of no known kind of file; known: farewells, greetings",
        f"  where: {path}:1",
    ]


def test_an_extra_that_is_missing_is_named(radloop):
    outcome = radloop("greet", "fail", "needy")
    assert outcome == (2, "", "[extra.missing] this needs pydicom, which is not installed\n"
                              "  hint: pip install 'radloop[corpus]'\n")  # fmt: skip


def test_an_app_of_one_command_without_a_name_is_that_command(radloop):
    assert radloop("wave", "Ada") == (0, "waves at Ada\n", "")
    assert "Usage: radloop wave [OPTIONS] {whom}" in radloop("wave", "--help").out


def test_a_command_called_from_python_notes_its_own_words(radloop):
    before = list(sys.argv)
    assert radloop("greet", "fail", "words") == (0, "radloop greet fail words\n", "")
    assert sys.argv == before


def test_a_reader_that_goes_away_is_no_traceback(root):
    program = "from corpora.cli import main; main()"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", program, "ls"], stdout=writer, stderr=subprocess.PIPE, text=True, cwd=root, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_no_colour_in_a_pipe_or_when_it_is_not_wanted(root):
    program = "from corpora.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "nonsense"],
        capture_output=True, text=True, cwd=root, check=False, env={**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "\x1b" not in done.stdout + done.stderr
