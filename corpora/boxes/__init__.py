"""Boxes around findings: COCO JSON and the CSV layout of VinDr-CXR and PediCXR, one into the other without loss.

radloop corpus boxes annotations.csv boxes.json --corpus corpus
radloop corpus boxes boxes.json annotations.csv
"""

from corpora.boxes.coco import parse_coco, to_coco
from corpora.boxes.command import boxes_cli, convert_boxes, read_boxes
from corpora.boxes.layer import Box, BoxImage, BoxLayer, BoxProblem, Found, against_corpus, corpus_images
from corpora.boxes.vindr import parse_csv, to_csv

__all__ = [
    "Box",
    "BoxImage",
    "BoxLayer",
    "BoxProblem",
    "Found",
    "against_corpus",
    "boxes_cli",
    "convert_boxes",
    "corpus_images",
    "parse_coco",
    "parse_csv",
    "read_boxes",
    "to_coco",
    "to_csv",
]
