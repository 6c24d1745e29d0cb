"""One ranking out of several: weighted scores, or reciprocal ranks when scores cannot be compared.

A plain average lets a weak list pull a strong one down, and so does RRF, which weighs every list alike.
So lists are weighed, and the weights are fitted where there are cases to fit them on: a list that does
not help ends near zero. With few cases the fit stays near the default it started from.

Sources: Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval" (2023), for convex
combinations; Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion" (2009), for RRF and its k = 60.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.search.ranking import Keys, Scores, best_first

PRIOR_CASES = 10.0
"""How many cases the default weights count for: on so many of its own, a fit goes half its way."""
Weights = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """One question with a known answer: `features` float32 (candidates, lists), `gold` the row of the answer.

    The lists' scores must be on scales that do not change from case to case.
    """

    features: NDArray[np.float32]
    gold: int


def weighted(
    lists: Sequence[tuple[Keys, Scores]],
    weights: Sequence[float],
    *,
    floors: Sequence[float] | None = None,
    k: int | None = None,
) -> tuple[Keys, Scores]:
    """The keys of all lists, best first, with the weighted mean of their scores, each list scaled to [0, 1].

    A list's largest score becomes 1; its floor, and a key that it lacks, 0. `floors` are the scores that
    mean "nothing in common" (0 for BM25 and for cosines); without them a list's smallest score is its floor,
    so the last of a list counts like a key that is not in it. A list without a spread counts for nothing.
    Weights are made to sum to one. Raises InvalidInput for negative weights, or none above zero.
    """
    shares = _shares(weights, len(lists))
    keys = _union([list_keys for list_keys, _ in lists])
    totals = np.zeros(len(keys), dtype=np.float32)
    for place, (list_keys, list_scores) in enumerate(lists):
        scaled = _scaled(list_scores, None if floors is None else floors[place])
        totals[np.searchsorted(keys, list_keys)] += np.float32(shares[place]) * scaled
    return best_first(keys, totals, len(keys) if k is None else k)


def rrf(lists: Sequence[Keys], k: float = 60.0) -> tuple[Keys, Scores]:
    """Every key of any list, best first, with the sum of 1 / (k + rank) over the lists that have it.

    `lists`: keys in rank order. The fallback for lists without scores; it weighs all of them alike.
    """
    keys = _union(lists)
    totals = np.zeros(len(keys), dtype=np.float32)
    for ranked in lists:
        totals[np.searchsorted(keys, ranked)] += 1.0 / (k + np.arange(1, len(ranked) + 1))
    return best_first(keys, totals.astype(np.float32), len(keys))


def fit_weights(
    cases: Sequence[Case], default: Sequence[float], *, prior_cases: float = PRIOR_CASES
) -> Weights:
    """Weights (lists,), not negative, summing to one, that put the gold row first as often as they can.

    Maximises the mean log-probability of the gold row, a softmax over the candidates of the weighted sum at
    a free sharpness; then goes n / (n + prior_cases) of the way there from `default`, n being the number of
    cases. Kept only if the mean reciprocal rank on the cases is not below the default's.
    Deterministic. Without cases, the default.
    """
    start = _shares(default, len(default))
    useful = [case for case in cases if len(case.features) > 1]
    if not useful:
        return start
    trust = len(useful) / (len(useful) + prior_cases)
    fitted: Weights = trust * _most_likely(useful, start) + (1 - trust) * start
    return fitted if mean_reciprocal_rank(useful, fitted) >= mean_reciprocal_rank(useful, start) else start


def mean_reciprocal_rank(cases: Sequence[Case], weights: Weights) -> float:
    """The mean of 1 / rank of the gold rows; tied rows share the middle of their ranks."""
    total = 0.0
    for case in cases:
        scores = case.features @ weights
        gold = scores[case.gold]
        ahead = int((scores > gold).sum())
        beside = int((scores == gold).sum()) - 1
        total += 1.0 / (1 + ahead + beside / 2)
    return total / max(len(cases), 1)


_START_SHARPNESS = 20.0
_RIDGE = 1e-4


def _most_likely(cases: Sequence[Case], start: Weights) -> Weights:
    """L-BFGS over weight times sharpness: a convex problem, kept finite by a ridge."""
    from scipy.optimize import minimize

    def loss(values: Weights) -> tuple[float, Weights]:
        total, slope = 0.0, np.zeros_like(values)
        for case in cases:
            scores = case.features @ values
            scores -= scores.max()
            chances = np.exp(scores)
            total += float(np.log(chances.sum()) - scores[case.gold])
            slope += (chances / chances.sum()) @ case.features - case.features[case.gold]
        n = len(cases)
        return total / n + _RIDGE * float(values @ values), slope / n + 2 * _RIDGE * values

    bounds = [(0.0, None)] * len(start)
    found = minimize(loss, _START_SHARPNESS * start, jac=True, method="L-BFGS-B", bounds=bounds)
    return _shares(found.x, len(start)) if found.x.sum() > 0 else start


def _shares(weights: Sequence[float] | Weights, count: int) -> Weights:
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (count,) or not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
        raise InvalidInput("Give one weight for each list, none negative, not all zero.", field="weights")
    shares: Weights = values / values.sum()
    return shares


def _union(lists: Sequence[Keys]) -> Keys:
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *lists]))


def _scaled(scores: Scores, floor: float | None) -> Scores:
    if not len(scores):
        return scores
    low = float(scores.min()) if floor is None else floor
    spread = float(scores.max()) - low
    scaled: Scores = np.maximum(scores - np.float32(low), 0) / np.float32(spread if spread > 0 else np.inf)
    return scaled
