"""Texts that are nearly the same, put into groups.

Numbers, links, case and the order of words do not count. Up to fifty thousand different texts every pair is
found; among more, MinHash finds those that are alike with a chance of .998 and more.
"""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAME_FROM = 0.8
"""Jaccard similarity of the words from which two texts are copies."""
EVERY_PAIR_UP_TO = 50_000
"""Different texts; among more, pairs are found by MinHash."""

_NOISE = re.compile(r"https?://\S+|\d+")
_WORD = re.compile(r"[^\W\d_]+")
_BANDS = 16
_HASHES_IN_A_BAND = 5
_NEIGHBOURS = 4


def copies(texts: Sequence[str], every_pair_up_to: int = EVERY_PAIR_UP_TO) -> NDArray[np.int64]:
    """The group of each text, int64 (n,), named by its first row: texts that share most of their words."""
    ids: dict[str, int] = {}
    parent = list(range(len(texts)))
    first: dict[bytes, int] = {}
    for row, text in enumerate(texts):
        words = set(_WORD.findall(_NOISE.sub(" ", text.lower()))) or {text}
        found = array("i", sorted(ids.setdefault(word, len(ids)) for word in words))
        parent[row] = first.setdefault(found.tobytes(), row)
    if len(first) <= every_pair_up_to:
        _join_all({frozenset(array("i", found)): row for found, row in first.items()}, parent)
    else:
        _join_many(first, parent, len(ids))
    return np.array([_root(parent, row) for row in range(len(texts))], np.int64)


def joined_by(groups: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.int64]:
    """The groups (n,), those put together that have rows of one name; an empty name is none."""
    parent = [int(group) for group in groups]
    first: dict[str, int] = {}
    for row, name in enumerate(names):
        if name:
            _join(parent, row, first.setdefault(name, row))
    return np.array([_root(parent, row) for row in range(len(parent))], np.int64)


def _join_all(first: dict[frozenset[int], int], parent: list[int]) -> None:
    """Pairs are found by their rarest words (prefix filtering: Chaudhuri, Ganti, Kaushik, "A Primitive

    Operator for Similarity Joins", 2006), so every pair at or above SAME_FROM is found.
    """
    frequency = Counter(word for found in first for word in found)
    sharing: dict[int, list[frozenset[int]]] = defaultdict(list)
    for found, row in first.items():
        rarest = sorted(found, key=lambda word: (frequency[word], word))
        seen: set[frozenset[int]] = set()
        for word in rarest[: len(found) - math.ceil(SAME_FROM * len(found)) + 1]:
            for other in sharing[word]:
                if other not in seen:
                    seen.add(other)
                    if _alike(found, other):
                        _join(parent, row, first[other])
            sharing[word].append(found)


def _join_many(first: dict[bytes, int], parent: list[int], n_words: int) -> None:
    """MinHash in bands (Broder, 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4).

    Texts that agree in a band are compared with their next neighbours in it. At SAME_FROM, 16 bands of 5
    hashes miss a pair of two with a chance of .0017; a pair is mostly found by others of its group as well.
    """
    rows = np.fromiter(first.values(), np.int64, len(first))
    lengths = np.fromiter((len(found) // 4 for found in first), np.int64, len(first))
    flat = np.frombuffer(b"".join(first), np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    rng = np.random.default_rng(0)
    for _ in range(_BANDS):
        keys = np.zeros(len(rows), np.uint64)
        for _ in range(_HASHES_IN_A_BAND):
            drawn = rng.integers(0, 2**63, n_words, dtype=np.uint64)
            keys = keys * np.uint64(0x9E3779B97F4A7C15) + np.minimum.reduceat(drawn[flat], starts)
        order = np.argsort(keys, kind="stable")
        for step in range(1, _NEIGHBOURS + 1):
            for at in np.flatnonzero(keys[order[:-step]] == keys[order[step:]]):
                one, other = int(order[at]), int(order[at + step])
                a, b = int(rows[one]), int(rows[other])
                if _root(parent, a) != _root(parent, b):
                    sets = (
                        frozenset(flat[starts[i] : starts[i] + lengths[i]].tolist()) for i in (one, other)
                    )
                    if _alike(*sets):
                        _join(parent, a, b)


def _alike(a: frozenset[int], b: frozenset[int]) -> bool:
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
