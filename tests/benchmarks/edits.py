"""Light edits of a sentence, as reports of one hospital differ from those of another: what makes a sentence new.

Each takes a sentence and a source of chance, and gives it back changed, or as it was where it has no place to act.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeVar

T = TypeVar("T")
Edit = Callable[[str, Random], str]

_SIDES: Final = (
    ("left", "right", "bilateral"),
    ("left-sided", "right-sided"),
    ("upper", "lower", "middle"),
    ("basilar", "apical", "basal", "perihilar"),
    ("anterior", "posterior", "lateral"),
)
_SYNONYMS: Final = (
    ("there is no", "no", "no evidence of", "there is no evidence of", "no sign of", "without", "negative for"),
    ("there is", "there is again", "again noted is", "note is made of", "redemonstration of"),
    ("seen", "noted", "identified", "visualized", "appreciated", "demonstrated", "present"),
    ("is seen", "is noted", "is present", "is identified", "is again seen"),
    ("heart size", "cardiac size", "cardiac silhouette", "heart", "heart shadow"),
    ("cardiac silhouette", "cardiomediastinal silhouette", "heart size", "cardiac contour"),
    ("normal", "unremarkable", "within normal limits", "normal in appearance", "not enlarged"),
    ("is normal", "is within normal limits", "appears normal", "remains normal", "is unremarkable"),
    ("are normal", "are within normal limits", "appear normal", "are unremarkable", "are stable"),
    ("clear", "well aerated", "clear bilaterally", "grossly clear", "without consolidation"),
    ("opacity", "opacification", "density", "airspace opacity", "infiltrate"),
    ("opacities", "opacifications", "densities", "airspace opacities", "infiltrates"),
    ("effusion", "fluid", "effusions", "fluid collection"),
    ("consolidation", "airspace disease", "airspace consolidation", "infiltrate", "air space opacity"),
    ("edema", "vascular congestion", "interstitial edema", "oedema"),
    ("atelectasis", "volume loss", "atelectatic change", "subsegmental atelectasis"),
    ("pneumothorax", "pneumothoraces", "PTX", "pleural air"),
    ("fracture", "fractures", "fracture deformity"),
    ("nodule", "nodular density", "nodular opacity", "mass"),
    ("acute", "active", "new", "acute or active"),
    ("disease", "process", "abnormality", "pathology", "finding"),
    ("unchanged", "stable", "similar", "not significantly changed", "as before"),
    ("degenerative changes", "spondylosis", "degenerative change", "degenerative disease"),
    ("spine", "thoracic spine", "visualized spine", "vertebral column"),
    ("osseous", "bony", "skeletal"),
    ("tip", "distal tip", "end"),
    ("in place", "in position", "in satisfactory position", "in stable position"),
    ("may represent", "could represent", "may reflect", "is compatible with", "suggests", "likely represents"),
    ("suggesting", "suggestive of", "consistent with", "concerning for", "in keeping with"),
    ("lungs", "both lungs", "lung fields", "the lungs"),
    ("large", "moderate", "small", "sizable", "tiny"),
    ("focal", "confluent", "discrete", "definite"),
    ("mediastinum", "mediastinal contour", "mediastinal contours"),
    ("chest", "thorax"),
)  # fmt: skip
_ADVERBS: Final = (
    "mildly", "minimally", "slightly", "moderately", "markedly", "grossly", "otherwise", "again", "also", "overall",
    "likely", "probably", "relatively", "somewhat", "essentially", "still", "diffusely", "clearly", "now", "only",
)  # fmt: skip
_ADJECTIVES: Final = (
    "mild", "minimal", "slight", "moderate", "marked", "stable", "persistent", "significant", "definite", "obvious",
    "large", "small", "subtle", "patchy", "diffuse", "chronic", "new", "old", "prominent", "apparent", "residual",
    "trace", "visible", "appreciable", "known", "possible", "scattered", "bilateral", "discrete", "layering",
)  # fmt: skip
_ADJECTIVE_PLACES: Final = re.compile(
    r"\b(?:normal|enlarged|clear|stable|unchanged|tortuous|elevated|prominent|degenerative|calcified|hyperinflated|"
    r"intact|unremarkable|hyperexpanded|ectatic|within normal limits)\b",
    re.IGNORECASE,
)
_NOUN_PLACES: Final = re.compile(
    r"\b(?:opacit\w+|effusions?|atelectasis|edema|consolidation|pneumothora\w+|nodules?|mass|fractures?|scarring|"
    r"disease|abnormalit\w+|densit\w+|changes?|infiltrates?|airspace|pleural|cardiomegaly|catheter|tube|granulomas?|"
    r"findings?)\b",
    re.IGNORECASE,
)
_LEAVING_OUT: Final = re.compile(
    rf"\b(?:the|a|an|is|are|{'|'.join((*_ADVERBS, *_ADJECTIVES))}|acute|focal|evidence of|there is|there are)\s+(?=\w)",
    re.IGNORECASE,
)
_OPENINGS: Final = (
    "Again, ", "In the interval, ", "On this view, ", "As before, ", "Compared to prior, ", "Of note, ", "Otherwise, ",
    "At this time, ", "Allowing for technique, ", "Given the low lung volumes, ", "On the lateral view, ",
    "On the frontal view, ", "Overall, ", "In addition, ", "Allowing for rotation, ", "As seen previously, ",
)  # fmt: skip
_ENDINGS: Final = (
    ", unchanged", " as before", " at this time", " on the current study", " since the prior study", ", new since ___",
    " compared to ___", ", as seen on the CT of ___", " in the interval", " on this view", ", stable from ___",
    " on today's examination", " bilaterally", " on either side", ", better seen on the lateral view",
    " in this patient with ___", ", given differences in technique", " on this portable film", ", similar to prior",
    " by radiograph", " with the patient rotated", ", although the apex is excluded", " since ___",
)  # fmt: skip
_MEASURED: Final = re.compile(
    r"\b(?:nodule|mass|opacity|density|granuloma|pneumothorax|effusion|lesion|tip|tube|catheter|fracture|scoliosis)\b",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")
_MASK: Final = re.compile(r"XXXX")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z'-]*")
_LIST: Final = re.compile(r"\b([a-z]+(?: [a-z]+)?)(, | and | or |, or )([a-z]+(?: [a-z]+)?)\b", re.IGNORECASE)


def _pick(choices: Sequence[T], chance: Random) -> T:
    return choices[int(chance.random() * len(choices))]


def _alternatives(groups: Sequence[tuple[str, ...]]) -> tuple[re.Pattern[str], dict[str, tuple[str, ...]]]:
    """A pattern of all the phrases of ``groups``, and for each of them the others of its groups."""
    others: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for phrase in group:
            key = phrase.lower()
            others[key] = others.get(key, ()) + tuple(other for other in group if other != phrase)
    longest_first = sorted(others, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"\b(?:{'|'.join(longest_first)})\b", re.IGNORECASE), others


_SIDE, _OTHER_SIDES = _alternatives(_SIDES)
_SYNONYM, _OTHER_WORDS = _alternatives(_SYNONYMS)


def _in_case_of(new: str, old: str) -> str:
    return new[:1].upper() + new[1:] if old[:1].isupper() else new


def _one_of(found: list[re.Match[str]], sentence: str, new: Callable[[str], str], chance: Random) -> str:
    """``sentence`` with one of the matches replaced."""
    if not found:
        return sentence
    match = _pick(found, chance)
    return sentence[: match.start()] + new(match[0]) + sentence[match.end() :]


def side(sentence: str, chance: Random) -> str:
    """Another side, lobe or region."""
    found = list(_SIDE.finditer(sentence))
    return _one_of(found, sentence, lambda old: _in_case_of(_pick(_OTHER_SIDES[old.lower()], chance), old), chance)


def synonym(sentence: str, chance: Random) -> str:
    """Another word or phrase of the same kind."""
    found = list(_SYNONYM.finditer(sentence))
    return _one_of(found, sentence, lambda old: _in_case_of(_pick(_OTHER_WORDS[old.lower()], chance), old), chance)


def number(sentence: str, chance: Random) -> str:
    """Another number; a size, where something can be measured and has none."""
    found = list(_NUMBER.finditer(sentence))
    if found:
        return _one_of(found, sentence, lambda old: str(1 + int(chance.random() * 40)), chance)
    size = f"{1 + int(chance.random() * 40)} mm"
    if chance.random() < 0.5:
        size = f"{int(chance.random() * 9)}.{1 + int(chance.random() * 9)} cm"
    return _one_of(list(_MEASURED.finditer(sentence)), sentence, lambda old: f"{size} {old}", chance)


def word_in(sentence: str, chance: Random) -> str:
    """One more adverb before an adjective, or adjective before a noun."""
    places, words = (_ADJECTIVE_PLACES, _ADVERBS) if chance.random() < 0.4 else (_NOUN_PLACES, _ADJECTIVES)
    found = [match for match in places.finditer(sentence) if match.start()]
    return _one_of(found, sentence, lambda old: f"{_pick(words, chance)} {old}", chance)


def word_out(sentence: str, chance: Random) -> str:
    """An article, verb, adverb or adjective less."""
    shorter = _one_of(list(_LEAVING_OUT.finditer(sentence)), sentence, lambda old: "", chance)
    return _in_case_of(shorter, sentence)


def list_turned(sentence: str, chance: Random) -> str:
    """Two neighbours in a list change places."""
    match = _LIST.search(sentence, int(chance.random() * len(sentence) / 2))
    if match is None:
        return sentence
    first, join, second = match.groups()
    turned = f"{_in_case_of(second.lower(), first)}{join}{first.lower()}"
    return sentence[: match.start()] + turned + sentence[match.end() :]


def mask(sentence: str, chance: Random) -> str:
    """A mask as MIMIC-CXR writes it, in place of Open-i's or of a number."""
    found = list(_MASK.finditer(sentence)) or list(_NUMBER.finditer(sentence))
    return _one_of(found, sentence, lambda old: "___", chance)


