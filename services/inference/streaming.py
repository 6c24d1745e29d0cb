"""A text that is being written, as a response of server-sent events that ends its writer with its reader."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.errors import ModelFailed, SuiteError
from services.inference.values import Failed, GenerateEvent
from services.logs import get_logger

log = get_logger(__name__)


async def lines(
    first: GenerateEvent, rest: AsyncGenerator[GenerateEvent], write: Callable[[GenerateEvent], bytes]
) -> AsyncGenerator[bytes]:
    """Every event as `write` has it; trouble after the first is an event too."""
    try:
        yield write(first)
        async for event in rest:
            yield write(event)
    except SuiteError as problem:
        yield write(Failed(problem.code, problem.detail))
    except Exception:
        log.exception("text_broke_off")
        yield write(Failed(SuiteError.code, SuiteError.title))


async def first_of(events: AsyncGenerator[GenerateEvent]) -> GenerateEvent:
    """The first event. Raises what comes before it."""
    async for event in events:
        return event
    raise ModelFailed("The text broke off.")


class Events(StreamingResponse):
    """Server-sent events; however it ends, the text's writer is told at once that nobody reads on."""

    def __init__(self, events: AsyncGenerator[GenerateEvent], lines: AsyncGenerator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(lines, media_type="text/event-stream", headers=headers)
        self._events, self._lines = events, lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._events), aclosing(self._lines):
            await super().__call__(scope, receive, send)
