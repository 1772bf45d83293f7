"""The dataset card: what it says was counted, and what it warns of is there."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import typer
import yaml
from typer.testing import CliRunner

from corpora import plots
from corpora.card.cli import card_cli
from corpora.card.limits import limitations
from corpora.card.numbers import numbers_of
from corpora.card.write import card, to_html, to_markdown
from corpora.errors import DataError, RunError
from corpora.sections import split_sections
from corpora.splits import split
from corpora.store import StudyWriter
from corpora.types import ImageRef, Report, Study

VENDORS = ("PHILIPS", "Siemens Healthineers", "Agfa", "Canon")
STATES = ("Edema", "Fracture", "Pneumonia")
FILM = ImageRef(
    "x.dcm", "PA", "x", "dicom", "ViewPosition", 2500, 2048, 1, 12, "MONOCHROME2", (0.1, 0.1), "DX", "CHEST", "Agfa",
    "X1", "1.2.840.10008.1.2.1", True, False, "00ff00ff00ff00ff",
)  # fmt: skip


def study(number, **changes):
    text = f"INDICATION: Cough.\n\nFINDINGS: Lungs are clear, number {number}.\n\nIMPRESSION: Normal."
    films = (replace(FILM, manufacturer=VENDORS[number % 4]), replace(FILM, view="LATERAL"))
    labels = {name: (1, 0, -1)[(number + place) % 3] for place, name in enumerate(STATES)}
    given = {
        "study_id": f"s{number}", "patient_id": f"p{number // 2}", "images": films,
        "report": Report(f"s{number}", text, tuple(split_sections(text))),
        "meta": {"year": 2015 + number % 5, "age": float(5 + number % 85), "sex": "FM"[number % 2], "labels": labels},
    }  # fmt: skip
    return Study(**(given | changes))


def write_corpus(folder, studies, **manifest):
    folder.mkdir(parents=True)
    with StudyWriter(folder) as writer:
        for each in studies:
            writer.append(each)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture
def corpus(tmp_path):
    source = {"path": "reports.csv", "bytes": 1234, "sha256": "ab" * 32}
    folder = write_corpus(
        tmp_path / "corpus", [study(number) for number in range(120)], command=["/usr/bin/radloop", "corpus", "import"],
        inputs=[source], versions={"radloop": "9.9"}, counts={"studies": 120},
    )  # fmt: skip
    split(folder, pixels="none")
    return folder


def test_the_numbers_are_those_of_the_corpus(corpus):
    numbers = numbers_of(corpus)
    assert (numbers.studies, numbers.patients, numbers.images, numbers.reports) == (120, 60, 240, 120)
    assert numbers.tallies["year"].counts == {str(year): 24 for year in range(2015, 2020)}
    assert numbers.tallies["manufacturer"].counts == {"Agfa": 120, "Canon": 30, "Philips": 30, "Siemens": 30}
    assert numbers.views == {"LATERAL": 120, "PA": 120}
    assert numbers.labels["Edema"] == {"positive": 40, "negative": 40, "uncertain": 40, "blank": 0}
    assert numbers.sections["findings"].median == 5
    assert numbers.missing["report"] == (0, 120)
    assert sum(numbers.splits.values()) == 120


def test_a_card_is_written_with_the_header_of_the_hub(corpus, tmp_path):
    files = card(corpus, tmp_path / "out", name="Films: of ours")
    text = files.markdown.read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["pretty_name"] == "Films: of ours"
    assert header["size_categories"] == ["n<1K"]
    assert header["configs"][0]["data_files"] == "studies-*.parquet"
    for words in (
        "| Edema | 40 | 40 | 40 | 0 |",
        "| 2015 | 24 | 20 % |",
        "SHA-256 " + "ab" * 32,
        "radloop corpus import",
    ):
        assert words in text
    assert "## Known limitations" in text


def test_tables_are_tables(corpus):
    for block in re.findall(r"(?:^\|.*\|\n)+", to_markdown(numbers_of(corpus)), re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_card_of_a_corpus_is_loaded_by_datasets(corpus):
    datasets = pytest.importorskip("datasets")
    card(corpus)
    loaded = datasets.load_dataset(str(corpus), cache_dir=str(corpus / "cache"))
    assert loaded["train"].num_rows == 120


LIMITS = {
    "no patient id": ([study(n, patient_id=None) for n in range(40)], "have no patient id"),
    "no labels": ([study(n, meta={}) for n in range(40)], "There are no labels"),
    "rare": ([study(n, meta={"labels": {"Edema": int(n < 3)}}) for n in range(40)], "positive for Edema (3)"),
    "never uncertain": ([study(n, meta={"labels": {"Edema": n % 2}}) for n in range(99)], "No label is uncertain"),
    "one vendor": ([study(n, images=(FILM,)) for n in range(40)], "one vendor: Agfa"),
    "one year": ([study(n, meta={"year": 2015 + (n == 0)}) for n in range(40)], "97.5 % of the studies whose year"),
    "no children": ([study(n, meta={"age": 20.0 + n}) for n in range(40)], "no patient under 20"),
    "no old age": ([study(n, meta={"age": 20.0 + n}) for n in range(40)], "no patient of 70"),
    "no lateral": ([study(n, images=(FILM,)) for n in range(40)], "lateral view"),
    "some AP": ([study(n, images=(replace(FILM, view="AP" if n < 4 else "PA"),)) for n in range(40)], "10 % of the"),
    "repeated": ([study(n, report=Report(f"s{n}", "Normal chest.")) for n in range(40)], "word for word"),
    "damaged": ([study(n, report=Report(f"s{n}", f"Norm\ufffdl {n}.")) for n in range(40)], "damaged characters"),
    "missing": ([study(n, report=None) for n in range(40)], "report (100 %)"),
    "no split": ([study(n) for n in range(40)], "There is no split"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_a_limitation_is_said_where_it_is_and_only_there(tmp_path, corpus, name):
    studies, words = LIMITS[name]
    assert words in " ".join(limitations(numbers_of(write_corpus(tmp_path / "other", studies))))
    assert words not in " ".join(limitations(numbers_of(corpus)))


def test_a_balanced_corpus_has_no_limitations(corpus):
    assert limitations(numbers_of(corpus)) == []
    assert "None of the counts crosses its limit" in to_markdown(numbers_of(corpus))


def test_aggregates_stand_in_for_values_that_are_gone(tmp_path):
    aggregates = {"years": {"2018": 30, "2019": 10}, "ages": {"40-49": 40}, "sexes": {"F": 40}}
    bare = [study(n, meta={}) for n in range(40)]
    numbers = numbers_of(write_corpus(tmp_path / "c", bare, aggregates=aggregates))
    assert numbers.tallies["year"].counts == {"2018": 30, "2019": 10}
    assert "Counted before de-identification" in to_markdown(numbers)
    assert "year (100 %)" not in " ".join(limitations(numbers))


def test_hostile_names_stay_text(tmp_path):
    hostile = "<script>alert(1)</script>|`x`\n# heading"
    corpus = write_corpus(tmp_path / "c", [study(n, images=(replace(FILM, manufacturer=hostile),)) for n in range(3)])
    numbers = numbers_of(corpus, name=hostile)
    for text in (to_html(numbers), to_markdown(numbers).split("---\n", 2)[2]):
        assert "<script" not in text
        assert "\n# heading" not in text or text.startswith("<!DOCTYPE")
    yaml.safe_load(to_markdown(numbers).split("---\n")[1])


def test_plots_show_any_name_as_text():
    names = {"\u30ad\u30e4\u30ce\u30f3": 3, "\0a\x1b": 2, "a" * 200: 1, "$x$ <b>&": 4}
    for svg in (plots.bars(names, "T"), plots.columns(names, "T"), plots.states({each: {} for each in names}, "T")):
        root = ElementTree.fromstring(svg)
        texts = ["".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")]
        assert {"\u30ad\u30e4\u30ce\u30f3", "\ufffda\ufffd", "$x$ <b>&"} <= set(texts)


@pytest.mark.parametrize("values", [[1.0], [0.5] * 9, [0.0, 1e12], list(range(5000))])
def test_histograms_of_any_values(values):
    assert "<svg" in plots.histogram(values, "T", limits=[0.5])


def test_the_page_has_plots_and_loads_nothing(corpus):
    page = to_html(numbers_of(corpus))
    assert page.count("<svg") == 8
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert page == to_html(numbers_of(corpus))


def test_a_readme_of_a_person_is_not_overwritten(corpus):
    readme = corpus / "README.md"
    readme.write_text("Ours.", encoding="utf-8")
    with pytest.raises(RunError) as caught:
        card(corpus)
    assert caught.value.code == "run.other"
    assert readme.read_text(encoding="utf-8") == "Ours."
    readme.unlink()
    card(corpus)
    card(corpus)


def test_the_command_prints_numbers_and_refuses_what_is_no_corpus(corpus, tmp_path):
    app = typer.Typer()
    app.command()(card_cli)
    done = CliRunner().invoke(app, [str(corpus), "-o", str(tmp_path / "out"), "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["studies"] == 120
    with pytest.raises(DataError, match=r"data\.missing"):
        CliRunner().invoke(app, [str(tmp_path / "nothing")], catch_exceptions=False)
