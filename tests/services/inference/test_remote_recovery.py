"""What a RemoteEngine makes of servers that break off, are down, and come back."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from services.errors import DeadlineExceeded, ModelFailed, Unavailable
from services.inference import wire
from services.inference.conf import InferenceSettings
from services.inference.fake import FakeEngine
from services.inference.remote import RemoteEngine
from tests.conftest import free_port
from tests.services.inference.live_server import live_server
from tests.services.inference.scripted_server import Answer, Request, ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    if scripted._thread.is_alive():
        scripted.close()


def engine_for(url: str) -> RemoteEngine:
    return RemoteEngine(InferenceSettings(inference_url=url.removesuffix("/v1"), inference_deadline_s=20))


async def embeds(request: Request, answer: Answer) -> None:
    fake, texts = FakeEngine(), request.body["input"]
    await answer.whole(200, wire.embeddings(fake.embed(texts), fake.encoder(), "base64", texts))


async def breaks_off(request: Request, answer: Answer) -> None:
    answer.drop()


def test_a_failed_awaited_call_raises_the_one_typed_error_and_no_group_of_errors() -> None:
    with live_server(FakeEngine(fail_with=ModelFailed("No."))) as live:
        engine = engine_for(live.url)
        for texts in (["one"], ["many"] * 1500):
            with pytest.raises(ModelFailed):
                asyncio.run(engine.aembed(texts))
        engine.close()


def test_callers_whose_connections_break_off_together_are_all_answered_at_the_next_try(
    server: ScriptedServer,
) -> None:
    server.plays(*[breaks_off] * 12, embeds)
    engine = engine_for(server.url)
    started = time.monotonic()

    with ThreadPoolExecutor(12) as callers:
        found = list(callers.map(engine.embed, [["Where is my parcel?"]] * 12))

    assert np.allclose(np.concatenate(found), FakeEngine().embed(["Where is my parcel?"]), atol=1e-6)
    assert time.monotonic() - started < 3.0  # no circuit opened: nobody waited for a cool-off
    engine.close()


def test_a_call_made_while_the_only_server_restarts_is_answered_once_it_is_back(
    server: ScriptedServer,
) -> None:
    server.plays(embeds)
    engine, port = engine_for(server.url), int(server.url.rpartition(":")[2].removesuffix("/v1"))
    server.close()
    successor = threading.Timer(2.5, lambda: asyncio.run(serve_for(4.0, server, port)))
    successor.start()
    started = time.monotonic()

    vecs = engine.embed(["Where is my parcel?"])

    assert time.monotonic() - started > 2.0
    assert np.allclose(vecs, FakeEngine().embed(["Where is my parcel?"]), atol=1e-6)
    engine.close()
    successor.join(20)


async def serve_for(seconds: float, scripted: ScriptedServer, port: int) -> None:
    """What the scripted server answered before, on its old port."""
    async with await asyncio.start_server(scripted._client, "127.0.0.1", port):
        await asyncio.sleep(seconds)


def test_servers_that_stay_down_are_told_of_long_before_a_long_deadline() -> None:
    engine = engine_for(f"http://127.0.0.1:{free_port()},http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    with pytest.raises(Unavailable, match="not reached"):
        engine.embed(["one"], deadline_s=60)
    assert time.monotonic() - started < 10.0
    engine.close()


def test_a_deadline_of_less_than_a_millisecond_has_passed_and_is_no_bad_input() -> None:
    with live_server(FakeEngine()) as live:
        engine = engine_for(live.url)
        with pytest.raises(DeadlineExceeded):
            engine.embed(["one"], deadline_s=0.0004)
        engine.close()
