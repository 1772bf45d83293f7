"""How fast films are de-identified, and how much of invented reports is found: run as a program.

    python tests/benchmarks/deid.py films [N]        files a second, one process, 4 megapixels uncompressed
    python tests/benchmarks/deid.py reports [SEED]   spans covered and look-alikes touched

The reports are put together from sentences with slots, filled with names, numbers and dates of many forms; the names
are in no list of ``configs/deid``, as far as they could be kept out.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

GIVEN = (
    "Anneliese Thaddeus Siobhra Ngoziwe Lluis Cait Oluwatoyin Zsofka Emilienne Elspeth Keishawn Ylva Brannon".split()
)
FAMILY = (
    "Zurawska Vandersloot O'Shaughnell Thibodrey Haverkampf Ilvesson Petrakidis Hodgkin May Rose Bell Long Small Marsh"
    " Grafthorne Stordahl Angstrand Peraltez Winchelbury Ekwuemeka Ruysdaal Pohjanen Hrdlik Mueller-Ludenstein"
).split()
HOSPITALS = ("Northgate University Hospital", "Klinikum Waldbrunn", "Hôpital Saint-Aubin", "Mercy Ridge Medical Center",
             "Ospedale San Giusto", "Ashby Nursing Home", "Royal Pemberton Infirmary")  # fmt: skip
STREETS = ("1420 Larkspur Lane", "12 rue de la Fontaine", "Hauptstraße 5", "Calle Mayor 17", "88 Mill Race Road, Apt 4B",  # noqa: E501
           "Kerkstraat 101", "9 Orchard Crescent, Eastmere", "80331 München")  # fmt: skip
MONTHS = "January February March April May June July August September October November December".split()
SENTENCES = (
    "Patient: {NAME}  MRN: {MRN}  DOB: {DATE}", "Referring physician: Dr. {NAME}", "Dictated by: {NAME}",
    "Electronically signed by {NAME}, M.D. on {DATE} at 14:32", "COMPARISON: Chest radiograph from {DATE}.",
    "Findings were discussed with Dr. {FAMILY} by telephone at 3:45 PM on {DATE}.", "Results called to {NAME}, RN.",
    "Please call {PHONE} with questions.", "Accession number: {ACC}", "Transferred from {HOSPITAL} on {DATE}.",
    "The patient lives at {STREET}.", "Mr. {FAMILY} has a history of COPD.", "Frau {NAME}, geb. {DATE}",
    "Médecin: Dr {NAME}", "Paciente: {NAME}", "{AGE}-year-old woman with dyspnea.", "Pacemaker serial number {SERIAL}.",
    "Reviewed and approved by Prof. {NAME}", "Technologist: {NAME}", "{NAME}, MD", "Requested by {NAME}.",
    "His wife {GIVEN} reports cough.", "Cases of Drs. {FAMILY} and {FAMILY} were compared.", "{FAMILY} was informed.",
    "Next of kin: {NAME} ({PHONE})", "RE: {NAME}, {DATE}", "Patient named {FAMILY}.", "Thank you for referring {NAME}.",
)  # fmt: skip
ALIKE = (
    "Hodgkin lymphoma|Kerley B lines|Swan-Ganz catheter|may represent|T12|L1-L2|3.2 x 4.1 cm|Bell's palsy|1/2|C5-C6|grade 3/4"  # noqa: E501
    "|Bochdalek hernia|120 kVp|Small effusion|day 3|Crohn disease|Hill-Sachs deformity|Pancoast tumor|Down syndrome|L5/S1"  # noqa: E501
    "|45-year-old|Greenfield filter|4th rib|50%|NYHA III|SpO2 92 %|Medtronic pacemaker|Brown tumor|Paget disease|ICD-10 J18.9"  # noqa: E501
    "|Foley catheter|Hampton hump|BNP 1240|1.5 T|8 Fr|COVID-19|Ewing sarcoma|Cobb angle of 22 degrees|Graves disease"
).split("|")


def slots(rng: random.Random) -> dict[str, Callable[[], str]]:
    """What fills the sentences."""

    def digits(count: int) -> str:
        return "".join(rng.choice("0123456789") for _ in range(count))

    def name() -> str:
        given, family = rng.choice(GIVEN), rng.choice(FAMILY)
        return rng.choice([f"{given} {family}", f"{family}, {given}", f"{given[0]}. {family}", f"{given} B. {family}",
                           f"{given[0]}.K. {family}", f"{given}\n{family}"])  # fmt: skip

    def date() -> str:
        day, month, year = rng.randint(1, 28), rng.randint(1, 12), rng.randint(1930, 2024)
        word = MONTHS[month - 1]
        return rng.choice([f"{month}/{day}/{year}", f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}",
                           f"{word} {day}, {year}", f"{day} {word} {year}", f"{day}-{word[:3]}-{year}", f"{word} {year}",  # noqa: E501
                           f"{year}{month:02}{day:02}", f"{day} de marzo de {year}", f"{word} {day}"])  # fmt: skip

    return {
        "NAME": name, "FAMILY": lambda: rng.choice(FAMILY), "GIVEN": lambda: rng.choice(GIVEN), "DATE": date,
        "PHONE": lambda: rng.choice([f"(212) 555-{digits(4)}", f"+49 30 {digits(7)}", f"020 7946 {digits(4)}"]),
        "MRN": lambda: rng.choice([digits(8), f"MG{digits(6)}", f"{digits(3)}-{digits(2)}-{digits(3)}"]),
        "ACC": lambda: rng.choice([f"RAD-20{digits(2)}-{digits(5)}", f"A{digits(8)}"]),
        "SERIAL": lambda: f"{digits(5)}-B", "AGE": lambda: str(rng.randint(90, 104)),
        "HOSPITAL": lambda: rng.choice(HOSPITALS), "STREET": lambda: rng.choice(STREETS),
    }  # fmt: skip


Marks = list[tuple[int, int, str]]


def report(rng: random.Random) -> tuple[str, Marks, Marks]:
    """An invented report, where it tells of people, and where it only looks so."""
    fill, text, truth, alike = slots(rng), "CHEST RADIOGRAPH\n", [], []
    for _ in range(12):
        if rng.random() < 0.55:
            sentence, at = rng.choice(SENTENCES), 0
            for match in re.finditer(r"\{(\w+)\}", sentence):
                value = fill[match[1]]()
                text += sentence[at : match.start()]
                truth.append((len(text), len(text) + len(value), match[1]))
                text, at = text + value, match.end()
            text += sentence[at:] + "\n"
        else:
            before, word = rng.choice(["There is ", "History of ", "Evaluate for ", "No "]), rng.choice(ALIKE)
            alike.append((len(text) + len(before), len(text) + len(before) + len(word), word))
            text += f"{before}{word}.\n"
    return text, truth, alike


def reports(seed: int, number: int = 200) -> dict[str, object]:
    """Covered spans and touched look-alikes in invented reports."""
    from corpora.deid.text import find_spans

    rng, counts, missed = random.Random(seed), Counter(), Counter()
    start = time.perf_counter()
    for _ in range(number):
        text, truth, alike = report(rng)
        hidden = {at for span in find_spans(text) for at in range(span.start, span.end)}
        for begin, end, kind in truth:
            whole = all(at in hidden for at in range(begin, end) if text[at].isalnum())
            counts["spans"] += 1
            counts["covered"] += whole
            missed[kind] += not whole
        for begin, end, _word in alike:
            counts["alike"] += 1
            counts["touched"] += any(at in hidden for at in range(begin, end))
    return {**counts, "missed": dict(+missed), "ms_per_report": 1000 * (time.perf_counter() - start) / number}


def films(number: int = 60) -> dict[str, float]:
    """Files a second with one process, headers of 4-megapixel films, written and renamed."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    from corpora.deid.command import deidentify
    from corpora.deid.key import make_key

    pixels = np.random.default_rng(1).integers(0, 4096, (2048, 2048), dtype=np.uint16).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_key(root / "key")
        (root / "src").mkdir()
        for at in range(number):
            dataset = Dataset()
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.StudyInstanceUID, dataset.PatientName, dataset.PatientID = generate_uid(), "Day^Rose", f"{at:08d}"
            dataset.StudyDate, dataset.Modality, dataset.InstitutionName = "20310517", "CR", "Larkfield Hospital"
            dataset.Rows = dataset.Columns = 2048
            dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
            dataset.add_new("PixelData", "OW", pixels)
            dataset.save_as(root / "src" / f"{at}.dcm", enforce_file_format=True)
        import corpora.deid.run  # noqa: F401 - what is loaded once is not counted

        start, busy = time.perf_counter(), time.process_time()
        deidentify(root / "src", root / "out", root / "key", workers=1)
        wall, cpu = time.perf_counter() - start, time.process_time() - busy
    return {"films": number, "per_second": number / wall, "per_cpu_second": number / cpu}


if __name__ == "__main__":
    what, argument = sys.argv[1], sys.argv[2:]
    result = films(*map(int, argument)) if what == "films" else reports(int(argument[0]) if argument else 1)
    print(json.dumps(result, indent=2))
