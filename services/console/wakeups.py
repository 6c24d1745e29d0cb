"""Waking whoever waits for a row: through Redis pub/sub when REDIS_URL is set, else within the process.

Without Redis nobody hears of what other processes write, so a follower has to look now and then as well;
what its own process writes (a web process answers its visitors itself) wakes it at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from typing import Any

from services.conf import CoreSettings, load
from services.logs import get_logger

Wait = Callable[[float], Awaitable[bool]]
log = get_logger(__name__)
_lock = threading.Lock()
_here: dict[str, set[_Follower]] = defaultdict(set)


class _Follower:
    """Somebody in this process who waits on an event loop; woken from any thread."""

    def __init__(self) -> None:
        self._loop, self._woken = asyncio.get_running_loop(), asyncio.Event()

    def wake(self) -> None:
        with suppress(RuntimeError):  # its loop is closed: nobody waits there
            self._loop.call_soon_threadsafe(self._woken.set)

    async def wait(self, timeout_s: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), timeout_s)
        woken = self._woken.is_set()
        self._woken.clear()
        return woken


def publish(channel: str) -> None:
    """Wake the channel's followers. A lost wake-up delays them by one heartbeat, never more."""
    client = _client()
    if client is None:
        with _lock:
            followers = list(_here.get(channel, ()))
        for follower in followers:
            follower.wake()
        return
    import redis

    try:
        client.publish(channel, b"")
    except redis.RedisError as error:
        log.warning("wakeup_lost", error=type(error).__name__)


@asynccontextmanager
async def subscription(channel: str) -> AsyncIterator[Wait]:
    """`wait(timeout_s) -> woken`: for what has been published since the subscription or the last wait."""
    url = load(CoreSettings).redis_url
    if not url:
        follower = _Follower()
        with _lock:
            _here[channel].add(follower)
        try:
            yield follower.wait
        finally:
            _leave(channel, follower)
        return
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(url)
    pubsub = client.pubsub(ignore_subscribe_messages=False)
    try:
        await pubsub.subscribe(channel)
        await pubsub.get_message(timeout=5.0)  # the server's word that the subscription stands

        async def wait(timeout_s: float) -> bool:
            return await pubsub.get_message(timeout=timeout_s) is not None

        yield wait
    finally:
        await pubsub.aclose()  # type: ignore[attr-defined, no-untyped-call]
        await client.aclose()  # type: ignore[attr-defined]


def hears_other_processes() -> bool:
    """Whether a follower is woken for what other processes write; else it must look for that itself."""
    return bool(load(CoreSettings).redis_url)


def _leave(channel: str, follower: _Follower) -> None:
    with _lock:
        _here[channel].discard(follower)
        if not _here[channel]:
            del _here[channel]


@cache
def _client() -> Any:
    url = load(CoreSettings).redis_url
    if not url:
        return None
    import redis

    return redis.Redis.from_url(url, socket_timeout=2.0)
