"""Every command in the documentation exists, with every option that it is shown with."""

from functools import cache
from pathlib import Path

import pytest
from typer.main import get_group

from corpora.cli import app
from tests.docs.pages import commands, commands_of, inline, pages

ROOT = Path(__file__).resolve().parents[2]
PAGES = pages(ROOT)


@cache
def group():
    return get_group(app)


def fault(words):
    """What is wrong with a command, or None; what stands behind ``--`` is a command itself."""
    if "--" in words:
        at = words.index("--")
        return fault(words[:at]) or fault(words[at + 2 :])
    command, names = group(), ["radloop"]
    context = command.make_context("radloop", [], resilient_parsing=True)
    while hasattr(command, "get_command"):
        words = words[1:] if words and words[0] in ("--debug", "--version", "--help") else words
        if not words or words[0] in ("...", "COMMAND") or words[0].isupper():
            return None
        found = command.get_command(context, words[0])
        if found is None:
            return f"{' '.join(names)} has no {words[0]}"
        names.append(words[0])
        command, words = found, words[1:]
        context = command.make_context(names[-1], [], parent=context, resilient_parsing=True)
    plain = [word for word in words if word not in ("...", "[...]")]
    known = {name for param in command.params for name in [*param.opts, *param.secondary_opts]} | {"--help"}
    for word in plain:
        option = word.partition("=")[0]
        if option.startswith("-") and len(option) > 1 and not option[1:2].isdigit() and option not in known:
            return f"{' '.join(names)} has no option {option}"
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_exists_with_its_options(path):
    faults = [f"radloop {' '.join(words)}: {found}" for words in commands(path) if (found := fault(words))]
    assert faults == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_command_within_a_sentence_exists(path):
    faults = [f"`radloop {text}`: {found}" for text in inline(path) if (found := fault(text.split()))]
    assert faults == []


def test_a_command_that_is_not_there_is_noticed():
    (words,) = commands_of("$ radloop label rnu reports.csv -o labels.csv  # labels")
    assert fault(words) == "radloop label has no rnu"
    (words,) = commands_of("radloop label run reports.csv --outt labels.csv | head")
    assert fault(words) == "radloop label run has no option --outt"
    assert [fault(words) for words in commands_of("radloop label run - -o a.csv < b.jsonl && radloop ls readers")] == [
        None,
        None,
    ]


def test_commands_are_found_at_all():
    assert sum(len(list(commands(path))) for path in PAGES) > 100
