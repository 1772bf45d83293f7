"""Names of people in the text of a report: by the header, by what stands beside them, by lists.

Dr. Anna Kowalska            a title                     and not "Hodgkin lymphoma", "Bell's palsy", "may represent"
Referring physician: Rose, J a role with a colon
discussed with Okafor        a cue, and no common word
J. R. Thibodeaux, MD         initials; letters after a name
Kowalska was informed        lists, and whatever was a name elsewhere in the report
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from corpora.deid.identity import Known, fold
from corpora.deid.listed import by_commas, by_lists
from corpora.deid.lists import Lists
from corpora.deid.named import by_header, of_other_scripts
from corpora.deid.scene import (
    Scene,
    Word,
    gap_after,
    is_eponym,
    is_part,
    is_plain,
    name_run,
    split_words,
    word_at,
    word_before,
)

_GENERIC: Final = frozenset({"with", "by", "per", "for", "from", "of", "to", "and", "called", "with the"})
_INITIALS: Final = re.compile(r"dict|trans|sign|typ|init|gez|read|repor|verif|dikt|appro|tech|prepar|edit|rt\b")
_FOOTER: Final = re.compile(
    r"(?m)(?:^[ \t]*|\d[ \t]+)(?P<phi>(?!PA|AP|LL|RL)[A-Z]{2,3}[/:](?!(?i:lat|ap|pa|l|hr|min)\b)[A-Za-z]{2,3})[ \t]*$"
)


_PARTS: Final = r"(?P<phi>[A-ZÀ-Þ][\w'\u2019-]+(?:,?[ \t]+[A-ZÀ-Þ][\w'\u2019-]*){1,3})"
_NUMBERS: Final = (
    r"MRN|(?:Patient|Pat\.?)[ -]?(?:ID|No|Nr)|ID|DOB|D\.O\.B|[Bb]orn|[Gg]eb(?:oren)?|n[ée]+ le|[Nn]acid[oa]"
)
_BEFORE_NUMBER: Final = re.compile(rf"(?m)^[ \t]*{_PARTS}[,;]?[ \t]+[(\[]?(?:{_NUMBERS})\b")
_BEHIND_DATE: Final = re.compile(rf"(?m)\d[ \t]+[-\u2013|][ \t]+{_PARTS}[ \t]*$")


def find_names(text: str, known: Iterable[Known], lists: Lists) -> Iterator[tuple[int, int]]:
    """Where names of people are in a text, each as start and end; neighbours are joined."""
    words = split_words(text)
    capitals = sum(word.is_upper for word in words)
    scene = Scene(text, fold(text), words, lists, len(words) > 8 and capitals > 0.6 * len(words), set())
    _by_titles(scene)
    _by_roles(scene)
    _by_cues(scene)
    _by_verbs(scene)
    _by_credentials(scene)
    _by_numbers(scene)
    by_lists(scene)
    by_commas(scene)
    by_header(scene, known)
    _elsewhere(scene)
    yield from _joined(scene)
    yield from ((match.start("phi"), match.end("phi")) for match in _FOOTER.finditer(text))
    yield from of_other_scripts(text, known)


#: MR, MS and DR in capitals are imaging, a disease and radiography, unless there is a full stop.
_ALSO_ACRONYMS: Final = ("mr", "ms", "dr", "pa", "pd", "me", "sir", "sr", "don", "fr", "oa", "ca")
#: Titles that are words, too.
_ALSO_WORDS: Final = (
    "me", "don", "pan", "fr", "sir", "ca", "oa", "pd", "mw", "major", "miss", "doctor", "nurse", "prim", "captain",
    "sister", "lord", "lady",
)  # fmt: skip


def _by_titles(scene: Scene) -> None:
    for at, word in enumerate(scene.words[:-1]):
        if word.folded not in scene.lists.titles or not word.is_capital:
            continue
        if not _is_title(scene, at) or scene.words[at + 1].folded in scene.lists.titles:
            continue
        run = name_run(scene, at + 1, strong=True, comma=True)
        scene.found.update(run)
        _and_more(scene, run, strong=word.folded == "drs")
    _by_short_titles(scene)


def _is_title(scene: Scene, at: int) -> bool:
    """Whether a word that may be a title is one here, by what stands behind it."""
    word, gap = scene.words[at], gap_after(scene, at)
    if not re.fullmatch(r"\.?[ \t]*\r?\n?[ \t]*|\.-[A-Z]?", gap) or not gap:
        return False
    acronym = word.is_upper and "." not in gap and word.folded in _ALSO_ACRONYMS
    if acronym and not (scene.shouted and word.folded == "dr"):
        return False
    return not (word.folded in _ALSO_WORDS and is_plain(scene, at + 1))


def _by_short_titles(scene: Scene) -> None:
    """Titles of a letter or three with a full stop: "M. Dupont", "Fam. Weber" and the like."""
    for match in re.finditer(r"(?<![\w.])(?:M\.|Fam\.|Hr\.|Fr\.|Pr\.|Pt\.)\s(?=[A-ZÀ-Þ][a-zà-ž])", scene.text):
        begins = word_at(scene, match.end())
        if begins is not None and not scene.lists.is_word(scene.words[begins].folded):
            scene.found.update(name_run(scene, begins, strong=True, comma=True))


def _by_roles(scene: Scene) -> None:
    for match in scene.lists.roles.finditer(scene.folded):
        after = re.compile(r"(?:\(s\)|/[A-Za-z]+)?\s?(?:name\b\s?)?[:=]\s*|\s+", re.IGNORECASE).match(
            scene.text, match.end()
        )
        if after is None:
            continue
        has_colon = ":" in after[0] or "=" in after[0]
        last = match[0].split()[-1]
        if not has_colon and last not in ("by", "von", "par", "por", "da", "door", "gez", "nee", "aka"):
            continue
        at = word_at(scene, after.end())
        if at is None:
            continue
        at = _past_titles(scene, at)
        run = name_run(scene, at, strong=True, comma=True)
        if not has_colon and run and scene.lists.is_word(scene.words[run[0]].folded):
            run = run if len(run) > 1 and not scene.words[run[0]].first else []
        if not run and at < len(scene.words):
            word = scene.words[at]
            is_initials = word.is_upper and 2 <= len(word.text) <= 4 and word.text not in scene.lists.credentials
            if is_initials and _INITIALS.search(match[0]) and word.folded not in scene.lists.common:
                run = [at]
        scene.found.update(run)
        _and_more(scene, run)


def _and_more(scene: Scene, run: Sequence[int], *, strong: bool = False) -> None:
    """Further names of a list: "cc: Weber, Okafor and Day"."""
    while run:
        at = run[-1] + 1
        if at >= len(scene.words) or not re.fullmatch(
            r",?[ \t]*(?:and|und|et|&|/|;|,)?[ \t]*", gap_after(scene, at - 1)
        ):
            return
        if scene.words[at].folded in ("and", "und", "et", "y", "e"):
            at += 1
        at = _past_titles(scene, at)
        if at >= len(scene.words) or (scene.lists.is_word(scene.words[at].folded) and not strong):
            return
        run = name_run(scene, at, strong=strong, comma=False)
        if is_eponym(scene, run):
            return
        scene.found.update(run)


def _past_titles(scene: Scene, at: int) -> int:
    while at < len(scene.words) and scene.words[at].folded in scene.lists.titles and "\n" not in gap_after(scene, at):
        at += 1
    return at


def _by_cues(scene: Scene) -> None:
    for match in scene.lists.cues.finditer(scene.folded):
        after = re.compile(r"[,:(]?\s+(?:(?:the|a|an|our|his|her|der|die|den)\s+)?(?:called\s|named\s)?[(\"“]?").match(
            scene.text, match.end()
        )
        if after is None:
            continue
        at = word_at(scene, after.end())
        if at is None:
            continue
        word = scene.words[at]
        generic = match[0] in _GENERIC
        if not word.is_capital or (word.is_initial and gap_after(scene, at) not in (". ", ".")):
            continue
        if (
            match[0] in ("patient", "nurse", "patientin")
            and word.folded in scene.lists.ordinary
            and not is_plain(scene, at)
        ):
            if not is_eponym(scene, [at]) and not word.first:
                scene.found.add(at)
            continue
        run = name_run(
            scene,
            at,
            strong=not generic
            and match[0].endswith(("named", "name is", "name was", "known as", "surname", "referring", "up with")),
            comma=not generic,
        )
        if not run or is_eponym(scene, run):
            continue
        if generic and not _fits_common_cue(scene, match[0], run, first=word.first):
            continue
        if not generic and _is_department(scene, run):
            continue
        scene.found.update(run)
        _and_more(scene, run)


def _heads(scene: Scene, run: Sequence[int]) -> list[Word]:
    return [scene.words[each] for each in run if not scene.words[each].is_initial]


def _fits_common_cue(scene: Scene, cue: str, run: Sequence[int], *, first: bool) -> bool:
    """Whether what follows a cue that is too common is a listed name, or looks like nothing else."""
    heads, lists = _heads(scene, run), scene.lists
    if any(lists.is_listed(each.folded) and not lists.is_word(each.folded) for each in heads):
        return True
    if any(each.is_upper or each.folded in lists.eponyms or len(each.folded) < 4 for each in heads):
        return False
    if cue not in ("by", "per", "with", "and") or scene.shouted or first:
        return False
    return not any(lists.is_word(each.folded) for each in heads) and not (cue != "by" and len(run) < 2)


def _is_department(scene: Scene, run: Sequence[int]) -> bool:
    """Whether it is the acronym of a department: these stand alone."""
    heads = _heads(scene, run)
    if not any(each.is_upper and not scene.lists.is_listed(each.folded) for each in heads):
        return False
    return len(heads) < 2 or any(len(each.text) < 4 for each in heads) or "," not in gap_after(scene, run[0])


_TOLD: Final = re.compile(
    r"[ \t]+(?:(?:was|were|is|has\sbeen|have\sbeen|wurde|a\sété|fue)\s(?:also\s|immediately\s|subsequently\s|then\s)?"
    r"(?:informed|notified|contacted|made\saware|aware|paged|called|consulted|telephoned|updated|reached|informiert|"
    r"verständigt|informé|informée|informado|informada)|acknowledged|verbalized|confirmed\sreceipt|read\sback)\b"
)


def _by_verbs(scene: Scene) -> None:
    """ "Kowalska was informed"."""
    for match in _TOLD.finditer(scene.text):
        at = word_before(scene, match.start())
        if at is None or not scene.words[at].is_capital or scene.words[at].end != match.start():
            continue
        run = [at]
        while (
            run[0] > 0
            and len(run) < 3
            and re.fullmatch(r"\.?[ \t]+|,[ \t]+", gap_after(scene, run[0] - 1))
            and is_part(scene, run[0] - 1, strong=False)
        ):
            run.insert(0, run[0] - 1)
        if is_part(scene, at, strong=True) and not (
            scene.words[at].is_upper and not scene.lists.is_listed(scene.words[at].folded)
        ):
            scene.found.update(run)


def _by_credentials(scene: Scene) -> None:
    pattern = "|".join(re.escape(each) for each in sorted(scene.lists.credentials, key=len, reverse=True))
    for match in re.finditer(rf",?[ \t]*\n?[ \t]*(?<=[\s,])(?:{pattern})(?![\w(])", scene.text):
        at = word_before(scene, match.start())
        run: list[int] = []
        while at is not None and at >= 0 and len(run) < 4:
            word = scene.words[at]
            last = run[0] if run else None
            if last is not None and not re.fullmatch(r"\.?[ \t]*\n?[ \t]*|,[ \t]*", gap_after(scene, at)):
                break
            if word.is_upper and len(word.text) < 5 and not scene.shouted and not scene.lists.is_listed(word.folded):
                break
            if word.folded in scene.lists.particles and run:
                pass
            elif not is_part(scene, at, strong=True) or (word.folded in scene.lists.common):
                break
            run.insert(0, at)
            at -= 1
        real = [each for each in run if not scene.words[each].is_initial]
        if real and not (
            match[0].strip(" ,\n") in ("II", "III", "IV", "DO", "MB", "MD", "NP", "RN")
            and "," not in match[0]
            and len(run) < 2
        ):
            if scene.lists.is_word(scene.words[real[-1]].folded) and len(run) < 2:
                continue
            scene.found.update(run)


def _by_numbers(scene: Scene) -> None:
    """ "Day, Josefina, MRN 790005419"; "Radiology - 06/30/2019 - Marsh, Beatrix": a line that says who it is about."""
    for pattern in (_BEFORE_NUMBER, _BEHIND_DATE):
        for match in pattern.finditer(scene.text):
            at = word_at(scene, match.start("phi"))
            run = name_run(scene, at, strong=True, comma=True) if at is not None else []
            if run and scene.words[run[-1]].end == match.end("phi"):
                scene.found.update(run)


def _elsewhere(scene: Scene) -> None:
    """What is a name in one place is one in the others, if it is nothing else."""
    lists, words = scene.lists, scene.words
    sure = {
        words[at].folded for at in scene.found
        if len(words[at].folded) > 2 and not lists.is_word(words[at].folded) and words[at].folded not in lists.particles
        and words[at].folded not in lists.eponyms
    }  # fmt: skip
    for at, word in enumerate(words):
        if at not in scene.found and word.folded in sure and word.is_capital and not is_eponym(scene, [at]):
            scene.found.add(at)


def _joined(scene: Scene) -> Iterator[tuple[int, int]]:
    """Spans of the words found; those beside each other are one."""
    start = end = -1
    for at in sorted(scene.found):
        word = scene.words[at]
        stop = word.end + (1 if word.is_initial and scene.text[word.end : word.end + 1] == "." else 0)
        if start >= 0 and re.fullmatch(r"\.?,?[ \t]*-?\r?\n?[ \t]*", scene.text[end : word.start]):
            end = stop
        else:
            if start >= 0:
                yield start, end
            start, end = word.start, stop
    if start >= 0:
        yield start, end