def framed(sentence: str, chance: Random) -> str:
    """Something put before or after the statement."""
    if chance.random() < 0.35:
        capitalized = sentence[1:2].islower()
        return _pick(_OPENINGS, chance) + (sentence[:1].lower() if capitalized else sentence[:1]) + sentence[1:]
    body = sentence.rstrip(".")
    return body + _pick(_ENDINGS, chance) + sentence[len(body) :]


def case(sentence: str, chance: Random) -> str:
    """Dictated without capitals, or typed in nothing else."""
    how = chance.random()
    if how < 0.5:
        return sentence.lower()
    return sentence.upper() if how < 0.8 else sentence.title()


def typing_error(sentence: str, chance: Random) -> str:
    """A letter left out of a long word, doubled, or in the place of its neighbour."""

    def mistyped(word: str) -> str:
        at = 1 + int(chance.random() * (len(word) - 2))
        letters = ("", word[at] * 2, word[at + 1] + word[at])
        which = int(chance.random() * 3)
        return word[:at] + letters[which] + word[at + 1 + (which == 2) :]

    return _one_of([word for word in _WORD.finditer(sentence) if len(word[0]) > 5], sentence, mistyped, chance)


def words_swapped(sentence: str, chance: Random) -> str:
    """Two neighbouring words change places, as they do in dictation corrected in haste."""
    words = sentence.split(" ")
    if len(words) < 4:
        return sentence
    at = 1 + int(chance.random() * (len(words) - 3))
    words[at], words[at + 1] = words[at + 1], words[at]
    return " ".join(words)


#: Every edit with how often it is made, relative to the others.
EDITS: Final[tuple[tuple[Edit, int], ...]] = (
    (synonym, 30), (word_in, 18), (framed, 14), (side, 12), (word_out, 8), (number, 8), (list_turned, 4), (mask, 3),
    (case, 2), (typing_error, 2), (words_swapped, 1),
)  # fmt: skip
_URN: Final[tuple[Edit, ...]] = tuple(edit for edit, times in EDITS for _ in range(times))


def edited(sentence: str, chance: Random, times: int) -> str:
    """``sentence`` after ``times`` edits that changed it, or fewer where the ones drawn have no place to act."""
    for _ in range(times):
        before = sentence
        for _ in range(4):
            sentence = _pick(_URN, chance)(before, chance)
            if sentence != before:
                break
    return sentence
