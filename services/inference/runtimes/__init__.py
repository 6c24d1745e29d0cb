"""What runs a model: one small class each for OpenVINO and torch, behind the `Runtime` Protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Runtime(Protocol):
    """A loaded model. `lanes` is how many threads may call `run` at once to keep it busy."""

    name: str
    device: str
    lanes: int
    token_budget: int
    """Tokens in a batch, padding included, at which this runtime is fastest."""
    packed_up_to: int
    """Texts of so many tokens share rows, so that they need not be of one length; 0 if none do."""

    def run(self, token_ids: Sequence[Sequence[int]]) -> Any:
        """Token ids of a batch -> float32 (n, dim), or for a model that answers by token a list of n
        float32 arrays (tokens, dim); in that order."""
        ...


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a runtime gets a model: `load(dtype)` makes the torch module (ids, mask) -> one tensor.

    `key` names it in the cache of converted models and changes with its content; `by_token` says that the
    module answers (n, width, dim), of which padding is cut off again. `dtype` is a torch one, or None.
    """

    key: str
    load: Callable[[Any], Any]
    pad_id: int
    longest: int
    by_token: bool = False
    packing: Packing | None = None


@dataclass(frozen=True, slots=True)
class Packing:
    """Another form of the same model: `load(dtype)` makes (ids, places) -> states (rows, width, dim), for
    texts that share rows (`packing.py`). It raises PackingRefused for a model that does not allow it.
    """

    key: str
    load: Callable[[Any], Any]
    pooling: str


class PackingRefused(Exception):
    """The model's answers would change."""
