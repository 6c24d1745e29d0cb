"""Waking whoever waits for a row: Redis pub/sub when REDIS_URL is set; otherwise readers look themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from services.conf import CoreSettings, load
from services.logs import get_logger

Wait = Callable[[float], Awaitable[bool]]
log = get_logger(__name__)


def publish(channel: str) -> None:
    """Wake the channel's followers. A lost wake-up delays them by one heartbeat, never more."""
    client = _client()
    if client is None:
        return
    import redis

    try:
        client.publish(channel, b"")
    except redis.RedisError as error:
        log.warning("wakeup_lost", error=type(error).__name__)


@asynccontextmanager
async def subscription(channel: str) -> AsyncIterator[Wait | None]:
    """`wait(timeout_s) -> woken`, or None where there is no Redis and the caller must look itself."""
    url = load(CoreSettings).redis_url
    if not url:
        yield None
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


@cache
def _client() -> Any:
    url = load(CoreSettings).redis_url
    if not url:
        return None
    import redis

    return redis.Redis.from_url(url, socket_timeout=2.0)
