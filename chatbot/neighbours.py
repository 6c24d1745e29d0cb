"""Which texts are near one another, of tens of thousands: block by block, so that memory stays bounded.

Texts come as vectors of an encoder, or, where it does not read their language, as vectors of the pairs of
letters they share, weighted by how rare those are. Every row is held against every other in blocks of
products of matrices, and only its nearest are kept. Knows no passages and no rows of a database.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 256
"""Rows held against all others at once: 60,000 of them make a block of 61 MB."""
BUCKETS = 512
DIGITS = str.maketrans("", "", "0123456789０１２３４５６７８９ \t\n")


def near_owners(
    vecs: NDArray[Any],
    owners: Sequence[int],
    asked: frozenset[int] | None = None,
    *,
    least: float,
    most: int,
    alive: Callable[[], object] = lambda: None,
) -> set[tuple[int, int]]:
    """Pairs of different owners, the smaller first, of which one has a row among the nearest of the other's.

    `vecs`: float32 (n, dim), L2-normalised; `owners`: whose each row is; `asked`: whose rows look for others,
    None for all. `least`: the smallest cosine that counts; `most`: nearest rows kept for each row.
    `alive` is called after each block.
    """
    import numpy as np

    whose = np.asarray(owners, np.int64)
    rows = np.arange(len(whose)) if asked is None else np.flatnonzero(np.isin(whose, list(asked)))
    found: set[tuple[int, int]] = set()
    for at in range(0, len(rows), BLOCK):
        block = rows[at : at + BLOCK]
        cosines = vecs[block] @ vecs.T
        cosines[whose[block][:, None] == whose[None, :]] = -1.0
        row, nearest = np.nonzero(cosines >= least)
        crowded = np.flatnonzero(np.bincount(row, minlength=len(block)) > most)
        if len(crowded):
            best = np.argpartition(cosines[crowded], len(whose) - most, axis=1)[:, -most:]
            rest = ~np.isin(row, crowded)
            row = np.concatenate([row[rest], np.repeat(crowded, most)])
            nearest = np.concatenate([nearest[rest], best.ravel()])
        one, other = whose[block][row], whose[nearest]
        pairs = np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1)
        found.update((int(a), int(b)) for a, b in np.unique(pairs, axis=0))
        alive()
    return found


def by_letters(texts: Sequence[str]) -> NDArray[Any]:
    """float32 (n, BUCKETS), L2-normalised: pairs of neighbouring letters, not digits; rare ones heavy."""
    import numpy as np

    vecs = np.zeros((len(texts), BUCKETS), np.float32)
    for row, text in enumerate(texts):
        letters = text.lower().translate(DIGITS)
        for pair in {letters[n : n + 2] for n in range(len(letters) - 1)}:
            vecs[row, zlib.crc32(pair.encode()) % BUCKETS] = 1.0
    vecs *= np.log1p(len(texts) / (1.0 + vecs.sum(axis=0)))
    norms = np.linalg.norm(vecs, axis=1, keepdims=True)
    vecs /= np.maximum(norms, 1e-9)
    return vecs
