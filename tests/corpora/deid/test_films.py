"""Films de-identified by the command: what goes, what stays, what is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset, Sequence

from tests.corpora.deid.conftest import film, save

SECRETS = (b"urawska", b"Mirela", b"ZQX", b"19380214", b"20310517", b"Ostvold", b"Larkfield", b"1.2.3.4")


def films_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.dcm"))


def read(path: Path) -> Dataset:
    return pydicom.dcmread(path)


def test_nothing_of_the_person_is_left_and_the_film_is(tmp_path, key, radloop):
    source = save(film(), tmp_path / "src" / "Zurawska.dcm", b"ZQXPREAMBLE" + bytes(117))
    outcome = radloop("corpus", "deidentify", source.parent, "-o", tmp_path / "out", "--key-file", key, "--json")
    assert outcome.code == 0, outcome.err
    (path,) = films_in(tmp_path / "out")
    raw = path.read_bytes() + str(path.relative_to(tmp_path)).encode()
    assert [secret for secret in SECRETS if secret in raw] == []
    after = read(path)
    assert (after.PatientIdentityRemoved, after.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
    assert [item.CodeValue for item in after.DeidentificationMethodCodeSequence] == ["113100"]
    assert (after.Modality, after.BodyPartExamined, after.Manufacturer, after.Rows) == (
        "CR",
        "CHEST",
        "ACME Imaging",
        64,
    )
    assert after.PixelData == film().PixelData
    assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
    assert after.PatientName == after.PatientID and after.PatientID
    assert "BurnedInAnnotation" not in after
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["actions"]["uid_changed"] >= 3 and manifest["counts"]["films"] == 1
    assert "Zurawska" not in (tmp_path / "out" / "manifest.json").read_text()


def test_planted_tokens_of_the_whole_table(tmp_path, key, radloop, shared):
    source = shared / "data" / "dicom" / "planted_E1-1_all_attributes.dcm"
    tokens = json.loads((source.parent / "planted_tokens.json").read_text())
    assert radloop("corpus", "deidentify", source, "-o", tmp_path / "out.dcm", "--key-file", key).code == 0
    raw = (tmp_path / "out.dcm").read_bytes()
    assert [token for token in tokens if token.encode() in raw] == []


def test_odd_films_of_all_kinds(tmp_path, key, radloop, shared):
    outcome = radloop("corpus", "deidentify", shared / "data" / "dicom", "-o", tmp_path / "out", "--key-file", key)
    assert outcome.code == 0, outcome.err
    assert len(films_in(tmp_path / "out")) == 21


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (dicom3tools)")
@pytest.mark.parametrize(
    "options", [[], pytest.param(["--preset", "pedicxr", "--option", "modify-dates"], marks=pytest.mark.slow)]
)
def test_dciodvfy_finds_no_error_that_was_not_there(tmp_path, key, radloop, shared, options):
    def errors(path: Path) -> set[str]:
        said = subprocess.run(["dciodvfy", path], capture_output=True, check=False).stderr.decode("latin-1")
        return {line for line in said.splitlines() if line.startswith("Error")}

    for source in sorted((shared / "data" / "dicom").glob("*.dcm")):
        out = tmp_path / source.name
        assert radloop("corpus", "deidentify", source, "-o", out, "--key-file", key, *options).code == 0
        assert errors(out) - errors(source) == set(), source.name


def test_one_key_gives_one_result_and_another_another(tmp_path, key, radloop):
    source = save(film(), tmp_path / "src" / "a.dcm").parent
    save(film("1.2.3.4.6"), source / "b.dcm")
    other = tmp_path / "other.key"
    radloop("corpus", "key", other)
    for name, used in (("one", key), ("two", key), ("three", other)):
        assert radloop("corpus", "deidentify", source, "-o", tmp_path / name, "--key-file", used).code == 0
    one, two, three = ({p.relative_to(tmp_path / name): p.read_bytes() for p in films_in(tmp_path / name)}
                       for name in ("one", "two", "three"))  # fmt: skip
    assert one == two and len(one) == 2
    assert not one.keys() & three.keys()
    first, second = (read(tmp_path / "one" / path) for path in one)
    assert first.StudyInstanceUID == second.StudyInstanceUID and first.PatientID == second.PatientID


def test_nested_private_and_unknown_attributes(tmp_path, key, radloop):
    dataset = film()
    inner = Dataset()
    inner.InstitutionName, inner.CodeMeaning = "ZQX Hospital", "postero-anterior"
    inner.ReferencedSOPInstanceUID, inner.ReferencedSOPClassUID = "1.2.3.4.5", "1.2.840.10008.5.1.4.1.1.1"
    block = inner.private_block(0x0011, "ZQXCREATOR", create=True)
    block.add_new(1, "LO", "ZQX inside")
    for _ in range(12):
        outer = Dataset()
        outer.ViewCodeSequence = Sequence([inner])
        inner = outer
    dataset.ViewCodeSequence = Sequence([inner])
    dataset.add_new(0x00191010, "LO", "ZQX without a creator")
    dataset.add_new(0x60003000, "OW", b"ZQXOVERLAY")
    dataset.add_new(0xFFFCFFFC, "OB", b"ZQXPAD")
    dataset.WindowCenterWidthExplanation = "ZQX9999"
    source = save(dataset, tmp_path / "src.dcm")
    assert radloop("corpus", "deidentify", source, "-o", tmp_path / "out.dcm", "--key-file", key).code == 0
    raw = (tmp_path / "out.dcm").read_bytes()
    assert b"ZQX" not in raw
    item = read(tmp_path / "out.dcm")
    uid = item.SOPInstanceUID
    for _ in range(13):
        item = item.ViewCodeSequence[0]
    assert item.ReferencedSOPInstanceUID == uid
    assert item.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.1" and item.CodeMeaning == "postero-anterior"


def test_dates_move_by_patient_and_ages_stop_at_ninety(tmp_path, key, radloop):
    source = save(film(AcquisitionDateTime="20310518120000.5"), tmp_path / "src.dcm")
    out = tmp_path / "out.dcm"
    assert radloop("corpus", "deidentify", source, "-o", out, "--key-file", key, "--preset", "pedicxr",
                   "--option", "modify-dates").code == 0  # fmt: skip
    after = read(out)
    assert after.StudyDate < "20310517" and after.StudyDate == after.ContentDate
    assert after.AcquisitionDateTime.endswith("120000.5") and after.StudyTime == "101112"
    assert (after.PatientAge, after.PatientSex, after.PatientBirthDate) == ("090Y", "F", "")
    assert after.LongitudinalTemporalInformationModified == "MODIFIED"
    assert {item.CodeValue for item in after.DeidentificationMethodCodeSequence} == {"113100", "113107", "113108"}


def test_values_that_make_no_sense(tmp_path, key, radloop):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = film(PatientBirthDate="ZQX", PatientAge="ZQX", StudyDate="20319999", SpecificCharacterSet="ZQX 99")
        dataset.add_new(0x00200013, "IS", "")
        source = save(dataset, tmp_path / "src.dcm")
    out = tmp_path / "out.dcm"
    for options in ([], ["--option", "modify-dates", "--option", "retain-patient-characteristics"]):
        out.unlink(missing_ok=True)
        (tmp_path / "out.dcm.manifest.json").unlink(missing_ok=True)
        outcome = radloop("corpus", "deidentify", source, "-o", out, "--key-file", key, *options)
        assert outcome.code == 0, outcome.err
        assert b"ZQX" not in out.read_bytes() and b"20319999" not in out.read_bytes()


def test_a_broken_film_is_rejected_and_listed_and_the_rest_goes_on(tmp_path, key, radloop):
    source = save(film(), tmp_path / "src" / "good.dcm").parent
    (source / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL")
    (source / "noise.dcm").write_bytes(b"this is no DICOM")
    (source / "Żurawska.txt").write_text("a letter", encoding="utf-8")
    outcome = radloop("corpus", "deidentify", source, "-o", tmp_path / "out", "--key-file", key)
    assert outcome.code == 1
    failures = [json.loads(line) for line in (tmp_path / "out" / "failures.jsonl").read_text().splitlines()]
    assert {failure["file"] for failure in failures} == {"broken.dcm", "noise.dcm"}
    assert len(films_in(tmp_path / "out")) == 1 and not list((tmp_path / "out").rglob("*.tmp"))
    assert (
        radloop("corpus", "deidentify", source, "-o", tmp_path / "o2", "--key-file", key, "--max-failures", 2).code == 0
    )


@pytest.mark.parametrize(
    ("content", "code"), [(None, "deid.no_key"), ("", "deid.key"), ("abc\n", "deid.key"), ("0" * 64, "deid.key")]
)
def test_without_a_key_nothing_is_written(tmp_path, radloop, content, code):
    source, path = save(film(), tmp_path / "src.dcm"), tmp_path / "k"
    if content is not None:
        path.write_text(content)
    outcome = radloop("corpus", "deidentify", source, "-o", tmp_path / "out", "--key-file", path)
    assert outcome.code == 2 and f"[{code}]" in outcome.err
    assert not (tmp_path / "out").exists() and path.exists() == (content is not None)


def test_a_key_is_random_private_and_never_replaced(tmp_path, radloop):
    path = tmp_path / "k"
    assert radloop("corpus", "key", path).code == 0
    first = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600 and len(bytes.fromhex(first)) == 32
    outcome = radloop("corpus", "key", path)
    assert outcome.code == 2 and "[run.exists]" in outcome.err and path.read_text() == first


def test_an_old_set_goes_on_with_its_own_key_alone(tmp_path, key, radloop):
    source = save(film(), tmp_path / "src" / "a.dcm").parent
    out, other = tmp_path / "out", tmp_path / "other.key"
    radloop("corpus", "key", other)
    assert radloop("corpus", "deidentify", source, "-o", out, "--key-file", key).code == 0
    again = radloop("corpus", "deidentify", source, "-o", out, "--key-file", key)
    assert again.code == 2 and "[run.not_empty]" in again.err
    changed = radloop("corpus", "deidentify", source, "-o", out, "--key-file", other, "--resume")
    assert changed.code == 2 and "[run.changed]" in changed.err
    assert "nothing left to do" in radloop("corpus", "deidentify", source, "-o", out, "--key-file", key, "--resume").err


def test_source_and_output_apart_and_the_key_in_neither(tmp_path, key, radloop):
    source = save(film(), tmp_path / "src" / "a.dcm").parent
    outcome = radloop("corpus", "deidentify", source, "-o", source / "out", "--key-file", key)
    assert outcome.code == 2 and "[run.same_file]" in outcome.err
    inside = tmp_path / "out" / "k"
    inside.parent.mkdir()
    shutil.copy(key, inside)
    outcome = radloop("corpus", "deidentify", source, "-o", tmp_path / "out", "--key-file", inside)
    assert outcome.code == 2 and "[deid.key_place]" in outcome.err


def test_an_unknown_option_is_named_with_the_one_meant(tmp_path, key, radloop):
    source = save(film(), tmp_path / "src.dcm")
    outcome = radloop(
        "corpus", "deidentify", source, "-o", tmp_path / "o", "--key-file", key, "--option", "modify-date"
    )
    assert outcome.code == 2 and "modify-dates" in outcome.err


def test_an_interrupted_run_goes_on(tmp_path, key, radloop, monkeypatch):
    source = tmp_path / "src"
    for number in range(6):
        save(film(f"1.2.3.4.{number + 10}"), source / f"{number}.dcm")
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert radloop("corpus", "deidentify", source, "-o", whole, "--key-file", key).code == 0
    import corpora.deid.run as run

    monkeypatch.setattr(run, "ordered", _one_group_then_stop)
    assert radloop("corpus", "deidentify", source, "-o", out, "--key-file", key).code == 130
    assert not (out / "manifest.json").exists() and len(films_in(out)) == 2
    with (out / "partial" / "done.jsonl").open("a") as file:
        file.write('{"place": "cut o')
    monkeypatch.undo()
    assert radloop("corpus", "deidentify", source, "-o", out, "--key-file", key, "--resume").code == 0
    assert {p.relative_to(out): p.read_bytes() for p in films_in(out)} == {
        p.relative_to(whole): p.read_bytes() for p in films_in(whole)
    }
    assert not (out / "partial").exists()
    assert json.loads((out / "manifest.json").read_text())["counts"]["films"] == 6


def _one_group_then_stop(work, items, total, workers, killed, isolate=False):
    yield [work(next(items)), work(next(items))]
    raise KeyboardInterrupt


def stamped() -> Dataset:
    """A smooth film with a name and a marker stamped on it."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (700, 500), 0)
    draw = ImageDraw.Draw(picture)
    draw.text((20, 20), "ZURAWSKA MIRELA 14.02.1938", fill=255, font=ImageFont.load_default(24))
    mask = np.asarray(picture) > 128
    rows, columns = np.mgrid[0:500, 0:700]
    values = (1500 + 900 * np.sin(rows / 90) * np.cos(columns / 120)).astype(np.uint16)
    values[mask] = 4095
    return film(Rows=500, Columns=700, PixelData=values.tobytes(), BurnedInAnnotation="YES")


