"""The vectors that are remembered: in the process, and in a real Redis behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from services.inference import serving
from services.inference.cache import VectorCache, build_cache
from services.inference.local import LocalEngine
from services.inference.values import Vectors
from tests.conftest import free_port
from tests.services.inference.conftest import cpu_settings
from tests.services.inference.scripted_model import DIM, ScriptedModel, vectors

VEC_COST = 4 * DIM + 120


def _key(text: str, version: str = "one") -> bytes:
    return VectorCache.key(version, text)


def _keep(cache: VectorCache, *texts: str) -> None:
    cache.keep({_key(text): vectors([text])[0] for text in texts})


def _knows(cache: VectorCache, *texts: str) -> list[bool]:
    found = cache.find([_key(text) for text in texts], DIM)
    return [at in found for at in range(len(texts))]


def test_what_was_kept_is_found_at_its_place() -> None:
    cache = VectorCache(2**20)
    _keep(cache, "a", "c")
    found = cache.find([_key("a"), _key("b"), _key("c")], DIM)
    assert set(found) == {0, 2}
    np.testing.assert_array_equal(found[2], vectors(["c"])[0])


def test_another_version_asks_under_another_key() -> None:
    cache = VectorCache(2**20)
    _keep(cache, "a")
    assert cache.find([_key("a", "two")], DIM) == {}
    assert len({_key("a"), _key("a", "two"), _key("b"), _key(""), _key("\ud800"), _key("a\0one", "")}) == 6


def test_memory_is_bounded_and_the_least_recently_asked_for_goes_first() -> None:
    cache = VectorCache(3 * VEC_COST)
    _keep(cache, "a", "b", "c")
    assert _knows(cache, "a") == [True]
    _keep(cache, "d")
    assert cache.count == 3
    assert _knows(cache, "a", "b", "c", "d") == [True, False, True, True]


def test_a_vector_kept_again_is_counted_once_whatever_its_length() -> None:
    cache = VectorCache(3 * VEC_COST)
    for _ in range(50):
        _keep(cache, "a", "b")
    assert cache.count == 2
    cache.keep({_key("a"): np.ones(2 * DIM, np.float32)})
    cache.keep({_key("a"): np.ones(1, np.float32)})
    _keep(cache, "c", "d")
    assert cache.count == 3
    assert _knows(cache, "c", "d") == [True, True]


def test_a_vector_larger_than_the_memory_is_not_kept() -> None:
    cache = VectorCache(VEC_COST - 1)
    _keep(cache, "a")
    assert cache.count == 0
    assert _knows(cache, "a") == [False]


def test_a_cache_of_nothing_keeps_nothing_and_asks_nobody() -> None:
    cache = build_cache(0, "redis://127.0.0.1:1/0")
    _keep(cache, "a")
    assert (cache.enabled, cache.is_shared, cache.count) == (False, False, 0)


def test_a_vector_of_another_length_is_not_taken() -> None:
    cache = VectorCache(2**20)
    _keep(cache, "a")
    assert cache.find([_key("a")], DIM + 1) == {}


def test_what_a_caller_does_to_its_vectors_does_not_change_the_kept_ones() -> None:
    cache = VectorCache(2**20)
    vec = vectors(["a"])[0]
    cache.keep({_key("a"): vec})
    vec[:] = 0
    np.testing.assert_array_equal(cache.find([_key("a")], DIM)[0], vectors(["a"])[0])


def test_threads_may_ask_and_keep_at_once() -> None:
    cache = VectorCache(20 * VEC_COST)
    wrong: list[str] = []

    def work(thread: int) -> None:
        for n in range(300):
            text = f"{(thread + n) % 40}"
            found = cache.find([_key(text)], DIM)
            if found and not np.array_equal(found[0], vectors([text])[0]):
                wrong.append(text)
            _keep(cache, text)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.count == 20


# with Redis behind it


@pytest.fixture
def clean_redis(redis_url: str) -> Iterator[str]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        yield redis_url


def test_what_one_process_embedded_another_finds(clean_redis: str) -> None:
    one, other = build_cache(1, clean_redis), build_cache(1, clean_redis)
    assert one.is_shared
    _keep(one, "a", "b")
    found = other.find([_key("x"), _key("b"), _key("a")], DIM)
    assert set(found) == {1, 2}
    np.testing.assert_array_equal(found[1], vectors(["b"])[0])
    assert other.count == 2


def test_shared_vectors_expire(clean_redis: str) -> None:
    _keep(build_cache(1, clean_redis), "a")
    with redis.Redis.from_url(clean_redis) as client:
        (name,) = client.keys()
        assert 0 < client.ttl(name) <= 7 * 24 * 3600


def test_what_lies_in_redis_and_is_no_vector_is_not_taken(clean_redis: str) -> None:
    cache = build_cache(1, clean_redis)
    _keep(build_cache(1, clean_redis), "a", "b", "c")
    with redis.Redis.from_url(clean_redis) as client:
        client.set(b"trefoil:vec:" + _key("a"), b"short")
        client.set(b"trefoil:vec:" + _key("b"), np.full(DIM, np.nan, np.float32).tobytes())
    assert _knows(cache, "a", "b", "c") == [False, False, True]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Gone:
    """A Redis client whose server is away; counts how often it is asked."""

    def __init__(self, url: str) -> None:
        self.client, self.asked, self.away = redis.Redis.from_url(url), 0, True

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        if self.away:
            raise redis.ConnectionError
        return getattr(self.client, name)


def test_a_redis_that_does_not_answer_is_left_alone_and_asked_again_later(clean_redis: str) -> None:
    gone, clock = Gone(clean_redis), Clock()
    cache = VectorCache(2**20, gone, clock=clock)
    assert _knows(cache, "a") == [False]
    asked = gone.asked
    _keep(cache, "a")
    assert _knows(cache, "a", "b") == [True, False]
    assert gone.asked == asked
    gone.away, clock.now = False, 11.0
    _keep(cache, "c")
    assert _knows(VectorCache(2**20, gone), "c") == [True]


def _engine(cache: VectorCache, model: ScriptedModel, patch: pytest.MonkeyPatch, folder: Path) -> LocalEngine:
    patch.setattr(serving, "load_encoder", model.loaded)
    return LocalEngine(cpu_settings(folder), cache=cache)


def test_an_engine_embeds_on_when_redis_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = ScriptedModel()
    engine = _engine(build_cache(1, f"redis://127.0.0.1:{free_port()}/0"), model, monkeypatch, tmp_path)
    for _ in range(2):
        np.testing.assert_allclose(engine.embed(["a", "b"]), vectors(["a", "b"]), atol=1e-6)
    assert model.texts == ["a", "b"]
    engine.close()


async def test_two_engines_share_their_vectors_and_count_what_they_found(
    clean_redis: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second = ScriptedModel(), ScriptedModel()
    one = _engine(build_cache(1, clean_redis), first, monkeypatch, tmp_path)
    expected: Vectors = vectors(["a", "b", "c"])
    np.testing.assert_allclose(one.embed(["a", "b"]), expected[:2], atol=1e-6)
    other = _engine(build_cache(1, clean_redis), second, monkeypatch, tmp_path)
    np.testing.assert_allclose(await other.aembed(["a", "c", "b"]), expected[[0, 2, 1]], atol=1e-6)
    assert (first.texts, second.texts) == (["a", "b"], ["c"])
    report = other.report()
    assert (report.cache_hits, report.cache_misses) == (2, 1)
    one.close()
    other.close()
