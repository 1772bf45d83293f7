"""The reasons for labels as shown in a terminal, in JSON and on a page: complete, in place, and harmless."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.errors import ConfigError
from corpora.labels import STATE_NAMES
from corpora.types import Report, Section
from labeler import Cue, Labeler, LabelVector, Mention, load
from labeler.explain import explain_html, explain_text, to_json, visible
from labeler.reasons import CUES, RULES, answers
from labeler.rules.phrases import expand
from labeler.schemas import load_schema

# which rule each sentence shows
SHOWN = {
    "Small left effusion.": "asserted",
    "No effusion.": "denied",
    "Pneumothorax: None.": "denied after",
    "Findings may represent pneumonia.": "left open",
    "Questionable pneumothorax.": "doubted",
    "Pneumothorax cannot be excluded.": "doubted after",
    "Atelectasis versus pneumonia.": "weighed against another",
    "Left base pneumonia or atelectasis.": "one of several",
    "History of pneumonia.": "not reported",
    "Calcified nodule.": "not this label",
    "Congestive heart failure.": "implied",
    "No heart failure.": "says nothing of size",
    "The heart is normal in size.": "said to be normal",
    "The heart is not normal.": "said to be not normal",
    "The heart is enlarged.": "said to be abnormal",
    "The heart is not enlarged.": "said to be not abnormal",
    "The heart is borderline in size.": "borderline",
    "The heart is unchanged.": "only compared with before",
    "Mild scoliosis.": "an abnormality",
    "The lungs are clear.": "a normal film",
}


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


@pytest.mark.parametrize(("sentence", "rule"), SHOWN.items())
def test_rules_are_explained(labeler: Labeler, sentence: str, rule: str) -> None:
    assert rule in {mention.rule for mention in labeler(sentence).mentions}
    assert one_line(RULES[rule]) in one_line(printed(Report("", sentence), labeler(sentence), width=300))


def test_no_rule_is_explained_that_is_never_given() -> None:
    # these two need words of the lexicon (see the next test), and another labeler
    assert set(RULES) - set(SHOWN.values()) == {"outside the label's definition", "contains"}


def test_words_that_tell_a_label_apart_are_explained(labeler: Labeler) -> None:
    label, phrases = next((name, p) for name, p in load_schema("chexpert14.v1").phrases.items() if p.unless)
    finding, word = expand(phrases.findings[0])[0], expand(phrases.unless[0])[0]
    text = f"There is a {finding}, {word}."
    mentions = [mention for mention in labeler(text).mentions if mention.label == label]
    assert "outside the label's definition" in {mention.rule for mention in mentions}


def test_the_toy_labeler_is_explained() -> None:
    text = "effusion"
    assert RULES["contains"] in one_line(printed(Report("", text), load("toy.v1", "")(text)))


def _lexicon_words() -> list[str]:
    schema = load_schema("chexpert14.v1")
    groups = [getattr(phrases, kind) for phrases in schema.phrases.values() for kind in type(phrases).model_fields]
    cues = schema.cues
    groups += [value for _, value in cues if isinstance(value, list)]
    groups += [value for part in (cues.negation, cues.predicates) for _, value in part]
    groups += [schema.lexicon.other_findings, schema.lexicon.normal_statements, [",", "and", "."]]
    return [expand(phrase)[0] for group in groups for phrase in group]


@settings(max_examples=150, deadline=None)
@given(words=st.lists(st.sampled_from(_lexicon_words()), min_size=1, max_size=8))
def test_whatever_the_rules_say_has_a_sentence(labeler: Labeler, words: list[str]) -> None:
    mentions = labeler(" ".join(words)).mentions
    assert {mention.rule for mention in mentions} <= set(RULES)
    assert {cue.kind for mention in mentions for cue in mention.cues} <= set(CUES)


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
    text = "Consider CT to exclude a mass. No effusion."
    before, after = printed(Report("", text), labeler(text)).split("Seen and not counted\n")
    assert "»mass«" in after and "»mass«" not in before
    assert "not reported" in after and "“exclude” sets aside" in one_line(after)


def test_long_sentences_are_cut_between_words(labeler: Labeler) -> None:
    text = f"{'left upper lobe ' * 20}effusion {'right lower lobe ' * 20}."
    shown = one_line(printed(Report("", text), labeler(text), width=300))
    (words,) = re.findall(r"… ([^…]*)»effusion«([^…]*) …", shown)
    assert 20 < len(words[0]) < 80 and 20 < len(words[1]) < 80
    assert set(" ".join(words).split()) <= set(text.split())


def test_terminal_output_holds_no_control_characters_of_the_report() -> None:
    text = "a \x1b[31m\x07\x00\r\n\u202eb [bold]c[/bold] \x9b0m"
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
    text = "The cardiac silhouette is normal. No effusion. Possible pneumonia."
    page = page_of(Report("", text), labeler(text))
    (row,) = (e for e in page.of("tr") if e.text.strip().startswith("Pneumonia"))
    (link,) = (e for e in page.of("a") if row in e.inside)
    anchor = page.by_id(link.attrs["href"][1:])
    assert link.text == anchor.text == "pneumonia"
    (tag,) = (e for e in page.of("a", "tag") if e.text == "? Pneumonia")
    assert page.by_id(tag.attrs["href"][1:]) is row
    assert [mark.text for mark in page.of("mark", "cue", "first", "last")][1:] == ["normal", "No", "Possible"]


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
    report = Report("s1", "Clear.\nNormal.", (Section("findings", 0, 6), Section("findings_impression", 7, 14)))
    page = page_of(report, vector(report.text))
    assert [e.text for e in page.of("span", "section")] == ["findings", "findings and impression"]


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
