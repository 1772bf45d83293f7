"""The benchmark measures what it says: the made corpus, the peer, and a run from end to end. Nothing about time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from corpora.readers import open_source
from corpora.types import Study
from tests.benchmarks import corpus, edits, labeling, measure, parts, runs, stages
from tests.benchmarks.corpus import Row

ROWS = [
    Row(
        "b1",
        "Heart size is normal. The lungs are clear. No pleural effusion or pneumothorax.",
        "No acute disease.",
    ),
    Row(
        "b2",
        "There is a 7 mm nodule in the left upper lobe. Mild degenerative changes of the spine.",
        "1. Nodule, new since XXXX. 2. Chest CT is advised.",
    ),
    Row("b3", "The cardiac silhouette is enlarged. Patchy opacity at the right base may represent atelectasis.", ""),
    Row("b4", "", "Endotracheal tube tip 3.5 cm above the carina, in satisfactory position. Small effusions are seen."),
    Row(
        "b5",
        'No focal consolidation, edema, or fracture is identified. "Grossly" stable, calcified granuloma.',
        "Stable chest.",
    ),
]


def written(path, count, seed=0, base=ROWS):
    return corpus.write_made(path, base, count, seed), path.read_bytes()


def test_a_made_corpus_depends_on_its_seed_alone(tmp_path):
    facts, first = written(tmp_path / "a.csv", 300)
    again, second = written(tmp_path / "b.csv", 300)
    _, other = written(tmp_path / "c.csv", 300, seed=1)
    assert first == second != other
    assert facts == again


def test_a_made_corpus_is_the_same_in_another_process(tmp_path):
    corpus.write_rows(tmp_path / "base.csv", ROWS)
    _, here = written(tmp_path / "here.csv", 200)
    program = (
        "import sys; from pathlib import Path; from tests.benchmarks import corpus\n"
        "base, out = map(Path, sys.argv[1:]); corpus.write_made(out, list(corpus.read_rows(base)), 200)"
    )
    measure.run([sys.executable, "-c", program, tmp_path / "base.csv", tmp_path / "there.csv"])
    assert (tmp_path / "there.csv").read_bytes() == here


@pytest.mark.parametrize("count", [400, 4000])
def test_half_of_the_sentences_are_new(tmp_path, count):
    seen: set[str] = set()
    occurrences = 0
    for made in corpus.made_reports(ROWS, count):
        for sentence in (*made.findings, *made.impression):
            occurrences += 1
            seen.add(sentence)
    assert len(seen) / occurrences == pytest.approx(0.5, abs=0.03)
    facts, _ = written(tmp_path / "made.csv", count)
    assert (facts.reports, facts.sentences, facts.new) == (count, occurrences, len(seen))
    assert 0.3 < facts.new_wording / facts.sentences <= 0.5 + 0.03


def test_what_is_made_is_read_back_whole(tmp_path):
    path = tmp_path / "made.csv"
    corpus.write_made(path, ROWS, 50)
    studies = [record for record in open_source(str(path)) if isinstance(record, Study)]
    made = [report.row() for report in corpus.made_reports(ROWS, 50)]
    assert [study.study_id for study in studies] == [row.study_id for row in made]
    assert [corpus._section(study, "findings") for study in studies] == [row.findings for row in made]
    assert list(corpus.read_rows(path)) == made


def test_a_base_without_sentences_makes_no_corpus():
    with pytest.raises(ValueError, match="no sentences"):
        next(corpus.made_reports([Row("x", "", "")], 1))


@pytest.mark.parametrize("edit", [edit for edit, _ in edits.EDITS], ids=lambda edit: edit.__name__)
def test_every_edit_changes_something_and_only_lightly(edit):
    sentences = [sentence for row in ROWS for text in row[1:] for sentence in corpus.split(text)]
    results = [(sentence, edit(sentence, Random(seed))) for sentence in sentences for seed in range(20)]
    assert any(before != after for before, after in results)
    assert all(after.strip() and abs(len(after) - len(before)) < 50 for before, after in results)
    assert results == [(sentence, edit(sentence, Random(seed))) for sentence in sentences for seed in range(20)]


@pytest.mark.parametrize("edit", [edit for edit, _ in edits.EDITS], ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("sentence", ["", ".", "Normal", "XXXX XXXX", "1.5", "ärztlich ‮ 🫁"])
def test_an_edit_takes_any_text(edit, sentence):
    for seed in range(10):
        assert isinstance(edit(sentence, Random(seed)), str)


@pytest.fixture(scope="module", params=["lexicon", "short"])
def peer_of(request):
    from tests.benchmarks import peer

    nlp = peer.build(peer.lexicon_phrases() if request.param == "lexicon" else peer.SHORT_LIST)
    labels = peer.chexpert_labels()

    def label(text):
        states = peer.states(nlp(text), labels)
        return {name: state for name, state in zip(labels, states, strict=True) if state is not None}

    return label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pneumothorax. A pleural effusion.", {"Pneumothorax": 0, "Pleural Effusion": 1}),
        ("There is pneumonia. No pneumonia.", {"Pneumonia": 1}),
        ("Without ATELECTASIS or consolidation.", {"Atelectasis": 0, "Consolidation": 0, "No Finding": 1}),
        ("The patient was seen.", {"No Finding": 1}),
        ("", {"No Finding": 1}),
    ],
)
def test_the_peer_labels_as_negspacy_does(peer_of, text, expected):
    assert peer_of(text) == expected


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "reports.csv"
    corpus.write_rows(path, ROWS)
    return path


def test_the_peer_writes_a_table_in_the_order_of_the_source(source, tmp_path):
    done = [runs.peer(str(source), str(tmp_path / f"{pipe}.csv"), "short", pipe) for pipe in (True, False)]
    assert [result["reports"] for result in done] == [5, 5]
    lines = (tmp_path / "True.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["study_id", *(row.study_id for row in ROWS)]
    assert (tmp_path / "False.csv").read_text().splitlines() == lines


@pytest.fixture
def measured_here(monkeypatch):
    """Measurements without a process of their own: quick, and nothing that is asserted depends on it."""

    def fresh(name, **arguments):
        return {**runs.RUNS[name](**arguments), "whole_seconds": 1.0, "peak_mib": 100.0}

    monkeypatch.setattr(measure, "fresh", fresh)


def test_a_run_from_end_to_end(source, tmp_path, capsys, measured_here):
    figures = tmp_path / "speed.json"
    sizes = ["--reports", "40", "--sample", "20", "--repeats", "2"]
    labeling.main(["--source", str(source), "--only", "openi,mimic", *sizes, "--json", str(figures)])
    printed = capsys.readouterr().out.splitlines()
    results = json.loads(figures.read_text())
    assert {"radloop", "machine", "lines", "corpora", "peers", "stages", "skipped"} <= results.keys()
    assert results["corpora"]["Open-i"]["reports"] == 5
    assert results["corpora"]["MIMIC-sized"]["reports"] == 40
    assert len(printed) == len(results["lines"]) + 2
    by_name = {(line["text"].partition(",")[0], line["what"]): line for line in results["lines"]}
    for text, bar in (("Open-i", ">= 1.5 x peer"), ("MIMIC-sized", ">= 2.0 x peer")):
        ours, peer = by_name[text, parts.OURS], by_name[text, results["peers"][text]]
        forms = [by_name[text, name]["reports_per_second"] for name in parts.PEERS]
        assert peer["reports_per_second"] == max(forms) and peer["ratio"] == 1
        assert ours["ratio"] == pytest.approx(ours["reports_per_second"] / peer["reports_per_second"])
        assert ours["bar"] == bar and ours["met"] is (ours["ratio"] >= float(bar.split()[1]))
        assert ours["cpu_ratio"] > 0 and ours["seconds"] > 0 and ours["startup_seconds"] > 0
        assert {(text, parts.COLD), (text, parts.WARM)} <= by_name.keys()
    not_full_size = next(line for line in results["lines"] if line["bar"] == "< 60 s")
    assert not_full_size["met"] is None
    memory = next(line for line in results["lines"] if line["bar"].endswith("MiB"))
    assert memory["met"] is True and memory["peak_mib"] == 100.0


def test_a_text_that_is_absent_is_skipped_with_the_reason(tmp_path, capsys):
    labeling.main(["--source", str(tmp_path / "gone.tgz"), "--only", "openi,mimic", "--json", str(tmp_path / "f.json")])
    assert "gone.tgz" in capsys.readouterr().err
    results = json.loads((tmp_path / "f.json").read_text())
    assert results["lines"] == [] and len(results["skipped"]) == 1


def test_an_unknown_part_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        labeling.main(["--only", "openi,mimik"])
    assert ended.value.code == 2 and "mimik" in capsys.readouterr().err


def test_a_measurement_in_a_process_of_its_own(source):
    result = measure.fresh("tokenizer", source=str(source), passes=1)
    assert result["reports"] == 5 and 0 < result["seconds"] < result["whole_seconds"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell how much memory is held")
def test_memory_is_that_of_all_processes_together():
    hold = "held = bytearray(60_000_000); time.sleep(0.4)"
    program = (
        f"import subprocess, sys, time\nchild = subprocess.Popen([sys.executable, '-c', 'import time; {hold}'])\n"
        f"{hold}\nchild.wait()"
    )
    peak = measure.run([sys.executable, "-c", program]).peak_mib
    assert peak is not None and 115 < peak < 250


def test_a_command_that_fails_says_why():
    with pytest.raises(measure.MeasureError, match="exit code 3") as failed:
        measure.run([sys.executable, "-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)"])
    assert "out of luck" in str(failed.value)


def test_of_several_measurements_the_best_counts():
    results = [{"seconds": s, "cpu_seconds": s, "peak_mib": m} for s, m in ((2.0, 9.0), (1.0, 5.0), (1.5, None))]
    assert measure.best(results) == {"seconds": 1.0, "cpu_seconds": 1.0, "peak_mib": 9.0, "spread": 1.0, "repeats": 3}


def test_stages_share_out_the_whole_time(tmp_path):
    path = tmp_path / "made.csv"
    corpus.write_made(path, ROWS, 1500)
    profile = measure.fresh("stages", source=str(path), out=str(tmp_path / "labels.csv"))
    assert profile["reports"] == 1500 and profile["looks"] > 0 and profile["cpu_seconds"] > 0
    assert sum(profile["shares"].values()) == pytest.approx(1)
    assert set(profile["shares"]) <= {stages.OTHER, stages.TOKENIZING, *(stage for *_, stage in stages.PLACES)}
    assert profile["shares"].get(stages.OTHER, 0) < 0.1, "a module is in no stage: name it in stages.PLACES"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_command_measures_everything(shared, tmp_path, root):
    archive = shared / "data" / "openi" / "NLMCXR_reports.tgz"
    figures = tmp_path / "speed.json"
    sizes = ["--reports", "10000", "--sample", "1000", "--repeats", "1", "--stages"]
    command = [sys.executable, "-m", "tests.benchmarks.labeling", "--source", archive, *sizes, "--json", figures]
    done = subprocess.run([str(part) for part in command], cwd=root, capture_output=True, text=True, check=True)
    results = json.loads(figures.read_text())
    ours = [line for line in results["lines"] if line["what"] == parts.OURS]
    assert [line["reports"] for line in ours] == [3927, 10000]
    assert all(line["ratio"] > 0 and line["met"] is not None for line in ours)
    assert results["corpora"]["MIMIC-sized"]["new_share"] == pytest.approx(0.5, abs=0.01)
    assert {line["text"].partition(",")[0] for line in results["lines"]} == {parts.OPENI, parts.MIMIC, parts.START_UP}
    assert len(results["stages"]) == 2 and results["skipped"] == {}
    assert "radloop --help" in done.stdout
