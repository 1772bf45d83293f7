"""What training shares: the device or several, folders of a run, quiet libraries. Loads torch when used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from corpora.errors import ConfigError
from corpora.runs import OutputTarget, begin


def accelerator_of(precision: str, tracker: str | None, name: str, folder: Path) -> Any:
    """An ``accelerate.Accelerator``: the device, or several; with a tracker, if one is named.

    Raises ``ConfigError`` (``config.value``).
    """
    from accelerate import Accelerator  # type: ignore[import-untyped]

    try:
        accelerator = Accelerator(
            mixed_precision=precision, log_with=tracker, project_dir=str(folder) if tracker else None
        )
    except (ValueError, ImportError) as error:
        raise ConfigError("config.value", str(error).partition("\n")[0], where="tracker or precision") from error
    if tracker:
        accelerator.init_trackers(name)
    return accelerator


def begin_together(accelerator: Any, target: OutputTarget, *, resume: bool) -> None:
    """Make the folders of a run: one process does, and the others wait for it."""
    if accelerator.is_main_process:
        begin(target, resume=resume)
    accelerator.wait_for_everyone()


def quiet() -> None:
    """Keep transformers from drawing bars and tables on stderr: what is wrong is said as an error."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
