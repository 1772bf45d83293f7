"""Lexicons and cues as a researcher writes them in YAML, validated.

A *finding lexicon* (``configs/lexicons/chexpert14.en.yaml``) says what the labels of a schema are called; a *cue
lexicon* (``configs/lexicons/radiology.en.yaml``) says how findings are denied and hedged. A *schema*
(``configs/schemas/chexpert14.v1.yaml``) names both and may add labels and phrases of its own.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from labeler.rules.phrases import expand


def _valid_phrase(phrase: str) -> str:
    expand(phrase)
    return phrase


Phrase = Annotated[str, AfterValidator(_valid_phrase)]
Phrases = list[Phrase]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LabelPhrases(_Strict):
    """What one label is called."""

    findings: Phrases = Field(
        default_factory=list, description="Naming one asserts the label, unless it is denied or hedged."
    )
    weak: Phrases = Field(
        default_factory=list,
        description="Naming one leaves the label open, unless something stronger is said elsewhere.",
    )
    structures: Phrases = Field(
        default_factory=list, description="Anatomy whose state is said by a predicate of the cue lexicon."
    )
    absent: Phrases = Field(default_factory=list, description="Naming one denies the label.")
    located: Phrases = Field(
        default_factory=list, description="Findings only in a sentence that also names one of the places."
    )
    places: Phrases = Field(default_factory=list, description="The places for located.")
    ignore: Phrases = Field(
        default_factory=list, description="Longer phrases that hold a finding's words and are no mention of it."
    )
    general: bool = Field(default=False, description="Whether findings listed after it explain it: it stays asserted.")
    near: bool = Field(default=False, description="Whether only a negation right before it denies it.")
    unless: Phrases = Field(
        default_factory=list, description="Words that, in the same clause, take an asserted finding out of the label."
    )


class FindingLexicon(_Strict):
    """The words of a label set in one language."""

    language: str = Field(description="Language of the phrases, as an ISO 639-1 code.")
    labels: dict[str, LabelPhrases] = Field(description="Phrases by label.")
    other_findings: Phrases = Field(
        default_factory=list, description="Findings that are no label and stand in the way of No Finding."
    )
    normal_statements: Phrases = Field(
        default_factory=list, description="Words that show that a film was read and found normal."
    )
    subjects: Phrases = Field(
        default_factory=list, description="Anatomy that is no label's structure and has predicates of its own."
    )


class Negation(_Strict):
    """A negspacy termset."""

    preceding: Phrases = Field(default_factory=list, description="Negations before what they deny.")
    following: Phrases = Field(default_factory=list, description="Negations after what they deny.")
    pseudo: Phrases = Field(default_factory=list, description="Phrases that hold a negation word and deny nothing.")
    termination: Phrases = Field(default_factory=list, description="Words where the reach of a negation ends.")


class Predicates(_Strict):
    """What is said of a structure."""

    normal: Phrases = Field(default_factory=list, description="The structure is normal: label negative.")
    abnormal: Phrases = Field(default_factory=list, description="The structure is abnormal: label positive.")
    borderline: Phrases = Field(default_factory=list, description="Between the two: label uncertain.")
    unchanged: Phrases = Field(
        default_factory=list, description="Only compared with before: label uncertain, unless its state is said."
    )


class CueLexicon(_Strict):
    """How radiologists of one language assert, deny and hedge."""

    language: str = Field(description="Language of the phrases, as an ISO 639-1 code.")
    negation: Negation = Field(description="A negspacy termset.")
    modal: Phrases = Field(
        default_factory=list, description="As open, and reports what follows even after advice or a condition."
    )
    open: Phrases = Field(
        default_factory=list, description="Before findings: all that are listed after it are left open."
    )
    doubt: Phrases = Field(
        default_factory=list, description="Before a finding: it, and what is tied to it by 'or', is left open."
    )
    doubt_after: Phrases = Field(default_factory=list, description="After a finding: it is left open.")
    affirm: Phrases = Field(
        default_factory=list, description="Asserts what follows; ends a doubt about something before."
    )
    unmention: Phrases = Field(
        default_factory=list, description="Before a finding that is talked about and not reported."
    )
    unmention_after: Phrases = Field(
        default_factory=list, description="After a finding that is talked about and not reported."
    )
    change: Phrases = Field(default_factory=list, description="Right after a denied finding: only a change is denied.")
    exceptions: Phrases = Field(
        default_factory=list, description="After a denied finding: it is denied everywhere but here."
    )
    no_change: Phrases = Field(
        default_factory=list, description="Holds a negation word, says only that something is as before."
    )
    parts: Phrases = Field(
        default_factory=list, description="Parts of a thing: the tip of a tube that is not seen denies no tube."
    )
    artifacts: Phrases = Field(default_factory=list, description="What turns a finding into none.")
    alternatives: Phrases = Field(
        default_factory=list, description="What a finding is weighed against that is no label."
    )
    predicates: Predicates = Field(description="What is said of a structure.")
    either: Phrases = Field(
        default_factory=list, alias="or", description="Words between two findings of which one is meant."
    )
    versus: Phrases = Field(
        default_factory=list, description="Words between two findings that are weighed against each other."
    )
    assertive: Phrases = Field(
        default_factory=list, description="Words that begin a new statement after a comma, 'and' or 'with'."
    )
    turns: Phrases = Field(default_factory=list, description="Joins that a negation does not cross.")
    fillers: Phrases = Field(default_factory=list, description="Words that may stand anywhere inside a phrase.")
    forms: dict[str, str] = Field(default_factory=dict, description="Spelling -> canonical word.")
