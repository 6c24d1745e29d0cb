"""Any OpenAI-compatible server as a model: chat, streamed, and embeddings.

A request is tried again, after a jittered and growing pause, while nothing of its answer has come; never
after. A server that keeps failing is left alone for a while (`Circuit`). Errors before the first event are
raised; trouble after it is a `Failed` event. Keys, addresses and the server's own words stay out of details.

One object serves every thread and event loop: it keeps one async client for each loop, which ends with
that loop, and one for calls that block. No proxy or credential is taken from the environment.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from functools import partial
from typing import TypeVar, cast
from urllib.parse import urlsplit

import httpx
import numpy as np

from services.errors import DeadlineExceeded, Misconfigured, ModelFailed, SuiteError, Unavailable
from services.inference.runtimes.answers import LATE, Opened, add, by, data_of, drain, loop_time
from services.inference.runtimes.circuit import Attempt, Circuit, CircuitOpen
from services.inference.runtimes.http_clients import HttpClients
from services.inference.runtimes.openai_format import (
    ChatReader,
    chat_request,
    embed_request,
    error_of,
    is_passing,
    vectors_of,
)
from services.inference.values import ChatMessage, Failed, GenerateEvent, Sampling, Vectors
from services.logs import get_logger

log = get_logger(__name__)
T = TypeVar("T")

TEXTS_A_REQUEST = 256
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0


class _Again(Exception):
    """Trouble that may pass; `error` is what it is when it does not."""

    def __init__(self, error: SuiteError) -> None:
        super().__init__(error.detail)
        self.error = error


class OpenAiEndpoint:
    """A model behind `url` (".../v1"). Times in seconds; `read_timeout_s` is the longest between bytes.

    All calls raise ModelUnavailable (key, model or address refused), InvalidInput (the server does not
    take the request), Overloaded, ModelFailed (an answer that makes no sense), DeadlineExceeded and
    Unavailable (down, or left alone because it was down; closed). Raises Misconfigured for a url or key that
    cannot be one.
    """

    def __init__(
        self,
        url: str,
        key: str,
        model: str,
        *,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 60.0,
        tries: int = 3,
        headers: Mapping[str, str] | None = None,
        circuit: Circuit | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.model = model
        self._url = _checked(url)
        self._tries = max(1, tries)
        self._circuit = circuit or Circuit(clock=clock)
        self._clock, self._sleep, self._asleep = clock, sleep, asleep
        self._timeout = httpx.Timeout(
            connect=connect_timeout_s, read=read_timeout_s, write=read_timeout_s, pool=connect_timeout_s
        )
        self._clients = HttpClients({**_headers(key), **(headers or {})}, self._timeout)
        self._lock = threading.Lock()
        self._dim = 0

    async def chat(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        """Continue a conversation: deltas as they come, then one Finished or Failed.

        `deadline_s` counts from the first step. Closing the generator cuts the request off.
        """
        started = False
        try:
            async with aclosing(self._chat(messages, sampling, loop_time(deadline_s))) as events:
                async for event in events:
                    started = True
                    yield event
        except SuiteError as error:
            if not started:
                raise
            log.warning("chat_broke_off", code=error.code)
            yield Failed(error.code, error.detail)

    async def aembed(self, texts: Sequence[str], deadline_s: float | None = None) -> Vectors:
        """Embed texts: float32 (n, dim), L2-normalised, in their order; no texts give (0, dim).

        The interface takes no empty text: it is sent as one space. `dim` is that of the first answer.
        """
        when = loop_time(deadline_s)
        parts = [self._fitting(await by(when, partial(self._apost, part)), part) for part in _parts(texts)]
        return np.concatenate([np.empty((0, self._dim), np.float32), *parts])

    def embed(self, texts: Sequence[str], deadline_s: float | None = None) -> Vectors:
        """As `aembed`, blocking. The deadline is looked at between bytes and between tries."""
        when = None if deadline_s is None else self._clock() + deadline_s
        parts = [self._fitting(self._post(part, when), part) for part in _parts(texts)]
        return np.concatenate([np.empty((0, self._dim), np.float32), *parts])

    def close(self) -> None:
        """Close every connection; those of loops are closed on their loops, a moment later."""
        self._clients.close()

    async def aclose(self) -> None:
        """As `close`; the connections of the running loop are closed when it returns."""
        await self._clients.aclose()

    # chat

    async def _chat(
        self, messages: Sequence[ChatMessage], sampling: Sampling, when: float | None
    ) -> AsyncGenerator[GenerateEvent]:
        content = chat_request(self.model, messages, sampling)
        reader = ChatReader(self.model)
        opened = await by(when, lambda: self._retried(lambda attempt: self._open(content, attempt)))
        try:
            async with aclosing(data_of(opened, when)) as every:
                async for data in every:
                    if data.strip() == "[DONE]":
                        await drain(opened)
                        break
                    for delta in reader.read(data):
                        yield delta
        except SuiteError:
            if not reader.reason:  # what follows the whole text is no loss
                raise
        finally:
            await opened.aclose()
        yield reader.finished()

    async def _open(self, content: bytes, attempt: Attempt) -> Opened:
        """Send the request and wait for the first bytes of its answer. Raises _Again and what is final."""
        client = await self._clients.here()
        with _transport():
            request = client.build_request("POST", self._address("chat/completions"), content=content)
            response = await client.send(request, stream=True)
            opened = Opened(response, b"", cast(AsyncGenerator[bytes], response.aiter_raw()))
            try:
                _check(response, attempt)
                first = await anext(opened.rest, b"")
                if not first:
                    raise _Again(Unavailable("The model's server sent an empty answer."))
            except BaseException:
                await opened.aclose()
                raise
            attempt.succeeded()
            return Opened(response, first, opened.rest)

    # embeddings

    async def _apost(self, texts: Sequence[str]) -> bytes:
        async def once(attempt: Attempt) -> bytes:
            client = await self._clients.here()
            with _transport():
                content = embed_request(self.model, texts)
                async with client.stream("POST", self._address("embeddings"), content=content) as response:
                    _check(response, attempt)
                    body = bytearray()
                    async with aclosing(cast(AsyncGenerator[bytes], response.aiter_raw())) as chunks:
                        async for chunk in chunks:
                            add(body, chunk)
                    attempt.succeeded()
                    return bytes(body)

        return await self._retried(once)

    def _post(self, texts: Sequence[str], when: float | None) -> bytes:
        for number in range(1, self._tries + 1):
            try:
                with self._attempt() as attempt:
                    try:
                        with _transport():
                            return self._post_once(texts, when, attempt)
                    except _Again:
                        self._left_s(when)  # a deadline that was too short is no failure of the server
                        attempt.failed()
                        raise
            except _Again as again:
                if number == self._tries:
                    raise again.error from again
                pause_s = self._pause(number, again)
                if pause_s >= self._left_s(when):
                    raise DeadlineExceeded(LATE) from again
                self._sleep(pause_s)
        raise AssertionError("a loop over at least one try ends by itself")

    def _post_once(self, texts: Sequence[str], when: float | None, attempt: Attempt) -> bytes:
        left_s = self._left_s(when)
        timeout = httpx.Timeout(
            **{
                name: min(limit, left_s) if limit is not None else left_s
                for name, limit in self._timeout.as_dict().items()
            }
        )
        content = embed_request(self.model, texts)
        client = self._clients.blocking()
        with client.stream("POST", self._address("embeddings"), content=content, timeout=timeout) as response:
            _check(response, attempt)
            body = bytearray()
            for chunk in response.iter_raw():
                add(body, chunk)
                self._left_s(when)
            attempt.succeeded()
            return bytes(body)

    def _left_s(self, when: float | None) -> float:
        left_s = float("inf") if when is None else when - self._clock()
        if left_s <= 0:
            raise DeadlineExceeded(LATE)
        return left_s

    def _fitting(self, body: bytes, texts: Sequence[str]) -> Vectors:
        vecs = vectors_of(body, len(texts))
        with self._lock:
            self._dim = self._dim or vecs.shape[1]
        if vecs.shape[1] != self._dim:
            raise ModelFailed(
                "The model's server changed the length of its vectors; rebuild what they filled."
            )
        return vecs

    # trying, and the clients

    async def _retried(self, once: Callable[[Attempt], Awaitable[T]]) -> T:
        for number in range(1, self._tries + 1):
            try:
                with self._attempt() as attempt:
                    try:
                        return await once(attempt)
                    except _Again:
                        attempt.failed()
                        raise
            except _Again as again:
                if number == self._tries:
                    raise again.error from again
                await self._asleep(self._pause(number, again))
        raise AssertionError("a loop over at least one try ends by itself")

    @contextmanager
    def _attempt(self) -> Iterator[Attempt]:
        self._clients.refuse_when_closed()
        try:
            with self._circuit.attempt() as attempt:
                yield attempt
        except CircuitOpen as error:
            raise Unavailable(
                "The model's server has failed several times in a row; it is asked again in a moment."
            ) from error

    def _pause(self, number: int, again: _Again) -> float:
        """Full jitter: anything up to a limit that doubles each time."""
        pause_s = random.uniform(0.0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (number - 1)))
        log.info("model_server_retry", number=number, code=again.error.code, pause_s=round(pause_s, 3))
        return pause_s

    def _address(self, door: str) -> httpx.URL:
        return self._url.copy_with(path=f"{self._url.path.rstrip('/')}/{door}")


def _checked(url: str) -> httpx.URL:
    try:
        urlsplit(url.strip())  # stricter about brackets
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError) as error:
        raise Misconfigured("GENERATOR_URL is not an address. Give one like http://host:8000/v1.") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise Misconfigured(
            "GENERATOR_URL is to be like http://host:8000/v1; a key belongs in GENERATOR_API_KEY."
        )
    return parsed


def _headers(key: str) -> dict[str, str]:
    key = key.strip()
    if not (key.isascii() and (key.isprintable() or not key)):
        raise Misconfigured("GENERATOR_API_KEY has characters that a key cannot have; copy it anew.")
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "Trefoil/0.1"}
    return headers | ({"Authorization": f"Bearer {key}"} if key else {})


def _parts(texts: Sequence[str]) -> list[Sequence[str]]:
    if isinstance(texts, str):
        raise TypeError("texts is a sequence of strings, not one string")
    return [texts[start : start + TEXTS_A_REQUEST] for start in range(0, len(texts), TEXTS_A_REQUEST)]


@contextmanager
def _transport() -> Iterator[None]:
    """What httpx raises before an answer, as trouble that may pass."""
    try:
        yield
    except httpx.PoolTimeout as error:  # our own calls are too many: the server is not at fault
        raise Unavailable("Too many requests to the model's server are under way.") from error
    except httpx.TimeoutException as error:
        raise _Again(Unavailable("The model's server did not answer in time.")) from error
    except httpx.RequestError as error:
        raise _Again(Unavailable("The model's server cannot be reached.")) from error


def _check(response: httpx.Response, attempt: Attempt) -> None:
    """Raise what a status stands for; a server that says no is a server that works."""
    if is_passing(response.status_code):
        raise _Again(error_of(response.status_code, response.headers))
    if response.status_code != 200:
        attempt.succeeded()
        raise error_of(response.status_code, response.headers)
    if response.headers.get("content-encoding", "identity") != "identity":
        attempt.succeeded()
        raise ModelFailed("The model's server compresses its answers though asked not to.")
