"""A real HTTP server on a socket of this machine that answers as a test says, byte by byte.

It runs on a loop in a thread of its own, keeps connections alive, and remembers what it was asked, which
connections are open, and whether a client left in the middle of an answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Request:
    """What came in; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Answer:
    """The way back to one client."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gone: threading.Event
    ) -> None:
        self._reader, self._writer, self._gone = reader, writer, gone
        self.keep = True

    async def head(self, status: int, **headers: str) -> None:
        """Status line and headers; names with underscores for hyphens."""
        lines = [f"HTTP/1.1 {status} Said", *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items())]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def whole(self, status: int, body: bytes = b"{}", **headers: str) -> None:
        """An answer in one piece."""
        await self.head(status, content_type="application/json", content_length=str(len(body)), **headers)
        await self.raw(body)

    async def events(self) -> None:
        """The head of an event stream, to be followed by pieces."""
        await self.head(200, content_type="text/event-stream", transfer_encoding="chunked")

    async def piece(self, data: bytes) -> None:
        """One chunk, sent on its own."""
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def end(self) -> None:
        """The last chunk."""
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)

    def drop(self) -> None:
        """Break the connection off when the script ends."""
        self.keep = False

    async def until_client_leaves(self) -> None:
        """Wait for the other end to hang up; `ScriptedServer.gone` is set then."""
        while await self._reader.read(1024):
            pass
        self._gone.set()
        self.keep = False


Script = Callable[[Request, Answer], Awaitable[None]]


class ScriptedServer:
    """`scripts` are used up one a request, the last one for all that follow."""

    def __init__(self) -> None:
        self.scripts: list[Script] = []
        self.requests: list[Request] = []
        self.open_connections = 0
        self.connections = 0
        self.gone = threading.Event()
        self.empty = threading.Event()
        """Set while no connection is open."""
        self.empty.set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def plays(self, *scripts: Script) -> None:
        """What the next requests are answered with."""
        self.scripts = list(scripts)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        self.connections += 1
        self.empty.clear()
        try:
            keep = True
            while keep:
                request = await _read(reader)
                self.requests.append(request)
                script = self.scripts[0] if len(self.scripts) == 1 else self.scripts.pop(0)
                answer = Answer(reader, writer, self.gone)
                await script(request, answer)
                keep = answer.keep
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.open_connections -= 1
            if not self.open_connections:
                self.empty.set()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(head[0].split(" ")[1], headers, json.loads(body))


def status(code: int, body: bytes = b'{"error": {"message": "secret words"}}', **headers: str) -> Script:
    """Answers with a status and an error in the server's own words."""

    async def script(request: Request, answer: Answer) -> None:
        await answer.whole(code, body, **headers)

    return script


def streams(pieces: Sequence[bytes], *, whole: bool = True) -> Script:
    """Streams pieces as they are; when not `whole`, hangs up after the last one."""

    async def script(request: Request, answer: Answer) -> None:
        await answer.events()
        for piece in pieces:
            await answer.piece(piece)
        if whole:
            await answer.end()
        else:
            answer.drop()

    return script


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chat completion chunk."""
    delta = {} if text is None else {"content": text}
    return {
        "id": "c",
        "model": "other-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def event(value: Any) -> bytes:
    """A value as one server-sent event."""
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()


DONE = b"data: [DONE]\n\n"
