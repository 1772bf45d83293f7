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
    """The shipped file called ``name``, such as ``schemas/chexpert14.v1.yaml``; the ``.yaml`` may be left out.

    Raises ``ConfigError`` (``config.unknown``) if nothing of that name is shipped.
    """
    root = config_root()
    # not with_suffix: the v1 of chexpert14.v1 is no suffix
    for path in (root / name, root / f"{name}.yaml"):
        if path.is_file():
            return path
    from corpora.registry import unknown

    shipped = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    error = unknown("config.unknown", "shipped file", name, shipped)
    raise ConfigError(error.code, error.message, hint="a file of your own is named by its path, such as ./my.yaml")
