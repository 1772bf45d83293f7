"""The benchmark of pixels measures what it says; nothing is asserted about time."""

import numpy as np

from tests.benchmarks.pixels import measured, table
from tests.corpora.dicom.conftest import film


def test_films_are_measured_and_others_left_out(tmp_path, capsys):
    film(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    (tmp_path / "b.dcm").write_bytes(b"no film")
    rows = measured(tmp_path, 32, 1)
    assert [(row["film"], row["syntax"], row["megapixels"]) for row in rows] == [
        ("a.dcm", "Explicit VR Little Endian", 0.0)
    ]
    assert "left out: b.dcm" in capsys.readouterr().err
    assert len(table(rows, 32).splitlines()) == 3
