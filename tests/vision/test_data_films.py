"""What is learned from what: parts, labels, films that cannot be read; augmentation and pooling."""

import csv
import shutil

import numpy as np
import pytest
import torch

from corpora.errors import DataError
from corpora.label_table import BLANK_CELL, read_label_matrix
from tests.vision.conftest import LABELS, write_rows
from vision.augment import affine_matrices, augmented
from vision.batches import Store, read_ahead
from vision.data import gather, learnable, open_cache, part_films, truth_of
from vision.pooling import auroc, macro_auroc, pooled
from vision.recipe import AugmentRecipe

STILL = {"degrees": 0, "shift": 0, "zoom": 0, "brightness": 0, "contrast": 0, "noise": 0}


def copied(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "corpus")
    return tmp_path / "corpus"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_sample_is_a_film_and_has_its_study_s_labels(eye_corpus, tmp_path):
    table = read_label_matrix(eye_corpus / "labels.csv")
    found = gather(eye_corpus, table, None, "all")
    cache = open_cache(found.films, tmp_path / "cache", 32)
    part = part_films(found.of_part["train"], cache, table)
    assert len(part) == 72 and len(part.study_ids) == 54 and part.film_states.shape == (72, 3)
    place = part.image_ids.index("f0-LATERAL")
    assert part.film_states[place].tolist() == [0, 0, 1]
    frontal = gather(eye_corpus, table, None, "frontal")
    assert len(frontal.of_part["train"]) == 54


def test_a_split_with_a_patient_in_two_parts_is_refused(eye_corpus, tmp_path):
    header, *rows = rows_of(eye_corpus / "split.csv")
    # the same patient under another study: in the split's own column it may be hidden
    rows[1][1:] = ["other", "test"]
    write_rows(tmp_path / "split.csv", header, rows)
    with pytest.raises(DataError) as refused:
        gather(eye_corpus, read_label_matrix(eye_corpus / "labels.csv"), tmp_path / "split.csv", "all")
    assert refused.value.code == "split.leak" and "1 patients" in refused.value.message


def test_labels_of_other_studies_are_refused(eye_corpus, tmp_path):
    write_rows(tmp_path / "l.csv", ("study_id", "Left"), [["x1", 1], ["x2", 0]])
    with pytest.raises(DataError) as refused:
        gather(eye_corpus, read_label_matrix(tmp_path / "l.csv"), None, "all")
    assert refused.value.code == "vision.no_match" and "none of the 90" in refused.value.message


def test_a_corpus_without_a_split_says_how_to_make_one(eye_corpus, tmp_path):
    corpus = copied(eye_corpus, tmp_path)
    (corpus / "split.csv").unlink()
    with pytest.raises(DataError) as refused:
        gather(corpus, read_label_matrix(corpus / "labels.csv"), None, "all")
    assert refused.value.code == "data.missing" and "radloop corpus split" in refused.value.hint


def test_a_label_without_positives_is_left_out_and_said():
    train = np.array([[1, 1], [0, 0], [1, 0], [0, 1]], dtype=np.int8)
    validate = np.array([[1, 0], [0, 0]], dtype=np.int8)
    kept, reasons = learnable(["a", "b"], {"train": train, "validate": validate}, 1)
    assert kept == [0] and reasons == {"b": "0 positive in validate"}
    with pytest.raises(DataError) as refused:
        learnable(["a", "b"], {"train": train, "validate": validate}, 3)
    assert refused.value.code == "vision.no_positive"


def test_truth_leaves_open_what_labels_leave_open():
    states = np.array([[1, 0, -1, BLANK_CELL]], dtype=np.int8).T
    assert truth_of(states, np.array([True]))[:, 0].tolist() == [1, 0, -1, 0]
    assert truth_of(states, np.array([False]))[:, 0].tolist() == [1, 0, -1, -1]


def test_a_cache_of_another_size_is_refused(eye_corpus, tmp_path):
    found = gather(eye_corpus, read_label_matrix(eye_corpus / "labels.csv"), None, "all")
    open_cache(found.films, tmp_path / "cache", 32)
    with pytest.raises(DataError) as refused:
        open_cache(found.films, tmp_path / "cache", 64)
    assert refused.value.code == "vision.cache" and "--set size=32" in refused.value.hint


def test_batches_come_in_order(eye_corpus, tmp_path):
    found = gather(eye_corpus, read_label_matrix(eye_corpus / "labels.csv"), None, "all")
    cache = open_cache(found.films, tmp_path / "cache", 32)
    store = Store(cache, [film.image_id for film in found.films])
    groups = [np.array([5, 1]), np.array([0]), np.array([7, 7, 3])]
    for films, rows in zip(read_ahead(store, groups, torch.device("cpu")), groups, strict=True):
        expected = np.stack([cache[found.films[row].image_id][0] for row in rows])
        assert (films.numpy() == expected).all()


