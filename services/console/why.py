"""Try it → Why: the words of a text, each with how much the answer leans on it, for people to see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.inference.engine import Engine
from services.inference.values import Pair, Priority
from services.training.explaining import Explanation, left_out

SHADES = 5
_LEAST = 0.005
"""A change of the probability below half a percentage point has no colour."""


@dataclass(frozen=True, slots=True)
class Shaded:
    """A word, what follows it up to the next one, its weight, and a shade from 1 to SHADES; 0 for none."""

    word: str
    gap: str
    weight: float
    shade: int

    @property
    def speaks(self) -> str:
        """`for` or `against` the label, or an empty string."""
        return "" if not self.shade else "for" if self.weight > 0 else "against"


@dataclass(frozen=True, slots=True)
class Why:
    """The label that is explained, and the text in pieces."""

    label: str
    words: tuple[Shaded, ...]


def explain(engine: Engine, task: str, text: str, company: str | None, deadline_s: float) -> Why:
    """Why the live model gives the text its likeliest label. Raises what `engine.classify` raises,
    InvalidInput for more than 400 words."""
    first = engine.classify(task, [(text, company)], deadline_s=deadline_s)
    label = int(first.probs[0].argmax())

    def ask(pairs: list[Pair]) -> NDArray[np.float32]:
        return engine.classify(task, pairs, priority=Priority.BATCH, deadline_s=deadline_s).probs

    return Why(first.labels[label], shaded(text, left_out(ask, text, company, label)))


def shaded(text: str, found: Explanation) -> tuple[Shaded, ...]:
    """The words in order; the strongest has the deepest shade."""
    most = max((abs(token.weight) for token in found.tokens), default=0.0)
    ends = [token.start for token in found.tokens[1:]] + [len(text)]
    return tuple(
        Shaded(
            text[token.start : token.end],
            text[token.end : end],
            token.weight,
            0 if abs(token.weight) < _LEAST else max(1, round(SHADES * abs(token.weight) / most)),
        )
        for token, end in zip(found.tokens, ends, strict=True)
    )
