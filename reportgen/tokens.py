"""How a protocol turns a report into the words that text metrics count.

clean("r2gen-iu", "Heart size 1.5 cm; clear.")       'heart size 15 cm clear .'
Vocabulary.of(train, 3).cut(text, 60)                 what R2Gen decodes of a reference
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Final

UNKNOWN: Final = "<unk>"

# R2Gen's class, `:-\[` read as the range it is: `: ; < = > ? @ [` go and the hyphen stays
_REMOVED: Final = re.compile(r"[.,?;*!%^&_+():-\[\]{}]")
_QUOTES: Final = str.maketrans("", "", "\"/\\'")
_NUMBERED: Final = (
    ("1. ", ""), (". 2. ", ". "), (". 3. ", ". "), (". 4. ", ". "), (". 5. ", ". "),
    (" 2. ", ". "), (" 3. ", ". "), (" 4. ", ". "), (" 5. ", ". "),
)  # fmt: skip


def clean(name: str, text: str) -> str:
    """``text`` as the words of a cleaning, with one blank between two; the names are those of ``CLEANINGS``.

    >>> clean("r2gen-iu", "1. Mild cardiomegaly. 2. No effusion/pneumothorax, (stable).")
    'mild cardiomegaly . no effusionpneumothorax stable .'
    >>> clean("ptb", "No effusion/pneumothorax, (stable).")
    'no effusion/pneumothorax -lrb- stable -rrb-'
    """
    return CLEANINGS[name](text)


def is_decoded(texts: Iterable[str]) -> bool:
    """Whether texts are words already: lower case, every full stop on its own, none of R2Gen's removed characters."""
    return all(text == text.lower() and not _GLUED.search(text) for text in texts)


_GLUED: Final = re.compile(r"\S\.(?=\s|$)|[,;!?()\[\]{}\"]")


def r2gen_iu(text: str) -> str:
    """R2Gen's ``clean_report_iu_xray``."""
    return _r2gen(_repeat(text, "..", ".", 3))


def r2gen_mimic(text: str) -> str:
    """R2Gen's ``clean_report_mimic_cxr``."""
    text = _repeat(_repeat(text.replace("\n", " "), "__", "_", 7), "  ", " ", 7)
    return _r2gen(_repeat(text, "..", ".", 8))


def lower(text: str) -> str:
    """Lower case, full stops on their own."""
    return spaced(text.lower())


def spaced(text: str) -> str:
    """Full stops on their own, one blank between words; the case stays."""
    return one_line(text.replace(".", " ."))


def one_line(text: str) -> str:
    """Words with one blank between two, as they are."""
    return " ".join(text.split())


def words(text: str) -> str:
    """Lower case, every punctuation mark a word of its own but inside numbers and words: ours, nothing is dropped.

    >>> words("T-spine DJD; 1.5 cm.")
    't-spine djd ; 1.5 cm .'
    """
    return " ".join(_WORD.findall(text.lower()))


_WORD: Final = re.compile(r"\d+(?:[.,]\d+)*%?|\w+(?:['\u2019-]\w+)*|[^\w\s]")


def _repeat(text: str, old: str, new: str, times: int) -> str:
    for _ in range(times):
        text = text.replace(old, new)
    return text


def _r2gen(text: str) -> str:
    for old, new in _NUMBERED:
        text = text.replace(old, new)
    sentences = text.strip().lower().split(". ")
    return " . ".join(_REMOVED.sub("", sentence.translate(_QUOTES).strip().lower()) for sentence in sentences) + " ."


# after the Penn Treebank tokenizer of Stanford CoreNLP 3.4.1 with lower case, as COCO's PTBTokenizer calls it

_BRACKETS: Final = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_DROPPED: Final = frozenset(
    ["''", "'", "``", "`", '"', ".", "?", "!", ",", ":", "-", "--", "...", ";", "-LRB-", "-RRB-", "-LCB-", "-RCB-"]
)
_ABBREVIATED: Final = frozenset(
    "dr. mr. mrs. ms. prof. st. jr. sr. vs. etc. e.g. i.e. a.m. p.m. u.s. approx. fig. inc. ltd. co. corp. dept. "
    "ct.".split()
)  # fmt: skip
_PTB: Final = re.compile(
    r"[a-z]\.(?:[a-z]\.)+"  # p.m.
    r"|</?[a-z]+>"
    r"|[a-z]{2,}\.[a-z]{2,}(?!\w)"
    r"|\d+(?:[.,:]\d+)+(?![\w/])|\d+(?:[.,:]\d+)*[a-z]*(?:-\w+)*(?:/\w+)*"
    r"|_+"
    r"|\.{2,}|--+"
    r"|n't(?!\w)|'(?:s|re|ve|ll|d|m)(?!\w)"
    r"|\w+?(?=n't(?!\w))|can(?=not(?!\w))"
    r"|\w+(?:[-/_]\w+|&\w+)*"
    r"|\S"
)


def ptb(text: str) -> str:
    """The words of COCO's PTBTokenizer, without its punctuation."""
    found = _PTB.findall(text.lower())
    joined = _with_stops(found)
    return " ".join(_BRACKETS.get(word, word) for word in joined if word not in _DROPPED and not _is_dots(word))


def _is_dots(word: str) -> bool:
    return len(word) > 1 and set(word) == {"."}


def _with_stops(found: list[str]) -> list[str]:
    joined: list[str] = []
    for word in found:
        if word == "." and joined and f"{joined[-1]}." in _ABBREVIATED:
            joined[-1] += "."
        else:
            joined.append(word)
    return joined


CLEANINGS: Final[dict[str, Callable[[str], str]]] = {
    "r2gen-iu": r2gen_iu,
    "r2gen-mimic": r2gen_mimic,
    "lower": lower,
    "spaced": spaced,
    "ptb": ptb,
    "words": words,
    "as-is": one_line,
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that R2Gen knows: those that occur often enough in its training reports."""

    words: frozenset[str]

    @classmethod
    def of(cls, cleaned: Iterable[str], at_least: int) -> Vocabulary:
        """The words that occur ``at_least`` times in cleaned texts."""
        counts = Counter(chain.from_iterable(text.split() for text in cleaned))
        return cls(frozenset(word for word, count in counts.items() if count >= at_least))

    def cut(self, cleaned: str, length: int) -> str:
        """A cleaned text as R2Gen decodes it: other words ``<unk>``, at most ``length`` - 1 words.

        >>> Vocabulary(frozenset(["no", "effusion"])).cut("no large effusion .", 4)
        'no <unk> effusion'
        """
        return " ".join([word if word in self.words else UNKNOWN for word in cleaned.split()][: length - 1])
