"""How well a list is ranked, and how well a text is foretold.

Ranks count from 1; where several candidates have the same score, each has the mean of their ranks, so that a
model that gives one score to all is worth what chance is worth. Never sampled: rank against all candidates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]


def ranks(scores: NDArray[np.floating], targets: NDArray[np.int64]) -> Doubles:
    """The rank of each row's target among all candidates, float64 (n,), ties at mid-rank.

    `scores` (n, n_candidates), higher is better; `targets` (n,) candidate numbers. -inf masks a candidate;
    a masked target has the last ranks.
    """
    own = scores[np.arange(len(targets)), targets][:, None]
    above = (scores > own).sum(axis=1)
    level = (scores == own).sum(axis=1)
    return np.asarray(1 + above + (level - 1) / 2, np.float64)


def ndcg_at(ranks: Doubles, k: int) -> Doubles:
    """Of each row with one relevant candidate: 1 / log2(1 + rank), 0 beyond k; float64 (n,).

    Jaervelin and Kekaelaeinen, 2002; the ideal list has the candidate first, which counts 1.
    """
    return np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0)


def graded_ndcg_at(scores: NDArray[np.floating], gains: NDArray[np.floating], k: int) -> Doubles:
    """Of each row with several relevant candidates: `gains` (n, n_candidates), 0 for those that are not.

    Rows without any are NaN. Candidates of one score share the gains they would have together.
    """
    found = np.full(len(scores), np.nan)
    discounts = np.where(np.arange(scores.shape[1]) < k, 1 / np.log2(2 + np.arange(scores.shape[1])), 0.0)
    for row, (given, gain) in enumerate(zip(scores, gains, strict=True)):
        ideal = float(np.sort(gain)[::-1] @ discounts)
        if ideal > 0:
            _, level = np.unique(-given, return_inverse=True)
            counts = np.bincount(level)
            shared = np.bincount(level, weights=gain) / counts
            found[row] = float(np.repeat(shared, counts) @ discounts) / ideal
    return found


def reciprocal(ranks: Doubles) -> Doubles:
    """1 / rank of each row; its mean is the mean reciprocal rank (MRR)."""
    return 1 / ranks


def recall_at(ranks: Doubles, k: int) -> Doubles:
    """1 for each row whose target is among the first k, else 0; its mean is recall@k."""
    return (ranks <= k).astype(np.float64)


def summary(ranks: Doubles) -> dict[str, float]:
    """recall@1, 5 and 10, mrr and ndcg@10 over all rows, rounded."""
    figures = {f"recall_at_{k}": recall_at(ranks, k) for k in (1, 5, 10)}
    figures |= {"mrr": reciprocal(ranks), "ndcg_at_10": ndcg_at(ranks, 10)}
    return {name: round(float(values.mean()), 4) for name, values in figures.items()}


def perplexity(mean_nll: float) -> float:
    """How many tokens a model wavers between on average: e to the mean surprise in nats; inf when beyond."""
    return float(np.exp(mean_nll)) if mean_nll < 700 else float("inf")
