"""Straight lines beside the kernel: a linear support vector machine a label, on the words alone.

It errs elsewhere than the kernel does, and its weights fold into those that words have there already, so it
costs nothing where it serves. Each example's margin is known from machines that did not see it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.inference.grams import GramSpace, rarity, weigh
from services.training.recipes.kernel_ridge import Material, folds

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

FOLDS = 4
_SOFTNESS = 1.0


@dataclass(frozen=True, slots=True)
class Lines:
    """`weights` float32 (space.size, k) and `bias` (k,): 0 on the far side of the margin, 1 on the near one.

    `left_out` float32 (n, k) are the examples' values by lines that were drawn without them.
    """

    weights: Floats
    bias: Floats
    left_out: Floats


def draw(material: Material, space: GramSpace, seed: int, going_on: Callable[[], None]) -> Lines:
    """The lines of these examples; `going_on` is called between labels' machines and may raise."""
    n = len(material.wanted)
    left_out = np.zeros_like(material.wanted)
    for away in folds(n, FOLDS, seed):
        stay = np.setdiff1d(np.arange(n), away)
        weights = rarity(material.counts[stay])
        found, bias = _machines(
            _words(material.counts[stay], weights, space), material.wanted[stay], going_on
        )
        left_out[away] = _words(material.counts[away], weights, space) @ found + bias
    grams = _words(material.counts, rarity(material.counts), space)
    found, bias = _machines(grams, material.wanted, going_on)
    pieces = np.zeros((space.size - space.words, found.shape[1]), np.float32)
    return Lines(np.concatenate([found, pieces]), bias, left_out)


def _words(counts: csr_matrix, weights: Floats, space: GramSpace) -> csr_matrix:
    """Words and word pairs: pieces of words are many, and give lines nothing that words do not."""
    return weigh(counts, weights, space)[:, : space.words].tocsr()


def _machines(grams: csr_matrix, wanted: Floats, going_on: Callable[[], None]) -> tuple[Floats, Floats]:
    from sklearn.svm import LinearSVC

    weights = np.zeros((grams.shape[1], wanted.shape[1]), np.float32)
    bias = np.zeros(wanted.shape[1], np.float32)
    for label in range(wanted.shape[1]):
        going_on()
        has = wanted[:, label] > 0
        if has.all() or not has.any():
            bias[label] = float(has.all())
            continue
        machine = LinearSVC(C=_SOFTNESS, tol=1e-2, max_iter=300).fit(grams, has)
        weights[:, label] = machine.coef_[0] / 2
        bias[label] = (machine.intercept_[0] + 1) / 2
    return weights, bias
