"""The paired bootstrap: how sure a difference is, told by drawing the rows of a test set again and again.

Efron and Tibshirani, "An Introduction to the Bootstrap", 1993. Figures that are made of sums over rows are
drawn as sums, so that two thousand rounds over a hundred thousand rows take seconds. Rows that belong
together (the companies of one headline) are one unit, since they are right or wrong together.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Metric = Literal["macro_f1", "accuracy", "micro_f1"]

ROUNDS = 2000
CERTAINTY = 95.0
_CELLS = 4_000_000


def one_hot(indices: Ints, n_labels: int) -> Bools:
    """Label indices (n,) as bool (n, n_labels)."""
    return np.asarray(indices[:, None] == np.arange(n_labels)[None, :], np.bool_)


def tally(said: Bools, truth: Bools) -> NDArray[np.float32]:
    """What each row adds to the counts of each label: float32 (n, 3 n_labels), hits, then asked, then given.

    `said` and `truth` are bool (n, n_labels).
    """
    return np.concatenate([said & truth, truth, said], axis=1).astype(np.float32)


def scored(sums: Doubles, metric: Metric) -> Doubles:
    """The metric of summed tallies (..., 3 n_labels): float64 (...). NaN when nothing was counted.

    Macro F1 is over the labels either side has. Accuracy is of labels that exclude one another.
    """
    hits, asked, given = np.split(sums, 3, axis=-1)
    if metric == "accuracy":
        return _divided(hits.sum(-1), asked.sum(-1))
    if metric == "micro_f1":
        return _divided(2 * hits.sum(-1), (asked + given).sum(-1))
    f1s = label_f1s(sums)
    known = ~np.isnan(f1s)
    return _divided(np.where(known, f1s, 0.0).sum(-1), known.sum(-1))


def label_f1s(sums: Doubles) -> Doubles:
    """F1 of each label from summed tallies (..., 3 n_labels): float64 (..., n_labels), NaN without rows."""
    hits, asked, given = np.split(sums, 3, axis=-1)
    return _divided(2 * hits, asked + given)


def resampled(units: NDArray[np.float32], seed: int, rounds: int = ROUNDS) -> Doubles:
    """Sums of as many rows of `units` (n, c), drawn with replacement, once a round: float64 (rounds, c)."""
    rng = np.random.default_rng(seed)
    distinct, counts = _collapsed(units)
    n, kinds = len(units), len(distinct)
    step = max(1, _CELLS // max(kinds, 1))
    parts = []
    for first in range(0, rounds, step):
        size = min(step, rounds - first)
        if kinds < n:
            drawn = rng.multinomial(n, counts / n, size=size)
        else:
            draws = rng.integers(0, n, size=(size, n)) + np.arange(size)[:, None] * n
            drawn = np.bincount(draws.ravel(), minlength=size * n).reshape(size, n)
        parts.append(drawn.astype(np.float32) @ distinct)
    return np.concatenate(parts).astype(np.float64)


def grouped(units: NDArray[np.float32], groups: Ints) -> NDArray[np.float32]:
    """The rows of `units` (n, c) summed by group (n,): float32 (n_groups, c)."""
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=groups[order[0]] - 1))
    return np.add.reduceat(units[order], starts, axis=0)


def interval(values: Doubles) -> tuple[float, float]:
    """The middle 95 % of the values that are numbers (percentile method); (nan, nan) when none is."""
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    side = (100 - CERTAINTY) / 2
    low, high = np.percentile(known, [side, 100 - side])
    return float(low), float(high)


def _collapsed(units: NDArray[np.float32]) -> tuple[NDArray[np.float32], Ints]:
    """Different rows and how often each is there; the rows as they are when they are too wide to compare."""
    if len(units) > 1:
        rows = np.ascontiguousarray(units)
        whole = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
        _, first, counts = np.unique(whole, return_index=True, return_counts=True)
        if len(first) < len(units):
            return units[first], counts.astype(np.int64)
    return units, np.ones(len(units), np.int64)


def _divided(above: Doubles, below: Doubles) -> Doubles:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)
