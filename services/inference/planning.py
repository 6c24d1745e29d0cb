"""Waiting texts into batches: older texts first, those of about the same length together.

Knows nothing of threads or models.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from math import ceil
from typing import Any

from services.errors import SuiteError

TokenIds = Sequence[int]
Answers = Any
"""What a model gives for texts, one row each: float32 (n, dim), or a list of n arrays (tokens, dim)."""

_WINDOW = 2048
"""Texts that are sorted by length together; older ones first, so that no length ever starves."""
_SMALLEST_SHARE = 256
"""Tokens under which a batch is not split to keep another lane busy."""
_OVER = 0.25
"""The part of a batch by which even batches may be larger than the budget: better than one more of them."""
_PACKING_WASTE = 1.04
"""What rows hold besides their texts, on average."""


@dataclass(slots=True, eq=False)
class Call:
    """One submission: rows are filled in as batches finish, then the future is settled, once."""

    answers: Answers
    left: int
    deadline: float | None
    future: Future[Answers] = field(default_factory=Future)

    def succeed(self) -> None:
        """Give the caller its answers, unless it left."""
        with suppress(InvalidStateError):
            self.future.set_result(self.answers)

    def fail(self, error: SuiteError) -> None:
        """Give the caller the error, unless the call is settled already."""
        with suppress(InvalidStateError):
            self.future.set_exception(error)


@dataclass(slots=True, eq=False)
class Text:
    """One text of a call and the row its answer goes to."""

    call: Call
    row: int
    ids: TokenIds


class Line:
    """The waiting texts of one priority: as they arrived, and the batches planned from them."""

    def __init__(self) -> None:
        self._arrived: deque[Text] = deque()
        self._planned: deque[list[Text]] = deque()

    def __bool__(self) -> bool:
        return bool(self._arrived or self._planned)

    def add(self, texts: Sequence[Text]) -> None:
        """Queue texts behind those that wait."""
        self._arrived.extend(texts)

    def next_batch(self, budget: int, lanes: int, packed_up_to: int = 0) -> list[Text] | None:
        """Take the next batch; None when nothing waits."""
        if not self._planned and self._arrived:
            window = list(islice(self._arrived, _WINDOW))
            self._planned.extend(plan(window, budget, lanes, packed_up_to))
            for _ in window:
                self._arrived.popleft()
        return self._planned.popleft() if self._planned else None

    def clear(self) -> list[Text]:
        """Take everything that waits."""
        texts = [text for batch in self._planned for text in batch] + list(self._arrived)
        self._planned.clear()
        self._arrived.clear()
        return texts


def plan(texts: Sequence[Text], budget: int, lanes: int, packed_up_to: int = 0) -> list[list[Text]]:
    """Cut texts into batches, shortest first; longest length times texts stays within the budget.

    Texts of up to `packed_up_to` tokens share rows, whatever their lengths: they stay in the order they came,
    and what is counted is their tokens. A text longer than the budget is a batch of its own. Work for one
    batch is shared out over the lanes.
    """
    share = -(-sum(len(text.ids) for text in texts) // lanes)
    budget = min(budget, max(share, _SMALLEST_SHARE))
    packed = [text for text in texts if len(text.ids) <= packed_up_to]
    apart = sorted((text for text in texts if len(text.ids) > packed_up_to), key=lambda text: len(text.ids))
    batches = _even(packed, budget, lanes)
    batches.append([])
    for text in apart:
        if batches[-1] and (len(batches[-1]) + 1) * len(text.ids) > budget:
            batches.append([])
        batches[-1].append(text)
    return [batch for batch in batches if batch]


def _even(texts: Sequence[Text], budget: int, lanes: int) -> list[list[Text]]:
    """Batches of about as many tokens each, so many that no lane is left over at the end."""
    total = sum(len(text.ids) for text in texts) * _PACKING_WASTE
    count = max(1, ceil(total / budget - _OVER))
    if count > lanes:
        count = -(-count // lanes) * lanes
    batches: list[list[Text]] = []
    room = 0.0
    for text in texts:
        if not batches or room < len(text.ids) * _PACKING_WASTE / 2:
            batches.append([])
            room += total / count
        batches[-1].append(text)
        room -= len(text.ids) * _PACKING_WASTE
    return batches
