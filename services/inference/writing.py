"""A generated text as a whole, for callers that show nothing before it is finished."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from services.errors import ModelFailed, every_error
from services.inference.engine import Engine
from services.inference.values import ChatMessage, Delta, Failed, Finished, Sampling

_ERRORS = {error.code: error for error in every_error()}


async def awrite(
    engine: Engine,
    messages: Sequence[ChatMessage],
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    *,
    deadline_s: float | None = None,
) -> tuple[str, Finished]:
    """The whole text and how it ended. A text that breaks off is raised as its error; nothing is kept."""
    pieces: list[str] = []
    async with aclosing(engine.generate(messages, sampling, deadline_s=deadline_s)) as events:
        async for event in events:
            if isinstance(event, Delta):
                pieces.append(event.text)
            elif isinstance(event, Failed):
                raise _ERRORS.get(event.code, ModelFailed)(event.detail)
            else:
                return "".join(pieces), event
    raise ModelFailed("The text broke off.")


def write(
    engine: Engine,
    messages: Sequence[ChatMessage],
    sampling: Sampling = Sampling(),  # noqa: B008 - frozen
    *,
    deadline_s: float | None = None,
) -> tuple[str, Finished]:
    """As `awrite`, blocking; for tasks and commands, not for a thread that runs an event loop."""
    return asyncio.run(awrite(engine, messages, sampling, deadline_s=deadline_s))
