"""Names of people in the text of a report: by the header, by what stands beside them, by lists.

Dr. Anna Kowalska            a title                     and not "Hodgkin lymphoma", "Bell's palsy", "may represent"
Referring physician: Rose, J a role with a colon
discussed with Okafor        a cue, and no common word
J. R. Thibodeaux, MD         initials; letters after a name
Kowalska was informed        lists, and whatever was a name elsewhere in the report
"""

# ruff: noqa: RUF001 - apostrophes and hyphens as they are printed
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from corpora.deid.identity import Known, fold
from corpora.deid.lists import Lists

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’`´\-‐‑][^\W\d_]+)*")
_GAP: Final = re.compile(r"[ \t]+|[ \t]*-?\r?\n[ \t]*|\.[ \t]?|\.?,?[ \t]*\r?\n?[ \t]*")
_UMLAUTS: Final = (("ä", "ae"), ("ö", "oe"), ("ü", "ue"), ("ß", "ss"), ("ø", "oe"), ("å", "aa"), ("æ", "ae"))
_GENERIC: Final = frozenset({"with", "by", "per", "for", "from", "of", "to", "and", "called", "with the"})
_INITIALS: Final = re.compile(r"dict|trans|sign|typ|init|gez|read|repor|verif|dikt|appro|tech|prepar|edit|rt\b")
_FOOTER: Final = re.compile(
    r"(?m)(?:^[ \t]*|\d[ \t]+)(?P<phi>(?!PA|AP|LL|RL)[A-Z]{2,3}[/:](?!(?i:lat|ap|pa|l|hr|min)\b)[A-Za-z]{2,3})[ \t]*$"
)
_LONGEST: Final = 5
_VOWELS: Final = frozenset("aeiouy")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the text: folded, without a possessive ending; ``end`` is before that."""

    start: int
    end: int
    text: str
    folded: str
    first: bool
    tied: bool

    @property
    def is_capital(self) -> bool:
        return self.text[0].isupper()

    @property
    def is_upper(self) -> bool:
        return len(self.text) > 1 and self.text.isupper()

    @property
    def is_initial(self) -> bool:
        return len(self.text) == 1 and self.text.isupper() and not self.tied


@dataclass(slots=True)
class _Scene:
    text: str
    folded: str
    words: Sequence[Word]
    lists: Lists
    shouted: bool
    found: set[int]


def find_names(text: str, known: Iterable[Known], lists: Lists) -> Iterator[tuple[int, int]]:
    """Where names of people are in a text, each as start and end; neighbours are joined."""
    words = _split(text)
    capitals = sum(word.is_upper for word in words)
    scene = _Scene(text, fold(text), words, lists, len(words) > 8 and capitals > 0.6 * len(words), set())
    _by_titles(scene)
    _by_roles(scene)
    _by_cues(scene)
    _by_verbs(scene)
    _by_credentials(scene)
    _by_lists(scene)
    _by_commas(scene)
    _by_header(scene, known)
    _elsewhere(scene)
    yield from _joined(scene)
    yield from ((match.start("phi"), match.end("phi")) for match in _FOOTER.finditer(text))
    yield from _of_other_scripts(text, known)


def _split(text: str) -> list[Word]:
    words: list[Word] = []
    for match in _WORD.finditer(text):
        spelled, start = match[0], match.start()
        bare = re.sub(r"['’`´][sS]$", "", spelled)
        before = text[:start].rstrip(" \t\"'“‘(*-#>")[-1:]
        words.append(
            Word(
                start,
                start + len(bare),
                bare,
                fold(bare),
                before in ("", ".", "!", "?", ":", ";", "\n", "\r"),
                _is_tied(text, start),
            )
        )
    return words


def _is_tied(text: str, start: int) -> bool:
    """Whether a word is the end of something else: the B of 48213-B."""
    if text[start : start + 2].rstrip() in ("T", "T.", "T,") and re.search(r"\d[ ]?$", text[max(0, start - 2) : start]):
        # tesla
        return True
    return start > 0 and (
        text[start - 1].isdigit() or (text[start - 1] in "-/_+" and text[start - 2 : start - 1].isalnum())
    )


# Runs of words that make a name


def _gap(scene: _Scene, at: int) -> str:
    """What is between a word and the next one."""
    if at + 1 >= len(scene.words):
        return "|"
    return scene.text[scene.words[at].end : scene.words[at + 1].start]