def test_text_in_the_pixels_is_blacked_out_and_told(tmp_path, key, radloop):
    source = save(stamped(), tmp_path / "src" / "a.dcm").parent
    options = ["--key-file", key, "--option", "clean-pixel-data"]
    assert radloop("corpus", "deidentify", source, "-o", tmp_path / "out", *options).code == 0
    (path,) = films_in(tmp_path / "out")
    before, after = pydicom.dcmread(source / "a.dcm").pixel_array, read(path)
    assert (after.pixel_array[15:60, 20:420] == 4095).sum() == 0
    assert (after.pixel_array[100:] == before[100:]).all()
    assert after.BurnedInAnnotation == "NO"
    assert "113101" in [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    table = (tmp_path / "out" / "pixels.csv").read_text().splitlines()
    assert len(table) >= 2 and "blacked out" in table[1] and "MIRELA" not in "".join(table).upper()
    assert (tmp_path / "out" / "pixels.png").stat().st_size > 500
    plain = radloop("corpus", "deidentify", source, "-o", tmp_path / "plain", "--key-file", key)
    assert plain.code == 0 and read(films_in(tmp_path / "plain")[0]).BurnedInAnnotation != "NO"


def test_text_of_a_few_pixels_is_blacked_out_to_its_end(tmp_path, key, radloop):
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (256, 256), 0)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(10)
    draw.text((8, 20), "ZURAWSKA, Mirela", fill=255, font=font)
    draw.text((8, 34), "330000038 14.02.1938", fill=255, font=font)
    strokes = np.asarray(picture)
    rows, columns = np.mgrid[0:256, 0:256]
    # the text runs out of the dark over something nearly as bright as it is itself
    values = (300 + 3100 * columns / 256 + 200 * np.sin(rows / 40)).astype(np.uint16)
    values = np.maximum(values, strokes.astype(np.uint16) * 16)
    dataset = film(Rows=256, Columns=256, PixelData=values.tobytes(), BurnedInAnnotation="YES")
    source = save(dataset, tmp_path / "src" / "a.dcm").parent
    options = ["--key-file", key, "--option", "clean-pixel-data"]
    assert radloop("corpus", "deidentify", source, "-o", tmp_path / "out", *options).code == 0
    after = read(films_in(tmp_path / "out")[0]).pixel_array
    letters = strokes > 128
    assert letters.sum() > 300 and after[letters].max() == values.min()
    assert (after[80:] == values[80:]).all()


