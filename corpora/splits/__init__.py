"""Split a corpus into training, validation and test part by patient.

    radloop corpus split corpus                       writes corpus/split.csv
    radloop corpus split corpus --labels labels.csv -o mine.csv --ratios train=.7,validate=.15,test=.15

Each patient has a number between 0 and 1: a keyed hash (HMAC-SHA256 under the seed) of the patient id. Patients are
sorted into strata by the rarest label that is positive in any of their studies; within a stratum they stand in order of
their number, and the order is cut where the ratios say. So every label, the rarest first, is shared out by the ratios,
and who is in which part depends on nothing but ids and labels.

Stability and stratification pull apart: a hash alone never moves anyone, and cuts by rank move a patient beside the cut
when others join its stratum (in 40,000 patients, one in a thousand when 1 % join). Both hold together by memory: a
split that is already at the output is kept, and only patients that it does not have are placed, where their stratum
lacks most. ``--fresh`` forgets it.
"""

from corpora.splits.command import split, split_cli
from corpora.splits.draw import make_split, parse_ratios, patient_number
from corpora.splits.files import read_split
from corpora.splits.leaks import find_leaks
from corpora.splits.types import PARTS, Leaks, Split

__all__ = [
    "PARTS",
    "Leaks",
    "Split",
    "find_leaks",
    "make_split",
    "parse_ratios",
    "patient_number",
    "read_split",
    "split",
    "split_cli",
]
