"""Wake-ups: through Redis where there is one, and no worse than silence where there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from services.conf import CoreSettings, load
from services.console import wakeups
from tests.conftest import free_port


@pytest.fixture
def with_redis(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> Iterator[str]:
    yield from _configured(monkeypatch, redis_url)


@pytest.fixture
def with_a_dead_redis(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from _configured(monkeypatch, f"redis://127.0.0.1:{free_port()}/0")


def _configured(monkeypatch: pytest.MonkeyPatch, url: str) -> Iterator[str]:
    monkeypatch.setenv("REDIS_URL", url)
    load.cache_clear()
    wakeups._client.cache_clear()
    assert load(CoreSettings).redis_url == url
    yield url
    monkeypatch.undo()
    load.cache_clear()
    wakeups._client.cache_clear()


async def test_a_follower_is_woken_at_once(with_redis: str) -> None:
    async with wakeups.subscription("chat:1") as wait:
        wakeups.publish("chat:1")
        started = time.monotonic()
        assert await wait(10.0)
        assert time.monotonic() - started < 1.0


async def test_a_wake_up_of_another_channel_wakes_nobody_here(with_redis: str) -> None:
    async with wakeups.subscription("chat:1") as wait:
        wakeups.publish("chat:2")
        assert not await wait(0.5)


async def test_every_follower_of_a_channel_is_woken(with_redis: str) -> None:
    async with wakeups.subscription("chat:1") as one, wakeups.subscription("chat:1") as two:
        wakeups.publish("chat:1")
        assert await one(5.0)
        assert await two(5.0)


async def test_without_redis_followers_of_the_process_are_woken_from_any_thread_and_nobody_else() -> None:
    wakeups.publish("chat:1")  # nobody follows yet: nothing is kept
    async with wakeups.subscription("chat:1") as one, wakeups.subscription("chat:2") as two:
        assert not await one(0.01)
        threading.Thread(target=wakeups.publish, args=("chat:1",)).start()
        assert await one(10.0)
        assert not await one(0.01)  # woken once for it
        assert not await two(0.01)
        wakeups.publish("chat:1")  # while nobody waits: the next wait is over at once
        assert await one(10.0)
    assert not wakeups._here
    assert not wakeups.hears_other_processes()


def test_a_redis_that_is_down_loses_the_wake_up_and_nothing_else(
    with_a_dead_redis: str, caplog: pytest.LogCaptureFixture
) -> None:
    wakeups.publish("chat:1")
    assert "wakeup_lost" in caplog.text
