"""Reports to labels, and the audit of them."""

from labeler.base import Labeler, load
from labeler.types import Cue, LabelVector, Mention

__all__ = ["Cue", "LabelVector", "Labeler", "Mention", "load"]
