"""Which examples are held out, so that nothing held out was seen in training under another coat.

All rows of one text, and of texts that are nearly the same, stay on one side: copies of a headline with
another number or link would otherwise be learned by heart and counted as understanding.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput

SAME_FROM = 0.8
"""Jaccard similarity of the words from which two texts are copies."""

_NOISE = re.compile(r"https?://\S+|\d+")
_WORD = re.compile(r"[^\W\d_]+")


def held_out(texts: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """A mask over rows with these texts: True for about `share` of them, whole groups of copies at a time.

    Which groups are drawn depends on their texts and the seed, not on the order of the rows.
    Raises InvalidInput when a side would be left empty.
    """
    groups = copies(texts)
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[int(group)].append(row)
    drawn = sorted(members.values(), key=lambda rows: _draw(min(texts[r] for r in rows), seed))
    mask = np.zeros(len(texts), np.bool_)
    wanted = round(share * len(texts))
    for rows in drawn:
        if mask.sum() >= wanted:
            break
        mask[rows] = True
    if mask.all() or not mask.any():
        raise InvalidInput("There are too few different texts to hold some out.", field="file")
    return mask


def copies(texts: Sequence[str]) -> NDArray[np.int64]:
    """The group of each text, int64 (n,): texts that share most of their words are in one group.

    Numbers, links, case and the order of words do not count. Pairs are found by their rarest words
    (prefix filtering: Chaudhuri, Ganti, Kaushik, "A Primitive Operator for Similarity Joins", 2006), so
    every pair at or above SAME_FROM is found.
    """
    words = [frozenset(_WORD.findall(_NOISE.sub(" ", text.lower()))) or frozenset({text}) for text in texts]
    parent = list(range(len(texts)))
    first: dict[frozenset[str], int] = {}
    for row, found in enumerate(words):
        parent[row] = first.setdefault(found, row)
    frequency = Counter(word for found in first for word in found)
    sharing: dict[str, list[frozenset[str]]] = defaultdict(list)
    for found, row in first.items():
        rarest = sorted(found, key=lambda word: (frequency[word], word))
        seen: set[frozenset[str]] = set()
        for word in rarest[: len(found) - math.ceil(SAME_FROM * len(found)) + 1]:
            for other in sharing[word]:
                if other not in seen:
                    seen.add(other)
                    if _alike(found, other):
                        _join(parent, row, first[other])
            sharing[word].append(found)
    return np.array([_root(parent, row) for row in range(len(texts))], np.int64)


def _alike(a: frozenset[str], b: frozenset[str]) -> bool:
    if min(len(a), len(b)) < SAME_FROM * max(len(a), len(b)):
        return False
    both = len(a & b)
    return both >= SAME_FROM * (len(a) + len(b) - both)


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


def _join(parent: list[int], a: int, b: int) -> None:
    a, b = _root(parent, a), _root(parent, b)
    parent[max(a, b)] = min(a, b)


def _draw(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\x1f{text}".encode(), digest_size=16).digest()
