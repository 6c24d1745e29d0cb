"""How a text sounds, and how it sounds for one company in it: negative, neutral or positive.

One head answers both questions. Its probabilities are calibrated: of the scores near .8, about four in
five are right, so a score may be added up, and a close call may be left open.
The shipped head reads English only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.errors import ModelUnavailable
from services.inference.engine import Engine
from services.inference.heads import LoadedHead, classify, load_head
from services.inference.values import Priority
from services.registry.manifest import SHIPPED

LABELS = ("negative", "neutral", "positive")
ABSTAIN_BELOW = 0.5
"""A label is not stated when even the likeliest one has less probability than all others together."""

Item = tuple[str, str | None]
"""A text, and the company asked about as the text names it; None asks about the text as a whole."""


@dataclass(frozen=True, slots=True)
class SentimentHead:
    """A loaded head: `model_version` names head and encoder, `languages` are those it was trained on."""

    loaded: LoadedHead

    @property
    def model_version(self) -> str:
        """Kept with every score; changes whenever the scores would."""
        return f"{self.loaded.manifest.version}+{self.loaded.manifest.base_version}"

    @property
    def languages(self) -> tuple[str, ...]:
        """Language tags, without region or script."""
        return self.loaded.manifest.languages


def open_head(folder: Path) -> SentimentHead:
    """The head in a folder. Raises ModelUnavailable when it is missing, damaged or not a sentiment head."""
    loaded = load_head(folder)
    if loaded.head.labels != LABELS:
        raise ModelUnavailable(f"The model {loaded.manifest.version} does not answer with {LABELS}.")
    return SentimentHead(loaded)


@lru_cache(maxsize=1)
def live_head() -> SentimentHead:
    """The process's one head, read on first use: the one shipped with the product."""
    return open_head(SHIPPED / "sentiment")


def score(
    items: Sequence[Item], engine: Engine, head: SentimentHead, *, priority: Priority = Priority.BATCH
) -> NDArray[np.float32]:
    """Probabilities float32 (n, 3) in the order of LABELS, rows sum to one.

    Raises ModelUnavailable when the live encoder is not the head's own, and what `Engine.embed` raises.
    """
    return classify(head.loaded, items, engine, priority=priority).probs


def polarity(probs: NDArray[np.float32]) -> NDArray[np.float32]:
    """P(positive) − P(negative), float32 (n,), −1 to 1."""
    return probs[:, 2] - probs[:, 0]


def abstains(probs: NDArray[np.float32], below: float = ABSTAIN_BELOW) -> NDArray[np.bool_]:
    """Which rows are too close a call to state a label: bool (n,)."""
    return np.less(probs.max(axis=1), below)