@pytest.mark.parametrize(("suffix", "mode"), [("png", "L"), ("png", "RGB"), ("png", "I;16"), ("jpg", "L")])
def test_text_in_a_picture_of_a_corpus_is_blacked_out_too(tmp_path, key, radloop, suffix, mode):
    from PIL import Image

    values = stamped().pixel_array
    grey = values * 16 if mode == "I;16" else (values // 16).astype(np.uint8)
    picture = Image.fromarray(np.stack([grey] * 3, axis=-1) if mode == "RGB" else grey)
    (tmp_path / "src").mkdir()
    picture.save(tmp_path / "src" / f"one.{suffix}")
    corpus, out = tmp_path / "corpus", tmp_path / "out"
    assert radloop("corpus", "import", tmp_path / "src", "-o", corpus).code == 0
    options = ["--key-file", key, "--option", "clean-pixel-data"]
    done = radloop("corpus", "deidentify", corpus, "-o", out, *options)
    assert done.code == 0, done.err
    (path,) = (out / "images").rglob("*.png")
    with Image.open(path) as file:
        after = np.asarray(file).reshape(500, 700, -1)[..., 0]
    before = grey.astype(int)
    letters = values == 4095
    assert letters[:60].sum() > 500 and after[:60][letters[:60]].max() == 0
    assert np.abs(after[120:].astype(int) - before[120:]).max() <= (8 if suffix == "jpg" else 0)
    table = (out / "pixels.csv").read_text().splitlines()
    assert len(table) >= 2 and "blacked out" in table[1]
    kept = radloop("corpus", "deidentify", corpus, "-o", tmp_path / "plain", "--key-file", key)
    assert kept.code == 0 and not (tmp_path / "plain" / "pixels.csv").exists()


def test_pixels_that_cannot_be_looked_at_are_not_passed_on(tmp_path, key, radloop, shared):
    outcome = radloop("corpus", "deidentify", shared / "data" / "dicom" / "966.dcm", "-o", tmp_path / "out",
                      "--key-file", key, "--option", "clean-pixel-data")  # fmt: skip
    assert outcome.code == 1 and "[deid.pixels]" in outcome.err and not films_in(tmp_path / "out")


def test_a_sample_for_the_person_who_checks(tmp_path, key, radloop):
    source = save(film(), tmp_path / "src" / "a.dcm").parent
    out = tmp_path / "out"
    assert radloop("corpus", "deidentify", source, "-o", out, "--key-file", key, "--audit-fraction", 1).code == 0
    lines = (out / "audit" / "headers.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].endswith("identity_left,note") and any(",Manufacturer,ACME Imaging,kept" in line for line in lines)
