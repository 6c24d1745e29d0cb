"""A text as clauses of meaningful words, and its negations, each with the word that it turns round.

What `polarity` compares. English words are stemmed, Chinese is read character by character except for the
words of the lists; numbers are their values, so that "two" and "2" are one idea.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from services.text.language import HAN
from services.text.numerals import numerals
from services.text.polarity_words import (
    BOUNDS,
    BOUNDS_AFTER,
    CUES,
    EARLIEST,
    HAN_ORDER,
    LATEST,
    NO_NEGATION,
    OPPOSITES,
    STOP,
)
from services.text.sentences import sentences


@dataclass(slots=True)
class Token:
    """A word that carries meaning: its idea, its side (+1, -1) of a pair of opposites, is it negated."""

    idea: str
    place: int
    clause: int
    side: int = 1
    says_no: bool = False
    negated: bool = False

    @property
    def sign(self) -> int:
        """+1 or -1: which way the text says it."""
        return -self.side if self.negated else self.side


@dataclass(slots=True, eq=False)
class Cue:
    """A negation and its head (None: its whole clause); `demands`: the other text must have one too."""

    place: int
    clause: int
    head: Token | None
    demands: bool = True


@dataclass
class Reading:
    """The words of a text in order, and its negations; `heading`: the last clause of its heading, or -1."""

    tokens: list[Token] = field(default_factory=list)
    cues: list[Cue] = field(default_factory=list)
    heading: int = -1

    @cached_property
    def all_ideas(self) -> frozenset[str]:
        """Every idea of the text."""
        return frozenset(token.idea for token in self.tokens)

    @cached_property
    def _by_clause(self) -> dict[int, frozenset[str]]:
        found: dict[int, set[str]] = {}
        for token in self.tokens:
            found.setdefault(token.clause, set()).add(token.idea)
        return {clause: frozenset(ideas) for clause, ideas in found.items()}

    def ideas(self, clause: int) -> frozenset[str]:
        """The ideas of one clause."""
        return self._by_clause.get(clause, frozenset())

    def sides(self, idea: str) -> tuple[int, int]:
        """How often each side of a pair of opposites stands in the text: (+1, -1)."""
        own = [token.side for token in self.tokens if token.idea == idea]
        return own.count(1), own.count(-1)

    def beside(self, place: int, reach: int) -> frozenset[str]:
        """The ideas up to so many words before and after one."""
        return frozenset(
            t.idea for t in self.tokens[max(0, place - reach) : place + reach + 1] if t.place != place
        )


_BORDER = re.compile(
    r"[,;:()\[\]。，；：！？（）—\n]|(?<!\d)[.!?](?!\w)| [–-] "
    r"|\b(?=(?:and|or) (?:\w+ ){1,4}(?:can|cannot|is|are|was|were|will|must|may|should|does|do|has|have)\b)"
    r"|\b(?=(?:and|or) (?:not|never|no|cannot|without|[a-z]+n't|do not|does not|did not)\b)"
    r"|\b(?=(?:but|although|though|whereas|while|because|unless|if|when|since|which|who|without)\b)"
    r"|(?=但是|但(?!是)|如果|因为|所以|除非|否则|而且)",
    re.IGNORECASE,
)
_WORD = re.compile(rf"[A-Za-z\u00c0-\u024f]+(?:-[A-Za-z]+)*|[{HAN}]|\d+")
_HAN_LISTED = re.compile(
    "|".join(sorted((re.escape(w) for w in OPPOSITES if not w.isascii()), key=len, reverse=True))
)
_PHRASES = re.compile(r"\b(?:" + "|".join(w for w in OPPOSITES if " " in w) + r")\b", re.IGNORECASE)
_BOUND = {sign: re.compile(rf"(?:\b(?=[a-z]))?(?:{words})", re.IGNORECASE) for sign, words in BOUNDS.items()}
_BOUND_AFTER = {
    sign: re.compile(rf"\W?\s*(?:\w+\s)?(?:{words})", re.IGNORECASE) for sign, words in BOUNDS_AFTER.items()
}
_ORDER = {1: re.compile(LATEST, re.IGNORECASE), -1: re.compile(EARLIEST, re.IGNORECASE)}
_UN = re.compile(r"un(?!der|til|less|it|iv|ion|iq|ix|cle|derst)([a-z]{4,})|non-?(?!e$|etheless)([a-z]{4,})")
_IM = re.compile(r"(?:in|im|ir|il)([a-z]{3,}[ai]ble)")
_YES = re.compile(
    r"\s*(?:yes|sure|certainly|of course|是的|可以|能|会|有的|支持)"
    r"(?=[，。,.！!;；:]|$| (?:it|they|you|we|this|that|there)\b)",
    re.IGNORECASE,
)
_NO = re.compile(
    r"\s*(?:no|unfortunately not|sorry, no|不是|不可以|不能|不会|不行|没有|不支持|不)"
    r"(?=[，。,.！!;；:]|$| (?:it|they|you|we|this|that|there)\b)",
    re.IGNORECASE,
)
_WANTED_ENDS = ("?", "？")
_local = threading.local()


@lru_cache(maxsize=4096)
def read(text: str, *, headed: bool = False) -> Reading:
    """The meaningful words and negations of a text, `headed` when its first sentence is its heading.

    Questions nobody answers are left out. The result is shared: callers must not change it.
    """
    whole = Reading()
    spans = [span.of(text) for span in sentences(text)]
    clause = 0
    for n, sentence in enumerate(spans):
        answer = spans[n + 1] if n + 1 < len(spans) else ""
        asks = sentence.endswith(_WANTED_ENDS)
        if asks and not _YES.match(answer) and not _NO.match(answer):
            continue
        clause = _read_sentence(sentence, whole, clause)
        if headed and n == 0:
            whole.heading = clause
        if asks and _NO.match(answer):
            whole.cues.append(Cue(len(whole.tokens), clause, None))
        clause += 1
    return whole


def _read_sentence(sentence: str, whole: Reading, clause: int) -> int:
    """Add a sentence's words; returns the number of its last clause."""
    lowered = sentence.replace("’", "'")
    borders = [match.start() for match in _BORDER.finditer(lowered) if match.start()]
    items = sorted(_items(lowered), key=lambda item: item[0])
    waiting: list[Cue] = []
    last: Token | None = None
    answered = _YES.match(sentence) or _NO.match(sentence)
    for start, idea, side, says_no, is_cue in items:
        if is_cue and lowered[:start].endswith(": ") and whole.tokens and lowered[start:][:2].lower() == "no":
            head = whole.tokens[-1]  # "Suitable: no"
            head.negated = not head.negated
            whole.cues.append(Cue(head.place, head.clause, head))
            continue
        while borders and borders[0] <= start:
            borders.pop(0)
            clause, last = clause + 1, None if not waiting else last
        if is_cue:
            if answered and start < answered.end():
                continue
            waiting.append(Cue(len(whole.tokens), clause, None))
            whole.cues.append(waiting[-1])
            continue
        token = Token(idea, len(whole.tokens), clause, side, says_no)
        whole.tokens.append(token)
        for cue in waiting:
            cue.head, cue.clause = token, clause
            token.negated = not token.negated
        waiting, last = [], token
    for cue in waiting:
        if last is not None:
            cue.head = last
            last.negated = not last.negated
    return clause


