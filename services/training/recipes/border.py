"""How much each sign that a text is outside is to be believed: a small logistic regression.

Learned on standardised signs of texts that belong, of strangers (whole labels kept away from a trial head)
and of texts that people marked as outside. The two last kinds count alike, whatever their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.inference.open_set import Border

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_WITHOUT_TRIALS = np.array([-1.0, -1.0, -1.0, -1.0, 1.0], np.float32)
"""The weights when there are too few labels to keep some away."""
_PENALTY = 1e-3


def fit_border(inside: Sequence[Floats], strangers: Sequence[Floats], marked: Sequence[Floats]) -> Border:
    """The weights of the five signs, (n, 5) each; mean 0, width 1, bias 0 (the caller places it)."""
    empty = np.empty((0, len(_WITHOUT_TRIALS)), np.float32)
    belong, away, outside = (np.concatenate([empty, *parts]) for parts in (inside, strangers, marked))
    zeros, ones = np.zeros_like(_WITHOUT_TRIALS), np.ones_like(_WITHOUT_TRIALS)
    if not len(belong) or not len(away):
        return Border(zeros, ones, _WITHOUT_TRIALS, 0.0)
    kinds = [part for part in (away, outside) if len(part)]
    rows = np.concatenate([belong, *kinds]).astype(np.float64)
    truth = np.concatenate([np.zeros(len(belong)), *(np.ones(len(part)) for part in kinds)])
    weight = np.concatenate(
        [
            np.full(len(belong), 0.5 / len(belong)),
            *(np.full(len(part), 0.5 / len(part) / len(kinds)) for part in kinds),
        ]
    )
    return Border(zeros, ones, _logistic(np.clip(rows, -8, 8), truth, weight).astype(np.float32), 0.0)


def _logistic(rows: Doubles, truth: Doubles, weight: Doubles) -> Doubles:
    """The slopes of a weighted logistic regression with a small L2 penalty; the intercept goes free."""
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(given: Doubles) -> tuple[float, Doubles]:
        slopes, bias = given[:-1], given[-1]
        logit = rows @ slopes + bias
        value = weight @ (np.logaddexp(0, logit) - truth * logit) + _PENALTY * slopes @ slopes
        slope = weight * (expit(logit) - truth)
        return float(value), np.append(rows.T @ slope + 2 * _PENALTY * slopes, slope.sum())

    found: Doubles = minimize(loss, np.zeros(rows.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return found[:-1]
