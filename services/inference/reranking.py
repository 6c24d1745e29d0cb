"""How well texts answer a query, read together: by a cross-encoder, or by late interaction without one.

Late interaction (ColBERT: Khattab and Zaharia 2020, "MaxSim") lets every word of the query find the word of
the text nearest to it, and takes the mean: no further model, only the encoder's own word vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.inference.values import ModelInfo, Vectors

Floats = NDArray[np.float32]
LATE = "late interaction"
"""What the model's name begins with where there is no cross-encoder."""


def is_cross_encoder(info: ModelInfo) -> bool:
    """Whether a served model reads query and text together."""
    return info.kind == "reranker" and not info.name.startswith(LATE)


def from_logits(logits: Floats) -> Floats:
    """A cross-encoder's logits float32 (n, 1) -> scores float32 (n,), 0 to 1."""
    return np.asarray(1.0 / (1.0 + np.exp(-logits[:, 0].clip(-30, 30))), np.float32)


def late_interaction(query: Vectors, texts: Sequence[Vectors]) -> Floats:
    """Mean over the query's tokens of the nearest token's cosine, as a score float32 (n,), 0 to 1.

    query (tokens, dim) and each text (tokens, dim) are L2-normalised states with the special tokens
    first and last, which take no part unless there is nothing else.
    """
    inner = _inner(query)
    scores = np.empty(len(texts), np.float32)
    for row, text in enumerate(texts):
        scores[row] = (inner @ _inner(text).T).max(axis=1).mean()
    return np.asarray((scores.clip(-1, 1) + 1) / 2, np.float32)


def _inner(states: Vectors) -> Vectors:
    return states[1:-1] if len(states) > 2 else states
