"""A generated text event by event, for callers that block: a task's thread, a command.

The text is read on a loop of its own in a thread of its own, so that the caller may ask the database, look at
a clock or change its mind between two events. Leaving the iterator cuts the text off where it is written.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Generator, Sequence
from contextlib import aclosing, suppress

from services.inference.engine import Engine
from services.inference.values import ChatMessage, GenerateEvent, Sampling

TICK_S = 0.1


def follow(
    engine: Engine,
    messages: Sequence[ChatMessage],
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    *,
    deadline_s: float | None = None,
    tick_s: float = TICK_S,
) -> Generator[GenerateEvent | None]:
    """The events of `Engine.generate`, and None whenever there was none for `tick_s` seconds.

    Raises what `generate` raises before its first event. Close the iterator (`contextlib.closing`) to stop.
    """
    reader = _Reader(engine, messages, sampling, deadline_s)
    threading.Thread(target=reader.run, name="text-reader", daemon=True).start()
    try:
        while True:
            try:
                event = reader.events.get(timeout=tick_s)
            except queue.Empty:
                yield None
                continue
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, _Over):
                return
            yield event
    finally:
        reader.leave()


class _Over:
    """After the last event."""


class _Reader:
    """Reads one text on its own loop; `leave` may be called from any thread, at any time."""

    def __init__(
        self,
        engine: Engine,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        deadline_s: float | None,
    ) -> None:
        self.events: queue.SimpleQueue[GenerateEvent | Exception | _Over] = queue.SimpleQueue()
        self._text = engine.generate(messages, sampling, deadline_s=deadline_s)
        self._lock = threading.Lock()
        self._left = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def run(self) -> None:
        """The thread: every event into the queue, then what ended it."""
        try:
            with suppress(asyncio.CancelledError):
                asyncio.run(self._read())
        except Exception as error:
            self.events.put(error)
        else:
            self.events.put(_Over())

    def leave(self) -> None:
        """Stop reading, and with it the writing."""
        with self._lock:
            self._left = True
            if self._loop is not None and self._task is not None:
                with suppress(RuntimeError):  # the loop has ended by itself
                    self._loop.call_soon_threadsafe(self._task.cancel)

    async def _read(self) -> None:
        with self._lock:
            if self._left:
                return
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        async with aclosing(self._text) as events:
            async for event in events:
                self.events.put(event)
