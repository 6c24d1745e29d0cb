"""Words, word pairs and pieces of words of whole texts as hashed, weighted columns (tf-idf).

Rare words count more than frequent ones, as the training texts have it; numbers are one word. The columns
of words and those of pieces are blocks of their own, and a text's row has length 1 in each.
Knows no labels and no encoder.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.inference.features import tokens

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

_PIECE_LENGTHS = (2, 3, 4, 5)
_LONGEST_WORD = 40
"""Characters of a word that are cut into pieces: beyond is no word."""


@dataclass(frozen=True, slots=True)
class GramSpace:
    """Buckets of the two hashed blocks: words and word pairs, and pieces of words."""

    words: int = 1 << 16
    pieces: int = 1 << 16

    @property
    def size(self) -> int:
        """Columns of both blocks together."""
        return self.words + self.pieces


def count(texts: Sequence[str], space: GramSpace, *, title_weight: int = 0) -> csr_matrix:
    """1 + ln(count) of every gram, sparse float32 (n, space.size).

    The words of a text's first line count `title_weight` times more when other lines follow.
    """
    from scipy.sparse import csr_matrix

    columns: list[int] = []
    values: list[float] = []
    ends = [0]
    for text in texts:
        found = _columns(text, space, title_weight)
        columns.extend(sorted(found))
        values.extend(found[column] for column in sorted(found))
        ends.append(len(columns))
    data = 1 + np.log(np.array(values, np.float32))
    return csr_matrix(
        (data.astype(np.float32), np.array(columns, np.int32), np.array(ends, np.int64)),
        shape=(len(texts), space.size),
    )


def rarity(counts: csr_matrix) -> Floats:
    """What each column weighs, float32 (size,): ln((1 + rows) / (1 + rows that have it)) + 1."""
    having = np.bincount(counts.indices, minlength=counts.shape[1])
    return np.asarray(np.log((1 + counts.shape[0]) / (1 + having)) + 1, np.float32)


def weigh(counts: csr_matrix, weights: Floats, space: GramSpace) -> csr_matrix:
    """The counts times the columns' weights, each block of a row of length 1; one without grams is zero."""
    from scipy.sparse import hstack

    blocks = []
    for columns in (slice(0, space.words), slice(space.words, space.size)):
        block = counts[:, columns].tocsr().astype(np.float32)
        block.data *= weights[columns][block.indices]
        squares = np.asarray(block.multiply(block).sum(axis=1)).ravel()
        lengths = np.sqrt(np.where(squares > 0, squares, 1)).astype(np.float32)
        block.data /= np.repeat(lengths, np.diff(block.indptr))
        blocks.append(block)
    return hstack(blocks, format="csr", dtype=np.float32)


def title_of(text: str) -> str:
    """The first line when others follow, else the whole."""
    return text.strip().split("\n", 1)[0].strip()


def _columns(text: str, space: GramSpace, title_weight: int) -> Counter[int]:
    words = tokens(text)
    found = Counter(hashed % space.words for hashed in _hashes(_grams(words)))
    title = tokens(title_of(text)) if title_weight and "\n" in text.strip() else []
    for hashed in _hashes(_grams(title)):
        found[hashed % space.words] += title_weight
    pieces = Counter(
        space.words + hashed % space.pieces for hashed in chain.from_iterable(map(_pieces, words))
    )
    found.update(pieces)
    return found


def _grams(words: Sequence[str]) -> Iterable[str]:
    yield from words
    if words:
        yield from (f"{a} {b}" for a, b in pairwise(("<", *words, ">")))


@lru_cache(maxsize=32_768)
def _pieces(word: str) -> tuple[int, ...]:
    framed = f"<{word[:_LONGEST_WORD]}>"
    return tuple(_hashes(framed[i : i + n] for n in _PIECE_LENGTHS for i in range(len(framed) - n + 1)))


def _hashes(names: Iterable[str]) -> Iterator[int]:
    return (zlib.crc32(name.encode()) for name in names)
