"""The figures of an evaluation, against ones worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from services.training.dataset import Example
from services.training.evaluation import (
    brier,
    calibration_error,
    columns_of,
    evaluate,
    reliability,
    report,
    temperature,
)

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


def drawn(n: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that say the truth of their rows, made too sure by `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 3))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (probs.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return (logits * sharpness).astype(np.float32), truth


def softmax(logits: np.ndarray) -> np.ndarray:
    grown = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (grown / grown.sum(axis=1, keepdims=True)).astype(np.float32)


def test_the_temperature_undoes_how_much_too_sure_a_model_is() -> None:
    for sharpness in (0.4, 1.0, 4.0):
        logits, truth = drawn(6000, sharpness)
        found = temperature(logits, truth)
        assert found == pytest.approx(sharpness, rel=0.1)
        assert calibration_error(softmax(logits / found), truth) < 0.025
    rng = np.random.default_rng(1)
    single = rng.normal(0, 2, (4000, 2))
    truth = rng.random((4000, 2)) < 1 / (1 + np.exp(-single))
    assert temperature((3 * single).astype(np.float32), truth) == pytest.approx(3, rel=0.1)


def test_the_reliability_curve_counts_every_row_once() -> None:
    curve = reliability(np.array([0.0, 0.5, 0.51, 1.0], np.float32), np.array([False, True, False, True]))
    assert [(point["n"], point["accuracy"]) for point in curve if point["n"]] == [(1, 0), (2, 0.5), (1, 1)]
    assert (len(curve), curve[0]["from"], curve[-1]["to"]) == (15, 0, 1)
    assert curve[7]["confidence"] == pytest.approx(0.505)


def test_the_brier_score_of_sure_and_of_undecided_answers() -> None:
    assert brier(np.array([[1, 0], [0, 1]], np.float32), np.array([0, 0])) == 1.0
    assert brier(np.array([[0.5, 0.5]], np.float32), np.array([0])) == 0.5


def test_a_report_says_the_same_as_the_figures_and_is_json() -> None:
    logits, truth = drawn(900, 1.0)
    probs = softmax(logits)
    examples = [
        Example("短文" if at % 3 == 0 else "word " * (10 + at % 40), source="ab"[at % 2]) for at in range(900)
    ]
    found = report(probs, truth, LABELS, columns_of(examples, {"region": ["one"] * 900}))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert np.array(found["confusion"]).sum() == 900
    assert np.trace(np.array(found["confusion"])) / 900 == pytest.approx(
        found["metrics"]["accuracy"], abs=1e-4
    )
    f1s = [row["f1"] for row in found["per_class"]]
    assert np.mean(f1s) == pytest.approx(found["metrics"]["macro_f1"], abs=1e-3)
    assert sum(row["support"] for row in found["per_class"]) == 900
    said, truly = probs.argmax(axis=1), truth
    assert found["confusion"][0][2] == int(((truly == 0) & (said == 2)).sum())
    assert found["per_class"][1]["precision"] == pytest.approx((truly[said == 1] == 1).mean(), abs=1e-4)
    by = {(row["by"], row["value"]): row for row in found["slices"]}
    assert {key for key, _ in by} == {"language", "length", "source"}
    assert by["language", "zh-hans"]["n"] == 300
    assert by["length", "0–49"]["n"] == 300
    assert by["source", "a"]["accuracy"] == pytest.approx((said == truly)[::2].mean(), abs=1e-4)
    assert all(row["low"] <= row["macro_f1"] <= row["high"] for row in found["slices"])