def _items(text: str) -> Iterator[tuple[int, str, int, bool, bool]]:
    """(start, idea, side, says no, is a negation) of everything in a sentence that matters."""
    taken = bytearray(len(text))

    def free(match: re.Match[str]) -> bool:
        if any(taken[match.start() : match.end()]):
            return False
        taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
        return True

    numbers = numerals(text)
    counted = [n for n in numbers if n.firm]
    for start, value, side, match in _bounds(text, [(n.start, n.end, str(n.value)) for n in numbers]):
        if free(match):
            yield start, f"bound {value}", side, False, False
    for side, pattern in _ORDER.items():
        for match in pattern.finditer(text):
            if free(match):
                yield match.start(), "before", side, False, False
    for numeral in counted:
        if numeral.ordinal and numeral.value == 1:
            continue  # the opposite of "last"
        if not any(taken[numeral.start : numeral.end]):
            taken[numeral.start : numeral.end] = b"\1" * (numeral.end - numeral.start)
            yield numeral.start, "single" if numeral.value == 1 else str(numeral.value), 1, False, False
    read_over = [match.span() for match in NO_NEGATION.finditer(text)]
    for match in CUES.finditer(text):
        if not any(a <= match.start() < b for a, b in read_over) and free(match):
            yield match.start(), "", 1, False, True
    for match in HAN_ORDER.finditer(text):
        if free(match):
            yield match.start(), "before", 1 if match["before"] else -1, False, False
    for pattern in (_PHRASES, _HAN_LISTED):
        for match in pattern.finditer(text):
            if free(match):
                yield match.start(), *OPPOSITES[match.group().lower()], False
    for match in _WORD.finditer(text):
        if taken[match.start()]:
            continue
        for word in _parts(match.group().lower()):
            if word not in STOP:
                yield match.start(), *_idea(word), False


def _bounds(text: str, counted: list[tuple[int, int, str]]) -> Iterator[tuple[int, str, int, re.Match[str]]]:
    """At least, at most and their like, with the number they are said of."""
    for side, pattern in _BOUND.items():
        for match in pattern.finditer(text):
            value = next((v for start, _, v in counted if 0 <= start - match.end() <= 12), None)
            if value is not None:
                yield match.start(), value, side, match
    for side, pattern in _BOUND_AFTER.items():
        for _, end, value in counted:
            if after := pattern.match(text, end):
                yield after.start(), value, side, after


def _parts(word: str) -> list[str]:
    """A hyphened word as its parts, unless it is one of the lists or begins with non-."""
    whole = "-" not in word or word in _LISTED or _UN.fullmatch(word)
    return [word] if whole else [part for part in word.split("-") if len(part) > 1]


@lru_cache(maxsize=20_000)
def _idea(word: str) -> tuple[str, int, bool]:
    """(idea, side, whether it says no by itself) of a lower-case word."""
    stem = _stem(word)
    for known in (word, stem):
        if known in _LISTED:
            return _LISTED[known]
    if found := _UN.fullmatch(word) or _IM.fullmatch(word):
        inner, side, _ = _idea(next(filter(None, found.groups())))
        return inner, -side, True
    return stem, 1, False


def _stem(word: str) -> str:
    """Snowball; a stemmer keeps state while it works, so each thread has its own."""
    if not word.isascii() or not word.isalpha():
        return word
    stemmer: Any = _local.__dict__.get("stemmer")
    if stemmer is None:
        import Stemmer

        stemmer = _local.__dict__.setdefault("stemmer", Stemmer.Stemmer("english"))
    return str(stemmer.stemWord(word))


_LISTED = {_stem(word): pair for word, pair in reversed(OPPOSITES.items())} | OPPOSITES
