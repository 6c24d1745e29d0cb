"""A passage's sentences as they are compared: what each is about, its figures, what makes it a case apart.

A figure says how much, how long or until when; a range ("3 to 5 days") is one. Weekdays, codes, ordinals and
numbers that count nothing named ("size 38") are no figures: they name what is spoken of. Words that bound a
figure ("at least", "within", 以内) belong to it. Knows no second passage: see `contradictions`.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from chatbot import sameness
from services.text.courtesy import says_nothing
from services.text.facts import Fact, facts
from services.text.polarity_words import BOUNDS, BOUNDS_AFTER
from services.text.sentences import sentences

LONGEST = 400
"""Characters; a longer sentence says too much at once to be compared."""
MOST_SENTENCES = 40
"""Of one passage; what comes after them is not looked at."""


@dataclass(frozen=True, slots=True)
class Text:
    """A passage. `blocks`: (kind, start, end) of paragraphs, items and rows in `text`; () for one of them."""

    heading: str
    text: str
    language: str
    blocks: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure or range of a sentence. `bound`: +1 from there up ("at least"), -1 up to there, or 0."""

    measure: Hashable
    low: frozenset[Hashable]
    high: frozenset[Hashable]
    words: str
    start: int
    bound: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence at `start` to `end` of its passage, read for comparison."""

    text: str
    start: int
    end: int
    kind: str
    about: frozenset[str]
    sides: frozenset[tuple[str, int]]
    figures: tuple[Figure, ...]
    other_facts: frozenset[tuple[str, Hashable]]
    under: frozenset[str]
    before: str
    points_back: bool
    hedged: bool
    conditional: bool
    answers: int = 0


@lru_cache(maxsize=4096)
def statements(passage: Text) -> tuple[Statement, ...]:
    """The sentences of a passage that state a figure or could be negated; questions and courtesy are not."""
    found: list[Statement] = []
    lead = before = ""
    for kind, start, end in passage.blocks or (("paragraph", 0, len(passage.text)),):
        for span in sentences(passage.text[start:end]):
            at, words = start + span.start, span.of(passage.text[start:end])
            if kind == "paragraph":
                lead = words if words.endswith((":", "：")) else ""
            if (
                len(words) <= LONGEST
                and not words.endswith(("?", "？", ":", "："))
                and not says_nothing(words)
                and not _is_code(words)
            ):
                made = _statement(
                    words, at, kind, lead if kind != "paragraph" else "", before, passage.heading
                )
                if made.about:
                    found.append(made)
            before = words
            if len(found) >= MOST_SENTENCES:
                return tuple(found)
    return tuple(found)


def _is_code(words: str) -> bool:
    """Paths, commands and the like: half of what is parted by spaces is not made of words."""
    parts = words.split()
    return sum(bool(_CODE.search(part)) for part in parts) * 2 >= len(parts)


def _statement(words: str, at: int, kind: str, lead: str, before: str, heading: str) -> Statement:
    given = tuple(facts(words))
    figures, bounds = _figures(words, given)
    firm = [fact for fact in given if fact.firm]
    tokens = sameness.tokens(words, [*firm, *bounds])
    own = sameness.about(words, [*firm, *bounds])
    answers = _answer(words, heading, before)
    if answers:
        own = sameness.about(last_part(heading))
    numbered = frozenset(
        (fact.kind, reading)
        for fact in given
        if fact.firm and not _is_figure(fact, words)
        for reading in fact.readings
    )
    return Statement(
        words, at, at + len(words), kind, own,
        frozenset((token.idea, token.side) for token in tokens),
        figures, numbered, sameness.heading_words(lead), before,
        _POINTS_BACK.match(words) is not None, _HEDGES.search(words) is not None,
        _CONDITIONS.search(_without(words, bounds)) is not None, answers,
    )  # fmt: skip


def _without(words: str, places: Sequence[tuple[int, int]]) -> str:
    for start, end in places:
        words = words[:start] + " " * (end - start) + words[end:]
    return words


_POINTS_BACK = re.compile(
    r"\W*(?:(?:it|its|they|their|them|this|these|those|that|such|he|she|his|her)\b|[它其该此这那])",
    re.IGNORECASE,
)
_CODE = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]*/|[A-Za-z0-9]_[A-Za-z0-9]|::|\(\)|\\|^--?[a-z]|[<>{}=$|]")
_HEDGES = re.compile(
    r"\b(?:some|certain|most|many|few|several|often|sometimes|partly|mostly|other|others|selected|rarely"
    r"|different|depending|depends|varies|vary|exceptions?|exceptionally)\b"
    r"|部分|有些|某些|个别|一些|大多|有的|其他|其它|另外|有时|例外|视.{0,6}而定|指定",
    re.IGNORECASE,
)
_CONDITIONS = re.compile(
    r"\b(?:if|unless|except|only|until|provided|instead|otherwise|when|whenever|without|but|however|although"
    r"|not just)\b"
    r"|如果|若|除非|除|仅|只[有能限]|否则|但|不过|当",
    re.IGNORECASE,
)
_YES = re.compile(
    r"(?:yes|certainly|of course|sure)\b|是的|可以[，。,]|能[，。,]|会[，。,]|有[，。,]", re.IGNORECASE
)
_NO = re.compile(
    r"(?:no|unfortunately not|sorry, no)\b(?=[.,!;]|$)|不[，。,]|不可以[，。,]|不能[，。,]|没有[，。,]",
    re.IGNORECASE,
)


def _answer(words: str, heading: str, before: str) -> int:
    """+1 or -1 where a passage begins with yes or no to the question that is its heading."""
    if before or not heading.rstrip().endswith(("?", "？")):
        return 0
    return -1 if _NO.match(words) else int(_YES.match(words) is not None)


# Figures.

_RANGE = re.compile(r"\s?(?:-|–|—|~|～|to|and|until|through|至|到|和)\s?")
_COUNTER = re.compile(
    r"\s?(?P<noun>[次件张名双人位枚份台部盒套间箱瓶本]|[个個][^\W\d_]{1,2})|[ -](?P<word>[a-z]{3,}s)\b"
)
_COUNTED = re.compile(r"[ -](?:[a-z]+ )?(?P<word>[a-z]{3,}s)\b")
_ENDING = re.compile(
    r"\b(?:until|till|by|ends?|ended|expires?|starts?|started|begins?|began|from|since|founded|established|opened"
    r"|launch(?:es|ed)?|deadline|closes|introduced|due|latest)\b|截止|截至|到期|结束|开始|成立|创立|创办|起|前|至|上线|开业",
    re.IGNORECASE,
)
_LATER = re.compile(r"(?:after|later than|from|starting at)\s?$", re.IGNORECASE)
_WITHIN = re.compile(
    r"(?:within|inside|in under|before|by|no more than|until)\s(?:the (?:first|next) )?$", re.IGNORECASE
)
_HAN_LATER = re.compile(r"(?:之?后|以后|过后|起)")
_HAN_WITHIN = re.compile(r"(?:之?内|以内|之?前|以前)")
_BEFORE = {sign: re.compile(rf"(?:{words})[^\w]{{0,2}}$", re.IGNORECASE) for sign, words in BOUNDS.items()}
_AFTER = {
    sign: re.compile(rf"\W?\s?(?:\w+\s)?(?:{words})", re.IGNORECASE) for sign, words in BOUNDS_AFTER.items()
}


def _figures(text: str, given: Sequence[Fact]) -> tuple[tuple[Figure, ...], list[tuple[int, int]]]:
    """The figures of a sentence, ranges joined, and the places of the words that bound them."""
    found: list[Figure] = []
    bounds: list[tuple[int, int]] = []
    last: Fact | None = None
    for fact in given:
        if not _is_figure(fact, text):
            last = None
            continue
        measure = _measure(fact, text)
        joined = last is not None and _RANGE.fullmatch(text[last.end : fact.start])
        if joined and found and measure == found[-1].measure:
            start = found[-1].start
            found[-1] = Figure(
                measure, found[-1].low, fact.readings, text[start : fact.end], start, found[-1].bound
            )
            last = None
            continue
        sign, places = _bound(text, fact)
        bounds += places
        found.append(
            Figure(measure, fact.readings, fact.readings, text[fact.start : fact.end], fact.start, sign)
        )
        last = fact
    return tuple(found), bounds


def _is_figure(fact: Fact, text: str) -> bool:
    """Whether a fact says how much or until when; others name something."""
    if not fact.firm or fact.kind in {"code", "url"}:
        return False
    if fact.kind == "date":
        weekday = any(isinstance(reading, tuple) and len(reading) == 2 for reading in fact.readings)
        return not weekday and _ENDING.search(text) is not None
    if fact.kind == "number" and any(reading == ("ordinal", fact.value) for reading in fact.readings):
        return False
    return fact.kind == "time" or _measure(fact, text) != ""


def _measure(fact: Fact, text: str) -> str:
    """What a figure measures; "" for a number that counts nothing named."""
    if fact.kind != "number":
        return fact.kind
    measures = sorted(
        {str(reading[0]) for reading in fact.readings if isinstance(reading, tuple) and reading[0]}
    )
    if measures:
        return "duration" if set(measures) <= {"time", "workday", "months", "nights"} else "/".join(measures)
    after = _COUNTER.match(text, fact.end) or _COUNTED.match(text, fact.end)
    if after is None:
        return ""
    parts = after.groupdict()
    return f"count {parts.get('noun') or parts['word']}"


def _bound(text: str, fact: Fact) -> tuple[int, list[tuple[int, int]]]:
    head = text[max(0, fact.start - 24) : fact.start]
    for sign, pattern in (*_BEFORE.items(), (1, _LATER), (-1, _WITHIN)):
        if match := pattern.search(head):
            return sign, [(fact.start - len(head) + match.start(), fact.start)]
    for sign, pattern in (*_AFTER.items(), (-1, _HAN_WITHIN), (1, _HAN_LATER)):
        if match := pattern.match(text, fact.end):
            return sign, [match.span()]
    return 0, []


def last_part(heading: str) -> str:
    """A passage's own heading, without those above it."""
    return heading.rsplit(" › ", 1)[-1]
