"""How much each sign that a text is outside is to be believed, learned before a stranger was ever seen.

Whole intents are kept away from trial heads, one part after another, and their examples play the strangers; a
small logistic regression on standardised signs tells them, and texts that people marked as outside, from what
belongs. The two kinds count alike, whatever their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.inference.grams import GramSpace, rarity, weigh
from services.inference.kernel_head import gaussian
from services.inference.open_set import Border, probabilities, signs
from services.training.recipes.kernel_ridge import Material, Setting, Solved, folds, solve

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_WITHOUT_TRIALS = np.array([-1.0, -1.0, -1.0, -1.0, 1.0], np.float32)
"""The weights when there are too few labels to keep some away."""
_PENALTY = 1e-3
_LEAST_INTENTS = 3
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class Trials:
    """What trial heads are made from: examples with their `classes` (n,), the intents' names if they count,
    and the setting and heat of the head that the border is for."""

    examples: Material
    classes: NDArray[np.int64]
    named: Material | None
    setting: Setting
    space: GramSpace
    heat: float


def learn_border(trials: Trials, seed: int, going_on: Callable[[], None]) -> Border:
    """The weights of the signs; mean 0, width 1, bias 0 (see `placed`)."""
    n_intents = trials.examples.wanted.shape[1] - 1
    inside: list[Floats] = []
    strangers: list[Floats] = []
    marked: list[Floats] = []
    for held in folds(n_intents, _FOLDS, seed) if n_intents >= _LEAST_INTENTS else ():
        going_on()
        away = np.isin(trials.classes, held)
        if len(held) > n_intents - 2 or not away.any():
            continue
        found, strange = _trial(trials, held, away)
        rest = trials.classes[~away]
        own = found[rest < n_intents]
        mean, width = own.mean(axis=0), own.std(axis=0) + 1e-6
        inside.append((own - mean) / width)
        strangers.append((strange - mean) / width)
        marked.append((found[rest == n_intents] - mean) / width)
    return fit_border(inside, strangers, marked)


def left_out_signs(
    rows: Floats, support: Floats, left_out: Floats, classes: NDArray[np.int64], heat: float
) -> Floats:
    """The signs of the first rows of the support, each without itself, float32 (n, 5)."""
    parts = []
    for at in range(0, len(rows), 512):
        likeness = np.asarray(rows[at : at + 512] @ support.T, np.float32)
        mine = np.arange(len(likeness))
        likeness[mine, at + mine] = -2
        raw = left_out[at : at + 512]
        parts.append(signs(raw, likeness, classes, probabilities(raw[:, :-1], heat)))
    return np.concatenate(parts)


def placed(border: Border, own: Floats, false_reject: float) -> Border:
    """The border in a head's own units, moved so that this share of `own` (n, 5), all inside, is refused."""
    moved = replace(border, mean=own.mean(axis=0), width=own.std(axis=0) + 1e-6, bias=0.0)
    logit = ((own - moved.mean) / moved.width) @ moved.weight
    return replace(moved, bias=-float(np.quantile(logit, 1 - false_reject)))


def _trial(trials: Trials, held: NDArray[np.int64], away: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Signs of the examples a trial head learned (left out), and of those of the intents it did not."""
    learned = trials.examples.some(np.flatnonzero(~away))
    n = len(learned.rows)
    if trials.named is not None:
        learned = learned.with_names(trials.named.some(np.setdiff1d(np.arange(len(trials.named.rows)), held)))
    solved = solve(learned, trials.setting, trials.space)
    classes = np.concatenate([trials.classes[~away], learned.wanted[n:].argmax(axis=1)])
    found = left_out_signs(learned.rows[:n], learned.rows, solved.left_out[:n], classes, trials.heat)
    return found, _signs_of(trials.examples.some(np.flatnonzero(away)), learned, solved, trials, classes)


def _signs_of(
    new: Material, learned: Material, solved: Solved, trials: Trials, classes: NDArray[np.int64]
) -> Floats:
    """The signs of rows that were no part of the solution."""
    weights, setting = rarity(learned.counts), trials.setting
    words = weigh(new.counts, weights, trials.space) @ weigh(learned.counts, weights, trials.space).T
    likeness = np.asarray(new.rows @ learned.rows.T, np.float32)
    kernel = gaussian(likeness, setting.sharpness) + setting.word_share * words.toarray()
    raw = np.asarray(kernel @ solved.votes + solved.bias, np.float32)
    return signs(raw, likeness, classes, probabilities(raw[:, :-1], trials.heat))


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
