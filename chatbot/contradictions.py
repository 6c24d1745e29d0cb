"""Do two passages contradict each other? Sentences alike in what they are about, unlike in one figure.

    "Items can be returned within 30 days."      "You can return an item within 14 days of delivery."
    "We ship to Norway."                         "We do not ship to Norway."

Two sentences are compared when what they are about is the same, word by word (`sameness`), and so are their
headings. They contradict each other when, of all their figures, just one differs (a range counts as one), or
when no figure differs and one says no. Whoever finds too much is not read, so everything doubtful is passed
over: a word that only one of them has, a condition or a "some" on one side, two differences at once, a bare
number that may be a name ("size 38"), days on which something happens, "it" under different headings.
Rules only; English and Chinese; two languages are never compared. Knows no rows and no vectors.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from chatbot import sameness
from chatbot.statements import Figure, Statement, Text, last_part, statements
from services.text.facts import facts
from services.text.names import unknown_names
from services.text.polarity import disagreement

Kind = Literal["figure", "negation"]

MOST_STRANGE = 6
"""Words that only one of two sentences has and that its heading or the other's may account for."""
WITHIN_ONE = 3
"""Words that two sentences of one passage must share: neighbours often go on about another thing in few."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Where two passages differ: offsets into their texts of the two sentences, and the words that differ.

    `likeness`: the share of the words of both that both have, 0 to 1.
    """

    kind: Kind
    first: tuple[int, int]
    second: tuple[int, int]
    first_says: str
    second_says: str
    likeness: float


def contradiction(first: Text, second: Text) -> Contradiction | None:
    """The clearest contradiction of two passages, or None. Of the same passage twice: within it."""
    if first.language.split("-")[0] != second.language.split("-")[0]:
        return None
    own = first == second
    found: Contradiction | None = None
    for n, one in enumerate(statements(first)):
        for other in statements(second)[n + 1 if own else 0 :]:
            if not one.about & other.about or len(one.about ^ other.about) > MOST_STRANGE:
                continue
            if own and (one.kind == other.kind != "paragraph" or len(one.about & other.about) < WITHIN_ONE):
                continue  # entries of a list or table are different cases
            made = _compare(one, other, first, second)
            if made is not None and (found is None or made.likeness > found.likeness):
                found = made
    return found


def _compare(one: Statement, other: Statement, first: Text, second: Text) -> Contradiction | None:
    if one.text == other.text and not one.answers and not other.answers:
        return None
    likeness = _likeness(one, other, first.heading, second.heading)
    if likeness is None or one.other_facts != other.other_facts:
        return None
    if one.hedged != other.hedged or one.conditional != other.conditional:
        return None
    differing = _differing(one.figures, other.figures)
    if differing is None:
        return None
    if differing:
        return _of_figures(one, other, differing, likeness)
    if _opposed(one, other, first, second):
        said = one.text, other.text
        return Contradiction("negation", _place(one), _place(other), *said, likeness)
    return None


def _likeness(one: Statement, other: Statement, heading: str, second_heading: str) -> float | None:
    """How much of what they are about two statements share; None where they may be about two things."""
    here, there = last_part(heading), last_part(second_heading)
    shared = one.about & other.about
    if (
        not shared
        or one.about - other.about - _heading_words(there)
        or other.about - one.about - _heading_words(here)
    ):
        return None
    if one.under - other.under - other.about and other.under - one.under - one.about:
        return None
    if bool(one.under) != bool(other.under):
        return None
    sure = len(shared) > 1 or (len(one.sides) >= WITHIN_ONE and _ideas(one) == _ideas(other))
    if not _same_headings(one, other, heading, second_heading, sure=sure):
        return None
    if unknown_names(one.text, f"{other.text}\n{second_heading}") or unknown_names(
        other.text, f"{one.text}\n{heading}"
    ):
        return None
    return len(shared) / len(one.about | other.about)


def _ideas(statement: Statement) -> frozenset[str]:
    return frozenset(idea for idea, _ in statement.sides)


def _same_headings(
    one: Statement, other: Statement, heading: str, second_heading: str, *, sure: bool
) -> bool:
    """Whether nothing in the headings says that they are about two things."""
    here, there = _heading_words(last_part(heading)), _heading_words(last_part(second_heading))
    said = _ideas(one) | _ideas(other) | one.about | other.about
    if _other_codes(one, other, heading, second_heading):
        return False
    mine, theirs = _strange(here - there, said), _strange(there - here, said)
    if one.points_back or other.points_back:
        if mine or theirs or not here & there or not _same_before(one, other):
            return False
    elif sure or not mine or not theirs:
        mine, theirs = sameness.without_processes(mine), sameness.without_processes(theirs)
    narrows = bool(here & there) or not sure
    if (mine and theirs) or ((mine or theirs) and narrows):
        return False
    above, over = _heading_words(heading), _heading_words(second_heading)
    mine, theirs = _strange(above - over, said), _strange(over - above, said)
    if sure:
        mine, theirs = sameness.without_processes(mine), sameness.without_processes(theirs)
    return not (mine and theirs)


