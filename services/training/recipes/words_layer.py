"""Words beside an encoder: a linear layer on hashed words alone, and how much each side counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.inference.features import Features, HashSpace, featurise, hashed, read
from services.inference.heads import logits as head_logits
from services.inference.values import Priority
from services.training.dataset import Example
from services.training.recipes import Job, text_head
from services.training.recipes.text_head import TextHeadRecipe

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class WordsLayer:
    """`hashed` float32 (space.size, n_labels), `bias` (n_labels,)."""

    space: HashSpace
    hashed: Floats
    bias: Floats


def fit_words(examples: Sequence[Example], labels: tuple[str, ...], space: HashSpace) -> WordsLayer:
    """The layer of words alone that fits the examples best under the text head's usual penalty."""
    reading = read([(e.text, e.entity) for e in examples])
    flags = np.array([[e.entity is not None] for e in examples], np.float32)
    dense = np.concatenate([np.zeros((len(examples), 3), np.float32), flags], axis=1)
    truth = np.array([labels.index(e.label) for e in examples], np.int64)
    head = text_head.fit(Features(dense, hashed(reading, space)), truth, labels, TextHeadRecipe(space=space))
    return WordsLayer(space, head.hashed, head.bias)


def word_answers(layer: WordsLayer, examples: Sequence[Example]) -> Floats:
    """Logits float32 (n, n_labels)."""
    found = hashed(read([(e.text, e.entity) for e in examples]), layer.space) @ layer.hashed + layer.bias
    return np.asarray(found, np.float32)


def frozen_answers(learned: Sequence[Example], asked: Sequence[Example], job: Job) -> Floats:
    """What a text head fitted on `learned` says of `asked`: logits float32 (n, n_labels)."""

    def embed(texts: list[str]) -> Floats:
        return job.engine.embed(texts, priority=Priority.BATCH)

    recipe = TextHeadRecipe()
    fitted = text_head.fit(
        featurise([(e.text, e.entity) for e in learned], embed, recipe.space),
        np.array([job.labels.index(e.label) for e in learned], np.int64),
        job.labels,
        recipe,
    )
    return head_logits(fitted, featurise([(e.text, e.entity) for e in asked], embed, recipe.space))


def stack(one: Floats, other: Floats, truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """How much each side counts, float64 (2,), none below zero: what makes the labels likeliest."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    rows = np.arange(len(truth))
    a, b = one.astype(np.float64), other.astype(np.float64)

    def surprise(weights: NDArray[np.float64]) -> float:
        return float(-log_softmax(weights[0] * a + weights[1] * b, axis=1)[rows, truth].mean())

    found = minimize(surprise, np.array([0.7, 0.3]), bounds=[(1e-3, 10), (0, 10)], method="L-BFGS-B")
    return np.asarray(found.x, np.float64)


def temperatures(logit: Floats, truth: NDArray[np.int64], towards: NDArray[np.bool_]) -> tuple[float, float]:
    """Those of whole texts and towards a company, on rows the model has not seen."""
    return text_head.calibrate(logit, truth, towards)
