"""A text followed by a caller that blocks: event by event, and cut off when the caller leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing

import pytest

from services.errors import Unavailable
from services.inference.fake import FakeEngine
from services.inference.following import follow
from services.inference.values import ChatMessage, Delta, Finished, GenerateEvent, Sampling

HELLO = (ChatMessage("user", "one two three"),)


class Slow(FakeEngine):
    """Says a word every 50 ms, for ever; knows when it was cut off."""

    left = False

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        try:
            while True:
                yield Delta("word ")
                await asyncio.sleep(0.05)
        finally:
            self.left = True


def test_the_events_come_in_their_order() -> None:
    events = [event for event in follow(FakeEngine(), HELLO) if event is not None]
    assert events[:3] == [Delta("one"), Delta(" two"), Delta(" three")]
    assert isinstance(events[-1], Finished)


def test_an_error_before_the_first_event_is_raised_here() -> None:
    with pytest.raises(Unavailable), closing(follow(FakeEngine(fail_with=Unavailable("x")), HELLO)) as events:
        list(events)


def test_silence_is_told_so_that_the_caller_can_change_its_mind() -> None:
    with closing(follow(Slow(), HELLO, tick_s=0.01)) as events:
        seen = [next(events) for _ in range(8)]
    assert None in seen


def test_leaving_cuts_the_text_off_where_it_is_written() -> None:
    engine = Slow()
    with closing(follow(engine, HELLO)) as events:
        next(events)
    ends = time.monotonic() + 5
    while not engine.left and time.monotonic() < ends:
        time.sleep(0.01)
    assert engine.left


def test_leaving_before_the_first_event_is_no_trouble() -> None:
    with closing(follow(Slow(), HELLO)):
        pass
