"""Tables that describe films, by their columns: NIH, CheXpert, MIMIC-CXR-JPG, VinDr-CXR and PediCXR, and any other.

A layout is data: which columns tell it, which column holds what, and how its labels are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

#: How labels are written: names in one cell; a column each, of known names or all that is left; one name a row.
Labels = Literal["list", "known", "rest", "class", "none"]

_IMAGES: Final = (
    "image", "image_index", "image_id", "imageid", "dicom_id", "image_path", "imagepath", "path_to_image", "path",
    "image_file", "image_name", "filename", "file_name", "filepath", "file_path", "file", "dicom_path",
    "sop_instance_uid", "sopinstanceuid", "img",
)  # fmt: skip
_ROLES: Final[dict[str, tuple[str, ...]]] = {
    "image": _IMAGES,
    "study": ("study_id", "studyid", "study", "exam_id", "report_id", "uid", "id"),
    "study_uid": ("study_instance_uid", "studyinstanceuid", "study_uid"),
    "accession": ("accession_number", "accessionnumber", "accession", "accession_no"),
    "patient": ("patient_id", "patientid", "subject_id", "subjectid", "patient"),
    "age": ("age", "patient_age", "patientage", "age_years"),
    "sex": ("sex", "gender", "patient_gender", "patient_sex", "patientsex"),
    "view": ("view", "view_position", "viewposition", "projection", "ap_pa"),
    "side": ("frontal_lateral",),
    "split": ("split", "subset"),
    "year": ("year", "study_year", "study_date", "studydate"),
    "rows": ("rows", "originalimageheight"),
    "columns": ("columns", "originalimagewidth"),
    "labels": ("finding_labels", "labels", "label"),
}
#: Column names, folded, that are labels wherever they stand: those of CheXpert and NIH.
KNOWN_LABELS: Final = frozenset(
    "no_finding enlarged_cardiomediastinum cardiomegaly lung_opacity lung_lesion edema consolidation pneumonia "
    "atelectasis pneumothorax pleural_effusion pleural_other fracture support_devices effusion emphysema fibrosis "
    "hernia infiltration mass nodule pleural_thickening".split()
)


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to describe films in a table.

    ``needs``: folded column names that tell it, of each tuple any. ``roles`` add to and go before the usual names.
    ``study_from``: how a study is named that no column names; ``image`` by the name of the film, ``path`` by the two
    folders around it. ``prefixes`` of study and patient ids, where they lack them.
    """

    name: str
    needs: tuple[tuple[str, ...], ...]
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Labels = "none"
    study_from: Literal["image", "path", "none"] = "none"
    prefixes: tuple[str, str] = ("", "")


_RADIOLOGIST: Final = ("rad_id", "radid", "reader_id")

#: The most telling first.
LAYOUTS: Final = (
    Layout(
        "nih", (("image_index",), ("finding_labels",)),
        {"rows": ("height", "originalimageheight"), "columns": ("originalimage_width", "originalimagewidth"),
         "spacing_x": ("originalimagepixelspacing_x",), "spacing_y": ("y", "originalimagepixelspacing_y"),
         "follow_up": ("follow_up",)},
        "list", "image",
    ),
    Layout("chexpert", (("path",), ("sex",), ("age",), ("frontal_lateral",)), labels="known", study_from="path"),
    Layout("mimic-jpg", (("dicom_id",), ("subject_id",), ("study_id",)), labels="none", prefixes=("s", "p")),
    Layout("mimic-jpg", (("subject_id",), ("study_id",), ("no_finding",)), labels="known", prefixes=("s", "p")),
    Layout(
        "vindr", (("image_id",), ("class_name", "classname"), ("x_min",)),
        {"reader": _RADIOLOGIST, "class": ("class_name", "classname")}, "class", "image",
    ),
    Layout("vindr", (("image_id",), (*_RADIOLOGIST, "no_finding")), {"reader": _RADIOLOGIST}, "rest", "image"),
    Layout("films", (_IMAGES,), {"reader": _RADIOLOGIST}, "known"),
)  # fmt: skip
_MAPPING: Final = Layout("mapping", ())


@dataclass(frozen=True, slots=True)
class Columns:
    """Where in the rows of one table things stand: places by role, and places of labels with their names."""

    layout: Layout
    width: int
    places: Mapping[str, int]
    names: Mapping[str, str]
    labels: Sequence[tuple[int, str]] = ()


def fold(name: str) -> str:
    """A column's name without case and punctuation.

    >>> fold("Frontal/Lateral"), fold("OriginalImage[Width"), fold("Follow-up #")
    ('frontal_lateral', 'originalimage_width', 'follow_up')
    """
    return re.sub(r"[^0-9a-z]+", "_", name.strip().lower()).strip("_")


def find_layout(header: Sequence[str], name: str | None = None) -> Columns | None:
    """The layout of a table with this header, None if it describes no films; ``name`` leaves others out of account."""
    keys = [fold(cell) for cell in header]
    for layout in LAYOUTS:
        if name in (None, layout.name) and all(any(key in keys for key in some) for some in layout.needs):
            columns = _columns(header, keys, layout)
            return columns if _says_something(columns) else None
    return None


def mapping_columns(header: Sequence[str], study: str | None = None) -> Columns:
    """The columns of a mapping table; ``study`` names the one of the study ids."""
    roles = {"study": (fold(study),)} if study else {}
    keys = [fold(cell) for cell in header]
    return _columns(header, keys, Layout(_MAPPING.name, (), roles, "none"))


def _says_something(columns: Columns) -> bool:
    return columns.layout.name != "films" or bool(columns.labels) or len(columns.places) > 1


def _columns(header: Sequence[str], keys: Sequence[str], layout: Layout) -> Columns:
    places: dict[str, int] = {}
    for role in {**_ROLES, **layout.roles}:
        wanted = (*layout.roles.get(role, ()), *_ROLES.get(role, ()))
        place = next((keys.index(key) for key in wanted if key in keys), None)
        if place is not None:
            places[role] = place
    # a table of reports may have an id of its own beside the film's, and one column is not both
    if places.get("study") == places.get("image"):
        places.pop("study", None)
    names = {role: header[place].strip() for role, place in places.items()}
    return Columns(layout, len(header), places, names, tuple(_labels(header, keys, layout, set(places.values()))))


def _labels(header: Sequence[str], keys: Sequence[str], layout: Layout, used: set[int]) -> list[tuple[int, str]]:
    if layout.labels == "rest":
        return [(place, header[place].strip()) for place in range(len(header)) if place not in used and keys[place]]
    if layout.labels == "known":
        return [(place, header[place].strip()) for place, key in enumerate(keys) if key in KNOWN_LABELS]
    return []
