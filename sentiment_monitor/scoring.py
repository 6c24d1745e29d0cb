"""How a text sounds, and how it sounds for one company in it: negative, neutral or positive.

The engine's model for the task answers both questions: the one that is live in the registry, else the one
that comes with the product. Its probabilities are calibrated: of the scores near .8, about four in five are
right, so a score may be added up, and a close call may be left open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.errors import ModelUnavailable
from services.inference.engine import Engine
from services.inference.values import ClassScores, Priority

TASK = "sentiment"
LABELS = ("negative", "neutral", "positive")
ABSTAIN_BELOW = 0.5
"""A label is not stated when even the likeliest one has less probability than all others together."""

Item = tuple[str, str | None]
"""A text, and the company asked about as the text names it; None asks about the text as a whole."""


@dataclass(frozen=True, slots=True)
class SentimentModel:
    """What answers now: `model_version` is kept with every score, `languages` are those it learned."""

    model_version: str
    languages: tuple[str, ...]

    def reads(self, language: str) -> bool:
        """Whether texts in a language ("en", "zh-hans") are scored; all are where it is not told."""
        return not self.languages or "*" in self.languages or language.split("-")[0] in self.languages


@dataclass(frozen=True, slots=True)
class Scored:
    """Probabilities float32 (n, 3) in the order of LABELS, rows sum to one; the version that gave them."""

    probs: NDArray[np.float32]
    model_version: str


def live_model(engine: Engine) -> SentimentModel:
    """The model that answers at the moment. Raises as `score` does."""
    version = score([("", None)], engine).model_version
    told = next((m for m in engine.models() if m.task == TASK and m.kind == "classifier"), None)
    return SentimentModel(version, told.languages if told else ())


def score(items: Sequence[Item], engine: Engine, *, priority: Priority = Priority.BATCH) -> Scored:
    """What the live model says of each item.

    Raises ModelUnavailable when it does not answer with LABELS, and what `Engine.classify` raises.
    """
    found = engine.classify(TASK, list(items), priority=priority)
    return Scored(_in_order(found), found.version)


def polarity(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    """P(positive) − P(negative), float32 (n,), −1 to 1."""
    return probs[:, 2] - probs[:, 0]


def abstains(probs: NDArray[np.float32], below: float = ABSTAIN_BELOW) -> NDArray[np.bool_]:
    """Which rows are too close a call to state a label: bool (n,)."""
    return np.less(probs.max(axis=1), below)


def _in_order(found: ClassScores) -> NDArray[np.float32]:
    if set(found.labels) != set(LABELS):
        raise ModelUnavailable(
            f"The model {found.version} answers with {', '.join(found.labels)}, not with "
            f"{', '.join(LABELS)}: roll the task {TASK} back, or train it anew."
        )
    return found.probs[:, [found.labels.index(label) for label in LABELS]]
