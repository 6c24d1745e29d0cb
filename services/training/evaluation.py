"""How good the probabilities of a classifier are: right, fair to rare classes, and honest.

`report` puts it all together as JSON for people: by class, by confidence, and by kinds of rows. Labels that
do not exclude one another have their own file, `multi_label.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.text.language import detect
from services.training.dataset import Example
from services.training.resampling import Bools, interval, one_hot, resampled, scored, tally
from services.training.splitting import wording

_BINS = 15
_SLICE_ROUNDS = 500
_SLICES_OF_A_KIND = 12
_LENGTHS = (50, 100, 200, 500)


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
    return expected_error(reliability(probs.max(axis=1), probs.argmax(axis=1) == truth))


def expected_error(curve: Sequence[Mapping[str, float]]) -> float:
    """How far confidence and accuracy of a reliability curve are apart, weighed by rows; 0 without rows."""
    rows = sum(point["n"] for point in curve)
    return sum(point["n"] * abs(point["accuracy"] - point["confidence"]) for point in curve) / max(rows, 1)


def reliability(confidence: NDArray[np.float32], right: Bools) -> list[dict[str, float]]:
    """The share of right answers by how sure they were: 15 equal bins of `confidence` (n,), empty ones too.

    Each is {from, to, n, confidence, accuracy}, the last two means over its rows (0 when it has none).
    """
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    curve = []
    for b in range(_BINS):
        inside = bins == b
        n = int(inside.sum())
        means = [float(values[inside].mean()) if n else 0.0 for values in (confidence, right)]
        curve.append(
            {"from": b / _BINS, "to": (b + 1) / _BINS, "n": n, "confidence": means[0], "accuracy": means[1]}
        )
    return curve


def brier(probs: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The mean squared distance of the probabilities from what came true, 0 (perfect) to 2 (Brier, 1950)."""
    return float(((probs - one_hot(truth, probs.shape[1])) ** 2).sum(axis=1).mean())


def temperature(logits: NDArray[np.float32], truth: NDArray[np.int64] | Bools) -> float:
    """What the logits (n, n_labels) are to be divided by so that the labels are likeliest, .05 to 20.

    `truth` is label indices (n,), or bool (n, n_labels) where labels do not exclude one another. Fit it on
    rows that were not trained on (Guo et al., 2017).
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_expit, log_softmax

    wide = logits.astype(np.float64)

    def surprise(log_temperature: float) -> float:
        scaled = wide / np.exp(log_temperature)
        if truth.ndim == 2:
            return float(-log_expit(np.where(truth, scaled, -scaled)).mean())
        return float(-log_softmax(scaled, axis=1)[np.arange(len(truth)), truth].mean())

    found = minimize_scalar(surprise, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def confusion(said: NDArray[np.int64], truth: NDArray[np.int64], n_labels: int) -> NDArray[np.int64]:
    """How often a label (row) was answered with each label (column): int64 (n_labels, n_labels)."""
    return np.bincount(truth * n_labels + said, minlength=n_labels**2).reshape(n_labels, n_labels)


def per_class(said: Bools, truth: Bools, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each label from bool (n, n_labels); 0 where undefined."""
    hits, asked, given = np.split(tally(said, truth).sum(axis=0, dtype=np.float64), 3)
    return [
        {
            "label": label,
            "precision": _rounded(hits[k] / max(given[k], 1)),
            "recall": _rounded(hits[k] / max(asked[k], 1)),
            "f1": _rounded(2 * hits[k] / max(asked[k] + given[k], 1)),
            "support": int(asked[k]),
        }
        for k, label in enumerate(labels)
    ]


def columns_of(
    examples: Sequence[Example], more: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Sequence[str]]:
    """The columns by which rows are told apart in a report: language, length in characters, source, and more.

    Where a row names no language, it is told from its script.
    """
    columns: dict[str, Sequence[str]] = {
        "language": [example.language or detect(wording(example)) for example in examples],
        "length": [_band(len(wording(example))) for example in examples],
        "source": [example.source for example in examples],
    }
    return columns | dict(more or {})


def sliced(
    said: Bools, truth: Bools, columns: Mapping[str, Sequence[str]], seed: int = 0
) -> list[dict[str, Any]]:
    """The figures of the most frequent values of each column that has several, from bool (n, n_labels).

    Each is {by, value, n, accuracy, macro_f1, low, high}. Accuracy is of whole rows; macro F1 is over the
    labels the slice has, with its 95 % bootstrap interval from `low` to `high`.
    """
    found = []
    for by, values in columns.items():
        counts = Counter(values)
        for value, n in counts.most_common(_SLICES_OF_A_KIND) if len(counts) > 1 else ():
            rows = np.array([other == value for other in values], np.bool_)
            units = tally(said[rows], truth[rows])
            low, high = interval(scored(resampled(units, seed, _SLICE_ROUNDS), "macro_f1"))
            found.append(
                {
                    "by": by,
                    "value": value,
                    "n": n,
                    "accuracy": _rounded((said[rows] == truth[rows]).all(axis=1).mean()),
                    "macro_f1": _rounded(scored(units.sum(axis=0, dtype=np.float64), "macro_f1")),
                    "low": _rounded(low),
                    "high": _rounded(high),
                }
            )
    return found


def report(
    probs: NDArray[np.float32],
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
    columns: Mapping[str, Sequence[str]] | None = None,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """All of it as JSON: labels, per_class, confusion, reliability, slices, metrics.

    `probs` (n, n_labels) and `truth` (n,) as in `evaluate`; `columns` have a value for each row.
    """
    said = probs.argmax(axis=1)
    wide = one_hot(said, len(labels)), one_hot(truth, len(labels))
    return {
        "labels": list(labels),
        "per_class": per_class(*wide, labels),
        "confusion": confusion(said, truth, len(labels)).tolist(),
        "reliability": rounded_curve(reliability(probs.max(axis=1), said == truth)),
        "slices": sliced(*wide, columns or {}, seed),
        "metrics": evaluate(probs, truth, labels).metrics() | {"brier": round(brier(probs, truth), 4)},
    }


def rounded_curve(curve: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """A reliability curve as a report keeps it."""
    return [{name: value if name == "n" else round(value, 4) for name, value in p.items()} for p in curve]


def _band(length: int) -> str:
    """The band of lengths a text is in, as "50–99"."""
    above = [limit for limit in _LENGTHS if limit <= length]
    start = above[-1] if above else 0
    return f"{start}+" if start == _LENGTHS[-1] else f"{start}–{_LENGTHS[len(above)] - 1}"


def _rounded(value: Any) -> float | None:
    """Four places; None for what JSON cannot say."""
    return round(float(value), 4) if np.isfinite(value) else None
