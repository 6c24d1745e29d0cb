"""The inference server on a real socket, in a thread of the test's process, over any engine."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from services.inference.engine import Engine
from services.inference.server import build_app
from tests.services.inference.conftest import cpu_settings


class LiveServer(uvicorn.Server):
    """`url` is its address, `client` asks it without a key."""

    def __init__(self, engine: Engine, *, warm: bool = False, **changes: Any) -> None:
        app = build_app(engine, cpu_settings(Path("unused"), **changes), warm=warm)
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5))
        self._up = threading.Event()
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        self._thread = threading.Thread(target=self.run, args=([self._socket],), daemon=True)
        self._thread.start()
        assert self._up.wait(60)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop, self._at_rest = asyncio.get_running_loop(), asyncio.all_tasks()
        self._up.set()

    def tasks_left(self) -> int:
        """Tasks of requests that are still there once all have had twenty seconds to end."""

        async def settled() -> int:
            others = asyncio.all_tasks() - self._at_rest - {asyncio.current_task()}
            return len((await asyncio.wait(others, timeout=20))[1]) if others else 0

        return asyncio.run_coroutine_threadsafe(settled(), self._loop).result(40)

    def stop(self) -> None:
        self.client.close()
        self.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()


@contextmanager
def live_server(engine: Engine, *, warm: bool = False, **changes: Any) -> Iterator[LiveServer]:
    """A server over an engine with the default settings but for `changes`; it closes the engine."""
    server = LiveServer(engine, warm=warm, **changes)
    try:
        yield server
    finally:
        server.stop()
