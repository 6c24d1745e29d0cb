"""Figures of ranked lists, against ones worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from services.training.retrieval_metrics import (
    graded_ndcg_at,
    ndcg_at,
    perplexity,
    ranks,
    recall_at,
    reciprocal,
    summary,
)


def test_ranks_are_counted_from_one_and_ties_share_the_middle() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.9, 0.5, 0.5], [1.0, 1.0, 1.0], [0.3, -np.inf, 0.2]])
    assert ranks(scores, np.array([0, 2, 1, 1])).tolist() == [1.0, 2.5, 2.0, 3.0]


def test_the_figures_of_three_ranks() -> None:
    found = np.array([1.0, 3.0, 11.0])
    assert ndcg_at(found, 10).tolist() == [1.0, 0.5, 0.0]
    assert reciprocal(found).mean() == pytest.approx((1 + 1 / 3 + 1 / 11) / 3)
    assert recall_at(found, 3).tolist() == [1, 1, 0]
    assert summary(found) == {
        "recall_at_1": 0.3333,
        "recall_at_5": 0.6667,
        "recall_at_10": 0.6667,
        "mrr": 0.4747,
        "ndcg_at_10": 0.5,
    }


def test_one_score_for_all_is_worth_what_chance_is_worth() -> None:
    level = ranks(np.zeros((50, 99)), np.arange(50))
    assert set(level.tolist()) == {50.0}
    assert recall_at(level, 10).sum() == 0


def test_graded_lists_are_compared_with_the_best_order_and_ties_share() -> None:
    gains = np.array([[3.0, 0, 1.0], [0, 0, 0], [1.0, 0, 0]])
    scores = np.array([[0.9, 0.5, 0.1], [1, 2, 3], [1, 1, 1]])
    found = graded_ndcg_at(scores, gains, 3)
    assert found[0] == pytest.approx((3 + 1 / 2) / (3 + 1 / np.log2(3)))
    assert np.isnan(found[1])
    assert found[2] == pytest.approx((1 + 1 / np.log2(3) + 1 / 2) / 3)
    one = np.eye(3)[[2]]
    assert graded_ndcg_at(scores[:1], one, 3) == pytest.approx(ndcg_at(ranks(scores[:1], np.array([2])), 3))


def test_perplexity_is_the_number_of_equally_likely_tokens() -> None:
    assert perplexity(float(np.log(50))) == pytest.approx(50)
    assert perplexity(1e6) == float("inf")
