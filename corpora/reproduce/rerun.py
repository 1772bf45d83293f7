"""A run done again: its command from its manifest, with the outputs led to another place.

reproduce(Path("labels"))      # into labels-again, compared with labels
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from corpora.errors import ConfigError, DataError, RunError
from corpora.reproduce.compare import FileVerdict, compare_runs
from corpora.runs import ENVIRONMENT, TABLE_SUFFIXES, hash_input, package_versions, writing

Say = Callable[[str], None]

#: Options besides -o that name what a command writes.
_WRITES: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    ("label", "run"): ("--evidence",),
    ("vision", "predict"): ("--decide",),
    ("corpus", "check"): ("--html",),
    ("audit", "estimate"): ("--html",),
}
#: What says that a run goes on with work that is there; another place has none.
_RESUMES: Final = ("--resume",)
_STDIN: Final = "-"
#: Exit codes of a run that was done: 1 is a gate that does not hold.
_DONE: Final = (0, 1)


@dataclass(frozen=True, slots=True)
class Reproduced:
    """A run done again: where it was and is, the command, what was different before it, and every file's verdict."""

    run: Path
    new: Path
    command: tuple[str, ...]
    changed_inputs: tuple[str, ...]
    changed_versions: tuple[str, ...]
    files: tuple[FileVerdict, ...]

    @property
    def reproduced(self) -> bool:
        """Whether every file is the same to the byte or in its figures."""
        return all(each.verdict in ("equal", "same") for each in self.files)

    def counts(self) -> dict[str, int]:
        """Files by verdict."""
        counted = Counter(each.verdict for each in self.files)
        return {verdict: counted[verdict] for verdict in ("equal", "same", "differs", "missing", "added")}

    def to_json(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "run": str(self.run), "new": str(self.new), "command": list(self.command), "reproduced": self.reproduced,
            "changed_inputs": list(self.changed_inputs), "changed_versions": list(self.changed_versions),
            "counts": self.counts(), "files": [asdict(each) for each in self.files],
        }  # fmt: skip


def reproduce(
    run: Path, new: Path | None = None, *, command: Sequence[str] = (), anyway: bool = False,
    say: Say = lambda line: None,
) -> Reproduced:  # fmt: skip
    """Do ``run`` again into ``new`` (beside it if None) and compare.

    ``command`` is that of the run where its manifest keeps the paths back. Other versions are said; with other inputs
    it is done ``anyway`` or not at all. Raises ``DataError``: ``reproduce.manifest`` without a manifest that can be
    read, ``reproduce.inputs`` if one changed; ``ConfigError``: ``reproduce.command`` for one that cannot be done again;
    ``RunError``: ``run.not_empty``, ``reproduce.failed``.
    """
    run, manifest = _run_and_manifest(_absolute(run))
    made = _read(manifest)
    new = _absolute(new or _beside(run))
    if new.exists() and (new.is_file() or any(new.iterdir())):
        raise RunError("run.not_empty", "the place for the new run is taken", where=str(new), hint="name another: -o")
    _refuse_nameless(made, command, manifest)
    given = {"command": list(command), "directory": str(Path.cwd())} if command else {}
    steps = [*_earlier(made, manifest), made | given]
    made_at = _made_at(steps[0], run, manifest)
    led = [_led_step(step, run, new, manifest, made_at if at else None) for at, step in enumerate(steps)]
    words, places = led[-1]
    changed = tuple(line for step in steps for line in _changed_inputs(step, run, made_at))
    for line in changed:
        say(f"input changed: {line}")
    if changed and not anyway:
        raise DataError(
            "reproduce.inputs", f"{len(changed)} inputs of the run are not what they were: {changed[0]}",
            where=str(manifest), hint="--anyway does it again all the same",
        )  # fmt: skip
    versions = tuple(_changed_versions(made))
    for line in versions:
        say(f"other version: {line}")
    for step, (arguments, _) in zip(steps, led, strict=True):
        _call(arguments, run, new, step)
    pairs = {str(old): str(path) for old, path in places.items()} | {str(made_at): str(new)}
    verdicts = [each for old, path in places.items() for each in compare_runs(old, path, pairs)]
    verdicts = [each for each in verdicts if not _is_later(each, run, new, manifest)]
    return Reproduced(run, new, ("radloop", *words), changed, versions, tuple(dict.fromkeys(verdicts)))


