"""Metrics against the numbers of the reference implementations, and against their contract."""

from __future__ import annotations

import json
import math
import shutil
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora import registry
from corpora.errors import RegistryError
from reportgen.inputs import read_texts
from reportgen.join import join
from reportgen.metrics import load_metric
from reportgen.metrics.bleu import Bleu
from reportgen.metrics.bleu2 import Bleu2Sentence
from reportgen.metrics.cider import Cider
from reportgen.metrics.finish import finish
from reportgen.metrics.meteor import Meteor, meteor_jar
from reportgen.metrics.optional import radcliq
from reportgen.metrics.rouge import RougeL
from reportgen.protocols import load_protocol, prepare, reference_set
from reportgen.testing import check_metric
from reportgen.tokens import clean, is_decoded
from reportgen.types import Pair

TEXT = (Bleu, RougeL, Cider)


def pairs_of(drafts, references):
    return [
        Pair(str(at), draft, tuple(texts)) for at, (draft, texts) in enumerate(zip(drafts, references, strict=True))
    ]


def totals(pairs, metrics=TEXT):
    return {one.name: one.total() for metric in metrics for one in metric().score(pairs)}


@pytest.fixture(scope="module")
def vectors(shared):
    return json.loads((shared / "vectors" / "metric_vectors.json").read_text())


def test_reference_vectors(vectors):
    checked = 0
    for name, case in vectors["scorer_cases"].items():
        pairs = pairs_of(case["hypotheses"], case["references"])
        for metric in TEXT:
            for one in metric().score(pairs):
                if one.name not in case["corpus"] or one.reason:
                    continue
                checked += 1
                assert one.total() == pytest.approx(case["corpus"][one.name], abs=1e-9), (name, one.name)
                for at, value in enumerate(one.values):
                    if at not in one.reasons:
                        assert value == pytest.approx(case["per_item"][one.name][at], abs=1e-9), (name, one.name, at)
    assert checked > 40


def test_cleanings_of_the_reference_vectors(vectors):
    for case in vectors["r2gen_clean_report"]:
        assert clean("r2gen-iu", case["input"]) == case["iu_xray"]
        assert clean("r2gen-mimic", case["input"]) == case["mimic_cxr"]
        assert clean("ptb", case["input"]) == case["ptb_tokenizer"]


@pytest.mark.parametrize(
    ("drafts", "at"),
    [("cvt2distilgpt2_test_reports.csv", 0), ("aamn/res.csv", 2), ("moerad/preds.csv", 4)],
)
def test_published_outputs_under_r2gen(shared, vectors, drafts, at):
    folder = shared / "data" / "iu-benchmark"
    case = vectors["real_output_cases"][at]
    expected = case.get("published") or case["measured_here"].get(
        "R2Gen refs, R2Gen-cleaned hyps", case["measured_here"]
    )
    protocol = load_protocol("r2gen-iu")
    references = read_texts(folder / "r2gen_annotation.json", "references")
    known = reference_set(protocol, references)
    pairs = join(read_texts(folder / drafts, "drafts"), references)
    found = totals(prepare(protocol, pairs, references.train, known).tokens)
    for name in ("BLEU_1", "BLEU_2", "BLEU_3", "BLEU_4", "ROUGE_L", "CIDEr"):
        assert found[name] == pytest.approx(expected[name], abs=1e-6), name


@pytest.mark.parametrize(
    ("protocol", "bleu", "rouge", "cider"),
    [("coco-ptb", 0.16002, 0.330794, 0.674629), ("raw-lower", 0.157292, None, 0.506557)],
)
def test_the_same_outputs_under_other_protocols(shared, protocol, bleu, rouge, cider):
    folder = shared / "data" / "iu-benchmark"
    references = read_texts(folder / "r2gen_annotation.json", "references")
    pairs = join(read_texts(folder / "cvt2distilgpt2_test_reports.csv", "drafts"), references)
    found = totals(prepare(load_protocol(protocol), pairs, {}, None).tokens)
    assert found["BLEU_4"] == pytest.approx(bleu, abs=1e-6)
    assert found["CIDEr"] == pytest.approx(cider, abs=1e-6)
    assert rouge is None or found["ROUGE_L"] == pytest.approx(rouge, abs=1e-6)


def test_decoded_references_are_known_and_give_the_same_numbers(shared):
    folder = shared / "data" / "iu-benchmark" / "aamn"
    protocol = load_protocol("r2gen-iu")
    references = read_texts(folder / "gts.csv", "references")
    known = reference_set(protocol, references)
    assert known is not None and known.form == "decoded"
    prepared = prepare(protocol, join(read_texts(folder / "res.csv", "drafts"), references), {}, known)
    assert totals(prepared.tokens)["BLEU_4"] == pytest.approx(0.155082, abs=1e-6)


