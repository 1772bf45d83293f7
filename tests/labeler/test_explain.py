"""The reasons for labels as shown in a terminal, in JSON and on a page: complete, in place, and harmless."""

from __future__ import annotations

import ast
import inspect
import io
import itertools
import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import ConfigError
from corpora.labels import STATE_NAMES
from corpora.readers.openi import read_openi
from corpora.readers.options import ReadOptions
from corpora.types import Reject, Report, Section
from labeler import Cue, Labeler, LabelVector, Mention, load
from labeler.explain import explain_html, explain_text, to_json, visible
from labeler.reasons import CUES, RULES, answers
from labeler.rules import assertion, decide
from labeler.rules.lexicon import CueLexicon, Predicates
from labeler.rules.phrases import expand
from labeler.schemas import load_schema

SHARED = Path(os.environ.get("RADLOOP_SHARED") or Path(__file__).parents[3] / "shared")


@pytest.fixture(scope="module")
def labeler() -> Labeler:
    return load("rules.v1")


def vector(text: str, mentions: tuple[Mention, ...] = (), **states: int) -> LabelVector:
    """A vector of a made-up schema with the labels ``A``, ``B`` and ``C``."""
    labels = ("A", "B", "C")
    values = tuple(states.get(label) for label in labels)
    return LabelVector("s1", "letters.v1", labels, values, mentions, "hand.v1")  # type: ignore[arg-type]


def printed(report: Report, found: LabelVector, width: int = 100) -> str:
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width).print(explain_text(report, found))
    return out.getvalue()


def one_line(text: str) -> str:
    return " ".join(text.split())


class Page(HTMLParser):
    """What a browser would make of a page: elements with their text, links, ids."""

    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[SimpleNamespace] = []
        self.open: list[SimpleNamespace] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = SimpleNamespace(tag=tag, text="", inside=list(self.open), attrs=dict(attrs))
        element.classes = (element.attrs.get("class") or "").split()
        self.elements.append(element)
        if tag not in self.VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            # what a reader cannot select is not the report's
            if element is self.open[-1] or not {"tag", "section"}.intersection(self.open[-1].classes):
                element.text += data

    def of(self, tag: str, *classes: str) -> Iterator[SimpleNamespace]:
        return (e for e in self.elements if e.tag == tag and set(classes) <= set(e.classes))

    def by_id(self, name: str) -> SimpleNamespace:
        (found,) = (e for e in self.elements if e.attrs.get("id") == name)
        return found


def page_of(report: Report, found: LabelVector, **options: str) -> Page:
    return Page(explain_html([(report, found)], "Title", **options))  # type: ignore[arg-type]


# ---- rules and cues in English


@pytest.fixture(scope="module")
def phrases() -> dict[str, list[str]]:
    """A few phrases of each kind that the rules know."""
    schema = load_schema("chexpert14.v1")
    groups: dict[str, list[str]] = {}
    for label in schema.phrases.values():
        for kind, found in label:
            if isinstance(found, bool):
                continue
            groups[kind] = groups.get(kind, []) + found[:1]
    for part in (schema.cues, schema.cues.negation, schema.cues.predicates):
        groups |= {kind: found[:2] for kind, found in part if isinstance(found, list)}
    groups["other"], groups["fine"] = schema.lexicon.other_findings[:1], schema.lexicon.normal_statements[:1]
    return {kind: [expand(phrase)[0] for phrase in found] for kind, found in groups.items()}


