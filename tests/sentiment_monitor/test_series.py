"""Hourly buckets and the index that forgets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentiment_monitor.series import HALF_LIVES_H, LEAST_MEMORY, ewma_index, hourly

START_H = 480_000


def test_stories_fall_into_the_hour_they_were_seen_in_and_others_are_left_out() -> None:
    seconds = (START_H + np.array([0.0, 0.99, 1.0, 2.5, -0.1, 3.0])) * 3600
    series = hourly(
        seconds, [1, -1, -1, 0, 1, 1], [0.8, -0.6, -0.9, 0.1, 0.5, 0.5], START_H, 3, [1, 2, 1, 1, 1, 1]
    )
    assert series.n_positive.tolist() == [1, 0, 0]
    assert series.n_negative.tolist() == [1, 1, 0]
    assert series.n_neutral.tolist() == [0, 0, 1]
    assert series.sum_weight.tolist() == [3, 1, 1]
    assert series.sum_weighted_polarity == pytest.approx([0.8 - 1.2, -0.9, 0.1])
    assert series.times_h.tolist() == [START_H + 1, START_H + 2, START_H + 3]
    assert series.n_stories.sum() == 4


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 labels"):
        hourly([0.0], [1, -1], [0.5], 0, 1)


buckets = st.lists(
    st.tuples(st.floats(0.1, 60), st.integers(1, 20), st.floats(-1, 1)), min_size=1, max_size=25
)


@given(buckets, st.sampled_from(HALF_LIVES_H))
def test_the_index_is_the_average_with_weights_that_halve_every_half_life(
    rows: list, half_life: float
) -> None:
    gaps, counts, values = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    times = np.cumsum(gaps)
    index = ewma_index(times, counts, counts * values, half_life, n_stories=counts)
    age = times[-1] - times
    weight = counts * 0.5 ** (age / half_life)
    assert index.polarity[-1] == pytest.approx((weight * values).sum() / weight.sum(), abs=1e-9)
    assert index.memory[-1] == pytest.approx(weight.sum())


@given(buckets)
def test_the_band_holds_the_index_and_stays_within_the_scale(rows: list) -> None:
    gaps, counts, values = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    index = ewma_index(np.cumsum(gaps), counts, counts * values, 24.0, n_stories=counts)
    assert np.all(index.low <= index.polarity + 1e-9)
    assert np.all(index.polarity <= index.high + 1e-9)
    assert np.all((index.low >= -1 - 1e-9) & (index.high <= 1 + 1e-9))
    assert np.all(index.high - index.low > 0)


def test_the_band_covers_the_true_polarity_at_least_as_often_as_it_says() -> None:
    rng, inside = np.random.default_rng(5), []
    for _ in range(300):
        counts = rng.poisson(0.4, 120)
        positive, negative, _ = rng.multinomial(counts, [0.2, 0.3, 0.5]).T
        index = ewma_index(np.arange(120.0), counts, positive - negative, 24.0, n_stories=counts)
        inside.append(index.low[-1] <= -0.1 <= index.high[-1])
    assert np.mean(inside) >= 0.95


def test_silence_widens_the_band_and_ends_in_a_gap() -> None:
    times = np.arange(1.0, 400.0)
    weight = np.zeros_like(times)
    weight[0] = 8.0
    index = ewma_index(times, weight, -0.5 * weight, 24.0, n_stories=weight)
    width = index.high - index.low
    shown = ~np.isnan(index.polarity)
    assert np.all(np.diff(width[shown]) > 0)
    assert np.all(index.polarity[shown] == pytest.approx(-0.5))
    remembered_h = 24 * np.log2(8 / LEAST_MEMORY)
    assert shown[: int(remembered_h) - 1].all()
    assert not shown[int(remembered_h) + 2 :].any()
    assert np.isnan(index.low[-1])
    assert np.isnan(index.high[-1])


def test_hours_in_which_no_source_was_read_are_gaps_and_forget_nothing() -> None:
    times, weight = np.arange(6.0), np.array([4.0, 0, 0, 0, 0, 0])
    seen = ewma_index(times, weight, 0.6 * weight, 24.0, exposure=[1, 1, 0, 0, 1, 1])
    assert np.isnan(seen.polarity).tolist() == [False, False, True, True, False, False]
    assert seen.polarity[-1] == pytest.approx(0.6)


def test_before_the_first_story_there_is_no_index() -> None:
    index = ewma_index([1.0, 2.0, 3.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.9], 24.0)
    assert np.isnan(index.polarity).tolist() == [True, True, False]


def test_the_short_half_life_turns_before_the_long_one() -> None:
    times, weight = np.arange(240.0), np.ones(240)
    mood = np.where(times < 216, 0.4, -0.8)
    short, long = (ewma_index(times, weight, weight * mood, h).polarity[-1] for h in HALF_LIVES_H)
    assert short < -0.15 < 0.15 < long


def test_heavier_stories_count_for_more_and_blur_the_band() -> None:
    even = ewma_index([1.0, 1.0], [1.0, 1.0], [1.0, -1.0], 24.0)
    uneven = ewma_index([1.0, 1.0], [9.0, 1.0], [9.0, -1.0], 24.0)
    assert even.polarity[-1] == pytest.approx(0.0)
    assert uneven.polarity[-1] == pytest.approx(0.8)
    assert uneven.memory[-1] < even.memory[-1]


def test_hours_after_now_change_nothing_before() -> None:
    rng = np.random.default_rng(3)
    times, weight, mood = np.arange(200.0), rng.poisson(0.5, 200).astype(float), rng.uniform(-1, 1, 200)
    whole = ewma_index(times, weight, weight * mood, 24.0)
    part = ewma_index(times[:120], weight[:120], (weight * mood)[:120], 24.0)
    np.testing.assert_array_equal(whole.polarity[:120], part.polarity)
    np.testing.assert_array_equal(whole.high[:120], part.high)


@pytest.mark.parametrize(("times", "half_life"), [([2.0, 1.0], 24.0), ([1.0, 2.0], 0.0)])
def test_falling_times_and_empty_half_lives_are_refused(times: list[float], half_life: float) -> None:
    with pytest.raises(ValueError, match="half_life_h"):
        ewma_index(times, [1.0, 1.0], [0.5, 0.5], half_life)
