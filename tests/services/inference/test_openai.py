"""The client of OpenAI-compatible servers, against a real server that answers as each test says."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest

from services.errors import (
    DeadlineExceeded,
    InvalidInput,
    Misconfigured,
    ModelFailed,
    ModelUnavailable,
    Overloaded,
    SuiteError,
    Unavailable,
)
from services.inference.runtimes.circuit import Circuit
from services.inference.runtimes.openai import OpenAiEndpoint
from services.inference.values import ChatMessage, Delta, Failed, Finished, GenerateEvent, Sampling
from tests.services.inference.scripted_server import (
    DONE,
    Answer,
    Request,
    ScriptedServer,
    chunk,
    event,
    status,
    streams,
)

HELLO = (ChatMessage("user", "你好"),)
USAGE = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 4}}
GOOD = streams([event(chunk("", role="assistant")), event(chunk("Hi")), event(chunk(None, "stop")), DONE])
KEY = "sk-very-secret"
LIKELIEST = Sampling()


class Pauses(list[float]):
    """Stands in for sleeping: remembers how long, and does not."""

    async def awaited(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
async def endpoint(server: ScriptedServer, pauses: Pauses) -> AsyncIterator[OpenAiEndpoint]:
    endpoint = make(server, pauses)
    yield endpoint
    await endpoint.aclose()


def make(server: ScriptedServer, pauses: Pauses, **changes: Any) -> OpenAiEndpoint:
    options: dict[str, Any] = {"sleep": pauses.append, "asleep": pauses.awaited, **changes}
    return OpenAiEndpoint(server.url, KEY, "chatty", **options)


async def collect(
    endpoint: OpenAiEndpoint, sampling: Sampling = LIKELIEST, deadline_s: float | None = None
) -> list[GenerateEvent]:
    async with aclosing(endpoint.chat(HELLO, sampling, deadline_s)) as events:
        return [one async for one in events]


# what is asked, and what is understood


async def test_a_chat_is_asked_for_as_the_interface_says(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(GOOD)
    await collect(endpoint, Sampling(max_tokens=7, temperature=0.5, top_p=0.9, stop=("END",), seed=3))
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "chatty",
        "messages": [{"role": "user", "content": "你好"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "seed": 3,
    }


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100_000])
async def test_deltas_and_the_end_come_out_wherever_the_bytes_are_cut(
    server: ScriptedServer, endpoint: OpenAiEndpoint, size: int
) -> None:
    raw = (
        b": welcome\r\n\r\n"
        + event({"choices": []})
        + event(chunk("包裹 "))
        + event(chunk("👋")).replace(b"\n", b"\r\n")
        + b'data: {"model": "other-1", "choices":\ndata: [{"delta": {"content": "!"}}]}\n\n'
        + event(chunk(None, "length"))
        + event(USAGE)
        + DONE
    )
    server.plays(streams([raw[start : start + size] for start in range(0, len(raw), size)]))
    assert await collect(endpoint) == [
        Delta("包裹 "),
        Delta("👋"),
        Delta("!"),
        Finished("length", 9, 4, "other-1"),
    ]


async def test_without_usage_the_deltas_are_counted(server: ScriptedServer, endpoint: OpenAiEndpoint) -> None:
    server.plays(streams([event(chunk("a")), event(chunk("b", "stop")), DONE]))
    assert (await collect(endpoint))[-1] == Finished("stop", 0, 2, "other-1")


async def test_a_stream_that_ends_after_its_reason_needs_no_done(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(streams([event(chunk("a")), event(chunk(None, "stop"))], whole=False))
    assert (await collect(endpoint))[-1] == Finished("stop", 0, 1, "other-1")


async def test_an_answer_in_one_piece_is_understood_too(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    whole = {
        "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
        **{"usage": USAGE["usage"]},
    }
    server.plays(status(200, json.dumps(whole).encode()))
    assert await collect(endpoint) == [Delta("Hi"), Finished("stop", 9, 4, "chatty")]


async def test_text_that_could_not_be_stored_is_made_storable(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(
        streams(
            [b'data: {"choices":[{"delta":{"content":"a\\u0000\\ud83d"}}]}\n\n', event(chunk("", "stop"))]
        )
    )
    assert (await collect(endpoint))[0] == Delta("a\ufffd")


# trouble inside the stream


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        ([event({"error": {"message": "secret words", "code": "boom"}})], "model_failed"),
        ([event({"error": {"message": "secret words", "code": 429}})], "overloaded"),
        ([], "model_failed"),
        ([DONE], "model_failed"),
        ([event(chunk(None, "content_filter")), DONE], "model_failed"),
        ([b"data: {half\n\n"], "model_failed"),
        ([b"data: [1]\n\n"], "model_failed"),
        ([b"data: " + b"[" * 100_000 + b"\n\n"], "model_failed"),
        ([b"data: " + b"x" * 2**20 + b"x\n\n"], "model_failed"),
    ],
    ids=[
        "error",
        "error 429",
        "no end",
        "done only",
        "withheld",
        "no json",
        "no object",
        "deep",
        "long line",
    ],
)
@pytest.mark.parametrize("started", [True, False])
async def test_trouble_is_an_event_after_the_first_delta_and_raised_before_it(
    server: ScriptedServer, endpoint: OpenAiEndpoint, pieces: list[bytes], code: str, started: bool
) -> None:
    server.plays(streams([event(chunk("a" if started else "")), *pieces]))
    if started:
        first, last = await collect(endpoint)
        assert first == Delta("a")
        assert isinstance(last, Failed)
        detail = last.detail
        assert last.code == code
    else:
        with pytest.raises(SuiteError) as raised:
            await collect(endpoint)
        detail = raised.value.detail
        assert raised.value.code == code
    assert_safe(detail, server)
    assert len(server.requests) == 1


async def test_a_connection_that_breaks_after_the_first_delta_is_a_failed_event_and_not_tried_again(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(streams([event(chunk("a"))], whole=False))
    first, last = await collect(endpoint)
    assert (first, last.code if isinstance(last, Failed) else last) == (Delta("a"), "unavailable")
    assert len(server.requests) == 1


# statuses, tries, the circuit


@pytest.mark.parametrize(
    ("code", "error", "names"),
    [
        (401, ModelUnavailable, "GENERATOR_API_KEY"),
        (403, ModelUnavailable, "GENERATOR_API_KEY"),
        (404, ModelUnavailable, "GENERATOR_URL"),
        (400, InvalidInput, "400"),
        (422, InvalidInput, "422"),
        (307, ModelUnavailable, "GENERATOR_URL"),
        (402, ModelUnavailable, "402"),
    ],
)
async def test_a_refusal_is_raised_with_its_remedy_and_not_tried_again(
    server: ScriptedServer, endpoint: OpenAiEndpoint, code: int, error: type[SuiteError], names: str
) -> None:
    server.plays(status(code))
    for ask in (lambda: collect(endpoint), lambda: endpoint.aembed(["a"])):
        with pytest.raises(error) as raised:
            await ask()
        assert type(raised.value) is error
        assert names in raised.value.detail
        assert_safe(raised.value.detail, server)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ({"retry_after": "7"}, 7, 7),
        ({"retry_after": "Fri, 01 Jan 2100 00:00:00 GMT"}, 3600, 3600),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0, 0),
        ({"retry_after": "soon"}, 1, 1),
        ({"retry_after": "nan"}, 1, 1),
        ({}, 1, 1),
    ],
)
async def test_too_many_requests_is_overloaded_with_the_wait_it_names(
    server: ScriptedServer, endpoint: OpenAiEndpoint, header: dict[str, str], least: float, most: float
) -> None:
    server.plays(status(429, **header))
    with pytest.raises(Overloaded) as raised:
        await collect(endpoint)
    assert least <= raised.value.retry_after_s <= most
    assert len(server.requests) == 1


async def drops(request: Request, answer: Answer) -> None:
    """Hangs up without a word."""
    answer.drop()


async def empty(request: Request, answer: Answer) -> None:
    """A head and nothing after it."""
    await answer.events()
    await answer.end()


@pytest.mark.parametrize("trouble", [status(500), status(503), status(408), drops, empty])
async def test_passing_trouble_before_the_first_byte_is_tried_again_after_a_pause(
    server: ScriptedServer, endpoint: OpenAiEndpoint, pauses: Pauses, trouble: Any
) -> None:
    server.plays(trouble, trouble, GOOD)
    assert (await collect(endpoint))[0] == Delta("Hi")
    assert len(server.requests) == 3
    assert len(pauses) == 2
    assert all(0 <= pause <= limit for pause, limit in zip(pauses, (0.5, 1.0), strict=True))


async def test_after_the_last_try_it_is_unavailable(
    server: ScriptedServer, endpoint: OpenAiEndpoint, pauses: Pauses
) -> None:
    server.plays(status(502))
    with pytest.raises(Unavailable) as raised:
        await collect(endpoint)
    assert type(raised.value) is Unavailable
    assert_safe(raised.value.detail, server)
    assert (len(server.requests), len(pauses)) == (3, 2)


async def test_a_server_that_is_not_there_is_unavailable(server: ScriptedServer, pauses: Pauses) -> None:
    endpoint = OpenAiEndpoint("http://127.0.0.1:1/v1", KEY, "m", asleep=pauses.awaited, sleep=pauses.append)
    with pytest.raises(Unavailable):
        await collect(endpoint)
    with pytest.raises(Unavailable):
        await asyncio.to_thread(endpoint.embed, ["a"])
    assert len(pauses) == 4
    await endpoint.aclose()


async def silent(request: Request, answer: Answer) -> None:
    """Says nothing until the client gives up."""
    await answer.until_client_leaves()


async def test_a_server_that_says_nothing_is_tried_again(server: ScriptedServer, pauses: Pauses) -> None:
    endpoint = make(server, pauses, read_timeout_s=0.1, tries=2)
    server.plays(silent)
    with pytest.raises(Unavailable):
        await collect(endpoint)
    with pytest.raises(Unavailable):
        await endpoint.aembed(["a"])
    with pytest.raises(Unavailable):
        await asyncio.to_thread(endpoint.embed, ["a"])
    assert len(server.requests) == 5  # at the fifth failure in a row the circuit opens
    await endpoint.aclose()


async def test_silence_after_the_first_delta_is_a_failed_event(
    server: ScriptedServer, pauses: Pauses
) -> None:
    async def stalls(request: Request, answer: Answer) -> None:
        await answer.events()
        await answer.piece(event(chunk("a")))
        await answer.until_client_leaves()

    endpoint = make(server, pauses, read_timeout_s=1.0)
    server.plays(stalls)
    last = (await collect(endpoint))[-1]
    assert isinstance(last, Failed)
    assert last.code == "unavailable"
    await endpoint.aclose()


async def test_an_open_circuit_is_unavailable_at_once_and_asks_nothing(
    server: ScriptedServer, pauses: Pauses
) -> None:
    now = [0.0]
    circuit = Circuit(failures=2, cool_off_s=10, clock=lambda: now[0])
    endpoint = make(server, pauses, circuit=circuit, tries=2)
    server.plays(status(500))
    with pytest.raises(Unavailable):
        await collect(endpoint)
    assert len(server.requests) == 2
    for _ in range(3):
        with pytest.raises(Unavailable):
            await collect(endpoint)
        with pytest.raises(Unavailable):
            await endpoint.aembed(["a"])
    assert len(server.requests) == 2
    now[0] = 10.0
    server.plays(GOOD)
    assert (await collect(endpoint))[0] == Delta("Hi")
    assert circuit.state == "closed"
    await endpoint.aclose()


async def test_a_server_that_refuses_is_a_server_that_works(server: ScriptedServer, pauses: Pauses) -> None:
    circuit = Circuit(failures=1, cool_off_s=0)
    endpoint = make(server, pauses, circuit=circuit, tries=1)
    server.plays(status(500), status(401))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await collect(endpoint)
    assert circuit.state == "closed"
    await endpoint.aclose()


# deadlines, and leaving


async def test_a_deadline_before_the_first_event_is_raised_and_the_server_sees_the_client_leave(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(silent)
    with pytest.raises(DeadlineExceeded):
        await collect(endpoint, deadline_s=0.2)
    assert await asyncio.to_thread(server.empty.wait, 20)


async def test_a_deadline_that_has_passed_asks_nothing(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    for call in (collect(endpoint, deadline_s=0.0), endpoint.aembed(["a"], 0.0)):
        with pytest.raises(DeadlineExceeded):
            await call
    with pytest.raises(DeadlineExceeded):
        await asyncio.to_thread(endpoint.embed, ["a"], 0.0)
    assert server.requests == []


async def test_a_deadline_after_the_first_event_is_a_failed_event(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    async def chatters(request: Request, answer: Answer) -> None:
        await answer.events()
        await answer.piece(event(chunk("a")))
        await answer.until_client_leaves()

    server.plays(chatters)
    events = await collect(endpoint, deadline_s=2.0)
    assert events[0] == Delta("a")
    assert isinstance(events[-1], Failed)
    assert events[-1].code == "deadline_exceeded"
    assert await asyncio.to_thread(server.gone.wait, 20)


async def test_a_deadline_stops_a_server_that_answers_bit_by_bit(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    async def drips(request: Request, answer: Answer) -> None:
        await answer.head(200, content_type="application/json", content_length="1000000")
        while True:
            await answer.raw(b" ")
            await asyncio.sleep(0.02)

    server.plays(drips)
    with pytest.raises(DeadlineExceeded):
        await endpoint.aembed(["a"], 0.3)
    with pytest.raises(DeadlineExceeded):
        await asyncio.to_thread(endpoint.embed, ["a"], 0.3)


async def test_closing_the_generator_in_the_middle_is_seen_by_the_server_and_leaves_nothing_behind(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    async def endless(request: Request, answer: Answer) -> None:
        await answer.events()
        await answer.piece(event(chunk("a")))
        await answer.until_client_leaves()

    server.plays(endless)
    before = asyncio.all_tasks()
    async with aclosing(endpoint.chat(HELLO)) as events:
        assert await anext(events) == Delta("a")
    assert await asyncio.to_thread(server.gone.wait, 20)
    assert await asyncio.to_thread(server.empty.wait, 20)
    async with asyncio.timeout(20):  # httpx's own generators are ended by the loop, one turn later
        while not asyncio.all_tasks() <= before:
            await asyncio.sleep(0.01)


async def test_cancelling_the_reader_is_seen_by_the_server(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(silent)
    task = asyncio.create_task(collect(endpoint))
    while not server.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.gone.wait, 20)


# connections, loops, threads


async def test_answers_read_to_their_end_share_one_connection(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(GOOD)
    for _ in range(3):
        assert (await collect(endpoint))[0] == Delta("Hi")
    assert server.connections == 1


async def test_after_closing_no_connection_is_open_and_no_call_is_taken(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(embeds([[1, 0]]))
    await endpoint.aembed(["a"])
    await asyncio.to_thread(endpoint.embed, ["a"])
    assert server.open_connections == 2
    await endpoint.aclose()
    assert await asyncio.to_thread(server.empty.wait, 20)
    for call in (collect(endpoint), endpoint.aembed(["a"])):
        with pytest.raises(Unavailable):
            await call
    with pytest.raises(Unavailable):
        endpoint.embed(["a"])


async def test_closing_from_another_thread_closes_the_connections_of_a_running_loop(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(GOOD)
    await collect(endpoint)
    await asyncio.to_thread(endpoint.close)
    assert await asyncio.to_thread(server.empty.wait, 20)


def test_one_object_serves_loop_after_loop_and_every_loop_takes_its_connections_with_it(
    server: ScriptedServer, pauses: Pauses
) -> None:
    endpoint = make(server, pauses)
    server.plays(GOOD)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for _ in range(3):
            assert asyncio.run(collect(endpoint))[0] == Delta("Hi")
            assert server.empty.wait(20)
            assert endpoint._clients.loops == 0
        gc.collect()
    endpoint.close()


def test_one_object_serves_several_loops_at_once(server: ScriptedServer, pauses: Pauses) -> None:
    endpoint = make(server, pauses)
    server.plays(GOOD)
    answers: list[list[GenerateEvent]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(asyncio.run(collect(endpoint)))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one[0] for one in answers] == [Delta("Hi")] * 4
    endpoint.close()


# embeddings


def embeds(rows: Any, *, as_base64: bool = False, order: list[int] | None = None) -> Any:
    """Answers with these vectors, in another order when one is given."""

    async def script(request: Request, answer: Answer) -> None:
        items = [
            {"index": index, "embedding": base64.b64encode(np.asarray(row, "<f4").tobytes()).decode()}
            if as_base64
            else {"index": index, "embedding": row}
            for index, row in enumerate(rows)
        ]
        body = {"data": [items[at] for at in order or range(len(items))]}
        await answer.whole(200, json.dumps(body).encode())

    return script


@pytest.mark.parametrize("as_base64", [True, False])
async def test_both_forms_of_vectors_are_read_in_the_order_of_their_index_and_normalised(
    server: ScriptedServer, endpoint: OpenAiEndpoint, as_base64: bool
) -> None:
    server.plays(embeds([[3.0, 4.0], [0.0, 2.0], [-5.0, 0.0]], as_base64=as_base64, order=[2, 0, 1]))
    expected = np.array([[0.6, 0.8], [0, 1], [-1, 0]], np.float32)
    for vecs in (
        await endpoint.aembed(["a", "", "c"]),
        await asyncio.to_thread(endpoint.embed, ["a", "", "c"]),
    ):
        assert vecs.dtype == np.float32
        np.testing.assert_allclose(vecs, expected, rtol=1e-6)
    assert server.requests[0].path == "/v1/embeddings"
    assert server.requests[0].body == {
        "model": "chatty",
        "input": ["a", " ", "c"],
        "encoding_format": "base64",
    }
    assert server.requests[0].body == server.requests[1].body


async def test_many_texts_go_in_requests_of_256(server: ScriptedServer, endpoint: OpenAiEndpoint) -> None:
    async def counts(request: Request, answer: Answer) -> None:
        await embeds([[float(text), 1.0] for text in request.body["input"]])(request, answer)

    server.plays(counts)
    texts = [str(number) for number in range(600)]
    for vecs in (await endpoint.aembed(texts), await asyncio.to_thread(endpoint.embed, texts)):
        np.testing.assert_allclose(vecs[:, 0] / vecs[:, 1], np.arange(600), rtol=1e-4)
    assert [len(request.body["input"]) for request in server.requests] == [256, 256, 88] * 2
    assert (await endpoint.aembed([])).shape == (0, 2)


@pytest.mark.parametrize(
    "body",
    [
        b'{"data": [{"index": 0, "embedding": [1, 2]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 0, "embedding": [1, 2]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 2, "embedding": [1, 2]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": [], "embedding": [1, 2]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1.0, "embedding": [1, 2]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [1, NaN]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [1, null]}]}',
        b'{"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [0, 0]}]}',
        b'{"data": [{"index": 0, "embedding": []}, {"index": 1, "embedding": []}]}',
        b'{"data": [{"index": 0, "embedding": "AAA"}, {"index": 1, "embedding": "!"}]}',
        b'{"data": [{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}]}',
        b'{"data": [{"index": 0, "embedding": {"a": 1}}, {"index": 1, "embedding": 3}]}',
        b'{"error": {"message": "secret words"}}',
        b"[]",
        b"no json",
    ],
)
async def test_an_answer_that_cannot_be_vectors_is_model_failed(
    server: ScriptedServer, endpoint: OpenAiEndpoint, body: bytes
) -> None:
    server.plays(status(200, body))
    with pytest.raises(ModelFailed) as raised:
        await endpoint.aembed(["a", "b"])
    assert_safe(raised.value.detail, server)
    assert len(server.requests) == 1


async def test_vectors_of_another_length_than_before_are_model_failed(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(embeds([[1, 0]]), embeds([[1, 0, 0]]))
    await endpoint.aembed(["a"])
    with pytest.raises(ModelFailed):
        await endpoint.aembed(["a"])


@pytest.mark.parametrize("trouble", [status(500), drops])
async def test_embeddings_are_tried_again_too(
    server: ScriptedServer, endpoint: OpenAiEndpoint, pauses: Pauses, trouble: Any
) -> None:
    async def breaks_off(request: Request, answer: Answer) -> None:
        await answer.head(200, content_type="application/json", content_length="100")
        await answer.raw(b'{"data": [')
        answer.drop()

    server.plays(trouble, breaks_off, embeds([[1, 0]]))
    assert (await endpoint.aembed(["a"])).shape == (1, 2)
    server.plays(trouble, breaks_off, embeds([[1, 0]]))
    assert (await asyncio.to_thread(endpoint.embed, ["a"])).shape == (1, 2)
    assert (len(server.requests), len(pauses)) == (6, 4)


async def test_one_text_in_place_of_a_list_is_a_mistake_of_the_caller(endpoint: OpenAiEndpoint) -> None:
    with pytest.raises(TypeError):
        await endpoint.aembed("text")


async def test_an_answer_compressed_against_our_word_is_refused(
    server: ScriptedServer, endpoint: OpenAiEndpoint
) -> None:
    server.plays(status(200, b"{}", content_encoding="gzip"))
    with pytest.raises(ModelFailed):
        await endpoint.aembed(["a"])
    assert server.requests[0].headers["accept-encoding"] == "identity"


# settings


@pytest.mark.parametrize(
    "url", ["", "host:8000", "ftp://host/v1", "http://", "http://user:pw@host/v1", "http://[/"]
)
def test_an_address_that_cannot_be_one_is_misconfigured_by_name(url: str) -> None:
    with pytest.raises(Misconfigured, match="GENERATOR_URL") as raised:
        OpenAiEndpoint(url, KEY, "m")
    assert "pw" not in raised.value.detail


@pytest.mark.parametrize("key", ["sk-\n1", "ключ"])
def test_a_key_that_cannot_be_one_is_misconfigured_by_name(key: str) -> None:
    with pytest.raises(Misconfigured, match="GENERATOR_API_KEY") as raised:
        OpenAiEndpoint("http://host/v1", key, "m")
    assert key not in raised.value.detail


async def test_without_a_key_none_is_sent(server: ScriptedServer) -> None:
    endpoint = OpenAiEndpoint(server.url + "/", "", "m")
    server.plays(GOOD)
    await collect(endpoint)
    assert "authorization" not in server.requests[0].headers
    assert server.requests[0].path == "/v1/chat/completions"
    await endpoint.aclose()


def assert_safe(detail: str, server: ScriptedServer) -> None:
    """A detail for strangers holds no key, no address, none of the other server's words."""
    assert detail
    for secret in (KEY, "127.0.0.1", server.url, "secret words"):
        assert secret not in detail
