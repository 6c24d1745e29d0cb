"""Models that write what a test says: behind a real HTTP server, or in this process without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from services.inference.fake import FakeEngine
from services.inference.runtimes.openai import OpenAiEndpoint
from services.inference.values import (
    ChatMessage,
    Delta,
    Finished,
    GenerateEvent,
    ModelInfo,
    Sampling,
)

_WRITER = ModelInfo("generate", "generator", "scripted", "scripted-1", "fake", "cpu", loaded=True)
Says = Callable[[Sequence[ChatMessage]], str]


class WritingEngine(FakeEngine):
    """A FakeEngine whose generator says what `says` makes of the messages, a few letters at a time."""

    def __init__(self, says: str | Says, pause_s: float = 0.0) -> None:
        super().__init__()
        self.answer: Says = says if callable(says) else lambda messages: says
        self.pause_s = pause_s
        self.asked: list[Sequence[ChatMessage]] = []

    def models(self) -> tuple[ModelInfo, ...]:
        return (*super().models(), _WRITER)

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        self.asked.append(messages)
        text = self.answer(messages)
        for start in range(0, len(text), 7):
            await asyncio.sleep(self.pause_s)
            yield Delta(text[start : start + 7])
        yield Finished("stop", 100, len(text) // 4, "scripted-1")


class EndpointEngine(FakeEngine):
    """A FakeEngine whose generator is behind an OpenAI-compatible server: the product's own client."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.endpoint = OpenAiEndpoint(url, "sk-test", "chatty")

    def models(self) -> tuple[ModelInfo, ...]:
        return (*super().models(), _WRITER)

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        async with aclosing(self.endpoint.chat(messages, sampling, deadline_s)) as events:
            async for event in events:
                yield event
