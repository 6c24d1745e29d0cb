"""One ranking out of several lists."""

import numpy as np
import pytest
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.search.fusion import Case, fit_weights, mean_reciprocal_rank, rrf, weighted


def ranked_list(*pairs: tuple[int, float]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.array([key for key, _ in pairs]), np.array([score for _, score in pairs], dtype=np.float32)


def cases(n: int, seed: int = 0, strength: float = 1.0, candidates: int = 30) -> list[Case]:
    """One list that knows the answer, more or less."""
    draw = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        scores = draw.normal(size=(candidates, 1)).astype(np.float32) * 0.1
        gold = int(draw.integers(candidates))
        scores[gold] += 0.3 * strength
        made.append(Case(scores, gold))
    return made


def beside(known: list[Case], extra: NDArray[np.float32]) -> list[Case]:
    """The cases with another list next to theirs."""
    return [
        Case(np.hstack([case.features, column[:, None]]), case.gold)
        for case, column in zip(known, extra, strict=True)
    ]


def test_weighted_scores_are_taken_over_the_union() -> None:
    keys, scores = weighted(
        [ranked_list((1, 10.0), (2, 5.0), (3, 0.0)), ranked_list((2, 0.9), (4, 0.1))], [3.0, 1.0]
    )
    assert dict(zip(keys.tolist(), scores.tolist(), strict=True)) == pytest.approx(
        {1: 0.75, 2: 0.375 + 0.25, 3: 0.0, 4: 0.0}
    )
    assert keys.tolist() == [1, 2, 3, 4]


def test_a_floor_lets_the_last_of_a_list_count_for_more_than_a_missing_one() -> None:
    lists = [ranked_list((1, 0.9), (2, 0.8)), ranked_list((3, 7.0))]
    keys, scores = weighted(lists, [0.5, 0.5], floors=[0.0, 0.0])
    assert keys.tolist() == [1, 3, 2]
    assert scores == pytest.approx([0.5, 0.5, 0.5 * 0.8 / 0.9])


def test_a_list_without_a_spread_and_an_empty_list_change_nothing() -> None:
    good = ranked_list((1, 0.9), (2, 0.4), (3, 0.1))
    flat, empty = ranked_list((3, 5.0), (2, 5.0)), ranked_list()
    assert weighted([good, flat, empty], [1, 1, 1])[0].tolist() == [1, 2, 3]


def test_only_the_best_are_returned_when_k_is_given() -> None:
    assert weighted([ranked_list((1, 0.1), (2, 0.9), (3, 0.5))], [1.0], k=2)[0].tolist() == [2, 3]


@pytest.mark.parametrize("weights", [[1.0], [-1.0, 2.0], [0.0, 0.0], [np.nan, 1.0]])
def test_weights_that_weigh_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(InvalidInput):
        weighted([ranked_list((1, 1.0)), ranked_list((1, 1.0))], weights)


def test_reciprocal_ranks_add_up() -> None:
    keys, scores = rrf([np.array([5, 6]), np.array([6, 7])], k=60)
    assert keys.tolist() == [6, 5, 7]
    assert scores == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])
    assert rrf([])[0].tolist() == []


@pytest.mark.parametrize("seed", range(4))
def test_fitted_weights_lose_nothing_to_a_noise_list(seed: int) -> None:
    draw = np.random.default_rng(100 + seed)
    fitted_on, judged_on = cases(300, seed), cases(300, seed + 50)
    noise = 0.3 * draw.normal(size=(600, 30)).astype(np.float32)
    weights = fit_weights(beside(fitted_on, noise[:300]), [0.5, 0.5])
    alone = mean_reciprocal_rank(judged_on, np.ones(1))
    together = mean_reciprocal_rank(beside(judged_on, noise[300:]), weights)
    averaged = mean_reciprocal_rank(beside(judged_on, noise[300:]), np.array([0.5, 0.5]))
    assert averaged < alone - 0.2  # the list does hurt when it is not weighed
    assert together >= alone - 0.02
    assert weights[1] < 0.1


def test_fitted_weights_lose_nothing_to_a_constant_list() -> None:
    known = cases(100)
    constant = np.full((100, 30), 0.7, dtype=np.float32)
    weights = fit_weights(beside(known, constant), [0.5, 0.5])
    assert mean_reciprocal_rank(beside(known, constant), weights) == mean_reciprocal_rank(known, np.ones(1))


def test_two_lists_that_each_know_something_are_both_used() -> None:
    draw = np.random.default_rng(7)
    one = cases(400, strength=0.5)
    other = draw.normal(size=(400, 30)).astype(np.float32) * 0.1
    other[np.arange(400), [case.gold for case in one]] += 0.15
    both = beside(one, other)
    weights = fit_weights(both, [0.9, 0.1])
    assert weights.min() > 0.3
    assert mean_reciprocal_rank(both, weights) > mean_reciprocal_rank(one, np.ones(1)) + 0.05


def test_few_cases_stay_near_the_default() -> None:
    draw = np.random.default_rng(8)
    three = beside(cases(3), draw.normal(size=(3, 30)).astype(np.float32))
    assert fit_weights(three, [0.6, 0.4]) == pytest.approx([0.6, 0.4], abs=0.1)
    assert fit_weights([], [3.0, 1.0]).tolist() == [0.75, 0.25]


def test_a_fit_that_would_rank_worse_is_not_taken() -> None:
    draw = np.random.default_rng(9)
    for seed in range(30):
        few = beside(cases(4, seed, strength=0.7), draw.normal(size=(4, 30)).astype(np.float32))
        default = np.array([0.5, 0.5])
        assert mean_reciprocal_rank(few, fit_weights(few, default)) >= mean_reciprocal_rank(few, default)


def test_a_fit_is_the_same_every_time() -> None:
    known = beside(cases(50), np.random.default_rng(1).normal(size=(50, 30)).astype(np.float32))
    assert fit_weights(known, [0.5, 0.5]).tolist() == fit_weights(known, [0.5, 0.5]).tolist()


def test_ties_share_the_middle_of_their_ranks() -> None:
    case = Case(np.array([[0.5], [0.5], [0.9], [0.1]], dtype=np.float32), 0)
    assert mean_reciprocal_rank([case], np.ones(1)) == pytest.approx(1 / 2.5)
