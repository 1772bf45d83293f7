"""Rewrites of single words of a report: synonyms, slips of the fingers, masks, capitals. No label changes by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING, Final

from labeler.neural.augment_read import Edit, Read, unless_same
from labeler.rules.phrases import expand
from labeler.schemas import RulesSchema

if TYPE_CHECKING:
    from labeler.neural.augment import Augmenter

#: Rules that decide by the words of a sentence alone, of a finding that is named.
CLEAN: Final = frozenset({"asserted", "denied", "denied after", "left open", "doubted", "doubted after"})
_WORD: Final = re.compile(r"[^\W\d_]+")
_LETTERS: Final = re.compile(r"[a-z]+")
# text in which capitals do not tell where a line or, without a space, a sentence begins
_PROSE: Final = re.compile(r"(?:[^\n.:?()]|\.(?= |$|\d))*")
_SHORTEST: Final = 5
_SHORTEST_MISSPELT: Final = 8
_STEM: Final = 7
_NOISED: Final = 0.15


def synonym(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A finding by another name of the lexicon; nothing changes."""
    mentions = [one for said in read.sentences for one in said.findings(augmenter.no_finding) if one.rule in CLEAN]
    for mention in chance.sample(mentions, len(mentions)):
        name = read.text[mention.start : mention.end]
        patterns = augmenter.phrases.get(mention.label, [])
        if not patterns or not augmenter.is_name(name, mention.label):
            continue
        other = chance.choice(expand(chance.choice(patterns)))
        plain = other != name.lower() and augmenter.refused.isdisjoint(other.split())
        if plain and augmenter.is_name(other, mention.label):
            return Edit(read.text[: mention.start] + _cased(other, name) + read.text[mention.end :], {})
    return None


def _cased(phrase: str, like: str) -> str:
    if len(like) > 1 and like.isupper():
        return phrase.upper()
    return phrase[0].upper() + phrase[1:] if like[:1].isupper() else phrase


def typing(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """Slips of the fingers in words that no lexicon knows; nothing changes."""
    return _with_words(augmenter, read, chance, lambda word: _slip(word, chance))


def mask(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """Words that no lexicon knows masked, as de-identification does; nothing changes."""
    sign = chance.choice(augmenter.recipe.masks)
    return _with_words(augmenter, read, chance, lambda word: sign)


def misspell(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """A slip of the fingers in a long word of a finding: the rules may not know it any more, its meaning stays."""
    words = [
        (mention.start + found.start(), mention.start + found.end())
        for said in read.sentences
        for mention in said.findings(augmenter.no_finding)
        for found in _LETTERS.finditer(read.text[mention.start : mention.end])
        if len(found[0]) >= _SHORTEST_MISSPELT
    ]
    if not words:
        return None
    start, end = chance.choice(words)
    return unless_same(read.text[:start] + _slip(read.text[start:end], chance) + read.text[end:], read.text)


def case(augmenter: Augmenter, read: Read, chance: Random) -> Edit | None:
    """Sections of plain prose in capitals or in small letters; nothing changes."""
    change = chance.choice((str.upper, str.lower))
    pieces: list[str] = []
    at = 0
    for section in read.sections:
        if _PROSE.fullmatch(read.text, section.start, section.end):
            pieces += [read.text[at : section.start], change(read.text[section.start : section.end])]
            at = section.end
    return unless_same("".join([*pieces, read.text[at:]]), read.text)


def _with_words(augmenter: Augmenter, read: Read, chance: Random, change: Callable[[str], str]) -> Edit | None:
    words = list(_free_words(augmenter, read))
    if not words:
        return None
    text = read.text
    for start, end in sorted(chance.sample(words, max(1, round(_NOISED * len(words)))), reverse=True):
        text = text[:start] + change(text[start:end]) + text[end:]
    return unless_same(text, read.text)


def _free_words(augmenter: Augmenter, read: Read) -> Iterator[tuple[int, int]]:
    """Longer words in small letters that begin as no word of the lexicons does."""
    for said in read.sentences:
        taken = [(one.start, one.end) for one in said.mentions]
        for found in _WORD.finditer(read.text, said.start, said.end):
            word = found[0]
            free = len(word) >= _SHORTEST and word.islower() and word[:_STEM] not in augmenter.stems
            if free and not any(start < found.end() and found.start() < end for start, end in taken):
                yield found.span()


def _slip(word: str, chance: Random) -> str:
    """One letter left out, doubled, or exchanged with the next; not the first one."""
    at = chance.randrange(1, len(word) - 1)
    one, other = word[at], word[at + 1]
    return word[:at] + chance.choice((other, one * 2 + other, other + one)) + word[at + 2 :]


def stems(lexicons: RulesSchema) -> frozenset[str]:
    """The beginnings of all words of a schema's lexicons."""
    parts = (lexicons.lexicon, lexicons.cues, *lexicons.phrases.values())
    return frozenset(word[:_STEM] for part in parts for word in _LETTERS.findall(part.model_dump_json().lower()))
