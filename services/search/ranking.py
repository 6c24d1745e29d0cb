"""Keys in order of their scores: the one place that says how ties fall, so that every list is repeatable."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]
Scores = NDArray[np.float32]


def best_first(keys: Keys, scores: Scores, k: int) -> tuple[Keys, Scores]:
    """The k best of keys (n,) and scores (n,), highest score first; equal scores by the smaller key."""
    if k <= 0:
        return keys[:0], scores[:0]
    if k < len(scores):
        kth_best = np.partition(scores, -k)[-k]
        chosen = np.flatnonzero(scores >= kth_best)
        keys, scores = keys[chosen], scores[chosen]
    order = np.lexsort((keys, -scores))[:k]
    return keys[order], scores[order]
