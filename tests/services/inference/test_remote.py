"""The engine from afar against real servers: the same answers, and another server when one fails."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelFailed,
    ModelUnavailable,
    NotFound,
    Overloaded,
    SuiteError,
    Unavailable,
)
from services.inference import serving
from services.inference.fake import FakeEngine
from services.inference.local import LocalEngine, build_engine
from services.inference.remote import RemoteEngine
from services.inference.values import (
    ChatMessage,
    Delta,
    Failed,
    Finished,
    GenerateEvent,
    Priority,
    Sampling,
)
from tests.conftest import free_port
from tests.services.inference.conftest import cpu_settings
from tests.services.inference.live_server import LiveServer, live_server
from tests.services.inference.scripted_model import Gate, ScriptedModel, vectors
from tests.services.inference.scripted_server import Answer, Request, Script, ScriptedServer, status

KEY = "a key of twenty-four bytes"
TEXTS = [
    "Where is Mona's parcel?",
    "",
    "我的包裹在哪里？ 🙂",
    'line\n\ttwo "quoted" \\ \u2028 \x00',
    "a" * 9000,
]
PAIRS = [("Acme fell as Borealis rose", "Acme"), ("Acme fell", None), ("", "")]
CHAT = (ChatMessage("system", "Be brief."), ChatMessage("user", "one two 三 🙂 five"))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.inference.remote._PAUSE_S", 0.01)


@pytest.fixture(scope="module")
def behind() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def server(behind: FakeEngine) -> Iterator[LiveServer]:
    with live_server(behind, inference_api_key=KEY) as found:
        yield found


@pytest.fixture(scope="module")
def remote(server: LiveServer) -> Iterator[RemoteEngine]:
    with _remote(server.url) as found:
        yield found


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    found = ScriptedServer()
    yield found
    found.close()


@contextmanager
def _remote(*urls: str, key: str = KEY, **changes: Any) -> Iterator[RemoteEngine]:
    settings = cpu_settings(Path("unused"), inference_url=",".join(urls), inference_api_key=key, **changes)
    engine = RemoteEngine(settings)
    try:
        yield engine
    finally:
        engine.close()


def _base(scripted: ScriptedServer) -> str:
    return scripted.url.removesuffix("/v1")


def _answers(body: dict[str, Any]) -> Script:
    return status(200, json.dumps(body).encode())


def _rows(*rows: Any) -> dict[str, Any]:
    return {"model": "x-1", "data": [{"index": at, "embedding": row} for at, row in enumerate(rows)]}


# the same answers as the engine behind it


async def test_vectors_are_those_of_the_engine_behind_it(remote: RemoteEngine, behind: FakeEngine) -> None:
    expected = behind.embed(TEXTS)
    for found in (remote.embed(TEXTS), await remote.aembed(TEXTS, priority=Priority.INTERACTIVE)):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
    assert remote.embed([]).shape == (await remote.aembed([])).shape == (0, 384)


async def test_a_large_call_goes_in_several_requests_and_keeps_its_order(
    remote: RemoteEngine, behind: FakeEngine
) -> None:
    texts = [f"text number {n}" for n in range(1500)]
    expected = behind.embed(texts)
    np.testing.assert_array_equal(remote.embed(texts, priority=Priority.BATCH), expected)
    np.testing.assert_array_equal(await remote.aembed(texts), expected)


async def test_relevance_is_that_of_the_engine_behind_it(remote: RemoteEngine, behind: FakeEngine) -> None:
    for query in ("lost parcel", "我的包裹", ""):
        expected = behind.rerank(query, TEXTS)
        for found in (remote.rerank(query, TEXTS), await remote.arerank(query, TEXTS)):
            np.testing.assert_array_equal(found.scores, expected.scores)
            assert found.version == expected.version
    assert remote.rerank("a", []).scores.shape == (await remote.arerank("a", [])).scores.shape == (0,)


async def test_probabilities_are_those_of_the_engine_behind_it(
    remote: RemoteEngine, behind: FakeEngine
) -> None:
    for pairs in (PAIRS, []):
        expected = behind.classify("polarity", pairs)
        for found in (remote.classify("polarity", pairs), await remote.aclassify("polarity", pairs)):
            np.testing.assert_array_equal(found.probs, expected.probs)
            assert (found.labels, found.version, found.exclusive) == (
                expected.labels,
                expected.version,
                expected.exclusive,
            )


async def test_entities_are_those_of_the_engine_behind_it(remote: RemoteEngine, behind: FakeEngine) -> None:
    for texts in (TEXTS, []):
        expected = behind.tag("entities", texts)
        assert remote.tag("entities", texts) == await remote.atag("entities", texts) == expected


async def test_texts_are_written_as_by_the_engine_behind_it(remote: RemoteEngine, behind: FakeEngine) -> None:
    for sampling in (Sampling(), Sampling(max_tokens=2)):
        async with aclosing(remote.generate(CHAT, sampling)) as events:
            found = [event async for event in events]
        async with aclosing(behind.generate(CHAT, sampling)) as events:
            assert found == [event async for event in events]


def test_the_default_encoder_answers_from_afar(real_server: LiveServer, local_engine: LocalEngine) -> None:
    with _remote(real_server.url) as remote:
        assert np.sum(remote.embed(TEXTS) * local_engine.embed(TEXTS), axis=1).min() > 0.999
        assert remote.encoder() == local_engine.encoder()
        scores = remote.rerank("Where is my parcel?", ["The sky is blue.", "Your package is late."]).scores
        assert scores[1] > scores[0]


def test_half_a_surrogate_pair_is_embedded_as_a_question_mark(
    remote: RemoteEngine, behind: FakeEngine
) -> None:
    np.testing.assert_array_equal(remote.embed(["a \ud800 b"]), behind.embed(["a ? b"]))


def test_one_string_is_not_taken_for_many(remote: RemoteEngine) -> None:
    with pytest.raises(TypeError):
        remote.embed("hello")


def test_it_knows_the_encoder_and_the_models_of_its_servers(server: LiveServer, behind: FakeEngine) -> None:
    with _remote(server.url) as remote:
        assert remote.models() == ()
        info = remote.encoder()
        assert (info.name, info.version, info.dim, info.max_tokens) == ("fake", "fake-1", 384, 512)
        assert info.languages == behind.encoder().languages
        assert remote.models() == behind.models()
        remote.warm()
        remote.probe(5)
        assert remote.alive
    assert not remote.alive
    with pytest.raises(Unavailable):
        remote.embed(["too late"])


def test_its_own_calls_and_their_errors_are_counted(server: LiveServer) -> None:
    with _remote(server.url, key="another key of some bytes") as remote:
        with pytest.raises(ModelUnavailable):
            remote.embed(["a"])
        assert (remote.report().calls, remote.report().errors) == ({"embed": 1}, {"model_unavailable": 1})


def test_the_settings_make_a_remote_engine_of_an_address(server: LiveServer) -> None:
    settings = cpu_settings(Path("unused"), inference_url=f" {server.url}/ ,", inference_api_key=KEY)
    engine = build_engine(settings)
    assert isinstance(engine, RemoteEngine)
    assert engine.embed(["a"]).shape == (1, 384)
    engine.close()


# errors as the engine behind it raises them


async def test_a_wrong_key_names_the_setting(server: LiveServer) -> None:
    for key in ("", "another key of some bytes"):
        with _remote(server.url, key=key) as remote:
            with pytest.raises(ModelUnavailable, match="INFERENCE_API_KEY"):
                remote.embed(["a"])
            with pytest.raises(ModelUnavailable, match="INFERENCE_API_KEY"):
                await remote.aembed(["a"])
            with pytest.raises(ModelUnavailable):
                await anext(remote.generate(CHAT))


@pytest.mark.parametrize(
    "error",
    [
        ModelFailed("The model raised an error."),
        ModelUnavailable("Check ENCODER."),
        InvalidInput("Not so.", field="input"),
        NotFound("No such model."),
    ],
)
async def test_an_error_comes_through_as_it_was_raised(error: SuiteError) -> None:
    with live_server(FakeEngine(fail_with=error)) as server, _remote(server.url) as remote:
        calls: list[Callable[[], Any]] = [
            lambda: remote.embed(["a"]),
            lambda: asyncio.run(remote.aembed(["a"])),
            lambda: remote.classify("t", [("a", None)]),
            lambda: remote.tag("t", ["a"]),
            lambda: remote.rerank("q", ["a"]),
        ]
        for call in calls:
            with pytest.raises(type(error)) as caught:
                await asyncio.to_thread(call)
            assert type(caught.value) is type(error)
            assert (caught.value.detail, caught.value.field) == (error.detail, error.field)


async def test_too_busy_everywhere_says_when_to_come_back() -> None:
    busy = FakeEngine(fail_with=Overloaded("Too many texts wait.", retry_after_s=7))
    with live_server(busy) as one, live_server(busy) as other, _remote(one.url, other.url) as remote:
        with pytest.raises(Overloaded) as caught:
            remote.embed(["a"])
        assert caught.value.retry_after_s == 7
        with pytest.raises(Overloaded) as caught:
            await remote.aembed(["a"])
        assert caught.value.retry_after_s == 7


async def test_a_deadline_is_kept_and_takes_the_work_off_the_queue(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = ScriptedModel()
    monkeypatch.setattr(serving, "load_encoder", model.loaded)
    engine = LocalEngine(cpu_settings(tmp_path))
    engine.warm()
    with live_server(engine) as server, _remote(server.url) as remote:
        model.does = gate = Gate()
        first = asyncio.create_task(remote.aembed(["first"]))
        assert await asyncio.to_thread(gate.entered.wait, 20)
        with pytest.raises(DeadlineExceeded):
            await asyncio.to_thread(lambda: remote.embed(["late"], deadline_s=0.2))
        with pytest.raises(DeadlineExceeded):
            await remote.aembed(["later"], deadline_s=0.2)
        gate.opened.set()
        np.testing.assert_allclose(await first, vectors(["first"]), atol=1e-6)
        assert (await remote.aembed(["next"])).shape == (1, 8)
        assert model.texts == ["warm", "first", "next"]


def test_a_deadline_that_has_passed_asks_nobody(scripted: ScriptedServer) -> None:
    with _remote(_base(scripted)) as remote:
        with pytest.raises(DeadlineExceeded):
            remote.embed(["a"], deadline_s=0.0)
        assert scripted.requests == []


GARBAGE = {
    "no json": status(200, b"<html>"),
    "no rows": _answers({"model": "x"}),
    "one row too few": _answers(_rows([1.0, 0.0])),
    "rows of two lengths": _answers(_rows([1.0, 0.0], [1.0])),
    "broken base64": _answers(_rows("not base64!", "not base64!")),
    "bytes that are no floats": _answers(_rows("AAAA", "AAAA")),
    "not a number": _answers(_rows(*[base64.b64encode(np.full(2, np.nan, "<f4").tobytes()).decode()] * 2)),
    "words": _answers(_rows(["a"], ["b"])),
    "null": status(200, b"null"),
}


@pytest.mark.parametrize("script", GARBAGE.values(), ids=GARBAGE)
async def test_an_answer_that_makes_no_sense_is_a_failed_model(
    scripted: ScriptedServer, script: Script
) -> None:
    scripted.plays(script)
    with _remote(_base(scripted)) as remote:
        with pytest.raises(ModelFailed):
            await asyncio.to_thread(remote.embed, ["a", "b"])
        with pytest.raises(ModelFailed):
            await remote.aembed(["a", "b"])


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": [[0.5]], "results": [{"index": 9}], "model": 1}'])
def test_other_answers_that_make_no_sense_are_failed_models_too(
    scripted: ScriptedServer, body: bytes
) -> None:
    scripted.plays(status(200, body))
    with _remote(_base(scripted)) as remote:
        for call in (
            lambda: remote.rerank("q", ["a", "b"]),
            lambda: remote.classify("t", [("a", None), ("b", None)]),
            lambda: remote.tag("t", ["a", "b"]),
        ):
            with pytest.raises(ModelFailed):
                call()


# another server when one fails


async def _breaks_off(request: Request, answer: Answer) -> None:
    await answer.head(200, content_type="application/json", content_length="1000")
    await answer.raw(b'{"data": [')
    answer.drop()


async def _hangs_up(request: Request, answer: Answer) -> None:
    answer.drop()


FAILURES = {
    "it breaks off in mid-answer": _breaks_off,
    "it hangs up": _hangs_up,
    "a proxy says 502": status(502, b"<html>bad gateway</html>"),
    "it says 503": status(503, b'{"error": {"code": "unavailable", "message": "gone", "param": null}}'),
    "it says 503 in no words of ours": status(503, b"\xff\xfe"),
    "it is too busy": status(503, b'{"error": {"code": "overloaded", "message": "busy", "param": null}}'),
    "its model is not there": status(503, b'{"error": {"code": "model_unavailable", "message": "no"}}'),
}


@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES)
async def test_another_server_answers_when_one_fails(
    scripted: ScriptedServer, server: LiveServer, behind: FakeEngine, script: Script
) -> None:
    scripted.plays(script)
    expected = behind.embed(["a", "b"])
    with _remote(_base(scripted), server.url) as remote:
        for _ in range(2):
            np.testing.assert_array_equal(await asyncio.to_thread(remote.embed, ["a", "b"]), expected)
            np.testing.assert_array_equal(await remote.aembed(["a", "b"]), expected)
        assert scripted.requests


async def test_a_server_that_is_down_is_passed_over_by_every_method(
    server: LiveServer, behind: FakeEngine
) -> None:
    with _remote(f"http://127.0.0.1:{free_port()}", server.url) as remote:
        for _ in range(2):
            np.testing.assert_array_equal(remote.embed(["a"]), behind.embed(["a"]))
            np.testing.assert_array_equal(await remote.aembed(["a"]), behind.embed(["a"]))
            assert remote.tag("t", TEXTS) == behind.tag("t", TEXTS)
            assert (await remote.aclassify("t", PAIRS)).version == "fake-1"
            async with aclosing(remote.generate(CHAT)) as events:
                assert isinstance([event async for event in events][-1], Finished)
        assert remote.encoder().version == "fake-1"
        remote.probe(5)


def test_a_server_that_stops_in_the_midst_of_many_calls_costs_none_of_them(behind: FakeEngine) -> None:
    texts = [f"text {n}" for n in range(40)]
    with (
        live_server(FakeEngine()) as stays,
        live_server(FakeEngine()) as goes,
        _remote(stays.url, goes.url) as remote,
    ):
        for n, text in enumerate(texts):
            if n == 10:
                goes.stop()
            np.testing.assert_array_equal(remote.embed([text]), behind.embed([text]))


def test_a_stranger_at_the_address_is_named_by_its_setting(scripted: ScriptedServer) -> None:
    async def says(request: Request, answer: Answer) -> None:
        await answer.whole(200, b'{"data": [{"id": "gpt-9"}]}')

    scripted.plays(says)
    with _remote(_base(scripted)) as remote, pytest.raises(SuiteError):
        remote.encoder()


# texts as they are written


class Writer(FakeEngine):
    """Writes a word and then waits, until it is told that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped = threading.Event()

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        try:
            yield Delta("one ")
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


