"""How good the probabilities of a classifier are: right, fair to rare classes, and honest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BINS = 15


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures over n rows, 0 to 1. `recall` is by label; None for a label that no row has."""

    n: int
    accuracy: float
    macro_f1: float
    recall: dict[str, float | None]
    ece: float

    def metrics(self, prefix: str = "") -> dict[str, float]:
        """The same, flat and rounded, as a manifest or a benchmark keeps them."""
        flat = {"rows": float(self.n), "accuracy": self.accuracy, "macro_f1": self.macro_f1, "ece": self.ece}
        flat |= {f"recall_{label}": value for label, value in self.recall.items() if value is not None}
        return {f"{prefix}{name}": round(value, 4) for name, value in flat.items()}


def evaluate(probs: NDArray[np.float32], truth: NDArray[np.int64], labels: tuple[str, ...]) -> Evaluation:
    """`probs` (n, n_labels), `truth` label indices (n,). Macro F1 is over the labels either side has."""
    said = probs.argmax(axis=1)
    f1s = []
    recall: dict[str, float | None] = {}
    for k, label in enumerate(labels):
        hits = int(((said == k) & (truth == k)).sum())
        asked, given = int((truth == k).sum()), int((said == k).sum())
        recall[label] = hits / asked if asked else None
        if asked + given:
            f1s.append(2 * hits / (asked + given))
    return Evaluation(
        n=len(truth),
        accuracy=float((said == truth).mean()),
        macro_f1=float(np.mean(f1s)),
        recall=recall,
        ece=calibration_error(probs, truth),
    )


def calibration_error(probs: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """Expected calibration error over 15 equal bins of confidence (Guo et al., 2017)."""
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == truth
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return float(
        sum(
            abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean()
            for b in np.unique(bins)
        )
    )
