"""Which of the known intents a text has, or none of them: a kernel head and what it says of strangers.

Four signs tell a text about something else: no label's votes are high, the likeliest label is not likely, the
nearest examples of that label are far, and so are all others; a fifth is how much it is like examples that
people marked as outside. Training weighs the signs and sets the border, so that the probability of "outside"
passes one half for a chosen share of texts that do belong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.inference.grams import GramSpace
from services.inference.kernel_head import KernelHead, Scores, kernel_of, kernel_tensors, scored
from services.inference.values import Vectors

Floats = NDArray[np.float32]

OUTSIDE = "out_of_scope"
"""The label of texts that have none of the others; the last of a served head's labels."""
NEIGHBOURS = 5
_FAR = np.float32(-1)


@dataclass(frozen=True, slots=True)
class Border:
    """How the five signs become one probability: each less `mean`, over `width`, times `weight`, summed."""

    mean: Floats
    width: Floats
    weight: Floats
    bias: float


@dataclass(frozen=True, slots=True)
class IntentHead:
    """`classes` int64 (n,) are the support's: indices of `labels`.

    `labels` are the intents, and OUTSIDE last; `heat` multiplies scores before they become probabilities.
    """

    labels: tuple[str, ...]
    kernel: KernelHead
    classes: NDArray[np.int64]
    heat: float
    border: Border

    @property
    def intents(self) -> tuple[str, ...]:
        """The labels without OUTSIDE."""
        return self.labels[:-1]


def predict(head: IntentHead, texts: Sequence[str], vecs: Vectors) -> Floats:
    """Calibrated probabilities float32 (n, len(labels)), rows sum to one; the last is OUTSIDE's.

    `vecs` float32 (n, dim) are the texts'.
    """

    def finish(found: Scores) -> Floats:
        inside = probabilities(found.raw[:, :-1], head.heat)
        out = outside(head.border, signs(found.raw, found.likeness, head.classes, inside))
        return np.concatenate([inside * (1 - out[:, None]), out[:, None]], axis=1)

    if not len(texts):
        return np.empty((0, len(head.labels)), np.float32)
    return scored(head.kernel, texts, vecs, finish)


def probabilities(raw: Floats, heat: float) -> Floats:
    """float32 (n, k), rows sum to one."""
    logit = heat * (raw - raw.max(axis=1, keepdims=True))
    grown = np.exp(logit)
    return np.asarray(grown / grown.sum(axis=1, keepdims=True), np.float32)


def signs(raw: Floats, likeness: Floats, classes: NDArray[np.int64], inside: Floats) -> Floats:
    """The five signs, float32 (n, 5): more means further inside, but for the last.

    `raw` (n, labels), the last the votes for OUTSIDE; `inside` (n, labels - 1); an example's likeness with
    itself is left out by setting it below -1.
    """
    n_intents = inside.shape[1]
    said = inside.argmax(axis=1)
    known = np.where(classes[None, :] < n_intents, likeness, _FAR)
    same = np.where(classes[None, :] == said[:, None], likeness, _FAR)
    return np.stack(
        [
            raw[:, :-1].max(axis=1),
            np.log(np.maximum(inside.max(axis=1), 1e-6)),
            _nearest(same),
            _nearest(known),
            raw[:, -1],
        ],
        axis=1,
    ).astype(np.float32)


def outside(border: Border, found: Floats) -> Floats:
    """The probability of being none of the labels, float32 (n,)."""
    logit = ((found - border.mean) / border.width) @ border.weight + border.bias
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))), np.float32)


def _nearest(likeness: Floats) -> Floats:
    """The mean cosine of the five nearest; fewer when fewer are there."""
    k = min(NEIGHBOURS, likeness.shape[1])
    best = np.partition(likeness, likeness.shape[1] - k, axis=1)[:, -k:]
    there = best > _FAR
    total = np.where(there, best, 0).sum(axis=1)
    return np.asarray(np.where(there.any(axis=1), total / np.maximum(there.sum(axis=1), 1), _FAR), np.float32)


def intent_tensors(head: IntentHead) -> dict[str, NDArray[Any]]:
    """What `intent_head_of` reads."""
    border = head.border
    return {
        **kernel_tensors(head.kernel),
        "classes": head.classes.astype(np.int32),
        "heat": np.array([head.heat], np.float32),
        "border": np.stack([border.mean, border.width, border.weight]).astype(np.float32),
        "border_bias": np.array([border.bias], np.float32),
    }


def intent_head_of(
    labels: tuple[str, ...], tensors: Mapping[str, NDArray[Any]], space: GramSpace
) -> IntentHead:
    """The head kept in tensors; `labels` end with OUTSIDE.

    Raises KeyError, IndexError or ValueError when they do not fit together.
    """
    kernel = kernel_of(tensors, space, title_weight=0)
    mean, width, weight = tensors["border"].astype(np.float32)
    border = Border(mean, width, weight, float(tensors["border_bias"][0]))
    classes = tensors["classes"].astype(np.int64)
    heat = float(tensors["heat"][0])
    numbers = np.concatenate([tensors["border"].ravel(), tensors["border_bias"], tensors["heat"]])
    if labels[-1:] != (OUTSIDE,) or len(kernel.bias) != len(labels) or len(classes) != len(kernel.support):
        raise ValueError("its labels are not those of its weights")
    if not np.isfinite(numbers).all() or heat <= 0 or (width <= 0).any():
        raise ValueError("its border is not a number")
    return IntentHead(labels, kernel, classes, heat, border)
