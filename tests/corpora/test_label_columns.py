"""Label tables as the field has them: CheXpert's by paths, MIMIC-CXR's with ids without their letter, one's own."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from corpora.errors import DataError
from corpora.label_table import read_label_matrix
from corpora.specs.labels import read_label_table
from labeler.audit.tables import read_table
from labeler.score import score
from labeler.score_io import read_labels

CHEXPERT = """\
Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema
CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,
CheXpert-v1.0-small/train/patient00002/study2/view1_frontal.jpg,Female,87,Frontal,AP,,-1.0
"""
MIMIC = "subject_id,study_id,No Finding,Edema\n10000032,50414267,1.0,\n10000032,53189527,,-1.0\n"
OURS = "Accession Number,Gender,Report,No Finding,Edema\nA1,F,Clear.,1,\nA2,M,Possible edema.,,-1\n"


@pytest.mark.parametrize(
    ("content", "first"),
    [(CHEXPERT, "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"), (MIMIC, "50414267"), (OURS, "A1")],
)
def test_every_reader_of_label_tables_finds_the_same_ids_and_labels(tmp_path: Path, content: str, first: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    scored, matrix, checked, audited = (
        read_labels(path), read_label_matrix(path), read_label_table(path), read_table(path)
    )  # fmt: skip
    assert list(scored.columns) == list(matrix.labels) == list(checked.columns or ()) == list(audited.names)
    assert list(matrix.labels) == ["No Finding", "Edema"]
    assert scored.ids == list(matrix.ids) == list(checked.labels) == list(audited.ids)
    assert scored.ids[0] == first
    assert matrix.states.tolist() == [[1, -2], [-2, -1]]


@pytest.mark.parametrize("name", ["labels.csv.gz", "labels.tsv"])
def test_tables_as_they_are_downloaded(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(MIMIC.encode()) if name.endswith(".gz") else MIMIC.replace(",", "\t").encode())
    assert read_labels(path).ids == list(read_label_matrix(path).ids) == list(read_label_table(path).labels)
    if name.endswith(".gz"):
        path.write_bytes(path.read_bytes()[:40])
        for read in (read_label_matrix, read_label_table, read_labels):
            with pytest.raises(DataError) as caught:
                read(path)
            assert caught.value.code == "data.gzip"


def test_studies_of_mimic_are_one_with_and_without_their_letter(tmp_path: Path) -> None:
    gold, ours = tmp_path / "mimic.csv", tmp_path / "labels.csv"
    gold.write_text(MIMIC)
    ours.write_text("study_id,No Finding,Edema\ns50414267,1,\ns53189527,,-1\ns50000000,,\n")
    for table, truth in ((ours, gold), (gold, gold)):
        assert score(table, truth, replicates=0).scores["weighted_f1"].value == 1.0
    assert list(read_label_table(gold, {"s50414267"}).labels) == ["s50414267", "s53189527"]
    assert read_label_matrix(ours).named_as({"53189527"}).rows["53189527"] == 1
    assert read_label_matrix(gold).named_as({"50414267", "s53189527"}).ids == ("50414267", "53189527")


def test_a_corpus_is_the_table_of_the_labels_that_came_with_it(tmp_path: Path) -> None:
    from PIL import Image

    from corpora.importing import import_corpus

    for at, patient in enumerate(("patient00001", "patient00002"), 1):
        film = tmp_path / f"CheXpert-v1.0-small/train/{patient}/study{at}/view1_frontal.jpg"
        film.parent.mkdir(parents=True)
        Image.new("L", (80, 80), 20 * at).save(film)
    (tmp_path / "CheXpert-v1.0-small" / "train.csv").write_text(CHEXPERT)
    import_corpus([str(tmp_path / "CheXpert-v1.0-small")], tmp_path / "corpus")
    matrix = read_label_matrix(tmp_path / "corpus")
    assert matrix.ids == ("patient00001/study1", "patient00002/study2")
    assert matrix.only(["No Finding", "Edema"]).states.tolist() == [[1, -2], [-2, -1]]
    assert read_label_table(tmp_path / "corpus").labels["patient00002/study2"] == {"Edema": -1}
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("Clear.")
    import_corpus([str(tmp_path / "texts")], tmp_path / "bare")
    with pytest.raises(DataError, match="came with labels"):
        read_label_matrix(tmp_path / "bare")


def test_a_table_without_ids_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("Edema,Fracture\n1,0\n")
    for read in (read_label_matrix, read_label_table, read_labels):
        with pytest.raises(DataError, match="no column of study ids") as caught:
            read(path)
        assert "study_id" in caught.value.hint


def test_a_column_that_is_no_label_is_named_and_its_content_is_not(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("study_id,Remark,Edema\n1,Secret words,0\n")
    with pytest.raises(DataError, match="'Remark'") as caught:
        read_label_matrix(path)
    assert "Secret" not in str(caught.value)
    assert "out of the table" in caught.value.hint
