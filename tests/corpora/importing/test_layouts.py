"""Every layout in which films and what is known of them are found, imported and read back."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from corpora.errors import ConfigError, DataError
from corpora.importing import import_corpus
from corpora.sections import split_sections

REPORTS = "study_id,report\n"


def failures(corpus: Path) -> list[dict[str, object]]:
    path = corpus / "failures.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_nih(tmp_path, png, written, by_id):
    src = tmp_path / "nih"
    png(src / "images_001" / "images" / "00000013_005.png", 1)
    png(src / "images_001" / "images" / "00000013_006.png", 2)
    png(src / "images_001" / "images" / "00000099_000.png", 3)
    written(
        src / "Data_Entry_2017.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
        "00000013_005.png,Effusion|Mass,5,13,060Y,M,PA,2682,2749,0.143,0.144,\n"
        "00000013_006.png,No Finding,6,13,61,M,AP,2500,2048,0.168,0.168,\n"
        "00000777_000.png,No Finding,0,777,411,F,AP,2500,2048,0.168,0.168,\n",
    )
    done = import_corpus(src, tmp_path / "out")
    found = by_id(tmp_path / "out")
    assert list(found) == ["00000013_005", "00000013_006", "00000099_000"]
    one = found["00000013_005"]
    assert (one.patient_id, one.meta["age"], one.meta["sex"]) == ("13", 60.0, "M")
    assert one.meta["labels"] == {"Effusion": 1, "Mass": 1} and one.meta["follow_up"] == "5"
    image = one.images[0]
    assert (image.view, image.view_source, image.rows, image.columns) == ("PA", "View Position", 2749, 2682)
    assert image.pixel_spacing == (0.144, 0.143) and image.format == "PNG" and image.bits_stored == 8
    assert Path(image.path).is_file() and Path(image.path).is_absolute()
    assert done.counts["rows_without_image"] == 1 and done.counts["images_without_row"] == 1
    aggregates = json.loads((tmp_path / "out" / "manifest.json").read_text())["aggregates"]
    assert aggregates["ages"] == {"60-69": 2} and aggregates["sexes"] == {"M": 2}
    assert aggregates["views"] == {"AP": 1, "PA": 1}


def test_chexpert(tmp_path, png, written, by_id):
    src = tmp_path / "CheXpert-v1.0-small"
    png(src / "train" / "patient00001" / "study1" / "view1_frontal.jpg", 1)
    png(src / "train" / "patient00001" / "study1" / "view2_lateral.jpg", 2)
    png(src / "train" / "patient00002" / "study1" / "view1_frontal.jpg", 3)
    png(src / "valid" / "patient64541" / "study1" / "view1_frontal.jpg", 4)
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Pleural Effusion,Support Devices\n"
    at = "CheXpert-v1.0-small"
    written(
        src / "train.csv",
        f"{header}{at}/train/patient00001/study1/view1_frontal.jpg,Female,68,Frontal,AP,,-1.0,1.0,0.0\n"
        f"{at}/train/patient00001/study1/view2_lateral.jpg,Female,68,Lateral,,,-1.0,1.0,0.0\n"
        f"{at}/train/patient00002/study1/view1_frontal.jpg,Unknown,0,Frontal,PA,1.0,,,\n",
    )
    written(
        src / "valid.csv", f"{header}{at}/valid/patient64541/study1/view1_frontal.jpg,Male,73,Frontal,AP,0.0,0,1,0\n"
    )
    done = import_corpus(src, tmp_path / "out")
    found = by_id(tmp_path / "out")
    assert list(found) == ["patient00001/study1", "patient00002/study1", "patient64541/study1"]
    one = found["patient00001/study1"]
    assert one.patient_id == "patient00001" and one.meta["split"] == "train"
    assert one.meta["labels"] == {"Edema": -1, "Pleural Effusion": 1, "Support Devices": 0}
    assert [image.view for image in one.images] == ["AP", "LATERAL"]
    assert one.images[1].view_source == "Frontal/Lateral"
    assert [image.image_id for image in one.images] == ["patient00001/study1/view1_frontal", "view2_lateral"]
    assert "sex" not in found["patient00002/study1"].meta
    assert found["patient64541/study1"].meta["split"] == "valid"
    assert done.counts["images_without_row"] == done.counts["rejected"] == 0


def test_names_that_many_films_have_are_no_ids(tmp_path, dicom, png, by_id):
    src = tmp_path / "pacs"
    for number, place in enumerate(("a/IM0001", "b/IM0001", "b/more/IM0001", "b/IM0002")):
        dicom(src / place, str(number), StudyInstanceUID="1.2.9.1" if place[0] == "a" else "1.2.9.2")
    for number in (1, 2):
        png(src / "by_uid" / f"1.2.840.{number}.png", number)
    import_corpus(src, tmp_path / "out")
    found = {study: [image.image_id for image in one.images] for study, one in by_id(tmp_path / "out").items()}
    assert found["1.2.9.1"] == ["1.2.9.1/IM0001"]
    assert sorted(found["1.2.9.2"]) == ["1.2.9.2/IM0001", "1.2.9.2/IM0001-2", "IM0002"]
    # a corpus of such films keeps them apart when it goes into another
    import_corpus([tmp_path / "out"], tmp_path / "again")
    kept = [image.image_id for one in by_id(tmp_path / "again").values() for image in one.images]
    assert len(set(kept)) == len(kept) == 6


def test_mimic_cxr_jpg(tmp_path, png, written, by_id):
    src = tmp_path / "mimic"
    place = src / "files" / "p10" / "p10000032"
    png(place / "s50414267" / "02aa804e.jpg", 1)
    png(place / "s50414267" / "174413ec.jpg", 2)
    png(place / "s53189527" / "2a2277a9.jpg", 3)
    written(place / "s50414267.txt", "FINDINGS: Clear lungs.\n\nIMPRESSION: Normal.\n")
    for name, text in {
        "metadata": "dicom_id,subject_id,study_id,ViewPosition,Rows,Columns,StudyDate\n"
        "02aa804e,10000032,50414267,PA,3056,2544,21800506\n174413ec,10000032,50414267,LATERAL,3056,2544,21800506\n"
        "2a2277a9,10000032,53189527,AP,3056,2544,21800626\n",
        "chexpert": "subject_id,study_id,Atelectasis,No Finding\n10000032,50414267,,1.0\n10000032,53189527,-1.0,\n"
        "10000099,59999999,1.0,\n",
        "split": "dicom_id,study_id,subject_id,split\n02aa804e,50414267,10000032,train\n"
        "2a2277a9,53189527,10000032,test\n",
    }.items():
        written(src / f"mimic-cxr-2.0.0-{name}.csv.gz", gzip.compress(text.encode()))
    done = import_corpus(src, tmp_path / "out")
    found = by_id(tmp_path / "out")
    assert list(found) == ["s50414267", "s53189527"] and done.counts["images"] == 3
    one, other = found.values()
    assert one.patient_id == other.patient_id == "p10000032"
    assert one.report is not None and [part.name for part in one.report.sections] == ["findings", "impression"]
    assert one.meta["labels"] == {"No Finding": 1} and other.meta["labels"] == {"Atelectasis": -1}
    assert (one.meta["split"], other.meta["split"]) == ("train", "test")
    assert [image.view for image in one.images] == ["PA", "LATERAL"] and one.images[0].rows == 3056
    # dates that were shifted into the future are no years
    assert "year" not in one.meta and other.report is None
    assert done.counts["studies_without_report"] == 1 and done.counts["images_without_report"] == 1


def test_vindr_keeps_every_reading(tmp_path, dicom, written, by_id):
    src = tmp_path / "vindr"
    dicom(src / "train" / "0a1b.dicom", "1", PatientSex="F", PatientAge="041Y", PatientID="")
    dicom(src / "train" / "0a2c.dicom", "2", PatientID="")
    written(
        src / "image_labels_train.csv",
        "image_id,rad_id,Aortic enlargement,Cardiomegaly,No finding\n"
        "0a1b,R1,1,1,0\n0a1b,R2,1,0,0\n0a1b,R3,0,0,0\n0a2c,R1,0,0,1\n0a2c,R4,1,0,0\n",
    )
    written(
        src / "annotations_train.csv",
        "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n0a1b,R1,Cardiomegaly,1,1,4,4\n0a2c,R4,Nodule,1,1,4,4\n",
    )
    import_corpus(src, tmp_path / "out")
    one, other = by_id(tmp_path / "out").values()
    assert one.study_id == "0a1b" and one.patient_id is None and one.meta["split"] == "train"
    assert one.meta["labels"] == {"Aortic enlargement": 1, "Cardiomegaly": 0, "No finding": 0}
    assert one.meta["readings"]["R2"] == {"Aortic enlargement": 1, "Cardiomegaly": 0, "No finding": 0}
    assert other.meta["ties"] == ["Aortic enlargement", "No finding"]
    assert other.meta["labels"] == {"Aortic enlargement": -1, "Cardiomegaly": 0, "No finding": -1}
    assert one.meta["sex"] == "F" and one.meta["age"] == 41


def test_boxes_of_several_readers_are_readings_where_there_is_nothing_else(tmp_path, png, written, by_id):
    png(tmp_path / "src" / "a.png", 1)
    written(
        tmp_path / "src" / "train.csv",
        "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
        "a,Cardiomegaly,3,R1,1,1,5,5\na,Cardiomegaly,3,R2,1,1,5,6\na,Nodule,8,R2,1,1,2,2\na,No finding,14,R3,,,,\n",
    )
    import_corpus(tmp_path / "src", tmp_path / "out")
    meta = by_id(tmp_path / "out")["a"].meta
    assert meta["labels"] == {"Cardiomegaly": 1, "Nodule": 0, "No finding": 0}
    assert meta["readings"]["R3"] == {"Cardiomegaly": 0, "Nodule": 0, "No finding": 1}


def test_openi_films_find_their_reports(tmp_path, png, dicom, written, by_id):
    xml = '<eCitation><uId id="{0}"/><AbstractText Label="FINDINGS">Clear.</AbstractText></eCitation>'
    for uid in ("CXR1", "CXR2", "CXR3"):
        written(tmp_path / "ecgen" / f"{uid[3:]}.xml", xml.format(uid))
    png(tmp_path / "films" / "CXR1_1_IM-0001-3001.png", 1)
    png(tmp_path / "films" / "CXR1_1_IM-0001-4001.png", 2)
    dicom(tmp_path / "films" / "2" / "2_IM-0652-1001.dcm", "7", PatientID="2")
    done = import_corpus([tmp_path / "ecgen", tmp_path / "films"], tmp_path / "out")
    found = by_id(tmp_path / "out")
    assert {name: len(study.images) for name, study in found.items()} == {"CXR1": 2, "CXR2": 1, "CXR3": 0}
    assert all(study.report for study in found.values())
    assert done.counts["studies_without_image"] == 1 and done.joined[0].matched == 3
    assert found["CXR1"].meta["source"] == "films" and found["CXR1"].meta["report_source"] == "ecgen"


@pytest.mark.parametrize(
    ("ids", "way"),
    [
        (["1.2.9.0", "1.2.9.1"], "StudyInstanceUID"), (["A0", "A1"], "AccessionNumber"),
        (["film0", "film1"], "file name"), (["exam0", "exam1"], "folder"), (["case0", "case1"], "folder above"),
    ],
)  # fmt: skip
def test_dicom_is_joined_by_what_fits(tmp_path, dicom, written, by_id, ids, way):
    for number in (0, 1):
        path = tmp_path / "films" / f"case{number}" / f"exam{number}" / f"film{number}.dcm"
        dicom(path, str(number), AccessionNumber=f"A{number}", PatientID=f"P{number}", StudyDate="20190102")
    reports = written(tmp_path / "r.csv", f"{REPORTS}{ids[0]},No effusion.\n{ids[1]},Impression: Normal.\nother,x\n")
    done = import_corpus([reports, tmp_path / "films"], tmp_path / "out", workers=1)
    found = by_id(tmp_path / "out")
    assert sorted(found) == sorted([*ids, "other"]) and done.joined[0].way == way
    assert [len(found[name].images) for name in ids] == [1, 1]
    assert found[ids[0]].patient_id == "P0" and found[ids[0]].meta["year"] == 2019


def test_films_of_an_examination_stay_together(tmp_path, dicom, written, by_id):
    dicom(tmp_path / "f" / "1.dcm", "1", StudyInstanceUID="1.9.5", AccessionNumber="A5")
    dicom(tmp_path / "f" / "2.dcm", "2", StudyInstanceUID="1.9.5", AccessionNumber="")
    dicom(tmp_path / "f" / "3.dcm", "3", StudyInstanceUID="1.9.6", AccessionNumber="A6")
    reports = written(tmp_path / "r.csv", f"{REPORTS}A5,Normal.\n")
    import_corpus([reports, tmp_path / "f"], tmp_path / "out")
    assert {name: len(study.images) for name, study in by_id(tmp_path / "out").items()} == {"A5": 2, "A6": 1}


@pytest.mark.parametrize("column", ["path", "image", "dicom_id", "sop_instance_uid", "study_instance_uid", "accession"])
def test_a_mapping_names_the_study(tmp_path, dicom, written, by_id, column):
    for number in (0, 1):
        dicom(tmp_path / "f" / "sub" / f"im{number}.dcm", str(number), AccessionNumber=f"A{number}", PatientID="hidden")
    cells = {"path": "sub/im{}.dcm", "image": "im{}.dcm", "dicom_id": "im{}", "sop_instance_uid": "1.2.3.{}",
             "study_instance_uid": "1.2.9.{}", "accession": "A{}"}  # fmt: skip
    rows = "".join(f"{cells[column].format(number)},S{number},P{number}\n" for number in (0, 1))
    mapping = written(tmp_path / "map.csv", f"{column},study_id,patient_id\n{rows}")
    reports = written(tmp_path / "r.csv", f"{REPORTS}S0,Normal.\nS1,Normal too.\n")
    import_corpus([reports, tmp_path / "f"], tmp_path / "out", mapping=str(mapping))
    found = by_id(tmp_path / "out")
    assert {name: (study.patient_id, len(study.images)) for name, study in found.items()} == {
        "S0": ("P0", 1), "S1": ("P1", 1),
    }  # fmt: skip


def test_a_mapping_that_fits_nothing_is_an_error_that_says_what_was_tried(tmp_path, dicom, written):
    dicom(tmp_path / "f" / "im0.dcm", "0")
    mapping = written(tmp_path / "map.csv", "path,study_id\nother/name.dcm,S0\n")
    with pytest.raises(DataError) as raised:
        import_corpus(tmp_path / "f", tmp_path / "out", mapping=str(mapping))
    assert raised.value.code == "import.no_match" and raised.value.where == str(mapping)
    assert "'name'" in raised.value.hint and "'im0.dcm'" in raised.value.hint


def test_a_join_that_fits_nothing_can_be_made_another_way_without_reading_again(tmp_path, dicom, written, by_id):
    dicom(tmp_path / "f" / "S0.dcm", "0", AccessionNumber="A0")
    reports = written(tmp_path / "r.csv", f"{REPORTS}S0,Normal.\n")
    sources = [reports, tmp_path / "f"]
    with pytest.raises(DataError) as raised:
        import_corpus(sources, tmp_path / "out", join="accession")
    assert raised.value.code == "import.no_match" and "'A0'" in raised.value.hint and "'S0'" in raised.value.hint
    import_corpus(sources, tmp_path / "out", join="layout", resume=True)
    assert len(by_id(tmp_path / "out")["S0"].images) == 1


def test_a_table_of_films_and_reports_is_read_as_both(tmp_path, png, written, by_id):
    png(tmp_path / "src" / "img" / "a.png", 1)
    written(
        tmp_path / "src" / "all.csv", "study_id,patient_id,image,sex,report\nS1,P1,img/a.png,F,Impression: Normal.\n"
    )
    import_corpus(tmp_path / "src", tmp_path / "out")
    study = by_id(tmp_path / "out")["S1"]
    assert study.report and study.report.text == "Impression: Normal." and len(study.images) == 1
    assert study.patient_id == "P1" and study.meta["sex"] == "F"


def test_a_corpus_is_a_source(tmp_path, png, written, by_id):
    png(tmp_path / "films" / "S1.png", 1)
    reports = written(tmp_path / "r.csv", f"{REPORTS}S1,FINDINGS: Clear.\n")
    import_corpus([reports, tmp_path / "films"], tmp_path / "one", copy_images=True)
    import_corpus(tmp_path / "one", tmp_path / "two")
    first, second = by_id(tmp_path / "one")["S1"], by_id(tmp_path / "two")["S1"]
    assert first.images[0].path == "images/S1/S1.png"
    assert second.report == first.report and second.meta == first.meta
    assert Path(second.images[0].path) == tmp_path / "one" / first.images[0].path


def test_what_a_corpus_counted_before_its_studies_lost_it_is_carried_on(tmp_path, png, by_id):
    png(tmp_path / "f" / "S1.png", 1)
    import_corpus(tmp_path / "f", tmp_path / "one")
    manifest = json.loads((tmp_path / "one" / "manifest.json").read_text())
    manifest["aggregates"] |= {"years": {"2019": 3}, "ages": {"40-49": 3}, "sexes": {"F": 2, "M": 1}}
    (tmp_path / "one" / "manifest.json").write_text(json.dumps(manifest))
    import_corpus(tmp_path / "one", tmp_path / "two")
    carried = json.loads((tmp_path / "two" / "manifest.json").read_text())["aggregates"]
    assert (carried["years"], carried["ages"], carried["sexes"]) == ({"2019": 3}, {"40-49": 3}, {"F": 2, "M": 1})
    assert "year" not in by_id(tmp_path / "two")["S1"].meta


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_an_archive_of_films_is_unpacked_into_the_corpus(tmp_path, png, dicom, written, by_id, kind):
    import tarfile

    png(tmp_path / "x" / "a" / "S1.png", 1)
    dicom(tmp_path / "x" / "IM0001", "1")
    written(tmp_path / "x" / "meta.csv", "image,study_id,patient_id,sex\nS1.png,S1,P1,M\n")
    written(tmp_path / "x" / "notes.txt", "nothing")
    archive = tmp_path / f"films.{kind}"
    names = ["a/S1.png", "IM0001", "meta.csv", "notes.txt"]
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as out:
            for name in names:
                out.write(tmp_path / "x" / name, name)
    else:
        with tarfile.open(archive, "w:gz") as tar:
            for name in names:
                tar.add(tmp_path / "x" / name, name)
    done = import_corpus(archive, tmp_path / "out")
    found = by_id(tmp_path / "out")
    assert found["S1"].images[0].path == f"images/00-films.{kind}/a/S1.png" and found["S1"].patient_id == "P1"
    assert (tmp_path / "out" / found["S1"].images[0].path).read_bytes() == (
        tmp_path / "x" / "a" / "S1.png"
    ).read_bytes()
    assert len(found) == 2 and done.counts["other_files"] == 1
    assert not (tmp_path / "out" / "images" / f"00-films.{kind}" / "notes.txt").exists()


def test_copied_films_lie_by_study_and_never_outside(tmp_path, png, written, by_id):
    png(tmp_path / "f" / "a" / "x.png", 1)
    png(tmp_path / "f" / "b" / "x.png", 2)
    mapping = written(tmp_path / "m.csv", "path,study_id\na/x.png,../../evil\nb/x.png,../../evil\n")
    import_corpus(tmp_path / "f", tmp_path / "out", mapping=str(mapping), copy_images=True)
    study = by_id(tmp_path / "out")["../../evil"]
    places = [tmp_path / "out" / image.path for image in study.images]
    assert [place.name for place in places] == ["x.png", "x-2.png"]
    assert all(place.resolve().is_relative_to((tmp_path / "out" / "images").resolve()) for place in places)
    assert places[1].read_bytes() == (tmp_path / "f" / "b" / "x.png").read_bytes()
    assert not list(tmp_path.glob("*evil*"))


def test_several_reports_and_films_that_are_there_twice(tmp_path, png, dicom, written, by_id):
    png(tmp_path / "f" / "S1.png", 1)
    (tmp_path / "f" / "again").mkdir()
    (tmp_path / "f" / "again" / "S1copy.png").write_bytes((tmp_path / "f" / "S1.png").read_bytes())
    dicom(tmp_path / "f" / "d1.dcm", "5")
    dicom(tmp_path / "f" / "d2.dcm", "5", AccessionNumber="other")
    reports = written(tmp_path / "r.csv", f"{REPORTS}S1,One.\nS1,One.\nS1,Two.\n")
    done = import_corpus([reports, tmp_path / "f"], tmp_path / "out")
    study = by_id(tmp_path / "out")["S1"]
    assert study.report and study.report.text == "One." and len(study.images) == 1
    names = ("same_images", "same_uids", "same_reports", "later_reports", "rejected")
    assert [done.counts[name] for name in names] == [1, 1, 1, 1, 1]
    assert [(line["code"], line.get("row")) for line in failures(tmp_path / "out")] == [
        ("data.duplicate", 2), ("data.duplicate", 3), ("import.same_uid", None), ("import.same_image", None),
    ]  # fmt: skip


def test_a_study_of_two_patients_keeps_the_one_with_most_films(tmp_path, dicom, by_id):
    for number, patient in enumerate(("B", "A", "A", "")):
        dicom(tmp_path / "f" / f"{number}.dcm", str(number), StudyInstanceUID="1.9", PatientID=patient)
    done = import_corpus(tmp_path / "f", tmp_path / "out")
    study = by_id(tmp_path / "out")["1.9"]
    assert study.patient_id == "A" and [Path(image.path).name for image in study.images] == ["1.dcm", "2.dcm", "3.dcm"]
    assert done.counts["images_of_two_patients"] == 1
    assert failures(tmp_path / "out")[0]["code"] == "import.two_patients"


def test_reports_alone_keep_their_sections(tmp_path, written, by_id):
    text = "HISTORY: Cough.\n\nFINDINGS: Clear.\n\nIMPRESSION: Normal."
    written(tmp_path / "r.jsonl", json.dumps({"study_id": "é1", "report": text}) + "\n")
    import_corpus(tmp_path / "r.jsonl", tmp_path / "out")
    report = by_id(tmp_path / "out")["é1"].report
    assert report is not None and report.sections == split_sections(text) and report.text == text


def test_formats_can_be_forced_one_for_each_source(tmp_path, png, written, by_id):
    png(tmp_path / "f" / "S1.png", 1)
    written(tmp_path / "f" / "meta.csv", "image,study_id\nS1.png,T1\n")
    reports = written(tmp_path / "r.data", f"{REPORTS}S1,Normal.\n")
    import_corpus([reports, tmp_path / "f"], tmp_path / "out", formats=("csv", "films"))
    assert len(by_id(tmp_path / "out")["S1"].images) == 1
    with pytest.raises(ConfigError):
        import_corpus([reports, tmp_path / "f"], tmp_path / "two", formats=("csv", "films", "auto"))
