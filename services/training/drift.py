"""Has what comes in become another thing than what the model was trained and measured on?

Compares two fingerprints: which labels are answered, how surely, and where the texts lie for the encoder. A
sign counts only when it is both large enough to matter and beyond what chance does to as many rows; the level
is shared among the three signs, so that an unchanged stream proposes a retraining about once in a hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

LEAST_ROWS = 50
LEVEL = 0.01
PSI_FROM = 0.1
"""Population stability index from which shares have moved (below .1 is usually called stable)."""
CONFIDENCE_FROM = 0.1
CENTROID_FROM = 0.15
"""Of the distance of one row from the centroid, root mean square."""
_BINS = 50

SENTENCES = {
    "labels": "The shares of the labels have moved: PSI {value:.2f} (it counts from {least:.2f}), most of "
    "all “{label}”, from {before:.1%} to {after:.1%}.",
    "confidence": "The model is as sure as it was no longer: its confidence is distributed {value:.2f} apart "
    "(Kolmogorov-Smirnov; it counts from {least:.2f}), its mean went from {before:.2f} to {after:.2f}.",
    "centroid": "The texts lie elsewhere: their centre has moved by {value:.2f} of a text's usual distance "
    "from it (it counts from {least:.2f}).",
    "too_few": "{n} rows are too few to tell; at least {least} are needed.",
    "stable": "Nothing has moved beyond what chance does to {n} rows.",
}
"""What each code says, in English, for `str.format`."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a set of rows looks like to a model, without the rows.

    `label_counts` of the most likely labels; `confidence` counts of the highest probability in 50 equal bins;
    `centroid` float64 (dim,) of the vectors; `spread` the trace of their covariance, `spread_2` that of its
    square, by which it is known how far a centroid wanders by chance.
    """

    n: int
    labels: tuple[str, ...]
    label_counts: tuple[int, ...]
    confidence: tuple[int, ...]
    centroid: tuple[float, ...]
    spread: float
    spread_2: float

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values, rounded to six digits."""
        return {
            "n": self.n,
            "labels": list(self.labels),
            "label_counts": list(self.label_counts),
            "confidence": list(self.confidence),
            "centroid": [float(f"{value:.6g}") for value in self.centroid],
            "spread": float(f"{self.spread:.6g}"),
            "spread_2": float(f"{self.spread_2:.6g}"),
        }


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that was seen, as a code of SENTENCES and its values."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def text(self, translate: Callable[[str], str] = str) -> str:
        """The sentence, in English or as `translate` says it."""
        return translate(SENTENCES[self.code]).format(**self.values)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far the recent rows are from the reference, and whether that proposes a retraining.

    `label_psi` (population stability index); `confidence_shift` (Kolmogorov-Smirnov distance, 0 to 1);
    `centroid_distance` in units of what it would be by chance, 1 being usual; `p` of each.
    """

    label_psi: float
    confidence_shift: float
    centroid_distance: float
    p: Mapping[str, float]
    proposes: bool
    reasons: tuple[Sign, ...]


def fingerprint_of(probs: Floats, vecs: Floats, labels: Sequence[str]) -> Fingerprint:
    """`probs` (n, n_labels), `vecs` (n, dim) of the same rows, n at least 2 (ValueError otherwise)."""
    n = len(probs)
    if n < 2 or len(vecs) != n:
        raise ValueError("a fingerprint needs probabilities and vectors of the same two rows or more")
    bins = np.minimum((probs.max(axis=1) * _BINS).astype(int), _BINS - 1)
    centroid = vecs.mean(axis=0, dtype=np.float64)
    away = vecs - centroid
    covariance = away.T @ away / (n - 1)
    spread, square = float(np.trace(covariance)), float((covariance**2).sum())
    return Fingerprint(
        n,
        tuple(labels),
        tuple(np.bincount(probs.argmax(axis=1), minlength=len(labels)).tolist()),
        tuple(np.bincount(bins, minlength=_BINS).tolist()),
        tuple(centroid.tolist()),
        spread,
        max(square - spread**2 / n, square / n),
    )


def from_json(told: Mapping[str, Any]) -> Fingerprint:
    """What `Fingerprint.as_json` wrote. Raises KeyError when a part is missing."""
    lists = {name: tuple(told[name]) for name in ("labels", "label_counts", "confidence", "centroid")}
    return Fingerprint(int(told["n"]), **lists, spread=told["spread"], spread_2=told["spread_2"])


def drift(reference: Fingerprint, recent: Fingerprint) -> Drift:
    """How the recent rows differ. Raises ValueError when the two are of other labels or another encoder."""
    if reference.labels != recent.labels or len(reference.centroid) != len(recent.centroid):
        raise ValueError("the fingerprints are of different models")
    psi, p_labels = _labels_moved(reference, recent)
    shift, p_confidence = _confidence_moved(reference, recent)
    distance, effect, p_centroid = _centroid_moved(reference, recent)
    p = {"labels": p_labels, "confidence": p_confidence, "centroid": p_centroid}
    fewest = min(reference.n, recent.n)
    if fewest < LEAST_ROWS:
        few = Sign("too_few", {"n": fewest, "least": LEAST_ROWS})
        return Drift(psi, shift, distance, p, False, (few,))
    sizes = {
        "labels": (psi, PSI_FROM),
        "confidence": (shift, CONFIDENCE_FROM),
        "centroid": (effect, CENTROID_FROM),
    }
    signs = tuple(
        Sign(code, {"value": value, "least": least} | _before_and_after(code, reference, recent))
        for code, (value, least) in sizes.items()
        if value >= least and p[code] < LEVEL / len(sizes)
    )
    return Drift(psi, shift, distance, p, bool(signs), signs or (Sign("stable", {"n": recent.n}),))


def _shares(counts: Sequence[int]) -> Doubles:
    """Shares of counts, half a row added to each so that none is zero."""
    padded = np.array(counts, np.float64) + 0.5
    return np.asarray(padded / padded.sum(), np.float64)


def _labels_moved(reference: Fingerprint, recent: Fingerprint) -> tuple[float, float]:
    """The population stability index, and p of a chi-square test that both are of one stream."""
    from scipy.stats import chi2_contingency

    before, after = _shares(reference.label_counts), _shares(recent.label_counts)
    psi = float(((after - before) * np.log(after / before)).sum())
    table = np.array([reference.label_counts, recent.label_counts])
    table = table[:, table.sum(axis=0) > 0]
    return psi, float(chi2_contingency(table)[1]) if table.shape[1] > 1 else 1.0


def _confidence_moved(reference: Fingerprint, recent: Fingerprint) -> tuple[float, float]:
    """The distance of the distributions over bins, and p, which bins make a little too high."""
    from scipy.stats import kstwobign

    cumulated = [np.cumsum(f.confidence) / f.n for f in (reference, recent)]
    distance = float(np.abs(cumulated[0] - cumulated[1]).max())
    return distance, float(
        kstwobign.sf(distance * np.sqrt(reference.n * recent.n / (reference.n + recent.n)))
    )


def _centroid_moved(reference: Fingerprint, recent: Fingerprint) -> tuple[float, float, float]:
    """The distance in units of chance, in units of a row's distance, and p.

    By chance the squared distance is about a scaled chi-square with as many degrees of freedom as the vectors
    have directions (Satterthwaite, 1946), which resampling confirms.
    """
    from scipy.stats import chi2

    squared = float(((np.array(reference.centroid) - np.array(recent.centroid)) ** 2).sum())
    parts = 1 / reference.n, 1 / recent.n
    usual = reference.spread * parts[0] + recent.spread * parts[1]
    spread = (reference.spread * reference.n + recent.spread * recent.n) / (reference.n + recent.n)
    if usual <= 0:
        return 0.0, 0.0, 1.0 if squared == 0 else 0.0
    wide = np.sqrt(reference.spread_2) * parts[0] + np.sqrt(recent.spread_2) * parts[1]
    freedom = usual**2 / wide**2
    p = float(chi2.sf(squared / usual * freedom, freedom))
    return float(np.sqrt(squared / usual)), float(np.sqrt(squared / spread)), p


def _before_and_after(code: str, reference: Fingerprint, recent: Fingerprint) -> dict[str, Any]:
    if code == "labels":
        before, after = _shares(reference.label_counts), _shares(recent.label_counts)
        most = int(np.abs(after - before).argmax())
        return {"label": reference.labels[most], "before": float(before[most]), "after": float(after[most])}
    if code == "confidence":
        middles = (np.arange(_BINS) + 0.5) / _BINS
        means = [float(np.array(f.confidence) @ middles) / f.n for f in (reference, recent)]
        return {"before": means[0], "after": means[1]}
    return {}