def _is_later(found: FileVerdict, run: Path, new: Path, manifest: Path) -> bool:
    """Whether a file is missing because another run wrote it there after this one's manifest, which is its last file.

    So is a manifest that a program wrote, where the command itself writes none.
    """
    if found.verdict != "missing":
        return False
    if run.is_dir() and found.name == "manifest.json":
        return not (new / "manifest.json").is_file()
    path = (run if run.is_dir() else run.parent) / found.name
    return path.is_file() and path.stat().st_mtime_ns > manifest.stat().st_mtime_ns


# The manifest


def _run_and_manifest(run: Path) -> tuple[Path, Path]:
    """The run, and its manifest: in the folder, or beside the table."""
    if run.is_dir():
        return run, run / "manifest.json"
    if run.name == "manifest.json":
        return run.parent, run
    if run.name.endswith(".manifest.json"):
        return run.with_name(run.name.removesuffix(".manifest.json")), run
    return run, run.with_name(f"{run.name}.manifest.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        made = json.loads(path.read_text(encoding="utf-8"))
        if not (isinstance(made["command"], list) and isinstance(made["inputs"], list)):
            raise TypeError
    except FileNotFoundError:
        raise DataError(
            "reproduce.manifest", "there is no manifest: no run ended here", where=str(path), hint="name a run folder"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError("reproduce.manifest", "this is no manifest of a run", where=str(path)) from None
    return dict(made)


def _refuse_nameless(made: Mapping[str, Any], command: Sequence[str], manifest: Path) -> None:
    if not command and made.get("nameless"):
        raise ConfigError(
            "reproduce.command", "the manifest keeps the places of its run back: they may name somebody",
            where=str(manifest), hint="give the command: radloop reproduce RUN -- radloop corpus ...",
        )  # fmt: skip


def _earlier(made: Mapping[str, Any], manifest: Path) -> list[dict[str, Any]]:
    """What was done in the folder before the command, which works in place: the first command made the folder."""
    steps = made.get("earlier") or []
    if not isinstance(steps, list) or not all(isinstance(each, dict) and each.get("command") for each in steps):
        raise DataError("reproduce.manifest", "this is no manifest of a run", where=str(manifest))
    return [{"inputs": [], **each} for each in steps]


def _home(step: Mapping[str, Any]) -> Path:
    """Where the paths of a command start."""
    return Path(step.get("directory") or Path.cwd())


def _changed_inputs(made: Mapping[str, Any], run: Path, made_at: Path) -> Iterator[str]:
    outputs = [run, run.with_name(f"{run.name}.manifest.json"), run.with_name(f"{run.name}.failures.jsonl")]
    for given in made["inputs"]:
        if not isinstance(given, dict) or given.get("sha256") is None:
            continue
        path = _home(made) / given["path"]
        path = _within(path, made_at, run) or path
        if not path.exists():
            yield f"{given['path']} is not there"
        elif _sha256(path, given, outputs) != given["sha256"]:
            yield f"{given['path']} has other content"


def _sha256(path: Path, given: Mapping[str, Any], outputs: Sequence[Path]) -> Any:
    """The hash of an input as its run took it: of its content, or of the names and sizes of a folder's films."""
    if given.get("hash_of") is None:
        return hash_input(path, outputs)["sha256"]
    from corpora.importing.walk import candidates, listing_sha256

    # what is in an archive shows only when it is read
    return listing_sha256(candidates(path, outputs[0])) if path.is_dir() else given["sha256"]


def _changed_versions(made: Mapping[str, Any]) -> Iterator[str]:
    before = made.get("versions") or {}
    now = package_versions(name for name in before if name not in ("python", "radloop"))
    for name, version in before.items():
        if now.get(name) != version:
            yield f"{name} {now.get(name)}, then {version}"


# The command


def _words(command: Sequence[str], manifest: Path) -> list[str]:
    """The arguments of the command. Raises ``ConfigError`` for one that is none of radloop's."""
    words = [str(word) for word in command]
    if not words or Path(words[0]).stem != "radloop" or len(words) < 2:
        raise ConfigError(
            "reproduce.command", "the manifest does not name a command of radloop: the run was made by a program",
            where=str(manifest), hint="give the command after --",
        )  # fmt: skip
    return [word for word in words[1:] if word not in (*_RESUMES, "--debug")]


def _made_at(step: Mapping[str, Any], run: Path, manifest: Path) -> Path:
    """Where the command that made the run wrote it, from where it may have been moved."""
    words = _words(step["command"], manifest)
    there = _value(words, _out_names(_leaf(words, manifest)[1]))
    place = run if there is None else _absolute(_home(step) / there)
    return run if run.is_relative_to(place) else place


def _led_step(
    step: Mapping[str, Any], run: Path, new: Path, manifest: Path, made_at: Path | None
) -> tuple[list[str], dict[Path, Path]]:  # fmt: skip
    """As ``_led``; a step behind the first works in the folder that this one made, in ``made_at``."""
    words, home = _words(step["command"], manifest), _home(step)
    if made_at is None:
        return _led(words, home, run, new, manifest, prints=bool(step.get("stdout")))
    path = _leaf(words, manifest)[0]
    given = [str(new) if _absolute(home / word) in (run, made_at) else word for word in words[len(path) :]]
    return [*path, *given], {run: new}


def _led(
    words: list[str], home: Path, run: Path, new: Path, manifest: Path, *, prints: bool
) -> tuple[list[str], dict[Path, Path]]:  # fmt: skip
    """The arguments with all outputs led elsewhere, and where each old output is to be found again.

    ``prints``: what the command prints is an output.
    """
    path, leaf = _leaf(words, manifest)
    if _STDIN in words:
        raise ConfigError("reproduce.command", "the run read standard input, which is gone", where=str(manifest))
    out, places = _out_names(leaf), {run: new}
    led, there = list(words), _value(words, out)
    _refuse_beside(words[len(path) :], there, home, run, manifest)
    if there is not None:
        _refuse_part(home / there, run, manifest)
        led = _replaced(led, out, str(_within(home / there, run, new) or new))
    elif out:
        led += ["-o", str(new)]
    sides = [option for option in _WRITES.get(path, ()) if _value(words, (option,)) is not None]
    for option in sides:
        place = _absolute(home / str(_value(words, (option,))))
        # inside the first output, wherever that lies now
        target = _within(place, run, new)
        if target is None and there is not None:
            target = _within(place, _absolute(home / there), new)
        if target is None:
            target = new.with_name(f"{new.stem}.{place.name}")
            places[place] = target
        led = _replaced(led, (option,), str(target))
    if not (out or sides or prints):
        raise ConfigError(
            "reproduce.command", f"radloop {' '.join(path)} works in place: it has no other place to write to",
            where=str(manifest), hint="copy the folder, and run the command on the copy",
        )  # fmt: skip
    return led, places


def _refuse_part(out: Path, run: Path, manifest: Path) -> None:
    whole = _absolute(out)
    if run != whole and run.is_relative_to(whole):
        raise ConfigError(
            "reproduce.command", "the run is a part of a larger one, and its command makes all of that",
            where=str(manifest), hint=f"radloop reproduce {whole}",
        )  # fmt: skip


def _refuse_beside(words: Sequence[str], out: str | None, home: Path, run: Path, manifest: Path) -> None:
    """A cache, say, that a command keeps for later, beside its output."""
    whole = _absolute(home / out) if out is not None else run
    if run != whole and any(_absolute(home / word) == run for word in words):
        raise ConfigError(
            "reproduce.command", "the folder was made along with another run, for later ones to use",
            where=str(manifest), hint=f"radloop reproduce {whole}",
        )  # fmt: skip


def _absolute(path: Path) -> Path:
    # not resolve: a link may lead to where the data is, and the run is here
    return Path(os.path.normpath(path.absolute()))


def _within(place: Path, old: Path, new: Path) -> Path | None:
    """Where a place in the old run is in the new one; None for a place outside."""
    place = _absolute(place)
    return new / place.relative_to(old) if place.is_relative_to(old) else None


def _leaf(words: Sequence[str], manifest: Path) -> tuple[tuple[str, ...], Any]:
    from typer.main import get_group

    from corpora.cli import app

    command: Any = get_group(app)
    path: list[str] = []
    for word in words:
        if not hasattr(command, "get_command"):
            break
        command = command.get_command(None, word)
        path.append(word)
        if command is None:
            raise ConfigError(
                "reproduce.command", f"there is no command {' '.join(path)!r}", where=str(manifest),
                hint="a manifest of a de-identification keeps its paths back: give the command after --",
            )  # fmt: skip
    return tuple(path), command


def _out_names(leaf: Any) -> tuple[str, ...]:
    return next((tuple(param.opts) for param in leaf.params if param.name == "out"), ())


def _value(words: Sequence[str], names: Sequence[str]) -> str | None:
    """The value of an option in the arguments, as ``-o X``, ``--out X`` or ``--out=X``."""
    for at, word in enumerate(words):
        if word in names and at + 1 < len(words):
            return words[at + 1]
        name, given, value = word.partition("=")
        if given and name in names:
            return value
    return None


def _replaced(words: Sequence[str], names: Sequence[str], value: str) -> list[str]:
    made: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
            made.append(value)
        elif word in names:
            made.append(word)
            skip = True
        elif word.partition("=")[0] in names and "=" in word:
            made.append(f"{word.partition('=')[0]}={value}")
        else:
            made.append(word)
    return made


def _beside(run: Path) -> Path:
    return run.with_name(
        f"{run.stem}-again{run.suffix}" if run.suffix.lower() in TABLE_SUFFIXES else f"{run.name}-again"
    )


def _call(words: Sequence[str], run: Path, new: Path, step: Mapping[str, Any]) -> None:
    """Run the command in a process of its own, in the directory of the first run; what it prints goes where it went."""
    home, stdout, environment = _home(step), step.get("stdout"), step.get("environment")
    if not home.is_dir():
        raise ConfigError("reproduce.command", "the directory of the run is gone", where=str(home))
    # a command that makes its folder wants it not to be there; one that writes files into it does not make it
    files_in = run.is_dir() and (stdout or any(word.startswith(f"{new}{os.sep}") for word in words))
    with writing(new):
        (new if files_in and str(new) not in words else new.parent).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", "from corpora.cli import main; main()", *words]
    with (new / stdout).open("wb") if stdout else Path(os.devnull).open("wb") as printed:
        code = _ended(command, home, printed, environment if isinstance(environment, dict) else {})
    if code not in _DONE:
        raise RunError(
            "reproduce.failed", f"the command ended with {code}; what it said is above", where=str(new),
            hint=f"radloop {' '.join(words[:2])} ...",
        )  # fmt: skip


def _ended(command: Sequence[str], home: Path, printed: IO[bytes], environment: Mapping[str, Any]) -> int:
    # as many threads as then: another number sums in another order
    around = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    around |= {name: str(environment[name]) for name in ENVIRONMENT if name in environment}
    try:
        ended = subprocess.run(command, cwd=home, stdout=printed, stdin=subprocess.DEVNULL, check=False, env=around)
        return ended.returncode
    except OSError as error:
        raise RunError("reproduce.failed", f"the command cannot be started: {error.strerror}") from error
