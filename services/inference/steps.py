"""One body for synchronous and asynchronous calls: a generator that yields futures and gets their answers.

    def body() -> Steps[int]:
        answer = yield queue.submit(...)
        return len(answer)

`run` blocks on each future, `arun` awaits it; the work between two futures runs in the caller's thread, or
with `arun(..., heavy=True)` in a thread of the pool so that an event loop is not held up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from services.errors import DeadlineExceeded, Unavailable

T = TypeVar("T")
Steps = Generator["Future[Any]", Any, T]

TOO_LATE = "The answer did not come in time; its work was dropped."


def deadline_at(deadline_s: float | None) -> float | None:
    """Seconds from now -> the moment on the monotonic clock."""
    return None if deadline_s is None else time.monotonic() + deadline_s


def run(steps: Steps[T], deadline: float | None) -> T:
    """Raises what the body raises, and DeadlineExceeded (futures not done are cancelled by the body)."""
    try:
        future = next(steps)
        while True:
            try:
                answer = future.result(_left(deadline))
            except TimeoutError as error:
                raise DeadlineExceeded(TOO_LATE) from error
            future = steps.send(answer)
    except StopIteration as done:
        found: T = done.value
        return found
    finally:
        steps.close()


async def arun(steps: Steps[T], deadline: float | None, pool: Executor, *, heavy: bool) -> T:
    """As `run`, awaiting. A caller that is cancelled takes its waiting texts off the queue."""
    stepping: Future[tuple[bool, Any]] | None = None

    async def step(work: Callable[[], Any]) -> tuple[bool, Any]:
        nonlocal stepping
        if not heavy:
            return _stepped(work)
        stepping = _submitted(pool, work)
        return await asyncio.wrap_future(stepping)

    try:
        done, found = await step(lambda: next(steps))
        while not done:
            try:
                async with asyncio.timeout(_left(deadline)):
                    answer = await asyncio.wrap_future(found)
            except TimeoutError as error:
                raise DeadlineExceeded(TOO_LATE) from error
            done, found = await step(lambda answer=answer: steps.send(answer))  # type: ignore[misc]
        result: T = found
        return result
    finally:
        if stepping is None:
            steps.close()
        else:  # a thread may be in the midst of a step: it is closed when that is over
            stepping.add_done_callback(lambda _: steps.close())


def _submitted(pool: Executor, work: Callable[[], Any]) -> Future[tuple[bool, Any]]:
    try:
        return pool.submit(_stepped, work)
    except RuntimeError as error:
        raise Unavailable("The inference service is shutting down.") from error


def _stepped(work: Callable[[], Any]) -> tuple[bool, Any]:
    """(False, the next future) or (True, the result): StopIteration cannot pass through a future."""
    try:
        return False, work()
    except StopIteration as done:
        return True, done.value


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
