"""Models behind OpenAI-compatible endpoints, and the generator that runs here, as the settings name them."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING

import numpy as np

from services.inference.conf import InferenceSettings
from services.inference.model_files import (
    find_folder,
    plain_name,
    require_whole,
    version_of,
)
from services.inference.runtimes.openai import OpenAiEndpoint
from services.inference.values import (
    ChatMessage,
    EncoderInfo,
    GenerateEvent,
    ModelInfo,
    Priority,
    Sampling,
    Vectors,
)

if TYPE_CHECKING:
    from services.inference.runtimes.generator import LocalGenerator

_PARALLEL_REQUESTS = 8
_ENDPOINT_TOKENS = 8192
"""What is told as the limit of an encoder behind an endpoint: it does not say, and cuts for itself."""


class EndpointEncoder:
    """ENCODER at ENCODER_URL. Its version is its name: the endpoint tells nothing more."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._endpoint = OpenAiEndpoint(
            settings.encoder_url, settings.encoder_api_key.get_secret_value(), settings.encoder
        )
        self._pool = ThreadPoolExecutor(_PARALLEL_REQUESTS, thread_name_prefix="encoder-endpoint")
        dim = self._endpoint.embed(["warm"]).shape[1]
        name = settings.encoder
        self.info = EncoderInfo(
            name, f"{name}@endpoint", dim, _ENDPOINT_TOKENS, "openai", "endpoint", settings.languages
        )

    def submit(
        self, texts: Sequence[str], *, priority: Priority, deadline: float | None, admitted: bool
    ) -> Future[Vectors]:
        """Ask in a thread; the endpoint has a queue of its own."""
        if not texts:
            nothing: Future[Vectors] = Future()
            nothing.set_result(np.empty((0, self.info.dim), np.float32))
            return nothing
        left_s = None if deadline is None else max(deadline - time.monotonic(), 0.0)
        return self._pool.submit(self._endpoint.embed, list(texts), left_s)

    def close(self) -> None:
        """End the threads and connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._endpoint.close()


class EndpointGenerator:
    """GENERATOR at GENERATOR_URL."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._endpoint = OpenAiEndpoint(
            settings.generator_url, settings.generator_api_key.get_secret_value(), settings.generator
        )
        name = settings.generator
        self.info = ModelInfo("generate", "generator", name, name, "openai", "endpoint", loaded=True)

    async def chat(
        self, messages: Sequence[ChatMessage], sampling: Sampling, deadline_s: float | None
    ) -> AsyncGenerator[GenerateEvent]:
        """As `Engine.generate`."""
        async with aclosing(self._endpoint.chat(messages, sampling, deadline_s)) as events:
            async for event in events:
                yield event

    def close(self) -> None:
        """End the connections."""
        self._endpoint.close()


def local_generator(settings: InferenceSettings) -> LocalGenerator:
    """GENERATOR in this process. Raises ModelUnavailable with the remedy."""
    from services.inference.loading import wanted_device
    from services.inference.runtimes.generator import LocalGenerator

    folder = find_folder(settings.generator, "GENERATOR")
    name = plain_name(settings.generator)
    require_whole(folder, f"generator {name}", "GENERATOR")
    version = version_of(folder, name, settings.model_cache_dir, ("config.json", "tokenizer.json"))
    return LocalGenerator(folder, name, version, wanted_device(settings), settings.generator_concurrency)
