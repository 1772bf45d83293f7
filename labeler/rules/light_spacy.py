"""What the rules take from spaCy, loaded without torch.

thinc, which spaCy is built on, imports torch where it is installed, for models that the rules do not have: seconds of
start-up and hundreds of megabytes in every worker. Here it is told that there is none, unless it was loaded before.
Whoever wants spaCy models that run on torch in the same process imports spaCy first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _without_torch() -> Iterator[None]:
    if "torch" in sys.modules or "thinc.compat" in sys.modules:
        yield
        return
    # an entry that is None makes the import fail
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["torch"]


with _without_torch():
    import spacy
    from negspacy.negation import Negex
    from spacy.attrs import NORM
    from spacy.language import Language
    from spacy.tokens import Doc, Span
    from spacy.vocab import Vocab

__all__ = ["NORM", "Doc", "Language", "Negex", "Span", "Vocab", "spacy"]