def test_whatever_the_rules_say_has_a_sentence(labeler: Labeler, phrases: dict[str, list[str]]) -> None:
    of_labels = ("findings", "weak", "structures", "located", "absent", "ignore", "other", "fine")
    named = [phrase for kind in of_labels for phrase in phrases[kind]]
    heard = [phrase for kind in phrases if kind not in of_labels for phrase in phrases[kind]]
    texts = [f"{a} {b}" for name in named for cue in heard for a, b in ((name, cue), (cue, name))]
    texts += [f"{a} {cue} {b}" for a in named[::4] for b in named[1::4] for cue in heard]
    texts += [f"the {part} is {word} {said}" for part in phrases["structures"] for word in ("not", *heard[::3])
              for kind in ("normal", "abnormal", "borderline", "unchanged") for said in phrases[kind]]  # fmt: skip
    mentions = [mention for text in texts for mention in labeler(text).mentions]
    assert {mention.rule for mention in mentions} <= set(RULES)
    assert {cue.kind for mention in mentions for cue in mention.cues} <= set(CUES)
    assert len({mention.rule for mention in mentions}) > 15


def test_every_rule_and_cue_that_the_source_names_is_explained_and_no_other() -> None:
    given = set()
    for module in (assertion, decide):
        tree = ast.parse(inspect.getsource(module))
        constants = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        given |= {value for value in constants if isinstance(value, str) and value in RULES}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id == "Verdict" and isinstance(call.args[2], ast.Constant):
                assert call.args[2].value in RULES
    assert given == set(RULES) - {"contains", "occlusion"}
    groups = {name.removesuffix("s") for name in (*CueLexicon.model_fields, *Predicates.model_fields)}
    assert {kind.removesuffix("s") for kind in CUES} - {"negation", "unles"} <= groups


def test_reports_of_a_collection_are_explained(labeler: Labeler) -> None:
    archive = SHARED / "data" / "openi" / "NLMCXR_reports.tgz"
    if not archive.exists():
        pytest.skip("the Open-i reports are not there")
    studies = (study for study in read_openi(str(archive), ReadOptions()) if not isinstance(study, Reject))
    for study in itertools.islice(studies, 0, 600, 3):
        assert study.report
        found = labeler(study.report)
        assert {mention.rule for mention in found.mentions} <= set(RULES)
        assert {cue.kind for mention in found.mentions for cue in mention.cues} <= set(CUES)
        assert to_json(study.report, found)["study_id"] == study.study_id


def test_the_toy_labeler_is_explained() -> None:
    assert RULES["contains"] in one_line(printed(Report("", "effusion"), load("toy.v1", "")("effusion")))


def test_rules_and_cues_of_other_labelers_are_shown_by_name() -> None:
    text = "an a"
    found = vector(text, (Mention("A", 3, 4, 1, (Cue(0, 2, "article"),), "own rule"),), A=1)
    assert "Rule: own rule." in printed(Report("s1", text), found)
    assert "“an” article" in printed(Report("s1", text), found)


# ---- what is said of a label


def test_what_was_overruled_says_so() -> None:
    text = "no a but a"
    mentions = (Mention("A", 3, 4, 0, (Cue(0, 2, "negation"),), "denied"), Mention("A", 9, 10, 1, (), "asserted"))
    first, second = answers(Report("s1", text), vector(text, mentions, A=1))[0].reasons
    assert first.mention.state == 1 and first.counts
    assert not second.counts and second.why.endswith("Overruled: the label is positive.")


def test_a_state_without_words_and_a_label_without_mention() -> None:
    found = answers(Report("s1", "x"), vector("x", A=1))
    assert [answer.said for answer in found] == [
        "The labeler gives no words for it.",
        "Not mentioned.",
        "Not mentioned.",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The lungs are clear.", "The report was read, and nothing abnormal is asserted or left open."),
        ("Possible pneumonia. Pacemaker.", "In the way: Pneumonia (uncertain)."),
        ("The lungs are clear. Mild scoliosis.", "In the way: an abnormality without a label."),
        ("", "Not mentioned."),
    ],
)
def test_no_finding_says_what_is_in_its_way(labeler: Labeler, text: str, said: str) -> None:
    (answer,) = (a for a in answers(Report("", text), labeler(text)) if a.label == "No Finding")
    assert answer.said == said


