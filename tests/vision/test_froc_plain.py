"""FROC and average precision against plain programs that share no code with ours, on boxes drawn at random."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.statistics.froc import RATES, Detections, froc
from vision.box_precision import precision_by_label
from vision.froc import Frame, froc_by_label

side = st.integers(1, 6)
box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), st.integers(0, 5), st.integers(0, 5), side, side)
# few scores, so that many are equal
detection = st.tuples(box, st.integers(1, 5).map(lambda tenth: tenth / 10))
image = st.tuples(st.lists(box, max_size=4), st.lists(detection, max_size=7))


def overlap(first, second):
    """Common and united area of two boxes, as whole numbers."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0) * max(height, 0)
    first_area, second_area = ((each[2] - each[0]) * (each[3] - each[1]) for each in (first, second))
    return common, first_area + second_area - common


def hits_and_false(images, least):
    """Lesions hit and detections that hit nothing, of those with a score of at least ``least``, overlaps above 2/5."""
    hits = false = 0
    for lesions, found in images:
        taken = set()
        for corners, _ in sorted((each for each in found if each[1] >= least), key=lambda each: -each[1]):
            near = []
            for place, lesion in enumerate(lesions):
                common, union = overlap(corners, lesion)
                if 5 * common > 2 * union:
                    near.append((common / union, -place))
            free = [each for each in near if -each[1] not in taken]
            if free:
                taken.add(-max(free)[1])
                hits += 1
            elif not near:
                false += 1
    return hits, false


def plain_froc(images):
    """Sensitivity at each rate, by trying every score as the threshold; None without a lesion."""
    total = sum(len(lesions) for lesions, _ in images)
    if not total:
        return [None] * len(RATES)
    scores = {score for _, found in images for _, score in found}
    points = [hits_and_false(images, least) for least in scores]
    return [max((hits for hits, false in points if false <= rate * len(images)), default=0) / total for rate in RATES]


def arrays(images):
    names = [f"i{at}" for at in range(len(images))]
    drawn = {name: {"x": lesions} for name, (lesions, _) in zip(names, images, strict=True) if lesions}
    found = {
        name: {"x": Detections(np.array([box for box, _ in of], float), np.array([score for _, score in of]))}
        for name, (_, of) in zip(names, images, strict=True)
        if of
    }
    return names, drawn, found


@given(st.lists(image, min_size=1, max_size=6))
def test_froc_is_what_trying_every_threshold_gives(images):
    names, drawn, found = arrays(images)
    expected = plain_froc(images)
    one = froc(
        {name: of["x"] for name, of in drawn.items()}, {name: of["x"] for name, of in found.items()}, names
    )  # fmt: skip
    assert one.sensitivity == (pytest.approx(expected) if one.lesions else tuple(expected))
    row = froc_by_label(["x"], drawn, found, Frame(tuple(names), np.arange(len(names))), replicates=0)["x"]
    assert [row.rates[rate].value for rate in RATES] == (pytest.approx(expected) if row.lesions else expected)


def coco_of_image(lesions, found, threshold):
    """Score and whether it is a hit of each detection, as ``COCOeval.evaluateImg`` matches without crowds and areas."""
    ordered = sorted(found, key=lambda each: -each[1])[:100]
    matched = [False] * len(lesions)
    rows = []
    for corners, score in ordered:
        best, match = threshold, -1
        for place, lesion in enumerate(lesions):
            common, union = overlap(corners, lesion)
            # of equal overlaps the last
            if not matched[place] and common / union >= best:
                best, match = common / union, place
        if match >= 0:
            matched[match] = True
        rows.append((score, match >= 0))
    return rows


def coco_precision(images, threshold):
    """Average precision as ``COCOeval.accumulate`` has it; the score of equal ones that comes first stays first."""
    total = sum(len(lesions) for lesions, _ in images)
    rows = [row for lesions, found in images for row in coco_of_image(lesions, found, threshold)]
    rows.sort(key=lambda row: -row[0])
    hits = np.cumsum([hit for _, hit in rows])
    precision = [hits[at] / (at + 1) for at in range(len(rows))]
    for at in range(len(rows) - 1, 0, -1):
        precision[at - 1] = max(precision[at - 1], precision[at])
    places = np.searchsorted(hits / total, np.linspace(0, 1, 101), side="left")
    return float(np.mean([precision[at] if at < len(precision) else 0.0 for at in places]))


@given(st.lists(image, min_size=1, max_size=6).filter(lambda images: any(lesions for lesions, _ in images)))
def test_average_precision_is_that_of_cocos_code(images):
    names, drawn, found = arrays(images)
    ours = precision_by_label(["x"], drawn, found, Frame(tuple(names), np.arange(len(names))), replicates=0)["x"]
    thresholds = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    expected = [coco_precision(images, threshold) for threshold in thresholds]
    assert ours["ap50"].value == pytest.approx(expected[0], abs=1e-12)
    assert ours["ap"].value == pytest.approx(np.mean(expected), abs=1e-12)
