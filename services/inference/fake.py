"""FakeEngine: deterministic answers without weights. Ships with the product; drives the fast tests.

`embed` hashes words and character trigrams into `dim` buckets, so texts that share words are near one
another: enough for ranking tests to mean something, with no model on disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from services.inference.values import EncoderInfo, Priority, Vectors

_WORD = re.compile(r"\w+", re.UNICODE)


class FakeEngine:
    """The Engine Protocol over hashed bags of words. `calls` counts embedded texts."""

    def __init__(self, dim: int = 384, version: str = "fake-1", fail_with: Exception | None = None) -> None:
        self.dim = dim
        self.version = version
        self.fail_with = fail_with
        self.calls = 0

    def embed(
        self,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Vectors:
        """As the Protocol says; raises `fail_with` when that was given."""
        if self.fail_with is not None:
            raise self.fail_with
        self.calls += len(texts)
        vecs = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for feature, weight in _features(text):
                vecs[row, _bucket(feature, self.dim)] += weight
            norm = float(np.linalg.norm(vecs[row]))
            if norm == 0.0:
                vecs[row, 0] = norm = 1.0
            vecs[row] /= norm
        return vecs

    def encoder(self) -> EncoderInfo:
        """A fixed identity; `version` is the one given."""
        return EncoderInfo("fake", self.version, self.dim, 512, "fake", "cpu")

    def warm(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to stop."""


def _features(text: str) -> list[tuple[str, float]]:
    words = _WORD.findall(text.lower())
    grams = [w[i : i + 3] for w in words for i in range(max(1, len(w) - 2))]
    return [(w, 1.0) for w in words] + [("#" + g, 0.3) for g in grams]


def _bucket(feature: str, dim: int) -> int:
    return int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big") % dim