def test_what_goes_wrong_in_reading_ahead_is_raised(eye_corpus, tmp_path):
    found = gather(eye_corpus, read_label_matrix(eye_corpus / "labels.csv"), None, "all")
    cache = open_cache(found.films, tmp_path / "cache", 32)
    store = Store(cache, [film.image_id for film in found.films])
    with pytest.raises(IndexError):
        list(read_ahead(store, [np.array([10_000])], torch.device("cpu")))


def test_label_tables_as_arrays(tmp_path):
    write_rows(tmp_path / "l.csv", ("Study_ID", "patient_id", "A", "B"), [["s1", "p", "1.0", ""], ["s2", "p", -1, 0]])
    table = read_label_matrix(tmp_path / "l.csv")
    assert table.labels == ("A", "B") and table.states.tolist() == [[1, BLANK_CELL], [-1, 0]]
    (tmp_path / "l.jsonl").write_text('{"study_id": "s1", "labels": {"A": 1}}\n\n{"id": "s2", "B": null, "A": -1}\n')
    assert read_label_matrix(tmp_path / "l.jsonl").states.tolist() == [[1, BLANK_CELL], [-1, BLANK_CELL]]
    with pytest.raises(DataError, match=r"no column 'C'"):
        table.only(["C"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("study_id,A\ns1,2\n", "data.cell"), ("study_id,A\ns1,1\ns1,0\n", "data.duplicate"),
        ("A,B\n1,0\n", "data.column"),
        ("study_id,A\n,1\n", "data.id"), ("study_id,A\n", "data.empty"), ("study_id,A\ns1\n", "data.csv"),
        ("study_id,Reports\ns1,x\n", "data.column"), ("study_id,A,A\ns1,1,0\n", "data.column"),
    ],
)  # fmt: skip
def test_label_tables_that_are_none(tmp_path, text, code):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DataError) as refused:
        read_label_matrix(tmp_path / "l.csv")
    assert refused.value.code == code


# Augmentation


def test_no_augmentation_changes_nothing():
    greys = torch.rand(3, 1, 16, 16)
    assert torch.equal(augmented(greys, AugmentRecipe(**STILL), torch.Generator().manual_seed(0)), greys)


def test_no_film_is_flipped_unless_asked_for():
    draw = torch.Generator().manual_seed(0)
    default = affine_matrices(500, AugmentRecipe(), draw)
    assert (torch.linalg.det(default[:, :, :2]) > 0).all()
    assert (torch.linalg.det(affine_matrices(500, AugmentRecipe(flip=1), draw)[:, :, :2]) < 0).all()


def test_a_shift_moves_and_a_crop_stays_inside():
    greys = torch.zeros(1, 1, 64, 64)
    greys[..., 20:24, 30:34] = 1
    moved = augmented(greys, AugmentRecipe(**STILL | {"shift": 0.2}), torch.Generator().manual_seed(3))
    rows, columns = torch.nonzero(moved[0, 0] > 0.5, as_tuple=True)
    assert not torch.equal(moved, greys) and abs(rows.float().mean() - 21.5) <= 13 and len(columns)
    matrices = affine_matrices(200, AugmentRecipe(**STILL | {"crop": 0.5}), torch.Generator().manual_seed(0))
    reach = matrices[:, :, 2].abs() + matrices[:, :, :2].abs().sum(dim=2)
    assert (reach <= 1 + 1e-5).all()


def test_augmentation_follows_from_its_seed_and_stays_in_range():
    greys = torch.rand(4, 1, 16, 16)
    recipe = AugmentRecipe(brightness=0.5, contrast=0.5, noise=0.2)
    first, second = (augmented(greys, recipe, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second) and first.min() >= 0 and first.max() <= 1


# Pooling


def test_views_are_pooled():
    films, study = np.array([[0.2, 0.9], [0.6, 0.1], [0.5, 0.5]]), np.array([0, 0, 1])
    assert pooled(films, study, 2, "mean") == pytest.approx(np.array([[0.4, 0.5], [0.5, 0.5]]))
    assert pooled(films, study, 2, "max").tolist() == [[0.6, 0.9], [0.5, 0.5]]


def test_areas_agree_with_scikit_learn():
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(0)
    scores, truth = draw.integers(0, 20, (200, 3)) / 20, draw.integers(-1, 2, (200, 3)).astype(np.int8)
    expected = [roc_auc_score(truth[truth[:, at] >= 0, at], scores[truth[:, at] >= 0, at]) for at in range(3)]
    assert [auroc(scores[:, at], truth[:, at]) for at in range(3)] == pytest.approx(expected)
    assert macro_auroc(scores, truth) == pytest.approx(np.mean(expected))
    assert auroc(scores[:, 0], np.ones(200, dtype=np.int8)) is None


def test_labels_of_the_fixture_are_those(eye_corpus):
    assert read_label_matrix(eye_corpus / "labels.csv").labels == LABELS