def _is_part(scene: _Scene, at: int, *, strong: bool) -> bool:
    """Whether a word can be a part of a name, by itself."""
    word, lists = scene.words[at], scene.lists
    if (
        word.text in lists.credentials
        or word.folded in lists.titles
        or (len(word.text) > 1 and not word.folded.strip("x-"))
    ):
        return False
    if word.is_initial:
        return True
    if not word.is_capital:
        return False
    if strong and word.folded in lists.ordinary:
        return True
    if word.folded in lists.common:
        return False
    if any(part in lists.common for part in word.folded.split("-") if len(part) > 3) and not lists.is_listed(
        word.folded
    ):
        return False
    return strong or not lists.is_word(word.folded) or lists.is_listed(word.folded)


def _run(scene: _Scene, at: int, *, strong: bool, comma: bool) -> list[int]:
    """The words of a name that begins at a word; none if it does not."""
    run: list[int] = []
    while at < len(scene.words) and len(run) < _LONGEST:
        word = scene.words[at]
        if word.folded in scene.lists.particles and not _stands_alone(scene, at):
            if not run and not word.is_capital and not strong:
                break
        elif not (_is_part(scene, at, strong=strong) or _after_given(scene, at, run)) or (
            run and not _goes_on(scene, at, run)
        ):
            break
        run.append(at)
        gap = _gap(scene, at)
        has_comma = "," in gap
        if has_comma and (not comma or not _is_given(scene, at + 1, strong)):
            break
        comma = comma and not has_comma
        if not _GAP.fullmatch(gap) or gap.count("\n") > 1:
            break
        if "." in gap and not word.is_initial and word.folded not in ("st", "jr", "sr"):
            break
        at += 1
    while run and scene.words[run[-1]].folded in scene.lists.particles and not scene.words[run[-1]].is_capital:
        run.pop()
    real = [each for each in run if not scene.words[each].is_initial]
    if not real and not (len(run) > 1):
        return []
    return run


def _after_given(scene: _Scene, at: int, run: Sequence[int]) -> bool:
    """Whether an ordinary word follows a given name that is none: "Anna Long"."""
    word, lists = scene.words[at], scene.lists
    before = scene.words[run[-1]] if run else None
    if (
        before is None
        or not word.is_capital
        or word.is_upper
        or word.folded not in lists.ordinary
        or word.folded in _BODY
    ):
        return False
    return (
        before.is_initial
        or (not lists.is_word(before.folded) and "\n" not in _gap(scene, at - 1))
        or (before.folded in lists.given and not lists.is_word(before.folded) and word.folded not in _SIZES)
    )


def _stands_alone(scene: _Scene, at: int) -> bool:
    """Whether a particle is not followed by what it is a particle of."""
    return (
        at + 1 >= len(scene.words)
        or (not scene.words[at + 1].is_capital and (scene.words[at + 1].folded not in scene.lists.particles))
        or not re.fullmatch(r"[ \t\n'’.]+", _gap(scene, at))
    )


def _goes_on(scene: _Scene, at: int, run: Sequence[int]) -> bool:
    """Whether a further word belongs to a name: it looks like the ones before, and begins no line of its own."""
    word, before, lists = scene.words[at], scene.words[run[-1]], scene.lists
    gap = _gap(scene, at - 1)
    if scene.text[word.end : word.end + 1] == ":":
        return False
    if word.is_initial:
        # a side, a grade, the next sentence
        return "\n" not in gap and scene.text[word.end : word.end + 1] in (".", "", "\n", ",", " ", ")")
    if "\n" in gap and "," not in gap and not gap.startswith("-") and lists.is_word(word.folded):
        # the next line, unless nothing else is on it
        ends = re.match(r"[\n,.;:()]|\s*$", scene.text[word.end :])
        follows = before.folded in lists.given and word.folded in lists.ordinary - _BODY - _SIZES
        if not (word.folded in lists.ordinary and ends) and not lists.is_listed(word.folded) and not follows:
            return False
    if lists.is_word(word.folded) and not lists.is_listed(word.folded) and word.folded not in lists.ordinary:
        return False
    initials = scene.words[run[-1]].is_initial
    if (
        word.folded in lists.ordinary
        and not lists.is_listed(word.folded)
        and len(run) > 1
        and "," not in gap
        and not initials
    ):
        return False
    if _is_eponym(scene, [at]):
        return False
    if scene.shouted and not before.is_initial and "," not in gap:
        return lists.is_listed(word.folded) or (len(run) == 1 and not lists.is_word(word.folded))
    return not (word.is_upper and not before.is_upper and not before.is_initial and len(word.text) <= 4)


