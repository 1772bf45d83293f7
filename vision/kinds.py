"""What kind of network a folder holds, by its ``config.json``."""

from __future__ import annotations

import json
from pathlib import Path

from corpora.errors import ConfigError


def kind_of(run: Path | str, wanted: str, hint: str) -> str:
    """The ``model_type`` of the network in the folder ``run``, in which ``wanted`` is looked for.

    Raises ``ConfigError``: ``model.missing`` if there is no network, ``model.damaged`` if its file does not say.
    """
    try:
        made = json.loads((Path(run) / "config.json").read_text(encoding="utf-8"))
        kind = made["model_type"]
    except OSError as error:
        raise ConfigError("model.missing", f"no {wanted} is here", where=str(run), hint=hint) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("model.damaged", "its config.json is not JSON", where=str(run), hint=hint) from error
    except (KeyError, TypeError):
        kind = None
    if not isinstance(kind, str):
        raise ConfigError("model.damaged", "its config.json says of no model_type", where=str(run), hint=hint)
    return kind
