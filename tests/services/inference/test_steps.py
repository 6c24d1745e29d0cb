"""The bodies that yield futures: run by threads that block and by loops that await."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from services.errors import DeadlineExceeded, ModelFailed, Unavailable
from services.inference.steps import Steps, arun, deadline_at, run


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as found:
        yield found


class Body:
    """Adds the answers of two futures; remembers its threads and whether it was closed."""

    def __init__(self) -> None:
        self.first: Future[int] = Future()
        self.second: Future[int] = Future()
        self.threads: list[str] = []
        self.begun, self.closed = threading.Event(), threading.Event()

    def steps(self) -> Steps[int]:
        under_way = self.first
        try:
            self.threads.append(threading.current_thread().name)
            self.begun.set()
            one = yield self.first
            under_way = self.second
            self.threads.append(threading.current_thread().name)
            return one + (yield self.second)
        finally:
            under_way.cancel()
            self.closed.set()


def _nothing() -> Steps[str]:
    return "at once"
    yield


def test_a_body_gets_the_answer_of_each_future_and_gives_its_own() -> None:
    body = Body()
    body.first.set_result(2)
    body.second.set_result(3)
    assert run(body.steps(), None) == 5
    assert run(_nothing(), None) == "at once"


@pytest.mark.parametrize("heavy", [False, True])
async def test_an_awaited_body_does_the_same(pool: ThreadPoolExecutor, heavy: bool) -> None:
    body = Body()
    asked = asyncio.create_task(arun(body.steps(), None, pool, heavy=heavy))
    assert await asyncio.to_thread(body.begun.wait, 20)
    body.first.set_result(2)
    body.second.set_result(3)
    assert await asked == 5
    assert await arun(_nothing(), None, pool, heavy=heavy) == "at once"
    mine = threading.current_thread().name
    assert {name == mine for name in body.threads} == {not heavy}


def test_what_a_future_raises_comes_out_and_the_body_is_closed() -> None:
    body = Body()
    body.first.set_exception(ModelFailed("as it was"))
    with pytest.raises(ModelFailed, match="as it was"):
        run(body.steps(), None)
    assert body.closed.is_set()


@pytest.mark.parametrize("heavy", [False, True])
async def test_what_an_awaited_future_raises_comes_out_too(pool: ThreadPoolExecutor, heavy: bool) -> None:
    body = Body()
    body.first.set_exception(ModelFailed("as it was"))
    with pytest.raises(ModelFailed, match="as it was"):
        await arun(body.steps(), None, pool, heavy=heavy)
    assert body.closed.is_set()


def test_a_deadline_that_passes_cancels_what_waits() -> None:
    body = Body()
    with pytest.raises(DeadlineExceeded):
        run(body.steps(), deadline_at(0.0))
    assert body.closed.is_set()
    assert body.first.cancelled()


@pytest.mark.parametrize("heavy", [False, True])
async def test_a_deadline_that_passes_cancels_what_is_awaited(pool: ThreadPoolExecutor, heavy: bool) -> None:
    body = Body()
    with pytest.raises(DeadlineExceeded):
        await arun(body.steps(), deadline_at(0.0), pool, heavy=heavy)
    assert body.closed.is_set()
    assert body.first.cancelled()


def test_an_answer_that_is_there_is_taken_even_after_the_deadline() -> None:
    body = Body()
    body.first.set_result(1)
    body.second.set_result(1)
    assert run(body.steps(), time.monotonic() - 1) == 2


@pytest.mark.parametrize("heavy", [False, True])
async def test_a_caller_that_is_cancelled_takes_its_work_along(pool: ThreadPoolExecutor, heavy: bool) -> None:
    body = Body()
    asked = asyncio.create_task(arun(body.steps(), None, pool, heavy=heavy))
    assert await asyncio.to_thread(body.begun.wait, 20)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await asyncio.to_thread(body.closed.wait, 20)
    assert body.first.cancelled()


async def test_a_caller_cancelled_while_a_thread_works_for_it_leaves_nothing_behind(
    pool: ThreadPoolExecutor,
) -> None:
    entered, may_go_on = threading.Event(), threading.Event()
    future: Future[int] = Future()

    def body() -> Steps[int]:
        entered.set()
        may_go_on.wait(20)
        try:
            return (yield future)
        finally:
            future.cancel()

    kept = body()
    asked = asyncio.create_task(arun(kept, None, pool, heavy=True))
    assert await asyncio.to_thread(entered.wait, 20)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    may_go_on.set()
    await asyncio.to_thread(pool.shutdown)
    assert future.cancelled()


async def test_a_pool_that_was_closed_is_unavailable(pool: ThreadPoolExecutor) -> None:
    pool.shutdown()
    with pytest.raises(Unavailable):
        await arun(Body().steps(), None, pool, heavy=True)


def test_no_deadline_is_none() -> None:
    assert deadline_at(None) is None
