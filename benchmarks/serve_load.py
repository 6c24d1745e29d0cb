"""Closed-loop clients for an OpenAI-compatible `/embeddings`, in a process of their own.

Every client keeps one HTTP/1.1 connection open and sends its next request when the last one is answered.
An answer is read only as far as needed to know its status and its end, so that the clients take little of
the machine they share with the server, and as much from one server as from another.

`python -m benchmarks.serve_load` reads JSON lines: first the list of texts, then one `Job` a line; it
answers each job with one line, an `Outcome`. No two requests carry the same text: once the texts are used
up they come again with a running number. `benchmarks.serve` decides what is asked of whom.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import cast
from urllib.parse import urlsplit

PATIENCE_S = 30.0
"""How long after the end of a round an answer may still come."""
PAUSE_S = 0.1
"""A client that met an error waits this long, so that a server in trouble is not flooded."""


@dataclass(frozen=True, slots=True)
class Job:
    """One round: who is asked, by how many clients, for how long. `start`: the first text's number."""

    url: str
    model: str | None
    encoding: str
    connections: int
    texts_per_request: int
    seconds: float
    start: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round gave. `seconds` runs to the last answer; `next_start`: the first text not sent.

    `cpu_share`: seconds of CPU this process used per second, of one core.
    """

    texts: int
    seconds: float
    p50_ms: float
    p95_ms: float
    errors: int
    first_error: str
    next_start: int
    cpu_share: float


def main() -> None:
    """Texts, then jobs, until the input ends."""
    import uvloop

    texts = [json.dumps(text)[:-1] for text in json.loads(sys.stdin.readline())]
    for line in sys.stdin:
        outcome = uvloop.run(play(Job(**json.loads(line)), texts))
        print(json.dumps(asdict(outcome)), flush=True)


async def play(job: Job, texts: Sequence[str]) -> Outcome:
    """One round. `texts`: JSON strings without the closing quote."""
    tally = Tally(job, texts)
    cpu_s = time.process_time()
    clients = [asyncio.create_task(_client(tally)) for _ in range(job.connections)]
    _, hung = await asyncio.wait(clients, timeout=job.seconds + PATIENCE_S)
    for client in hung:
        client.cancel()
        tally.fail(f"no answer within {PATIENCE_S:.0f} s")
    seconds = (tally.last_answer or time.perf_counter()) - tally.started
    latencies = sorted(tally.latencies) or [0.0]
    return Outcome(
        texts=len(tally.latencies) * job.texts_per_request,
        seconds=seconds,
        p50_ms=1000 * latencies[len(latencies) // 2],
        p95_ms=1000 * latencies[int(0.95 * len(latencies))],
        errors=tally.errors,
        first_error=tally.first_error,
        next_start=tally.next_text,
        cpu_share=(time.process_time() - cpu_s) / seconds,
    )


@dataclass(slots=True)
class Tally:
    """What the clients of one round share: the next request, and what has come of them so far."""

    job: Job
    pool: Sequence[str]
    started: float = field(default_factory=time.perf_counter)
    latencies: list[float] = field(default_factory=list)
    last_answer: float = 0.0
    errors: int = 0
    first_error: str = ""
    next_text: int = field(init=False)
    _head: str = field(init=False)
    _body: str = field(init=False)

    def __post_init__(self) -> None:
        self.next_text = self.job.start
        url = urlsplit(self.job.url)
        self._head = (
            f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: application/json\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        )
        fixed = {"encoding_format": self.job.encoding}
        if self.job.model:
            fixed["model"] = self.job.model
        self._body = json.dumps(fixed)[:-1] + ', "input": ['

    def over(self) -> bool:
        """Whether the round's time is up, so that no further request is to be sent."""
        return time.perf_counter() - self.started >= self.job.seconds

    def request(self) -> bytes:
        """The next request, whole."""
        numbers = range(self.next_text, self.next_text + self.job.texts_per_request)
        self.next_text = numbers.stop
        body = self._body + ", ".join(map(self._text, numbers)) + "]}"
        return f"{self._head}{len(body)}\r\n\r\n{body}".encode("ascii")  # json.dumps escaped the rest

    def _text(self, number: int) -> str:
        again, place = divmod(number, len(self.pool))
        return f'{self.pool[place]} {again}"' if again else f'{self.pool[place]}"'

    def answered(self, sent: float) -> None:
        """A request sent at `sent` was answered as it should be."""
        self.last_answer = time.perf_counter()
        self.latencies.append(self.last_answer - sent)

    def fail(self, what: str) -> None:
        """A request was refused, or not answered at all."""
        self.errors += 1
        self.first_error = self.first_error or what


async def _client(tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    url = urlsplit(tally.job.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    while not tally.over():
        done: asyncio.Future[None] = loop.create_future()
        try:
            connection, _ = await loop.create_connection(
                lambda done=done: Connection(tally, done, loop.call_later),  # type: ignore[misc]
                url.hostname or "127.0.0.1",
                port,
                ssl=True if url.scheme == "https" else None,
            )
        except OSError as error:
            tally.fail(f"no connection: {error}")
            await asyncio.sleep(PAUSE_S)
            continue
        try:
            await done
        finally:
            connection.close()


class Connection(asyncio.Protocol):
    """One keep-alive connection: a request, its answer, the next request. `done` is set when it is over."""

    def __init__(
        self, tally: Tally, done: asyncio.Future[None], later: Callable[[float, Callable[[], None]], object]
    ) -> None:
        self._tally, self._done, self._later = tally, done, later
        self._sent: float | None = None
        self._answer = bytearray()
        self._body_at = 0
        self._length = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._send()

    def _send(self) -> None:
        if self._tally.over() or self._transport.is_closing():
            self._finish()
            return
        self._answer.clear()
        self._body_at = 0
        request = self._tally.request()
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not self._body_at and not self._read_head():
            return
        if self._length < 0:
            complete = self._answer.endswith(b"0\r\n\r\n")  # no JSON has a bare CR: this is the last chunk
        else:
            complete = len(self._answer) >= self._body_at + self._length
        if complete and self._sent is not None:
            self._settle(self._sent)

    def _read_head(self) -> bool:
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._answer[:end]).lower()
        self._body_at = end + 4
        self._length = -1
        if b"\r\ncontent-length:" in head:
            self._length = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        self._closing = b"\r\nconnection: close" in head
        return True

    def _settle(self, sent: float) -> None:
        self._sent = None
        good = self._answer[9:12] == b"200"
        if good:
            self._tally.answered(sent)
        else:
            self._tally.fail(bytes(self._answer[9:12] + b" " + self._answer[self._body_at :][:200]).decode())
        if self._closing:
            self._finish()
        elif good:
            self._send()
        else:
            self._later(PAUSE_S, self._send)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sent is not None and not self._done.done():
            self._tally.fail(f"connection lost: {exc or 'closed by the server'}")
            self._later(PAUSE_S, self._finish)
        else:
            self._finish()

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


if __name__ == "__main__":
    main()