def _is_given(scene: _Scene, at: int, strong: bool) -> bool:
    """Whether what follows a comma can be a given name."""
    if at >= len(scene.words):
        return False
    word, lists = scene.words[at], scene.lists
    if word.text in lists.credentials:
        return False
    if word.folded in lists.given or (word.is_initial and scene.text[word.end : word.end + 1] in (".", "", " ", "\n")):
        return word.is_capital
    alike = not word.is_upper or scene.words[at - 1].is_upper
    return strong and word.is_capital and alike and (not lists.is_word(word.folded) or word.folded in lists.ordinary)


def _is_eponym(scene: _Scene, run: Sequence[int]) -> bool:
    """Whether this is the name of a disease, a sign, a device and not of a person."""
    words, lists = scene.words, scene.lists
    if not run:
        return True
    if not all(_is_medical(words[at].folded, lists) for at in run):
        return False
    after = run[-1] + 1
    if after < len(words) and re.fullmatch(r"['’]?s?[ \t\n/-]+", scene.text[words[run[-1]].end : words[after].start]):
        broken = "\n" in scene.text[words[run[-1]].end : words[after].start]
        if (words[after].folded in lists.heads and not (broken and len(words[after].text) < 3)) or (
            words[after].folded in lists.eponyms and not broken
        ):
            return True
        if any(part in lists.heads for part in words[after].folded.split("-")):
            return True
    before = scene.text[max(0, words[run[0]].start - 5) : words[run[0]].start].lower()
    return before.endswith(("non-", "non ", "anti-", "post-"))


def _is_medical(word: str, lists: Lists) -> bool:
    first, *rest = word.split("-")
    if word in lists.eponyms:
        return True
    return first in lists.eponyms and bool(rest) and all(part in lists.eponyms or part in lists.heads for part in rest)


# Rules


def _by_titles(scene: _Scene) -> None:
    for at, word in enumerate(scene.words[:-1]):
        if word.folded not in scene.lists.titles or not word.is_capital:
            continue
        gap = _gap(scene, at)
        if not re.fullmatch(r"\.?[ \t]*\r?\n?[ \t]*|\.-[A-Z]?", gap) or not gap:
            continue
        # MR, MS and DR in capitals are imaging, a disease and radiography, unless there is a full stop
        if (
            word.is_upper
            and "." not in gap
            and word.folded in ("mr", "ms", "dr", "pa", "pd", "me", "sir", "sr", "don", "fr", "oa", "ca")
        ) and not (scene.shouted and word.folded == "dr"):
            continue
        if word.folded in (
            "me",
            "don",
            "pan",
            "fr",
            "sir",
            "ca",
            "oa",
            "pd",
            "mw",
            "major",
            "miss",
            "doctor",
            "nurse",
            "prim",
            "captain",
            "sister",
            "lord",
            "lady",
        ) and (_is_plain(scene, at + 1)):
            continue
        if scene.words[at + 1].folded in scene.lists.titles:
            continue
        run = _run(scene, at + 1, strong=True, comma=True)
        scene.found.update(run)
        _and_more(scene, run, strong=word.folded == "drs")
    # "M. Dupont", "Fam. Weber"
    for match in re.finditer(r"(?<![\w.])(?:M\.|Fam\.|Hr\.|Fr\.|Pr\.|Pt\.)\s(?=[A-ZÀ-Þ][a-zà-ž])", scene.text):
        begins = _at(scene, match.end())
        if begins is not None and not scene.lists.is_word(scene.words[begins].folded):
            scene.found.update(_run(scene, begins, strong=True, comma=True))


def _is_plain(scene: _Scene, at: int) -> bool:
    """Whether a word is one of the language and not even an ordinary name."""
    folded, lists = scene.words[at].folded, scene.lists
    if lists.is_listed(folded) or (folded in lists.ordinary and folded not in _BODY and not scene.shouted):
        return False
    return lists.is_word(folded)


_SIZES: Final = frozenset("small large long short little low high good best strong mild old new".split())
_BODY: Final = frozenset("hand hands head chest heart lung line lines drain large low high case post cross".split())


def _by_roles(scene: _Scene) -> None:
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
        at = _at(scene, after.end())
        if at is None:
            continue
        at = _past_titles(scene, at)
        run = _run(scene, at, strong=True, comma=True)
        if not has_colon and run and scene.lists.is_word(scene.words[run[0]].folded):
            run = run if len(run) > 1 and not scene.words[run[0]].first else []
        if not run and at < len(scene.words):
            word = scene.words[at]
            is_initials = word.is_upper and 2 <= len(word.text) <= 4 and word.text not in scene.lists.credentials
            if is_initials and _INITIALS.search(match[0]) and word.folded not in scene.lists.common:
                run = [at]
        scene.found.update(run)
        _and_more(scene, run)


