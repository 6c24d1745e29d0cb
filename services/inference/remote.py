"""The Engine Protocol from afar: inference servers asked over HTTP, one after the other when one fails.

Calls are spread over the servers in turn. What is idempotent (everything but a text that has begun) is asked
again elsewhere when a server cannot be reached, breaks off or says it is not available, and again after
jittered pauses, a few times, within the deadline. A server that cannot be reached is left alone for a while;
when that is all of them, a call waits some seconds for one to come back.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypeVar

import httpx
import numpy as np
import orjson

from services.errors import (
    DeadlineExceeded,
    ModelUnavailable,
    Overloaded,
    SuiteError,
    Unavailable,
)
from services.inference import exchange, wire
from services.inference.conf import InferenceSettings
from services.inference.meters import Meter, Report
from services.inference.runtimes.circuit import Circuit, CircuitOpen
from services.inference.runtimes.http_clients import HttpClients
from services.inference.runtimes.openai import OpenAiEndpoint
from services.inference.values import (
    ChatMessage,
    ClassScores,
    EncoderInfo,
    GenerateEvent,
    ModelInfo,
    Pair,
    Priority,
    Relevance,
    Sampling,
    Tagged,
    Vectors,
)
from services.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

_REQUESTS_AT_ONCE = 4
_ROUNDS = 4
_PAUSE_S = 0.25
_INFO_FOR_S = 5.0
_CONNECT_S = 3.0
_WAIT_FOR_CIRCUITS_S = 6.0
"""How long a call waits in all while every server is left alone: a little more than a server's restart."""
_BEYOND_DEADLINE_S = 2.0
"""How much longer than the server we wait: its own word on the deadline is to arrive."""


