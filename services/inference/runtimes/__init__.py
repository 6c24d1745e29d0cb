"""What runs an encoder: one small class each for OpenVINO and torch, behind the `Runtime` Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.inference.values import Vectors


class Runtime(Protocol):
    """A loaded encoder. `lanes` is how many threads may call `run` at once to keep it busy."""

    name: str
    device: str
    lanes: int
    token_budget: int
    """Tokens in a batch, padding included, at which this runtime is fastest."""

    def run(self, token_ids: Sequence[Sequence[int]]) -> Vectors:
        """Token ids of a batch -> float32 (n, dim), L2-normalised, in that order."""
        ...