def _other_codes(one: Statement, other: Statement, heading: str, second_heading: str) -> bool:
    """Whether the headings name two models, years or steps."""
    own, others = sameness.codes(heading), sameness.codes(second_heading)
    said = one.text.lower() + other.text.lower()
    return any(code not in said for code in own - others) and bool(others - own)


def _strange(words: frozenset[str], said: frozenset[str]) -> frozenset[str]:
    """Words of a heading that the sentences have in no form ("wash" for "washable")."""
    return frozenset(
        word
        for word in words - said
        if not (word.isascii() and len(word) > 3 and any(own.startswith(word) for own in said))
    )


def _same_before(one: Statement, other: Statement) -> bool:
    own, others = sameness.about(one.before), sameness.about(other.before)
    return not (own - others and others - own)


@lru_cache(maxsize=4096)
def _heading_words(heading: str) -> frozenset[str]:
    """The words of a heading that tell it from others."""
    return sameness.heading_words(heading)


def _differing(own: Sequence[Figure], others: Sequence[Figure]) -> list[tuple[Figure, Figure]] | None:
    """Figures of one measure that only one of two sentences has, in pairs; None where one has more."""
    left, right = list(own), list(others)
    for figure in own:
        same = next(
            (other for other in right if other.measure == figure.measure and _agree(figure, other)), None
        )
        if same is not None:
            left.remove(figure)
            right.remove(same)
    if len(left) != len(right) or any(
        one.measure != other.measure for one, other in zip(left, right, strict=True)
    ):
        return None
    return list(zip(left, right, strict=True))


def _of_figures(
    one: Statement, other: Statement, differing: list[tuple[Figure, Figure]], likeness: float
) -> Contradiction | None:
    (mine, theirs), *more = differing
    if more or mine.bound * theirs.bound < 0 or _turned(one, other) or one.answers != other.answers:
        return None
    if disagreement(_without(one), _without(other)) or disagreement(_without(other), _without(one)):
        return None
    return Contradiction("figure", _place(one), _place(other), mine.words, theirs.words, likeness)


def _without(statement: Statement) -> str:
    """The sentence with its figures taken out: whether one says no is asked of the rest."""
    text = statement.text
    for fact in facts(text):
        if fact.firm and fact.kind not in {"code", "url"}:
            text = text[: fact.start] + " " * (fact.end - fact.start) + text[fact.end :]
    return text


_YES_AND_NO = """
allow accept include enable succeed possible available valid eligible complete correct compatible legal
required charge refundable safe encrypted
"""
_SAYS_NO = frozenset(sameness.tokens(word)[0].idea for word in _YES_AND_NO.split())
"""Pairs of opposites that are a yes and a no; others (first and last, online and offline) are two cases."""


def _turned(one: Statement, other: Statement) -> set[str]:
    """Ideas that stand on one side of a pair of opposites here, on the other there."""
    return {
        idea for idea, side in one.sides if (idea, -side) in other.sides and (idea, side) not in other.sides
    }


def _negated(statement: Statement) -> frozenset[str]:
    return frozenset(token.idea for token in sameness.tokens(statement.text) if token.negated)


def _opposed(one: Statement, other: Statement, first: Text, second: Text) -> bool:
    if _turned(one, other) - _SAYS_NO:
        return False
    if any(a.bound * b.bound < 0 for a, b in zip(one.figures, other.figures, strict=True)):
        return False
    if len(_turned(one, other)) and _negated(one) != _negated(other):
        return False  # twice the other way round: the same, or of another case
    if one.answers and other.answers:
        return one.answers != other.answers
    if one.answers or other.answers:
        said, given, heading = (
            (other, one, last_part(first.heading)) if one.answers else (one, other, last_part(second.heading))
        )
        return disagreement(said.text, given.text, heading) == "opposed"
    mine, theirs = (_REGRET.sub("", text) for text in (one.text, other.text))
    return "opposed" in {disagreement(mine, theirs), disagreement(theirs, mine)}


_REGRET = re.compile(r"\b(?:unfortunately|sadly|sorry),? |很遗憾[，,]?|抱歉[，,]?", re.IGNORECASE)
"""Said with a no, and not a no of its own."""


def _place(statement: Statement) -> tuple[int, int]:
    return statement.start, statement.end


def _agree(one: Figure, other: Figure) -> bool:
    """The same, or one inside the range of the other."""
    if one.low & other.low and one.high & other.high:
        return True
    narrow, wide = sorted((one, other), key=lambda figure: bool(figure.low & figure.high), reverse=True)
    inside = bool(narrow.low & narrow.high) and not wide.low & wide.high
    return inside and _between(narrow.low, wide)


def _between(readings: frozenset[Hashable], wide: Figure) -> bool:
    amounts, lows, highs = (_amounts(own) for own in (readings, wide.low, wide.high))
    return any(
        name in lows and name in highs and lows[name] <= amount <= highs[name]
        for name, amount in amounts.items()
    )


def _amounts(readings: frozenset[Hashable]) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for reading in readings:
        if isinstance(reading, int):
            found["time"] = Fraction(reading)
        elif isinstance(reading, tuple) and len(reading) == 2 and isinstance(reading[1], Fraction):
            found[str(reading[0])] = reading[1]
    return found