@dataclass(slots=True, eq=False)
class _Server:
    url: str
    circuit: Circuit = field(default_factory=lambda: Circuit(failures=3, cool_off_s=3.0))


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request to be made now, by whoever drives; answered with the response, or the httpx error."""

    method: str
    url: str
    content: bytes
    headers: Mapping[str, str]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class _Pause:
    seconds: float


Asking = Generator["_Ask | _Pause", "httpx.Response | httpx.HTTPError | None", bytes]


class RemoteEngine:
    """The servers at INFERENCE_URL as one engine. Loads nothing here."""

    def __init__(self, settings: InferenceSettings) -> None:
        key = settings.inference_api_key.get_secret_value()
        headers = {"Content-Type": wire.JSON, "Accept-Encoding": "identity", "User-Agent": "Trefoil"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self._servers = [_Server(url) for url in settings.inference_url.split(",")]
        self._next = itertools.count()
        self._deadline_s = settings.inference_deadline_s
        self._clients = HttpClients(headers, httpx.Timeout(60.0, connect=_CONNECT_S))
        self._pool = ThreadPoolExecutor(_REQUESTS_AT_ONCE, thread_name_prefix="remote-engine")
        self._writers = {
            server.url: OpenAiEndpoint(
                f"{server.url}/v1",
                key,
                "default",
                tries=1,
                headers={"X-Trefoil-Deadline-S": "3600"},  # ours ends the stream, which the server sees
                circuit=server.circuit,
            )
            for server in self._servers
        }
        self._languages = settings.languages
        self._meter = Meter()
        self._lock = threading.Lock()
        self._info: EncoderInfo | None = None
        self._info_at = 0.0
        self._known: tuple[ModelInfo, ...] = ()
        self._closed = False

    def embed(
        self, texts: Sequence[str], *, priority: Priority = Priority.NORMAL, deadline_s: float | None = None
    ) -> Vectors:
        """As the Protocol says; large calls go in several requests at once."""
        if isinstance(texts, str):
            raise TypeError("texts is a sequence of strings, not one string")
        with self._meter.measured("embed", len(texts)):
            if not texts:
                return np.empty((0, self.encoder().dim), np.float32)
            until = self._until(deadline_s)
            bodies = [exchange.embed_body(part) for part in exchange.parts(texts)]
            if len(bodies) == 1:
                answers = [self._run("/v1/embeddings", bodies[0], priority, until)]
            else:
                answers = list(
                    self._pool.map(lambda body: self._run("/v1/embeddings", body, priority, until), bodies)
                )
            return self._vectors(answers, texts)

    async def aembed(
        self, texts: Sequence[str], *, priority: Priority = Priority.NORMAL, deadline_s: float | None = None
    ) -> Vectors:
        """As `embed`."""
        if isinstance(texts, str):
            raise TypeError("texts is a sequence of strings, not one string")
        with self._meter.measured("embed", len(texts)):
            if not texts:
                info = await asyncio.to_thread(self.encoder)
                return np.empty((0, info.dim), np.float32)
            until = self._until(deadline_s)
            gate = asyncio.Semaphore(_REQUESTS_AT_ONCE)

            async def one(part: Sequence[str]) -> bytes:
                async with gate:
                    return await self._arun("/v1/embeddings", exchange.embed_body(part), priority, until)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(part)) for part in exchange.parts(texts)]
            except ExceptionGroup as failures:
                raise failures.exceptions[0] from failures  # callers know one error, not groups of them
            return self._vectors([task.result() for task in tasks], texts)

    def rerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Relevance:
        """As the Protocol says."""
        with self._meter.measured("rerank", len(texts)):
            if not texts:
                return Relevance(np.empty(0, np.float32), "")
            body = exchange.dump({"query": query, "documents": list(texts)})
            return exchange.relevance(
                self._run("/rerank", body, priority, self._until(deadline_s)), len(texts)
            )

    async def arerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Relevance:
        """As `rerank`."""
        with self._meter.measured("rerank", len(texts)):
            if not texts:
                return Relevance(np.empty(0, np.float32), "")
            body = exchange.dump({"query": query, "documents": list(texts)})
            answer = await self._arun("/rerank", body, priority, self._until(deadline_s))
            return exchange.relevance(answer, len(texts))

    def classify(
        self,
        task: str,
        pairs: Sequence[Pair],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> ClassScores:
        """As the Protocol says."""
        with self._meter.measured("classify", len(pairs)):
            body = exchange.pairs_body(task, pairs)
            return exchange.scores(
                self._run("/classify", body, priority, self._until(deadline_s)), len(pairs)
            )

    async def aclassify(
        self,
        task: str,
        pairs: Sequence[Pair],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> ClassScores:
        """As `classify`."""
        with self._meter.measured("classify", len(pairs)):
            answer = await self._arun(
                "/classify", exchange.pairs_body(task, pairs), priority, self._until(deadline_s)
            )
            return exchange.scores(answer, len(pairs))

    def tag(
        self,
        task: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Tagged:
        """As the Protocol says."""
        with self._meter.measured("tag", len(texts)):
            body = exchange.dump({"task": task, "input": list(texts)})
            return exchange.tagged(self._run("/tag", body, priority, self._until(deadline_s)), len(texts))

    async def atag(
        self,
        task: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Tagged:
        """As `tag`."""
        with self._meter.measured("tag", len(texts)):
            body = exchange.dump({"task": task, "input": list(texts)})
            return exchange.tagged(
                await self._arun("/tag", body, priority, self._until(deadline_s)), len(texts)
            )

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        """As the Protocol says. Another server is asked only while nothing has been written."""
        with self._meter.measured("generate", 1):
            servers = self._in_turn()
            messages = [ChatMessage(one.role, exchange.sound(one.content)) for one in messages]
            deadline_s = self._deadline_s if deadline_s is None else deadline_s
            for at, server in enumerate(servers):
                begun = False
                try:
                    async with aclosing(
                        self._writers[server.url].chat(messages, sampling, deadline_s)
                    ) as events:
                        async for event in events:
                            begun = True
                            yield event
                    return
                except Unavailable as error:
                    last = at == len(servers) - 1
                    if begun or last or isinstance(error, DeadlineExceeded):
                        raise
                    log.warning("inference_server_passed_over", code=error.code)

    def encoder(self) -> EncoderInfo:
        """As the Protocol says; asked again every few seconds, as servers may be exchanged."""
        info = self._info
        if info is not None and time.monotonic() - self._info_at < _INFO_FOR_S:
            return info
        try:
            return self._read_models(self._get("/v1/models"))
        except Unavailable:
            if info is None:
                raise
            return info

    def models(self) -> tuple[ModelInfo, ...]:
        """What the servers said last."""
        return self._known

    def report(self) -> Report:
        """This process's own calls; each server's `/stats` has its own."""
        return self._meter.report(queue=0, lanes=0, alive=self.alive)

    def warm(self) -> None:
        """As the Protocol says."""
        self.encoder()
        self.embed(["warm"], priority=Priority.INTERACTIVE)

    def probe(self, deadline_s: float) -> None:
        """As the Protocol says: the servers' own `/ready` infers."""
        self._get("/ready", deadline_s)

    def close(self) -> None:
        """As the Protocol says."""
        self._closed = True
        self._clients.close()
        for writer in self._writers.values():
            writer.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def alive(self) -> bool:
        """As the Protocol says; servers that are down make no process worth ending."""
        return not self._closed

    def _vectors(self, answers: Sequence[bytes], texts: Sequence[str]) -> Vectors:
        found = [
            exchange.embeddings(answer, len(part))
            for answer, part in zip(answers, exchange.parts(texts), strict=True)
        ]
        versions = {version for _, version in found}
        if len(versions) > 1:
            raise Unavailable("The inference servers are being exchanged for others; try again in a moment.")
        info = self._info
        if info is None or info.version not in versions:
            with self._lock:
                self._info_at = 0.0  # asked anew before it is told again
        return np.concatenate([vecs for vecs, _ in found])

    def _read_models(self, answer: bytes) -> EncoderInfo:
        try:
            rows = orjson.loads(answer)["data"]
            known = tuple(
                ModelInfo(
                    row["task"],
                    row["kind"],
                    row["name"],
                    row["version"],
                    row["runtime"],
                    row["device"],
                    row["loaded"],
                    tuple(row["labels"]),
                    tuple(row.get("languages", ())) if row["kind"] != "encoder" else (),
                )
                for row in rows
            )
            row = next(row for row in rows if row["kind"] == "encoder")
            if "dim" not in row:
                raise Unavailable("The inference server's encoder is still loading.")
            info = EncoderInfo(
                row["name"],
                row["version"],
                row["dim"],
                row["max_tokens"],
                row["runtime"],
                row["device"],
                tuple(row["languages"]),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, StopIteration) as error:
            raise ModelUnavailable(
                "INFERENCE_URL does not lead to an inference server of this suite."
            ) from error
        with self._lock:
            self._info, self._info_at, self._known = info, time.monotonic(), known
        return info

    def _get(self, path: str, deadline_s: float | None = None) -> bytes:
        return self._run(path, b"", Priority.INTERACTIVE, self._until(deadline_s), "GET")

    def _until(self, deadline_s: float | None) -> float:
        if self._closed:
            raise Unavailable("The inference service is shutting down.")
        return time.monotonic() + (self._deadline_s if deadline_s is None else deadline_s)

    def _run(self, path: str, body: bytes, priority: Priority, until: float, method: str = "POST") -> bytes:
        asking = self._asking(method, path, body, priority, until)
        client = self._clients.blocking()
        found: httpx.Response | httpx.HTTPError | None = None
        try:
            while True:
                step = asking.send(found)
                if isinstance(step, _Pause):
                    time.sleep(step.seconds)
                    found = None
                    continue
                try:
                    found = client.request(
                        step.method,
                        step.url,
                        content=step.content,
                        headers=dict(step.headers),
                        timeout=httpx.Timeout(step.timeout_s, connect=min(_CONNECT_S, step.timeout_s)),
                    )
                except httpx.HTTPError as error:
                    found = error
        except StopIteration as done:
            answer: bytes = done.value
            return answer
        finally:
            asking.close()

    async def _arun(self, path: str, body: bytes, priority: Priority, until: float) -> bytes:
        asking = self._asking("POST", path, body, priority, until)
        client = await self._clients.here()
        found: httpx.Response | httpx.HTTPError | None = None
        try:
            while True:
                try:
                    step = asking.send(found)
                except StopIteration as done:
                    answer: bytes = done.value
                    return answer
                if isinstance(step, _Pause):
                    await asyncio.sleep(step.seconds)
                    found = None
                    continue
                try:
                    found = await client.request(
                        step.method,
                        step.url,
                        content=step.content,
                        headers=dict(step.headers),
                        timeout=httpx.Timeout(step.timeout_s, connect=min(_CONNECT_S, step.timeout_s)),
                    )
                except httpx.HTTPError as error:
                    found = error
        finally:
            asking.close()

    def _asking(self, method: str, path: str, body: bytes, priority: Priority, until: float) -> Asking:
        """Which server to ask next, and when to stop; knows nothing of how a request is made."""
        last: SuiteError = Unavailable("The inference servers are not reached.")
        wait_until = min(until, time.monotonic() + _WAIT_FOR_CIRCUITS_S)
        round_ = 0
        while round_ < _ROUNDS:
            closed_for_s: list[float] = []
            for server in self._in_turn():
                left_s = until - time.monotonic()
                if left_s < 0.001:  # what is left is told in milliseconds
                    raise DeadlineExceeded("The inference servers did not answer in time.") from last
                headers = {
                    "X-Trefoil-Priority": priority.name.lower(),
                    "X-Trefoil-Deadline-S": f"{min(left_s, 3600):.3f}",
                }
                ask = _Ask(method, f"{server.url}{path}", body, headers, left_s + _BEYOND_DEADLINE_S)
                try:
                    with server.circuit.attempt() as attempt:
                        found = yield ask
                        if isinstance(found, httpx.Response):
                            attempt.succeeded()
                            if found.status_code == 200:
                                return found.content
                            last = exchange.error(found)
                        else:
                            if isinstance(found, httpx.ConnectError | httpx.TimeoutException):
                                attempt.failed()  # a connection that broke off says nothing of the next one
                            last = Unavailable("An inference server was not reached or broke off.")
                            last.__cause__ = found
                except CircuitOpen as circuit:
                    closed_for_s.append(circuit.retry_after_s)
                    continue
                if not _may_pass(last):
                    raise last
            if isinstance(last, Overloaded | ModelUnavailable):
                raise last  # all of them say so: when to come back, or what to mend
            pause_s = random.uniform(0.5, 1.0) * _PAUSE_S * 2**round_
            if len(closed_for_s) == len(self._servers):  # nobody was asked: that is no round
                pause_s = min(closed_for_s) + random.uniform(0.5, 1.0) * _PAUSE_S
                if time.monotonic() + pause_s > wait_until:
                    raise last
            else:
                round_ += 1
            if round_ < _ROUNDS and time.monotonic() + pause_s < until:
                yield _Pause(pause_s)
        raise last

    def _in_turn(self) -> list[_Server]:
        first = next(self._next) % len(self._servers)
        return self._servers[first:] + self._servers[:first]


def _may_pass(error: SuiteError) -> bool:
    """Whether another server, or the same one a moment later, may do better."""
    return isinstance(error, Unavailable) and not isinstance(error, DeadlineExceeded)
