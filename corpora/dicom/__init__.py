"""DICOM files: what their headers say, and their pixels as a film is looked at.

from corpora.dicom import read_image
film = read_image("film.dcm")      # (rows, columns), uint16, bones white
"""

from corpora.dicom.header import describe, read_header, study_facts
from corpora.dicom.pixels import read_image

__all__ = ["describe", "read_header", "read_image", "study_facts"]
