"""What the assistant is saying right now: `Turn.partial`, written seldom, read by whoever follows.

It is no part of the log: it has no number, and the `bot_message` takes its place. Only the attempt that owns
an unanswered turn may write it; the first write that changes no row says that the turn is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import F, FilteredRelation, Q, QuerySet

from chatbot.models import Conversation, Turn

EVERY_S = 0.25
"""Least time between two writes, in seconds."""
GONE_S = 3.0
"""Seconds without a follower after which a visitor who followed is taken to have left: longer than the widget
needs to come back to a stream that broke."""


@dataclass(frozen=True, slots=True)
class LiveText:
    """The text so far of the answer to question number `question_seq`; within an attempt it only grows."""

    question_seq: int
    attempt: int
    text: str

    def as_json(self) -> dict[str, Any]:
        """As followers and pollers get it. It has no `seq`: it is not in the log."""
        return {"kind": "partial", "question_seq": self.question_seq, "text": self.text}


class Speaking:
    """What one attempt at a turn says: `say` as often as there is something, `lost` as often as one likes.

    Writes at most four times a second; what came in between is written by the next `say` or `lost`.
    `wake` is called after each write. Both clocks and rows are looked at in the calling thread.
    """

    def __init__(
        self, turn: Turn, wake: Callable[[], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._turn = turn
        self._wake = wake
        self._clock = clock
        self._write_from = self._look_from = clock()
        self._said = self._written = ""
        self._lost = False

    def say(self, text: str) -> None:
        """The whole text so far."""
        self._said = text
        self._write_when_due()

    def lost(self) -> bool:
        """Whether somebody else has answered or taken over, so that nobody waits for this attempt."""
        self._write_when_due()
        return self._lost

    def _write_when_due(self) -> None:
        now = self._clock()
        mine = Turn.objects.filter(pk=self._turn.pk, answered_at=None, attempts=self._turn.attempts)
        if self._said != self._written:
            if now >= self._write_from:
                self._write_from = self._look_from = now + EVERY_S
                self._written = self._said
                self._note(mine.update(partial=self._said) > 0)
                if not self._lost:
                    self._wake()
        elif now >= self._look_from:
            self._look_from = now + EVERY_S
            self._note(mine.exists())

    def _note(self, is_mine: bool) -> None:
        self._lost = self._lost or not is_mine


class Audience:
    """Whether a visitor who followed an answer being written has left the page.

    `count` gives the streams that follow the conversation now. Where none ever did (a visitor who polls, or
    whose stream another process serves) nobody has left.
    """

    def __init__(self, count: Callable[[], int], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._last: float | None = None

    def gone(self) -> bool:
        """Nobody has followed for GONE_S, and somebody did; to be asked now and then, by one thread."""
        if self._count():
            self._last = self._clock()
        return self._last is not None and self._clock() - self._last > GONE_S


def glance(
    conversation: Conversation,
) -> QuerySet[Conversation, tuple[int, int | None, int | None, str | None]]:
    """One row of (last seq, question, attempt, text): what a follower looks at four times a second."""
    speaking = Q(turns__answered_at=None) & ~Q(turns__partial="")
    rows = Conversation.objects.filter(pk=conversation.pk).annotate(
        open=FilteredRelation("turns", condition=speaking)
    )
    named = rows.annotate(
        question=F("open__question_seq"), attempt=F("open__attempts"), said=F("open__partial")
    )
    return named.order_by("question").values_list("last_seq", "question", "attempt", "said")


def read(row: tuple[int, int | None, int | None, str | None] | None) -> tuple[int, LiveText | None]:
    """A row of `glance` as (last seq, what is being said)."""
    if row is None:
        return 0, None
    last_seq, question, attempt, said = row
    if question is None or attempt is None or not said:
        return last_seq, None
    return last_seq, LiveText(question, attempt, said)


def now(conversation: Conversation) -> LiveText | None:
    """What is being said at the moment, for those who poll."""
    return read(glance(conversation).first())[1]
