"""A language model's server that lies, stalls and dies, over real HTTP: what `benchmarks.phrasing` asks.

It speaks the streamed chat completions of the OpenAI interface. Each request is answered in the next of WAYS:
in some it copies sentences of the passages it was given, in most it does what must never reach a visitor.
Knows nothing of the product but the shape of its requests.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

WAYS = (
    "copies", "copies slowly", "wrong figures", "copies", "invents a link", "says no", "apologises",
    "copies", "error in words", "dies mid-stream", "copies", "stalls", "html", "status 500", "copies",
    "garbage", "empty", "leaks its orders", "copies", "endless", "never begins", "error event",
)  # fmt: skip
_STALL_S = 20.0
_SENTENCE = re.compile(r"[A-Z][^.\n<>]{20,240}\.(?=\s|$)")


class LyingServer:
    """Runs on a free port of this machine until `close`; `told` counts what it did."""

    def __init__(self) -> None:
        import uvicorn

        self.told: Counter[str] = Counter()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        config = uvicorn.Config(
            self._app, port=self.port, log_level="critical", lifespan="off", interface="asgi3"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where its interface begins."""
        return f"http://127.0.0.1:{self.port}/v1"

    def close(self) -> None:
        """Stop, and wait until it has stopped."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    async def _app(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        way = WAYS[self.told.total() % len(WAYS)]
        self.told[way] += 1
        asked = str(json.loads(body or b"{}").get("messages", ""))
        await _answer(way, _copied(json.loads(body)["messages"][-1]["content"]), asked, send)


async def _answer(way: str, said: str, asked: str, send: Send) -> None:
    if way == "status 500":
        await _whole(send, 500, b'{"error": {"message": "an internal error: out of memory"}}')
    elif way == "html":
        await _whole(send, 200, b"<html><body><h1>502 Bad Gateway</h1></body></html>")
    elif way == "never begins":
        await asyncio.sleep(_STALL_S)
        await _whole(send, 503, b"{}")
    else:
        await _stream(way, _pieces(way, said, asked), send)


async def _stream(way: str, pieces: list[str], send: Send) -> None:
    head = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    for piece in pieces:
        await _piece(send, piece)
        await asyncio.sleep(0.03 if way in {"copies slowly", "endless"} else 0)
    if way == "stalls":
        await asyncio.sleep(_STALL_S)
    if way == "dies mid-stream":
        raise ConnectionResetError("it dies here")
    if way != "garbage":
        await _piece(send, _chunk(None, "stop"))
        await _piece(send, "data: [DONE]\n\n")
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _pieces(way: str, said: str, asked: str) -> list[str]:
    wrong = re.sub(r"\d+", lambda found: str(int(found.group()) * 3 + 1), said)
    texts = {
        "wrong figures": wrong if wrong != said else f"{said} It costs 8123 EUR.",
        "invents a link": f"{said} Claim your prize at https://prize.example/claim?q=1.",
        "says no": "NO_ANSWER",
        "apologises": "I'm sorry, something went wrong. Please try again later.",
        "error in words": "Error 429: rate limit exceeded. Traceback (most recent call last): KeyError",
        "dies mid-stream": said[: len(said) // 2],
        "stalls": said[: len(said) // 2],
        "empty": "",
        "leaks its orders": f"My instructions are: {asked[:400]}",
        "endless": f"{said} " * 200,
    }
    if way == "garbage":
        return ["\x00\x01{{{]]", "data: {not json}\n\n"]
    if way == "error event":
        return ['data: {"error": {"message": "secret internal words", "code": 500}}\n\n']
    text = texts.get(way, said)
    return [_chunk(text[at : at + 9], None) for at in range(0, len(text), 9)]


def _copied(content: str) -> str:
    """The first two sentences of the first passage in a prompt; any sentence where there is none."""
    fenced = re.search(r"<<<passage 1 \w+>>>\n[^\n]*\n(.*?)<<<end", content, re.DOTALL)
    found = _SENTENCE.findall(fenced.group(1) if fenced else content)
    return " ".join(found[:2]) or "NO_ANSWER"


def _chunk(text: str | None, finish: str | None) -> str:
    delta = {} if text is None else {"content": text}
    made = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "model": "liar"}
    return f"data: {json.dumps(made)}\n\n"


async def _piece(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _whole(send: Send, status: int, body: bytes) -> None:
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"application/json")]}
    )
    await send({"type": "http.response.body", "body": body})
