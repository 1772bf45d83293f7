"""The ground floor: reports and images in, and what every other package of radloop stands on.

Types, errors, readers, sections, statistics, config files, the registry, run outputs and the umbrella command.
It imports none of the packages above it (labeler, vision, reportgen).
"""

from corpora.errors import ConfigError, DataError, RadloopError, RegistryError, RunError
from corpora.types import ImageRef, Provenance, Reject, Report, Section, Study

__version__ = "0.1.0"

__all__ = [
    "ConfigError",
    "DataError",
    "ImageRef",
    "Provenance",
    "RadloopError",
    "RegistryError",
    "Reject",
    "Report",
    "RunError",
    "Section",
    "Study",
    "__version__",
]