def _and_more(scene: _Scene, run: Sequence[int], *, strong: bool = False) -> None:
    """Further names of a list: "cc: Weber, Okafor and Day"."""
    while run:
        at = run[-1] + 1
        if at >= len(scene.words) or not re.fullmatch(r",?[ \t]*(?:and|und|et|&|/|;|,)?[ \t]*", _gap(scene, at - 1)):
            return
        if scene.words[at].folded in ("and", "und", "et", "y", "e"):
            at += 1
        at = _past_titles(scene, at)
        if at >= len(scene.words) or (scene.lists.is_word(scene.words[at].folded) and not strong):
            return
        run = _run(scene, at, strong=strong, comma=False)
        if _is_eponym(scene, run):
            return
        scene.found.update(run)


def _past_titles(scene: _Scene, at: int) -> int:
    while at < len(scene.words) and scene.words[at].folded in scene.lists.titles and "\n" not in _gap(scene, at):
        at += 1
    return at


def _by_cues(scene: _Scene) -> None:
    for match in scene.lists.cues.finditer(scene.folded):
        after = re.compile(r"[,:(]?\s+(?:(?:the|a|an|our|his|her|der|die|den)\s+)?(?:called\s|named\s)?[(\"“]?").match(
            scene.text, match.end()
        )
        if after is None:
            continue
        at = _at(scene, after.end())
        if at is None:
            continue
        word = scene.words[at]
        generic = match[0] in _GENERIC
        if not word.is_capital or (word.is_initial and _gap(scene, at) not in (". ", ".")):
            continue
        if (
            match[0] in ("patient", "nurse", "patientin")
            and word.folded in scene.lists.ordinary
            and not _is_plain(scene, at)
        ):
            if not _is_eponym(scene, [at]) and not word.first:
                scene.found.add(at)
            continue
        run = _run(
            scene,
            at,
            strong=not generic
            and match[0].endswith(("named", "name is", "name was", "known as", "surname", "referring", "up with")),
            comma=not generic,
        )
        if not run or _is_eponym(scene, run):
            continue
        heads = [scene.words[each] for each in run if not scene.words[each].is_initial]
        lists = scene.lists
        if generic:
            # too common: what follows must be a listed name, or look like nothing else
            if not any(lists.is_listed(each.folded) and not lists.is_word(each.folded) for each in heads):
                if any(each.is_upper or each.folded in lists.eponyms or len(each.folded) < 4 for each in heads):
                    continue
                if match[0] not in ("by", "per", "with", "and") or scene.shouted or word.first:
                    continue
                if any(lists.is_word(each.folded) for each in heads):
                    continue
                if match[0] in ("with", "and", "per") and len(run) < 2:
                    continue
        elif any(each.is_upper and not lists.is_listed(each.folded) for each in heads):
            # acronyms of departments stand alone
            alone = len(heads) < 2 or any(len(each.text) < 4 for each in heads) or "," not in _gap(scene, run[0])
            if alone:
                continue
        scene.found.update(run)
        _and_more(scene, run)


_TOLD: Final = re.compile(
    r"[ \t]+(?:(?:was|were|is|has\sbeen|have\sbeen|wurde|a\sété|fue)\s(?:also\s|immediately\s|subsequently\s|then\s)?"
    r"(?:informed|notified|contacted|made\saware|aware|paged|called|consulted|telephoned|updated|reached|informiert|"
    r"verständigt|informé|informée|informado|informada)|acknowledged|verbalized|confirmed\sreceipt|read\sback)\b"
)


def _by_verbs(scene: _Scene) -> None:
    """ "Kowalska was informed"."""
    for match in _TOLD.finditer(scene.text):
        at = _before(scene, match.start())
        if at is None or not scene.words[at].is_capital or scene.words[at].end != match.start():
            continue
        run = [at]
        while (
            run[0] > 0
            and len(run) < 3
            and re.fullmatch(r"\.?[ \t]+|,[ \t]+", _gap(scene, run[0] - 1))
            and _is_part(scene, run[0] - 1, strong=False)
        ):
            run.insert(0, run[0] - 1)
        if _is_part(scene, at, strong=True) and not (
            scene.words[at].is_upper and not scene.lists.is_listed(scene.words[at].folded)
        ):
            scene.found.update(run)


