"""DICOM files: what their headers say, and their pixels as a film is looked at.

from corpora.dicom import read_image
film = read_image("film.dcm")      # (rows, columns), uint16, bones white
"""

from corpora.dicom.header import describe, has_pixels, read_header, study_facts
from corpora.dicom.pixels import read_image

__all__ = ["describe", "has_pixels", "read_header", "read_image", "study_facts"]