async def test_a_reader_that_leaves_in_mid_stream_stops_the_servers_writer() -> None:
    writer = Writer()
    with live_server(writer) as server, _remote(server.url) as remote:
        async with aclosing(remote.generate(CHAT)) as events:
            assert await anext(events) == Delta("one ")
            assert not writer.stopped.is_set()
        assert await asyncio.to_thread(writer.stopped.wait, 20)
        assert await asyncio.to_thread(server.tasks_left) == 0
        assert remote.report().errors == {}


async def test_a_deadline_that_passes_in_mid_stream_ends_the_text_and_its_writer() -> None:
    writer = Writer()
    with live_server(writer) as server, _remote(server.url) as remote:
        async with aclosing(remote.generate(CHAT, deadline_s=2.0)) as events:
            found = [event async for event in events]
        assert found[0] == Delta("one ")
        assert isinstance(found[1], Failed)
        assert found[1].code == "deadline_exceeded"
        assert await asyncio.to_thread(writer.stopped.wait, 20)


@pytest.mark.parametrize("error", [Overloaded("busy"), Unavailable("gone"), ModelUnavailable("no generator")])
async def test_another_server_writes_when_one_fails_before_the_first_word(
    server: LiveServer, error: SuiteError
) -> None:
    with live_server(FakeEngine(fail_with=error)) as failing, _remote(failing.url, server.url) as remote:
        for _ in range(2):
            async with aclosing(remote.generate(CHAT)) as events:
                assert isinstance([event async for event in events][-1], Finished)


async def test_a_text_that_has_begun_is_not_begun_anew_elsewhere(
    scripted: ScriptedServer, server: LiveServer
) -> None:
    async def breaks_off(request: Request, answer: Answer) -> None:
        await answer.events()
        await answer.piece(b'data: {"choices": [{"index": 0, "delta": {"content": "half"}}]}\n\n')
        answer.drop()

    scripted.plays(breaks_off)
    with _remote(_base(scripted), server.url) as remote:
        async with aclosing(remote.generate(CHAT)) as events:
            found = [event async for event in events]
    assert found[0] == Delta("half")
    assert len(found) == 2
    assert isinstance(found[1], Failed)
