"""Which topics a text has, perhaps several, perhaps none: a kernel head and one border for each topic.

A text's first line is its title when other lines follow; it is read once more by itself.
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


@dataclass(frozen=True, slots=True)
class TopicHead:
    """`borders` float32 (k,) are the scores from which one is given; `heat`: how fast doubt fades there."""

    labels: tuple[str, ...]
    kernel: KernelHead
    borders: Floats
    heat: float


def predict(head: TopicHead, texts: Sequence[str], vecs: Vectors) -> Floats:
    """Probabilities float32 (n, k), each of its own; a label is given from one half on.

    `vecs` float32 are those of `kernel_head.wordings(texts, head.kernel.title_weight)`.
    """
    if not len(texts):
        return np.empty((0, len(head.labels)), np.float32)

    def finish(found: Scores) -> Floats:
        return probabilities(found.raw, head.borders, head.heat)

    return scored(head.kernel, texts, vecs, finish)


def probabilities(raw: Floats, borders: Floats, heat: float) -> Floats:
    """float32 (n, k), one half at the border."""
    logit = np.clip(heat * (raw - borders), -30, 30)
    return np.asarray(1 / (1 + np.exp(-logit)), np.float32)


def topic_tensors(head: TopicHead) -> dict[str, NDArray[Any]]:
    """What `topic_head_of` reads."""
    return {
        **kernel_tensors(head.kernel),
        "borders": head.borders.astype(np.float32),
        "heat": np.array([head.heat], np.float32),
    }


def topic_head_of(
    labels: tuple[str, ...], tensors: Mapping[str, NDArray[Any]], space: GramSpace, title_weight: int
) -> TopicHead:
    """The head kept in tensors. Raises KeyError, IndexError or ValueError when they do not fit together."""
    kernel = kernel_of(tensors, space, title_weight)
    borders, heat = tensors["borders"].astype(np.float32), float(tensors["heat"][0])
    if len(kernel.bias) != len(labels) or borders.shape != (len(labels),):
        raise ValueError("its labels are not those of its weights")
    if not np.isfinite(borders).all() or not np.isfinite(heat) or heat <= 0:
        raise ValueError("its borders are not numbers")
    return TopicHead(labels, kernel, borders, heat)
