"""Sentences with their places in the source: `text[span.start:span.end]` is the sentence, to the letter.

Two passes. Lines first: a list item, a table row and a heading are units of their own, whatever
punctuation they hold; other lines run together into a paragraph, so a soft line break ends nothing.
Then, inside a paragraph, English and Chinese sentence ends. Rules, no model: an abbreviation that is
in no list splits a sentence too early, and a full stop forgotten joins two.
Every character that is not white space is in exactly one span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONG_LINE = 300
"""Characters beyond which a list item is cut into its sentences after all."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text: characters `start` up to, not including, `end`."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """The words themselves."""
        return text[self.start : self.end]


_BULLET = re.compile(
    r"[ \t]*(?:[-*+•‣◦·▪●○–—][ \t]+|\(?(?:\d{1,3}|[a-z]|[ivx]{1,4})[.)、][ \t]+|\(?[A-Z]\)[ \t]+"
    r"|\d{1,3}、|[（(]\d{1,3}[)）]|[①-⑳]|[（(]?[一二三四五六七八九十]{1,3}[、)）])"
)
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]")
_ROW = re.compile(r"[ \t]*\|.*\||[^\t\n]*\S\t+\S[^\n]*|[^|\n]+(?:\|[^|\n]+){2,}")

# Each run of marks is looked at once, from its first sign, so that no input makes this slow.
_END = re.compile(
    r"[。！？；｡]+[”’」』）)》\"']*"  # full-width: ends with or without white space after it
    r"|(?<!…)…++[”’」』）]*+(?=\s|$)"
    r"|(?<![.!?])[.!?]++[\"'”’)\]»]*+(?=\s|$)"
    r"|(?<![.!?])[!?]++(?=[\u3400-\u9fff])"  # half-width marks typed between Chinese characters
)
_OPENING = "\"'“‘(["
_LONGEST_ABBREVIATION = 24

# Never the end of a sentence; the end only when a capital follows; not the end before a digit.
_OPEN = re.compile(
    r"e\.g|i\.e|mrs?|ms|dr|prof|st|vs|cf|approx|figs?|eq|sec|ch|pp|vol|eds?|al|mt|messrs|rev|hon|gen"
    r"|capt|lt|sgt|dept|tel|ext|resp|incl|excl|min|max"
)
_EITHER = re.compile(
    r"etc|inc|ltd|co|corp|bros|llc|plc|a\.m|p\.m|u\.s|u\.k|e\.u|jan|feb|mar|apr|jun|jul|aug|sept?|oct"
    r"|nov|dec|mon|tue|wed|thu|fri|sat|sun|ave|blvd|rd"
)
_BEFORE_DIGIT = re.compile(r"nos?|nr|art|para|p|ver|v")


def sentences(text: str) -> list[Span]:
    """Split a text into sentences, list items, table rows and headings, in order.

    Spans do not overlap, are never empty, and neither begin nor end with white space.
    """
    return [span for start, end, whole in _blocks(text) for span in _cut(text, start, end, whole)]


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """(start, end, whole) of every paragraph, item, row and heading; `whole`: not to be cut further."""
    start = position = 0
    kind = ""
    for line in text.splitlines(keepends=True):
        begin, position = position, position + len(line)
        now = _line_kind(line)
        if now != "words" or not _goes_on(kind, line):
            if kind:
                yield start, begin, _whole(kind, begin - start)
            start, kind = begin, now
    if kind:
        yield start, position, _whole(kind, position - start)


def _line_kind(line: str) -> str:
    """ "" (blank), "line" (a heading or table row, always alone), "item" or "words"."""
    words = line.rstrip()
    if not words:
        return ""
    if _HEADING.match(words) or _ROW.fullmatch(words):
        return "line"
    return "item" if _BULLET.match(words) else "words"


def _goes_on(kind: str, line: str) -> bool:
    """Whether a line of words belongs to the block before it: a list item is continued by indenting."""
    return kind == "words" or (kind == "item" and line[:1].isspace())


def _whole(kind: str, length: int) -> bool:
    return kind == "line" or (kind == "item" and length <= LONG_LINE)


def _cut(text: str, start: int, end: int, whole: bool) -> Iterator[Span]:
    if whole:
        yield from _trimmed(text, start, end)
        return
    marker = _BULLET.match(text, start, end)
    begin, position = start, marker.end() if marker else start
    while found := _END.search(text, position, end):
        position = found.end()
        if _ends(text, begin, found, end):
            yield from _trimmed(text, begin, position)
            begin = position
    yield from _trimmed(text, begin, end)


def _ends(text: str, begin: int, mark: re.Match[str], end: int) -> bool:
    """Whether a mark ends the sentence that began at `begin`, by the words on both sides of it."""
    signs = mark.group()
    if signs[0] not in ".!?…":
        return True
    follows = text[mark.end() : min(end, mark.end() + 80)].lstrip(" \t\r\n" + _OPENING)[:1]
    if not follows:
        return True
    if follows.islower():
        return False
    if signs[0] != "." or signs.startswith(".."):
        return True
    words = text[max(begin, mark.start() - _LONGEST_ABBREVIATION) : mark.start()].lower().split()
    word = words[-1].lstrip(_OPENING) if words else ""
    if _OPEN.fullmatch(word) or (len(word) == 1 and word.isalpha() and word != "i"):
        return False  # the latter: a person's initial, "J. Smith"
    if word.isdigit() and text[begin : mark.start()].strip() == word:
        return False  # the number of an item inside a line, "Then: 1. Do this. 2. Do that."
    if _BEFORE_DIGIT.fullmatch(word) and follows.isdigit():
        return False
    return not (_EITHER.fullmatch(word) and not follows.isupper())


def _trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    words = text[start:end]
    left = start + len(words) - len(words.lstrip())
    right = start + len(words.rstrip())
    if right > left:
        yield Span(left, right)