@pytest.mark.parametrize("span", [(0, 9), (1, 1), (-1, 2)])
def test_evidence_of_another_text_is_refused(span: tuple[int, int]) -> None:
    for mention in (Mention("A", *span, 1, (), "asserted"), Mention("A", 0, 1, 1, (Cue(*span, "open"),), "asserted")):
        with pytest.raises(ValueError, match="beyond"):
            answers(Report("s1", "abc"), vector("abc", (mention,), A=1))


def test_a_vector_of_another_study_is_refused() -> None:
    with pytest.raises(ValueError, match="different studies"):
        explain_html([(Report("s2", "abc"), vector("abc"))], "Title")


# ---- terminal


def test_text_shows_every_label_its_state_words_rule_and_cues(labeler: Labeler) -> None:
    text = "No effusion. Possible pneumonia. Left rib fracture."
    shown = printed(Report("", text), labeler(text))
    for line in (
        r"Pleural Effusion +− negative +No »effusion«\.",
        r"Pneumonia +\? uncertain +Possible »pneumonia«\.",
        r"Fracture +\+ positive +Left »rib fracture«\.",
        r"Edema +blank +Not mentioned\.",
        r"A negation before it reaches it\. \(“No” denies\)",
    ):
        assert re.search(line, shown), line
    assert shown.count("blank") == 14 - len(labeler(text).asserted())


def test_what_was_not_counted_comes_last(labeler: Labeler) -> None:
    text = "CT would be needed to exclude a mass. No effusion."
    before, after = printed(Report("", text), labeler(text)).split("Seen and not counted\n")
    assert "»mass«" in after and "»mass«" not in before
    assert "not reported" in after and "“to exclude” sets aside" in one_line(after)


def test_long_sentences_are_cut_between_words(labeler: Labeler) -> None:
    text = f"{'left upper lobe ' * 20}effusion {'right lower lobe ' * 20}."
    shown = one_line(printed(Report("", text), labeler(text), width=300))
    (words,) = re.findall(r"… ([^…]*)»effusion«([^…]*) …", shown)
    assert 20 < len(words[0]) < 80 and 20 < len(words[1]) < 80
    assert set(" ".join(words).split()) <= set(text.split())


def test_terminal_output_holds_no_control_characters_of_the_report() -> None:
    text = "a \x1b[31m\x07\x00\r \u202eb [bold]c[/bold] \x9b0m"
    shown = printed(Report("s1", text), vector(text, (Mention("A", 0, 1, 1, (), "asserted"),), A=1))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert "␛[31m" in shown and "[bold]c[/bold]" in shown


# ---- JSON


def test_json_holds_states_spans_cues_and_rules(labeler: Labeler) -> None:
    report = Report("s7", "🫁 No effusion.")
    found = json.loads(json.dumps(to_json(report, labeler(report))))
    assert (found["study_id"], found["schema"], found["made_by"]) == ("s7", "chexpert14.v1", "rules.v1")
    assert len(found["labels"]) == 14 and found["labels"]["Pleural Effusion"] == 0 and found["labels"]["Edema"] is None
    assert found["mentions"] == [
        {
            "label": "Pleural Effusion", "start": 5, "end": 13, "text": "effusion", "state": 0, "rule": "denied",
            "cues": [{"start": 2, "end": 4, "text": "No", "kind": "negation"}],
        }
    ]  # fmt: skip


# ---- page


HOSTILE = (
    "FINDINGS: <script>alert(1)</script><img src=x onerror=alert(1)> \"No\" 'effusion' &lt;b&gt; \x00\x1b 🫁👨‍👩‍👧 "
    "small pneumothorax \u202eevil\u202c שלום דלקת pneumonia مرحبا javascript:alert(1) "
    "{{ 7*7 }} {% raw %} </div> opacity."
)