def _by_credentials(scene: _Scene) -> None:
    pattern = "|".join(re.escape(each) for each in sorted(scene.lists.credentials, key=len, reverse=True))
    for match in re.finditer(rf",?[ \t]*\n?[ \t]*(?<=[\s,])(?:{pattern})(?![\w(])", scene.text):
        at = _before(scene, match.start())
        run: list[int] = []
        while at is not None and at >= 0 and len(run) < 4:
            word = scene.words[at]
            last = run[0] if run else None
            if last is not None and not re.fullmatch(r"\.?[ \t]*\n?[ \t]*|,[ \t]*", _gap(scene, at)):
                break
            if word.is_upper and len(word.text) < 5 and not scene.shouted and not scene.lists.is_listed(word.folded):
                break
            if word.folded in scene.lists.particles and run:
                pass
            elif not _is_part(scene, at, strong=True) or (word.folded in scene.lists.common):
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


def _by_lists(scene: _Scene) -> None:
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
            sick = _is_eponym(scene, run[:1]) or _is_eponym(scene, run)
            scene.found.update(() if sick else run)


def _by_commas(scene: _Scene) -> None:
    """ "Marsh, Ambrose": a name that is listed, and what stands before or after a comma."""
    words, lists = scene.words, scene.lists
    for at in range(len(words) - 1):
        first, second = words[at], words[at + 1]
        if not (first.is_capital and second.is_capital) or not re.fullmatch(r",[ \t]*\n?[ \t]*", _gap(scene, at)):
            continue
        if first.is_initial or second.is_initial or (first.is_upper and len(first.text) < 4) or _is_eponym(scene, [at]):
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


def _listed_run(scene: _Scene, at: int) -> list[int]:
    """A listed name with the listed or unknown names beside it."""
    lists, words = scene.lists, scene.words
    run = [at]
    while run[-1] + 1 < len(words) and len(run) < _LONGEST:
        gap, after = _gap(scene, run[-1]), words[run[-1] + 1]
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


def _over_particles(scene: _Scene, at: int) -> int | None:
    """The capitalised word after one or two particles in lower case: the Meer of "van der Meer"."""
    words, start = scene.words, at
    while at < len(words) and at - start < 2 and words[at].folded in scene.lists.particles and not words[at].is_capital:
        if not re.fullmatch(r"[ \t]+", _gap(scene, at)):
            return None
        at += 1
    ends = start < at < len(words) and words[at].is_capital and words[at].folded not in scene.lists.common
    return at if ends else None


def _initials(scene: _Scene, at: int) -> None:
    """ "J. Thibodeaux", "J.R. Day": initials with full stops and a name."""
    lists, words, run = scene.lists, scene.words, [at]
    while run[-1] + 1 < len(words) and words[run[-1]].is_initial:
        if not re.fullmatch(r"\.[ \t]?\n?", _gap(scene, run[-1])):
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
        and _gap(scene, at).strip() == "."
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
    if not _is_eponym(scene, run[-1:]):
        scene.found.update(run)


_SPECIES: Final = frozenset(
    "coli aureus avium pylori pneumoniae albicans difficile jirovecii jiroveci faecalis faecium kansasii abscessus"
    " fumigatus tuberculosis burgdorferi cepacia influenzae pyogenes epidermidis pestis anthracis psittaci".split()
)


def _by_header(scene: _Scene, known: Iterable[Known]) -> None:
    names = _header_words(known)
    if not names:
        return
    words, lists = scene.words, scene.lists
    hits = {at for at, word in enumerate(words) if _is_hit(word, names)}
    for at in range(len(words) - 1):
        if re.fullmatch(r"[-­]?[ \t]*\r?\n[ \t]*", _gap(scene, at)) and words[at].folded + words[at + 1].folded in names:
            scene.found.update((at, at + 1))
    for at in sorted(hits):
        word = words[at]
        beside = {at - 1, at + 1} & (hits | scene.found)
        beside = {each for each in beside if re.fullmatch(r"\.?,?[ \t]*-?\n?[ \t]*", _gap(scene, min(at, each)))}
        odd = lists.is_word(word.folded) or word.folded in lists.eponyms or len(word.folded) < 3
        if _is_eponym(scene, [at]):
            continue
        if not odd or (beside and word.is_capital):
            scene.found.add(at)
            _with_initials(scene, at)
        elif word.is_capital and word.first and at + 1 < len(words) and words[at + 1].folded in _DOES:
            scene.found.add(at)
        elif word.is_capital and not word.first and not scene.shouted and len(word.folded) > 2:
            before = words[at - 1].folded if at else ""
            if word.folded not in lists.eponyms or before not in (
                "of",
                "with",
                "known",
                "for",
                "non",
                "previous",
                "prior",
            ):
                scene.found.add(at)


