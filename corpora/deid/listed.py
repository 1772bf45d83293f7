"""Names of people that stand alone: those in lists, with what is beside them, and initials with a name."""

from __future__ import annotations

import re
from typing import Final

from corpora.deid.lists import Lists
from corpora.deid.scene import LONGEST, Scene, Word, gap_after, is_eponym


def by_lists(scene: Scene) -> None:
    """Names that are in the lists."""
    lists = scene.lists
    for at, word in enumerate(scene.words):
        if at in scene.found or not word.is_capital:
            continue
        if word.is_initial:
            _initials(scene, at)
            continue
        listed = lists.is_listed(word.folded) or _all_listed(word, lists)
        if not listed:
            continue
        run = _listed_run(scene, at)
        plain = not lists.is_word(word.folded) and word.folded not in lists.eponyms
        if len(run) > 1 or (plain and not scene.shouted and not word.is_upper) or (plain and len(word.folded) > 5):
            sick = is_eponym(scene, run[:1]) or is_eponym(scene, run)
            scene.found.update(() if sick else run)


def by_commas(scene: Scene) -> None:
    """ "Marsh, Ambrose": a name that is listed, and what stands before or after a comma."""
    words, lists = scene.words, scene.lists
    for at in range(len(words) - 1):
        first, second = words[at], words[at + 1]
        if not (first.is_capital and second.is_capital) or not re.fullmatch(r",[ \t]*\n?[ \t]*", gap_after(scene, at)):
            continue
        if first.is_initial or second.is_initial or (first.is_upper and len(first.text) < 4) or is_eponym(scene, [at]):
            continue
        if (
            second.folded in lists.common
            or second.text in lists.credentials
            or first.folded in lists.common - lists.ordinary
        ):
            continue
        family = lists.is_listed(first.folded) or _all_listed(first, lists)
        by_family = family and not lists.is_word(first.folded) and first.folded not in lists.eponyms
        by_family = (
            by_family
            and not lists.is_word(second.folded)
            and second.is_upper == first.is_upper
            and len(second.text) > 2
        )
        by_given = (
            second.folded in lists.given
            and not lists.is_word(second.folded)
            and not lists.is_listed(first.folded + "s")
        )
        by_given = by_given and (not lists.is_word(first.folded) or first.folded in lists.ordinary)
        if by_family or by_given:
            scene.found.update((at, at + 1))


def _all_listed(word: Word, lists: Lists) -> bool:
    parts = word.folded.split("-")
    return (
        len(parts) > 1
        and all(lists.is_listed(part) for part in parts)
        and not all(part in lists.eponyms for part in parts)
    )


def _listed_run(scene: Scene, at: int) -> list[int]:
    """A listed name with the listed or unknown names beside it."""
    lists, words = scene.lists, scene.words
    run = [at]
    while run[-1] + 1 < len(words) and len(run) < LONGEST:
        gap, after = gap_after(scene, run[-1]), words[run[-1] + 1]
        joined = re.fullmatch(r"[ \t]*\n?[ \t]*|\.[ \t]", gap) is not None and gap != ""
        joined = joined and ("." not in gap or words[run[-1]].is_initial)
        comma = re.fullmatch(r",[ \t]*\n?[ \t]*", gap) is not None and len(run) == 1
        alike = after.is_upper == words[at].is_upper or after.is_initial
        over = _over_particles(scene, run[-1] + 1)
        if over is not None and joined and lists.is_listed(words[at].folded) and not lists.is_word(words[at].folded):
            run += range(run[-1] + 1, over + 1)
            continue
        if not after.is_capital or not (joined or (comma and words[at].folded in lists.family)):
            break
        is_name = lists.is_listed(after.folded) and after.folded not in lists.common
        if comma and not (after.folded in lists.given and after.folded not in lists.ordinary):
            break
        if after.is_initial and not (scene.text[after.end : after.end + 1] == "." and run[-1] + 2 < len(words)):
            break
        unknown = (
            words[at].folded in lists.given
            and words[at].folded not in lists.ordinary
            and not after.first
            and (not lists.is_word(after.folded) and not scene.shouted and "\n" not in gap and len(after.folded) > 2)
        )
        if not alike or not (is_name or after.is_initial or unknown):
            break
        if is_name and lists.is_word(words[at].folded) and lists.is_word(after.folded):
            break
        run.append(run[-1] + 1)
    while words[run[-1]].is_initial:
        run.pop()
    return run


def _over_particles(scene: Scene, at: int) -> int | None:
    """The capitalised word after one or two particles in lower case: the Meer of "van der Meer"."""
    words, start = scene.words, at
    while at < len(words) and at - start < 2 and words[at].folded in scene.lists.particles and not words[at].is_capital:
        if not re.fullmatch(r"[ \t]+", gap_after(scene, at)):
            return None
        at += 1
    ends = start < at < len(words) and words[at].is_capital and words[at].folded not in scene.lists.common
    return at if ends else None


def _initials(scene: Scene, at: int) -> None:
    """ "J. Thibodeaux", "J.R. Day": initials with full stops and a name."""
    lists, words, run = scene.lists, scene.words, [at]
    while run[-1] + 1 < len(words) and words[run[-1]].is_initial:
        if not re.fullmatch(r"\.[ \t]?\n?", gap_after(scene, run[-1])):
            return
        run.append(run[-1] + 1)
    last = words[run[-1]]
    if last.is_initial or not last.is_capital or (last.is_upper and not lists.is_listed(last.folded)):
        return
    several = len(run) > 2 and last.folded in lists.ordinary
    if (lists.is_word(last.folded) and not several) or last.folded in _SPECIES:
        return
    # a sentence may end in a letter: "hepatitis C. Otherwise"
    if (
        len(run) < 3
        and not lists.is_listed(last.folded)
        and gap_after(scene, at).strip() == "."
        and scene.words[at].first is False
        and last.first
    ):
        before = words[at - 1] if at else None
        if (
            before is not None
            and not before.is_capital
            and before.folded in ("hepatitis", "vitamin", "grade", "type", "class", "stage", "lobe", "view")
        ):
            return
    if not is_eponym(scene, run[-1:]):
        scene.found.update(run)


_SPECIES: Final = frozenset(
    "coli aureus avium pylori pneumoniae albicans difficile jirovecii jiroveci faecalis faecium kansasii abscessus"
    " fumigatus tuberculosis burgdorferi cepacia influenzae pyogenes epidermidis pestis anthracis psittaci".split()
)
