"""The figures of an evaluation, against ones worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from services.training.evaluation import calibration_error, evaluate

LABELS = ("bad", "so-so", "good")


def test_accuracy_recall_and_macro_f1_of_a_small_table() -> None:
    probs = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.9, 0], [0.7, 0.3, 0]], np.float32)
    found = evaluate(probs, np.array([0, 0, 1, 0]), LABELS)
    assert found.accuracy == 0.75
    assert found.recall == {"bad": pytest.approx(2 / 3), "so-so": 1.0, "good": None}
    assert found.macro_f1 == pytest.approx((4 / 5 + 2 / 3) / 2)
    flat = found.metrics("validation_")
    assert flat["validation_recall_so-so"] == 1.0
    assert "validation_recall_good" not in flat


def test_probabilities_that_mean_what_they_say_have_no_calibration_error() -> None:
    probs = np.tile(np.array([[0.75, 0.25]], np.float32), (4, 1))
    assert calibration_error(probs, np.array([0, 0, 0, 1])) == pytest.approx(0, abs=1e-6)
    assert calibration_error(probs, np.array([1, 1, 1, 1])) == pytest.approx(0.75)
    sure = np.array([[1.0, 0.0]], np.float32)
    assert calibration_error(sure, np.array([0])) == 0
