"""Real films and reports, where they are beside the checkout; and what other programs make of the corpus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from corpora.importing import import_corpus
from corpora.readers import open_source


@pytest.fixture(scope="session")
def nih(shared, tmp_path_factory) -> Path:
    if not (shared / "data" / "nih").is_dir():
        pytest.skip("needs data/nih")
    out = tmp_path_factory.mktemp("nih") / "corpus"
    import_corpus(shared / "data" / "nih", out)
    return out


def test_nih(nih, by_id):
    manifest = json.loads((nih / "manifest.json").read_text())
    counts = manifest["counts"]
    assert (counts["studies"], counts["images"], counts["rows_without_image"], counts["rejected"]) == (599, 599, 0, 0)
    assert sum(manifest["aggregates"]["ages"].values()) == 599
    assert len({study.patient_id for study in by_id(nih).values()}) == 407
    assert all(study.meta["labels"] for study in by_id(nih).values())


def test_datasets_and_arrow_read_it(nih):
    import pyarrow.parquet as pq

    table = pq.read_table(sorted(nih.glob("studies-*.parquet")))
    assert table.num_rows == 599 and table.column("images")[0].as_py()[0]["view"] in ("PA", "AP")
    program = (
        "import sys, datasets\n"
        "data = datasets.load_dataset('parquet', data_files=sys.argv[1], split='train', cache_dir=sys.argv[2])\n"
        "assert len(data) == 599 and data[0]['images'][0]['rows'] == 320, data[0]\n"
    )
    place = [str(nih / "studies-*.parquet"), str(nih.parent / "cache")]
    pytest.importorskip("datasets")
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, *place], check=True, timeout=110)


def test_openi_reports_alone(shared, tmp_path, by_id):
    source = shared / "data" / "openi" / "NLMCXR_reports.tgz"
    if not source.is_file():
        pytest.skip("needs data/openi")
    done = import_corpus(source, tmp_path / "out")
    assert done.counts["reports"] == done.counts["studies"] == 3955 and done.counts["rejected"] == 0
    found = by_id(tmp_path / "out")
    for record in open_source(str(source)):
        assert found[record.study_id].report.text == record.report.text
        if record.report.sections:
            assert found[record.study_id].report.sections == record.report.sections


def test_a_folder_of_real_dicom(shared, tmp_path, by_id):
    source = shared / "data" / "dicom"
    if not source.is_dir():
        pytest.skip("needs data/dicom")
    done = import_corpus(source, tmp_path / "out")
    files = len(list(source.glob("*.dcm")))
    counts = done.counts
    assert counts["images"] + counts["rejected"] + counts["same_images"] + counts["same_uids"] == files
    images = [image for study in by_id(tmp_path / "out").values() for image in study.images]
    chest = next(image for image in images if image.path.endswith("RG1_J2KI.dcm"))
    assert (chest.rows, chest.columns, chest.bits_stored) == (1955, 1841, 15)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["aggregates"]["manufacturers"]