def test_bleu2_and_radcliq_of_each_report_as_recorded(shared):
    folder = shared / "data" / "iu-benchmark" / "moerad"
    import csv

    with (folder / "report_scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    pairs = join(read_texts(folder / "preds.csv", "drafts"), read_texts(folder / "gts.csv", "references"))
    tokens = [Pair(p.study_id, clean("lower", p.hypothesis), (clean("lower", p.reference),)) for p in pairs]
    recorded = [float(row["bleu_score"]) for row in rows]
    np.testing.assert_allclose(Bleu2Sentence().score(tokens)[0].values, recorded, atol=1e-9)
    parts = [np.array([float(row[name]) for row in rows]) for name in ("radgraph_combined", "bertscore", "semb_score")]
    np.testing.assert_allclose(radcliq(*parts), [float(row["RadCliQ-v1"]) for row in rows], atol=1e-6)


@pytest.mark.parametrize("name", registry.names("metrics"))
def test_every_registered_metric_keeps_the_contract(name):
    check_metric(lambda: load_metric(name))


def test_check_metric_finds_a_metric_that_scores_an_empty_draft():
    class Silent(RougeL):
        def score(self, pairs):
            from dataclasses import replace

            return [replace(one, values=np.nan_to_num(one.values), reasons={}) for one in super().score(pairs)]

    with pytest.raises(AssertionError, match="empty draft"):
        check_metric(Silent)


def test_cider_of_one_report_is_not_scored():
    for one in Cider().score(pairs_of(["no effusion ."], [["no effusion ."]])):
        assert math.isnan(one.total()) and "one report" in one.reason


SOME = "no effusion small left heart is normal . lungs clear".split()
WORDS = st.lists(st.sampled_from(SOME), min_size=1, max_size=12)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=2, max_size=6))
def test_bounds_and_identity(sample):
    pairs = pairs_of([" ".join(a) for a, _ in sample], [[" ".join(b)] for _, b in sample])
    for metric in (Bleu, RougeL):
        for one in metric().score(pairs):
            assert ((one.values >= 0) & (one.values <= 1 + 1e-9)).all() and 0 <= one.total() <= 1 + 1e-9
    same = [Pair(p.study_id, p.reference, p.references) for p in pairs]
    assert totals(same, (RougeL,))["ROUGE_L"] == pytest.approx(1)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_lcs_is_the_textbook_one(sample):
    for a, b in sample:
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
        p, r = table[-1][-1] / len(a), table[-1][-1] / len(b)
        expected = 0 if not p else (1 + 1.44) * p * r / (r + 1.44 * p)
        assert totals(pairs_of([" ".join(a)], [[" ".join(b)]]), (RougeL,))["ROUGE_L"] == pytest.approx(expected)


def test_ngrams_of_a_vocabulary_too_large_for_one_number():
    words = [f"w{at}" for at in range(70_000)]
    texts = [" ".join(words[at : at + 7]) for at in range(0, 70_000, 7)]
    found = totals(pairs_of(texts, [[text] for text in texts]), (Bleu, Cider))
    assert found["BLEU_4"] == pytest.approx(1, abs=1e-6) and found["CIDEr"] == pytest.approx(10)


def test_decoded_texts_are_told_from_written_ones():
    assert is_decoded(["the heart is normal . no effusion ."])
    assert not is_decoded(["the heart is normal. no effusion."]) and not is_decoded(["The heart ."])


def test_macro_f1_leaves_out_labels_that_nobody_has():
    sums = np.array([1.0, 1, 1, 0, 0, 0])
    assert finish("f1.macro")(sums) == 1 and finish("f1.macro.all")(sums) == 0.5


def test_without_java_or_jar_there_is_no_meteor(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (one,) = Meteor().score(pairs_of(["a"], [["a"]]))
    assert "Java" in one.reason and math.isnan(one.total())


def test_a_jar_that_is_none_gives_no_meteor(monkeypatch, tmp_path):
    if shutil.which("java") is None:
        pytest.skip("needs Java")
    jar = tmp_path / "meteor.jar"
    jar.write_bytes(b"not a jar")
    monkeypatch.setenv("RADLOOP_METEOR_JAR", str(jar))
    (one,) = Meteor().score(pairs_of(["a"], [["a"]]))
    assert "failed" in one.reason


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_meteor_vectors(vectors):
    if meteor_jar()[0] is None:
        pytest.skip("needs Java and the METEOR jar")
    case = vectors["scorer_cases"]["five_reports_r2gen_tokens"]
    (one,) = Meteor().score(pairs_of(case["hypotheses"], case["references"]))
    assert one.total() == pytest.approx(case["corpus"]["METEOR"], abs=1e-9)
    np.testing.assert_allclose(one.values, case["per_item"]["METEOR"], atol=1e-9)


@pytest.mark.skipif(find_spec("evaluate") is not None, reason="evaluate is installed")
def test_without_evaluate_the_adapter_says_so():
    from reportgen.metrics.hf import as_evaluate

    with pytest.raises(RegistryError, match="no_evaluate"):
        as_evaluate("bleu.v1")


@pytest.mark.skipif(find_spec("evaluate") is None, reason="needs evaluate")
def test_a_metric_of_evaluate_gives_our_numbers():
    from reportgen.metrics.hf import as_evaluate

    drafts, references = ["no effusion .", "clear lungs ."], ["no effusion .", "lungs are clear ."]
    found = as_evaluate("bleu.v1").compute(predictions=drafts, references=references)
    assert found["BLEU_1"] == pytest.approx(totals(pairs_of(drafts, [[r] for r in references]))["BLEU_1"])
