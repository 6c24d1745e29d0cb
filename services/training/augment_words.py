"""Which words of a text may be changed without changing what it says, and which never.

Numbers, negations, words of praise and blame, names, and words that mostly come with one label stay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.training.dataset import Example

_NEGATIONS = """
not no never none nor neither nobody nothing nowhere without cannot hardly barely scarcely unless
despite isn't aren't wasn't weren't don't doesn't didn't won't wouldn't can't couldn't shouldn't
hasn't haven't hadn't fails failed failing lacks lacking stop stops stopped
"""
NEGATIONS = frozenset(_NEGATIONS.split())
_POLARITY = """
good bad better worse best worst great poor strong weak high low higher lower highest lowest up down
rise rises rose rising fall falls fell falling gain gains loss losses profit win wins won lose loses
lost beat beats miss misses soar soars sink sinks jump jumps drop drops plunge plunges rally rallies
surge surges slump slumps cut cuts raise raises boost boosts warn warns bullish bearish buy sell
upgrade downgrade love hate happy angry excellent terrible awful success failure increase increases
decrease decreases more less above below over under positive negative record growth decline declines
open closed before after
"""
POLARITY = frozenset(_POLARITY.split())
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_BEGINS = re.compile(r"(?:^|[.!?:;]\s+)$")
_TELLING_FROM = 5
_TELLING_GAIN = 0.2


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text that may be changed: `text[start:end]`."""

    start: int
    end: int


def changeable(text: str, entity: str | None, kept: frozenset[str] = frozenset()) -> list[Word]:
    """The words of a text that may be changed, in order; `kept` are lower-case words that may not.

    Words of a sentence that begin with a capital are names, unless they begin it; so is the entity.
    """
    taken = _places(text, entity)
    found = []
    for match in _WORD.finditer(text):
        word, start, end = match.group(), match.start(), match.end()
        plain = word.lower().replace("’", "'")
        glued = re.search(r"[\w$€£%@#&/\\.-]", text[start - 1 : start] + text[end : end + 1].replace(".", ""))
        named = word[0].isupper() and not _BEGINS.search(text[:start])
        inside = any(first < end and start < last for first, last in taken)
        if not (glued or named or inside or plain in NEGATIONS or plain in POLARITY or plain in kept):
            found.append(Word(start, end))
    return found


def telling(examples: Sequence[Example]) -> frozenset[str]:
    """Lower-case words that come with one label much more often than rows do: they carry it.

    Words of at least five rows, whose share of a label is .2 above that label's share of all rows.
    """
    labels = Counter(example.label for example in examples)
    rows: Counter[str] = Counter()
    together: Counter[tuple[str, str]] = Counter()
    for example in examples:
        for word in {match.group().lower() for match in _WORD.finditer(example.text)}:
            rows[word] += 1
            together[word, example.label] += 1
    return frozenset(
        word
        for (word, label), n in together.items()
        if rows[word] >= _TELLING_FROM and n / rows[word] > labels[label] / len(examples) + _TELLING_GAIN
    )


def _places(text: str, entity: str | None) -> list[tuple[int, int]]:
    """Where the entity stands, whatever its case."""
    if not entity:
        return []
    return [match.span() for match in re.finditer(re.escape(entity), text, re.IGNORECASE)]
