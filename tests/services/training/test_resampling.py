"""The bootstrap is as sure as it says, and counts what belongs together once."""

from __future__ import annotations

import numpy as np
import pytest

from services.training.resampling import grouped, interval, label_f1s, one_hot, resampled, scored, tally


def test_metrics_of_summed_tallies_are_those_worked_out_by_hand() -> None:
    said, truth = one_hot(np.array([0, 1, 1, 0]), 3), one_hot(np.array([0, 0, 1, 0]), 3)
    sums = tally(said, truth).sum(axis=0, dtype=np.float64)
    assert scored(sums, "accuracy") == 0.75
    assert scored(sums, "micro_f1") == 0.75
    assert scored(sums, "macro_f1") == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert label_f1s(sums)[:2] == pytest.approx([4 / 5, 2 / 3])
    assert np.isnan(label_f1s(sums)[2])


def test_a_share_lies_in_its_interval_about_95_times_in_a_hundred() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for trial in range(200):
        units = (rng.random((120, 1)) < 0.3).astype(np.float32)
        low, high = interval(resampled(units, trial, 400)[:, 0] / 120)
        inside += low <= 0.3 <= high
    assert 0.9 <= inside / 200 <= 0.99


def test_rows_that_are_alike_and_rows_that_all_differ_are_drawn_with_the_same_spread() -> None:
    values = np.repeat([0.0, 1.0], 100)[:, None].astype(np.float32)
    nearly = values + np.linspace(0, 1e-5, 200, dtype=np.float32)[:, None]
    spreads = [resampled(units, 3, 3000).std() for units in (values, nearly)]
    assert spreads[0] == pytest.approx(np.sqrt(200) / 2, rel=0.05)
    assert spreads[1] == pytest.approx(spreads[0], rel=0.06)


def test_copies_of_rows_do_not_make_a_figure_surer_when_they_are_one_group() -> None:
    values = np.random.default_rng(0).random((60, 1)).astype(np.float32)
    fivefold, groups = np.repeat(values, 5, axis=0), np.repeat(np.arange(60), 5)
    alone = np.ptp(interval(resampled(values, 0)[:, 0] / 60))
    together = np.ptp(interval(resampled(grouped(fivefold, groups), 0)[:, 0] / 300))
    counted_apart = np.ptp(interval(resampled(fivefold, 0)[:, 0] / 300))
    assert together == pytest.approx(alone, rel=0.01)
    assert counted_apart < 0.6 * alone
