"""Rows with several labels: figures worked out by hand, and borders that help rare labels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from services.training.multi_label import evaluate_multi, report_multi, truths, tuned_thresholds


def test_micro_and_macro_f1_of_a_small_table() -> None:
    truth = truths([("a",), ("a", "b"), ()], ("a", "b", "c"))
    probs = np.array([[0.9, 0.6, 0], [0.9, 0.2, 0], [0.1, 0.1, 0]], np.float32)
    found = evaluate_multi(probs, truth)
    assert found["micro_f1"] == pytest.approx(2 * 2 / (3 + 3), abs=1e-4)
    assert found["macro_f1"] == pytest.approx((1 + 0) / 2)
    assert found["accuracy"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["brier"] == pytest.approx(((0.1**2) * 2 + 0.6**2 + 0.8**2 + 2 * 0.1**2) / 9, abs=1e-4)


def test_tuned_thresholds_find_the_border_that_was_put_there() -> None:
    rng = np.random.default_rng(0)
    probs = rng.random((2000, 2)).astype(np.float32)
    truth = probs > (0.8, 0.15)
    assert tuned_thresholds(probs, truth) == pytest.approx([0.8, 0.15], abs=0.01)


def test_tuned_thresholds_help_on_rows_they_have_not_seen() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((3000, 4)) < (0.3, 0.1, 0.05, 0.02)
    probs = np.clip(0.25 * truth + rng.normal(0.2, 0.08, truth.shape), 0, 1).astype(np.float32)
    thresholds = tuned_thresholds(probs[:1500], truth[:1500])
    tuned, plain = (evaluate_multi(probs[1500:], truth[1500:], t) for t in (thresholds, 0.5))
    assert tuned["macro_f1"] > plain["macro_f1"] + 0.2


def test_a_label_with_few_rows_shares_the_border_of_all() -> None:
    rng = np.random.default_rng(2)
    probs = rng.random((500, 2)).astype(np.float32)
    truth = probs > (0.6, 2)
    truth[7, 1] = True
    thresholds = tuned_thresholds(probs, truth)
    assert thresholds[1] == pytest.approx(0.6, abs=0.05)
    assert tuned_thresholds(probs, np.zeros((500, 2), np.bool_)).tolist() == [0.5, 0.5]


def test_its_report_has_the_form_of_every_report() -> None:
    truth = truths([("a",), ("b",), ("a", "b"), ()] * 30, ("a", "b"))
    probs = np.where(truth, 0.7, 0.2).astype(np.float32)
    found = report_multi(probs, truth, ("a", "b"), {"source": ["x", "y"] * 60}, thresholds=0.4)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert set(found) == {"labels", "per_class", "confusion", "reliability", "slices", "metrics"}
    assert found["metrics"]["micro_f1"] == 1.0
    assert sum(point["n"] for point in found["reliability"]) == 240
    assert [row["value"] for row in found["slices"]] == ["x", "y"]
