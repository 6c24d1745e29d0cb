"""How good answers are where a row may have several labels, or none; and from which probability to say each.

Thresholds are tuned on validation rows: half a probability is seldom the best border for a rare label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.training.evaluation import expected_error, per_class, reliability, rounded_curve, sliced
from services.training.resampling import Bools, scored, tally

Floats = NDArray[np.float32]

LEAST_TO_TUNE = 5
"""Rows with a label from which it gets a threshold of its own."""


def truths(labels_of_rows: Sequence[Sequence[str]], labels: Sequence[str]) -> Bools:
    """Bool (n, n_labels): which labels each row has."""
    return np.array([[label in found for label in labels] for found in labels_of_rows], np.bool_).reshape(
        len(labels_of_rows), len(labels)
    )


def tuned_thresholds(probs: Floats, truth: Bools) -> Floats:
    """The threshold of each label with the best F1 over the rows, float32 (n_labels,), .01 to .99.

    Labels with fewer than five rows share the threshold that is best for all decisions together: one of their
    own would be learned by heart.
    """
    shared = _best(probs.ravel(), truth.ravel())
    own = [
        _best(probs[:, k], truth[:, k]) if truth[:, k].sum() >= LEAST_TO_TUNE else shared
        for k in range(probs.shape[1])
    ]
    return np.clip(np.array(own, np.float32), 0.01, 0.99)


def evaluate_multi(probs: Floats, truth: Bools, thresholds: Floats | float = 0.5) -> dict[str, float]:
    """rows, micro_f1, macro_f1, accuracy (of whole rows), ece and brier (of single decisions), rounded.

    `probs` float32 and `truth` bool, both (n, n_labels). Macro F1 is over the labels either side has.
    """
    said = np.asarray(probs >= thresholds, np.bool_)
    sums = tally(said, truth).sum(axis=0, dtype=np.float64)
    figures = {
        "rows": float(len(truth)),
        "micro_f1": float(scored(sums, "micro_f1")),
        "macro_f1": float(scored(sums, "macro_f1")),
        "accuracy": float((said == truth).all(axis=1).mean()),
        "ece": expected_error(reliability(probs.ravel(), truth.ravel())),
        "brier": float(((probs - truth) ** 2).mean()),
    }
    return {name: round(value, 4) for name, value in figures.items() if np.isfinite(value)}


def report_multi(
    probs: Floats,
    truth: Bools,
    labels: tuple[str, ...],
    columns: Mapping[str, Sequence[str]] | None = None,
    *,
    thresholds: Floats | float = 0.5,
    seed: int = 0,
) -> dict[str, Any]:
    """As `evaluation.report`; the confusion is empty, the reliability is that of every single decision."""
    said = np.asarray(probs >= thresholds, np.bool_)
    return {
        "labels": list(labels),
        "per_class": per_class(said, truth, labels),
        "confusion": [],
        "reliability": rounded_curve(reliability(probs.ravel(), truth.ravel())),
        "slices": sliced(said, truth, columns or {}, seed),
        "metrics": evaluate_multi(probs, truth, thresholds),
    }


def _best(probs: Floats, truth: Bools) -> float:
    """The border with the best F1, halfway between the probabilities beside it; .5 when none is true."""
    if not truth.any():
        return 0.5
    order = np.argsort(-probs, kind="stable")
    ordered, hits = probs[order], np.cumsum(truth[order])
    f1s = 2 * hits / (np.arange(1, len(probs) + 1) + truth.sum())
    ends = np.append(ordered[:-1] != ordered[1:], True)
    at = int(np.where(ends, f1s, -1.0).argmax())
    below = float(ordered[at + 1]) if at + 1 < len(ordered) else 0.0
    return (float(ordered[at]) + below) / 2
