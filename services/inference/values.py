"""The values that cross the Engine Protocol: plain, frozen, free of any framework."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Pair = tuple[str, str | None]
"""A text, and what in it is asked about (a company, as the text names it); None asks about the whole."""


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
    """Class probabilities of a batch: `probs` float32 (n, n_labels).

    Rows sum to one when the labels exclude one another; otherwise each is a probability of its own.
    """

    labels: tuple[str, ...]
    probs: NDArray[np.float32]
    version: str
    exclusive: bool = True


@dataclass(frozen=True, slots=True)
class Relevance:
    """How well each text answers a query: `scores` float32 (n,), 0 to 1, higher is better.

    They rank the texts of one query; scores of different versions are not comparable.
    """

    scores: NDArray[np.float32]
    version: str


@dataclass(frozen=True, slots=True)
class Entity:
    """A named thing in a text: `text[start:end]`, characters as Python counts them; `score` 0 to 1."""

    start: int
    end: int
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class Tagged:
    """The entities of each text, in the order of the texts, left to right, never overlapping."""

    entities: tuple[tuple[Entity, ...], ...]
    version: str


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model an engine serves, loaded or not yet. `task` is what callers ask for."""

    task: str
    kind: Literal["encoder", "reranker", "classifier", "tagger", "generator"]
    name: str
    version: str
    runtime: str
    device: str
    loaded: bool
    labels: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    """What it was trained to read; empty where its files do not say."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn of what a generator is asked to continue."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a generator writes. `temperature` 0 takes the likeliest token each time; `seed` repeats a draw."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The text is whole (`stop`) or was cut at `max_tokens` (`length`). Token counts are the model's own."""

    reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
    version: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The text breaks off here: trouble after the first event is an event, never text.

    `code` and `detail` are those of the SuiteError it would have been.
    """

    code: str
    detail: str


GenerateEvent = Delta | Finished | Failed
"""Deltas, then exactly one Finished or Failed."""
