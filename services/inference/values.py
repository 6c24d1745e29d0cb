"""The values that cross the Engine Protocol: plain, frozen, free of any framework."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class Priority(IntEnum):
    """Who waits for the answer. Lower runs first."""

    INTERACTIVE = 0
    """A person is waiting: a chat question, a recommendation."""
    NORMAL = 1
    """A request without a person behind it."""
    BATCH = 2
    """A job over many rows; it yields to everything else."""


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """What a caller needs to know of an encoder: its name, its version and the shape it returns.

    `version` changes whenever the vectors would: it is kept with every stored vector and index.
    """

    name: str
    version: str
    dim: int
    max_tokens: int
    runtime: str
    device: str
    languages: tuple[str, ...] = ("*",)
    """What it was trained to read, as primary language tags ("en", "zh"); ("*",) means any."""

    def reads(self, language: str) -> bool:
        """Whether texts in a language ("en", "zh-hans") can be compared by this encoder's vectors."""
        return "*" in self.languages or language.split("-", 1)[0] in self.languages


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Class probabilities of a batch: `probs` float32 (n, n_labels), rows sum to one."""

    labels: tuple[str, ...]
    probs: NDArray[np.float32]
    version: str
