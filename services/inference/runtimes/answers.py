"""An HTTP answer as it comes: its bytes until a deadline, the data of its events, its end.

Trouble on the way is a SuiteError; an answer over 64 MiB is trouble. Knows nothing of what the data means.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import TypeVar

import httpx

from services.errors import DeadlineExceeded, ModelFailed, Unavailable
from services.inference.runtimes.event_stream import EventStream, EventTooLong

T = TypeVar("T")

LATE = "The answer did not come in time; its work was dropped."
_MOST_BYTES = 64 * 2**20
_DRAIN_S = 0.25


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer that has begun: its first bytes are here, `rest` has the others."""

    response: httpx.Response
    first: bytes
    rest: AsyncGenerator[bytes]

    async def aclose(self) -> None:
        """Let go of the connection; an answer not read to its end is cut off, which the server sees."""
        await self.rest.aclose()
        await self.response.aclose()


def loop_time(deadline_s: float | None) -> float | None:
    """A deadline from now as a moment of the running loop's clock."""
    return None if deadline_s is None else asyncio.get_running_loop().time() + deadline_s


async def by(when: float | None, work: Callable[[], Awaitable[T]]) -> T:
    """Await something until a moment of the loop's clock. Raises DeadlineExceeded."""
    if when is not None and asyncio.get_running_loop().time() >= when:
        raise DeadlineExceeded(LATE)
    try:
        async with asyncio.timeout_at(when):
            return await work()
    except TimeoutError as error:
        raise DeadlineExceeded(LATE) from error


def add(body: bytearray, chunk: bytes) -> None:
    """Gather a body in memory. Raises ModelFailed over 64 MiB."""
    if len(body) + len(chunk) > _MOST_BYTES:
        raise ModelFailed("The model's server answered at too great a length.")
    body += chunk


async def data_of(opened: Opened, when: float | None) -> AsyncGenerator[str]:
    """The data of every event of an answer; an answer in one piece is one event."""
    if "json" in opened.response.headers.get("content-type", ""):
        body = bytearray()
        async with aclosing(_chunks(opened, when)) as chunks:
            async for chunk in chunks:
                add(body, chunk)
        yield body.decode("utf-8", "replace")
        return
    stream = EventStream()
    try:
        async with aclosing(_chunks(opened, when)) as chunks:
            async for chunk in chunks:
                for data in stream.feed(chunk):
                    yield data
        for data in stream.end():
            yield data
    except EventTooLong as error:
        raise ModelFailed("The model's server sent a line of too great a length.") from error


async def drain(opened: Opened) -> None:
    """Read the end of an answer, so that its connection can be used again; not one that does not end."""
    when = loop_time(_DRAIN_S)
    with suppress(httpx.RequestError, DeadlineExceeded):
        while await by(when, lambda: anext(opened.rest, b"")):
            pass


async def _chunks(opened: Opened, when: float | None) -> AsyncGenerator[bytes]:
    """The bytes of an answer as they come. Raises Unavailable, DeadlineExceeded, ModelFailed."""
    total = 0
    chunk = opened.first
    while chunk:
        total += len(chunk)
        if total > _MOST_BYTES:
            raise ModelFailed("The model's server answered at too great a length.")
        yield chunk
        try:
            chunk = await by(when, lambda: anext(opened.rest, b""))
        except httpx.RequestError as error:
            raise Unavailable("The model's server broke off its answer.") from error
