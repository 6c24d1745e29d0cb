"""A number that the source has, but says of something else: "5 days" where the five are the weeks.

The words around a claimed fact are compared with those around each fact of the source. When another fact of
the source stands among clearly more of them than the one that agrees, the claim put it in the wrong place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from services.text.facts import Fact, agree
from services.text.language import HAN

REACH = 6
"""Words looked at on each side of a fact; Chinese characters count as words."""
ALIKE = 1.2
"""How much a place must have in common with the claim's before it can be the right one for something else."""
CLEARLY = 0.8
"""By how much it must have more in common than the place of the fact that agrees."""

_WORD = re.compile(rf"[{HAN}]|[^\W_{HAN}]+")
_LIGHT_WORDS = (
    "a an the of to in on at by for from and or is are was were be it its this that with as 的 了 是 在 和 与"
)
_LIGHT = frozenset(_LIGHT_WORDS.split())
_GROUPS = {"number": 0, "date": 0, "time": 0, "code": 1, "url": 2}


def misplaced(claim: str, claimed: Fact, source: str, given: Sequence[Fact]) -> bool:
    """Whether a claimed fact, said somewhere, stands where the source has another one. `given`: its facts.

    A fact of the source that says less ("3 March" for "3 March 2025") is not another one.
    """
    left, right = _around(claim, claimed)
    own, other = [(0.0, 0.0)], list[tuple[float, float]]()
    for fact in given:
        if fact.firm and _GROUPS[fact.kind] == _GROUPS[claimed.kind]:
            before, after = _around(source, fact)
            same = agree(fact, claimed, source) or agree(claimed, fact, source)
            (own if same else other).append((_common(left, before), _common(right, after)))
    return any(all(_clearly(wrong, one) for one in own) for wrong in other)


def _clearly(wrong: tuple[float, float], own: tuple[float, float]) -> bool:
    """More alike on the whole, and on neither side less."""
    more = sum(wrong) >= max(ALIKE, sum(own) + CLEARLY)
    return more and wrong[0] >= own[0] and wrong[1] >= own[1]


def _around(text: str, fact: Fact) -> tuple[dict[str, int], dict[str, int]]:
    """Word -> how far it is from the fact, on its left and on its right, nearest first."""
    before = _WORD.findall(text[max(0, fact.start - 80) : fact.start].lower())[::-1]
    after = _WORD.findall(text[fact.end : fact.end + 80].lower())
    return _distances(before[:REACH]), _distances(after[:REACH])


def _distances(words: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for n, word in enumerate(words, start=1):
        found.setdefault(word[:-1] if len(word) > 3 and word.endswith("s") else word, n)
    return found


def _common(one: dict[str, int], two: dict[str, int]) -> float:
    """Words of both, those nearest to the facts and as far in one as in the other counting most."""
    both = sorted(one.keys() & two.keys())
    weights = [(0.3 if word in _LIGHT else 1.0) / math.sqrt(one[word]) for word in both]
    return sum(
        weight / (1 + 0.5 * abs(one[word] - two[word])) for word, weight in zip(both, weights, strict=True)
    )
