"""The findings of a draft and of a reference, what is said of each, and what the differences cost."""

from reportgen.clinical.config import ClinicalConfig, load_clinical
from reportgen.clinical.match import Comparison, Error, compare_findings
from reportgen.clinical.read import Finding, Reader, load_reader

__all__ = [
    "ClinicalConfig",
    "Comparison",
    "Error",
    "Finding",
    "Reader",
    "compare_findings",
    "load_clinical",
    "load_reader",
]