def test_hostile_text_is_shown_and_does_nothing(labeler: Labeler) -> None:
    report = Report("<script>x</script>", HOSTILE)
    source = explain_html([(report, labeler(report))], "</title><script>")
    page = Page(source)
    assert not {"script", "img", "link", "iframe", "object", "form"} & {element.tag for element in page.elements}
    assert not [name for element in page.elements for name in element.attrs if name.startswith("on")]
    (body,) = page.of("div", "text")
    assert body.text == visible(HOSTILE) and len(body.text) == len(HOSTILE)
    assert {mark.text for mark in page.of("mark", "positive")} >= {"pneumothorax", "pneumonia", "opacity"}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", source)


def test_a_page_loads_nothing_and_says_so(labeler: Labeler) -> None:
    source = explain_html([(Report("", HOSTILE), labeler(HOSTILE))], "Title")
    (policy,) = (e for e in Page(source).elements if e.attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.attrs["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "prefers-color-scheme: dark" in source and "url(" not in source and "@import" not in source
    assert not [e for e in Page(source).elements if "src" in e.attrs or "style" in e.attrs]
    assert all(e.attrs["href"].startswith("#r") for e in Page(source).elements if "href" in e.attrs)


def test_each_reason_links_to_its_words_and_each_mark_to_its_label(labeler: Labeler) -> None:
    text = "The cardiac silhouette is small. No effusion. Possible pneumonia."
    page = page_of(Report("", text), labeler(text))
    (row,) = (e for e in page.of("tr") if e.text.strip().startswith("Pneumonia"))
    (link,) = (e for e in page.of("a") if row in e.inside)
    anchor = page.by_id(link.attrs["href"][1:])
    assert link.text == anchor.text == "pneumonia"
    (tag,) = (e for e in page.of("a", "tag") if e.text == "? Pneumonia")
    assert page.by_id(tag.attrs["href"][1:]) is row
    assert [mark.text for mark in page.of("mark", "cue", "first", "last")][-2:] == ["No", "Possible"]


def test_the_table_has_every_label_with_its_state(labeler: Labeler) -> None:
    text = "No effusion. Possible pneumonia. Pacemaker."
    found = labeler(text)
    page = page_of(Report("", text), found)
    rows = [row for row in page.of("tr") if "id" in row.attrs]
    heads = [next(e.text for e in page.of("th") if row in e.inside) for row in rows]
    states = [next(e.text.split()[-1] for e in page.of("span", "state") if row in e.inside) for row in rows]
    assert heads == list(found.labels)
    assert states == [STATE_NAMES[state] for state in found.states]


def test_sections_that_were_not_read_are_greyed_out(labeler: Labeler) -> None:
    text = "INDICATION: Pneumonia. FINDINGS: Clear. IMPRESSION: Small effusion."
    page = page_of(Report("", text), labeler(text))
    assert [e.text.strip() for e in page.of("span", "heading")] == ["INDICATION:", "FINDINGS:", "IMPRESSION:"]
    assert [e.text for e in page.of("span", "unread")][1:] == ["Pneumonia."]
    only = page_of(Report("", text), labeler(text, sections="impression"), sections="impression")
    assert [e.text for e in only.of("span", "unread")][1:] == ["Pneumonia.", "Clear."]


def test_sections_without_a_heading_in_the_text_are_named() -> None:
    report = Report("s1", "Clear.\nNormal.", (Section("wet_read", 0, 6), Section("findings_impression", 7, 14)))
    page = page_of(report, vector(report.text))
    assert [e.text for e in page.of("span", "section")] == ["wet read", "findings and impression"]


def test_an_unknown_section_is_an_error() -> None:
    with pytest.raises(ConfigError, match="finding"):
        page_of(Report("s1", "Clear."), vector("Clear."), sections="finding")


def test_labels_share_words_and_overlap() -> None:
    text = "abcdefghij"
    mentions = (
        Mention("A", 0, 6, 0, (Cue(2, 3, "negation"),), "denied"),
        Mention("B", 4, 8, 1, (), "asserted"),
        Mention("C", 4, 8, None, (), "not reported"),
    )
    page = page_of(Report("s1", text), vector(text, mentions, A=0, B=1))
    marks = [(mark.text, mark.classes[1:]) for mark in page.of("mark", "read")]
    assert marks == [
        ("ab", ["negative"]), ("c", ["negative", "cue", "first", "last"]), ("d", ["negative"]), ("ef", ["positive"]),
        ("gh", ["positive"]),
    ]  # fmt: skip
    shared = next(mark for mark in page.of("mark", "read") if mark.text == "ef")
    assert [line.split(".")[0] for line in shared.attrs["title"].split("\n")] == [
        "A: negative", "B: positive", "C: uncounted",
    ]  # fmt: skip
    assert [tag.text for tag in page.of("a", "tag")] == ["− A", "+ B", "× C"]


def test_states_differ_by_more_than_colour(labeler: Labeler) -> None:
    source = explain_html([], "Title")
    lines = re.findall(r"^\.(?:positive|negative|uncertain|uncounted) \{[^}]*underline (\w+)", source, re.MULTILINE)
    assert len(lines) == len(set(lines)) == 4


def test_many_reports_keep_their_anchors_apart(labeler: Labeler) -> None:
    reports = [Report(name, "No effusion. Pneumonia.") for name in ("s1", "s2", "")]
    page = Page(explain_html(((report, labeler(report)) for report in reports), "Title"))
    ids = [e.attrs["id"] for e in page.elements if "id" in e.attrs]
    assert len(ids) == len(set(ids)) and len(list(page.of("article"))) == 3
    assert all(e.attrs["href"][1:] in ids for e in page.of("a"))
    assert [e.text for e in page.of("h2")] == ["s1", "s2", "Report 3"]


def test_nothing_to_show_is_said(labeler: Labeler) -> None:
    assert "No reports." in explain_html([], "Title")
    assert "The report is empty." in explain_html([(Report("", ""), labeler(""))], "Title")


@st.composite
def _evidence(draw: st.DrawFn) -> tuple[str, LabelVector]:
    text = draw(st.text(st.characters(), min_size=1, max_size=40))

    def span() -> tuple[int, int]:
        start = draw(st.integers(0, len(text) - 1))
        return start, draw(st.integers(start + 1, len(text)))

    mentions = tuple(
        Mention(
            draw(st.sampled_from("ABC")), *span(), draw(st.sampled_from((1, 0, -1, None))),
            tuple(Cue(*span(), draw(st.text(max_size=5))) for _ in range(draw(st.integers(0, 2)))),
            draw(st.text(st.characters(), max_size=9)),
        )
        for _ in range(draw(st.integers(0, 6)))
    )  # fmt: skip
    return text, vector(text, mentions, A=1, B=-1)


@settings(max_examples=200, deadline=None)
@given(_evidence())
def test_any_text_with_any_spans_stays_whole_and_in_place(case: tuple[str, LabelVector]) -> None:
    text, found = case
    report = Report("s1", text)
    source = explain_html([(report, found)], "Title")
    source.encode()
    page = Page(source)
    (body,) = page.of("div", "text")
    assert body.text == visible(text)
    assert all(page.by_id(e.attrs["href"][1:]) for e in page.of("a"))
    for number, mention in enumerate(found.mentions):
        assert text_at(page, body, f"r1-m{number}") == mention.start
    highlighted = sum(len(mark.text) for mark in page.of("mark") if body in mark.inside)
    spans = [*found.mentions, *(cue for mention in found.mentions for cue in mention.cues)]
    assert highlighted == len({at for span in spans for at in range(span.start, span.end)})
    printed(report, found).encode()
    json.dumps(to_json(report, found))


def text_at(page: Page, body: SimpleNamespace, anchor: str) -> int:
    """How much of the report's text comes before an anchor."""
    target = page.by_id(anchor)
    pieces = [e for e in page.elements if body in e.inside and (e.tag == "mark" or e.classes in PLAIN)]
    return sum(len(e.text) for e in pieces[: next(i for i, e in enumerate(pieces) if target in e.inside)])


PLAIN = (["read"], ["unread"], ["heading"])
