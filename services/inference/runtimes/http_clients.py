"""httpx clients with kept-alive connections: one for calls that block, one async for each event loop.

An async client belongs to the loop it first worked on. It ends with that loop: an asynchronous generator
holds it, and `asyncio.run` closes those before the loop closes. So nothing leaks when a job runs its own
loop for one call. Knows nothing of what is sent.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import httpx

from services.errors import Unavailable

_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=30.0)


class HttpClients:
    """Thread-safe. No proxy or credential is taken from the environment; redirects are not followed."""

    def __init__(self, headers: dict[str, str], timeout: httpx.Timeout) -> None:
        self._options: dict[str, Any] = {
            "headers": headers,
            "timeout": timeout,
            "limits": _LIMITS,
            "trust_env": False,
            "follow_redirects": False,
            "verify": httpx.create_ssl_context(trust_env=False),
        }
        self._lock = threading.Lock()
        self._blocking: httpx.Client | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, AsyncGenerator[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def loops(self) -> int:
        """Event loops that have a client now."""
        return len(self._by_loop)

    def refuse_when_closed(self) -> None:
        """Raises Unavailable after `close`."""
        if self._closed:
            raise Unavailable("The inference service is shutting down.")

    def blocking(self) -> httpx.Client:
        """The client for calls that block. Raises Unavailable after `close`."""
        with self._lock:
            self.refuse_when_closed()
            if self._blocking is None:
                self._blocking = httpx.Client(**self._options)
            return self._blocking

    async def here(self) -> httpx.AsyncClient:
        """The client of the running loop. Raises Unavailable after `close`."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self.refuse_when_closed()
            if loop in self._by_loop:
                return self._by_loop[loop][0]
            client = httpx.AsyncClient(**self._options)
            life = self._life(loop, client)
            self._by_loop = {other: kept for other, kept in self._by_loop.items() if not other.is_closed()}
            self._by_loop[loop] = client, life
        await anext(life)  # never waits; from here on the loop knows the generator
        return client

    def close(self) -> None:
        """Close every connection; those of loops are closed on their loops, a moment later."""
        with self._lock:
            self._closed = True
            client, self._blocking = self._blocking, None
            loops = list(self._by_loop)
        if client is not None:
            client.close()
        for loop in loops:
            with suppress(RuntimeError):  # that loop has just ended, and its client with it
                loop.call_soon_threadsafe(self._end_soon, loop)

    async def aclose(self) -> None:
        """As `close`; the connections of the running loop are closed when it returns."""
        with self._lock:
            self._closed = True
        await self._end(asyncio.get_running_loop())
        self.close()

    def _end_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._end(loop))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            kept = self._by_loop.get(loop)
        if kept is not None:
            await kept[1].aclose()

    async def _life(self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._by_loop.pop(loop, None)
            await client.aclose()