#: What a person does; a thing that is called the same seldom does.
_DOES: Final = frozenset(
    "was is has had presents presented reports reported denies complains complained came underwent returned states"
    " stated tolerated walked fell lives says said called asked".split()
)


def _is_hit(word: Word, names: frozenset[str]) -> bool:
    if word.folded in names:
        return True
    return "-" in word.folded and any(part in names and len(part) > 3 for part in word.folded.split("-"))


def _with_initials(scene: _Scene, at: int) -> None:
    """The initials beside a name of the header."""
    words = scene.words
    for step in (-1, 1):
        beside = at + step
        while 0 <= beside < len(words) and words[beside].is_initial:
            gap = _gap(scene, min(beside, beside - step))
            if not re.fullmatch(r"\.?,?[ \t]?", gap) or (
                step > 0 and scene.text[words[beside].end : words[beside].end + 1] not in (".", ",", "", "\n", " ")
            ):
                break
            if step < 0 and "." not in gap and words[beside].folded == "a":
                break
            scene.found.add(beside)
            beside += step


def _header_words(known: Iterable[Known]) -> frozenset[str]:
    """The folded words of the names of a header, with umlauts written out and not."""
    words: set[str] = set()
    for each in known:
        if each.category != "NAME":
            continue
        for part in re.split(r"[\^=,;\s.()]+", each.value):
            bare = part.strip("'’\"")
            if len(bare) < 2 or bare.upper() in _TITLES:
                continue
            for variant in _variants(bare):
                words.add(variant)
                words.update(piece for piece in re.split(r"[-‐‑]", variant) if len(piece) > 2)
    return frozenset(words)


_TITLES: Final = frozenset({"DR", "MD", "PROF", "MR", "MRS", "MS", "JR", "SR", "II", "III", "PHD", "RT", "RN", "DO", "VON", "VAN", "DE",  # noqa: E501
                            "DER", "DEN", "LA", "DEL", "UND", "AND", "OF"})  # fmt: skip


def _variants(name: str) -> set[str]:
    written, lowered = name.lower(), fold(name)
    for umlaut, letters in _UMLAUTS:
        written = written.replace(umlaut, letters)
    bare = lowered
    for _, letters in _UMLAUTS[:3]:
        bare = bare.replace(letters, letters[0])
    return {lowered, fold(written), bare, lowered.replace("'", "’"), lowered.replace("’", "'")}


def _elsewhere(scene: _Scene) -> None:
    """What is a name in one place is one in the others, if it is nothing else."""
    lists, words = scene.lists, scene.words
    sure = {
        words[at].folded for at in scene.found
        if len(words[at].folded) > 2 and not lists.is_word(words[at].folded) and words[at].folded not in lists.particles
        and words[at].folded not in lists.eponyms
    }  # fmt: skip
    for at, word in enumerate(words):
        if at not in scene.found and word.folded in sure and word.is_capital and not _is_eponym(scene, [at]):
            scene.found.add(at)


def _joined(scene: _Scene) -> Iterator[tuple[int, int]]:
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


def _of_other_scripts(text: str, known: Iterable[Known]) -> Iterator[tuple[int, int]]:
    """Names that are not written in Latin letters: wherever they stand, for such scripts have no blanks."""
    for each in known:
        if each.category != "NAME" or each.value.isascii():
            continue
        for part in re.split(r"[\^=,;\s.]+", each.value):
            if len(part) > 1 and all(ord(char) > 0x2E80 for char in part):
                yield from ((match.start(), match.end()) for match in re.finditer(re.escape(part), text))


def _at(scene: _Scene, place: int) -> int | None:
    """The word that begins at a place."""
    from bisect import bisect_left

    at = bisect_left(scene.words, place, key=lambda word: word.start)
    return at if at < len(scene.words) and scene.words[at].start == place else None


def _before(scene: _Scene, place: int) -> int | None:
    from bisect import bisect_right

    at = bisect_right(scene.words, place, key=lambda word: word.end) - 1
    return at if at >= 0 and scene.text[scene.words[at].end : place].strip(" .,\n\t") == "" else None
