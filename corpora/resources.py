"""Where the files of ``configs/`` are: beside the packages in a checkout, inside ``corpora`` when installed."""

from __future__ import annotations

from pathlib import Path

from corpora.errors import ConfigError


def config_root() -> Path:
    """The folder that holds ``schemas/``, ``lexicons/`` and so on."""
    here = Path(__file__).resolve().parent
    installed = here / "_configs"
    return installed if installed.is_dir() else here.parent / "configs"


def config_path(name: str) -> Path:
    """The shipped file called ``name``: ``schemas/chexpert14.v1.yaml``, or ``chexpert14.v1`` if only one has that name.

    Raises ``ConfigError`` (``config.unknown``) if nothing of that name is shipped.
    """
    root = config_root()
    # not with_suffix: the v1 of chexpert14.v1 is no suffix
    for path in (root / name, root / f"{name}.yaml"):
        if path.is_file():
            return path
    shipped = [path for path in root.rglob("*.yaml") if path.is_file()]
    namesakes = [path for path in shipped if name in (path.name, path.stem)]
    if len(namesakes) == 1:
        return namesakes[0]
    from corpora.registry import unknown

    known = [path.relative_to(root).as_posix().removesuffix(".yaml") for path in shipped]
    error = unknown("config.unknown", "shipped file", name, known)
    raise ConfigError(error.code, error.message, hint="a file of your own is named by its path, such as ./my.yaml")
