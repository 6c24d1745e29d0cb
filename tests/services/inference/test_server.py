"""The server over real sockets: what it is given, what it answers, and that the next request works."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import uuid
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import httpx
import numpy as np
import pytest

from services.errors import ModelUnavailable
from services.inference import serving
from services.inference.cache import VectorCache
from services.inference.fake import FakeEngine
from services.inference.local import LocalEngine
from services.inference.values import ChatMessage, Delta, Finished, GenerateEvent, Sampling, Vectors
from tests.services.inference.conftest import cpu_settings
from tests.services.inference.live_server import LiveServer, live_server
from tests.services.inference.scripted_model import DIM, Gate, ScriptedModel, vectors

KEY = "a key of twenty-four bytes"
EMBED, CHAT = "/v1/embeddings", "/v1/chat/completions"


@pytest.fixture(scope="module")
def fake() -> Iterator[LiveServer]:
    """A server over the engine without models."""
    with live_server(FakeEngine(), inference_max_body_mib=1) as server:
        yield server


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel()


@pytest.fixture
def local(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, request: pytest.FixtureRequest
) -> Iterator[LiveServer]:
    """A server over a real queue, whose encoder does what the test says."""
    monkeypatch.setattr(serving, "load_encoder", model.loaded)
    engine = LocalEngine(cpu_settings(tmp_path, inference_queue_texts=64), cache=VectorCache(2**20))
    engine.warm()
    model.texts.clear()
    with live_server(engine) as server:
        yield server


def _problem(response: httpx.Response, status: int, code: str, param: str | None = None) -> str:
    """The message of an answer that has to be this error, in OpenAI's shape and no other."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["type"] == ("invalid_request_error" if status < 500 else "server_error")
    return str(error["message"])


def _vecs(response: httpx.Response) -> Vectors:
    assert response.status_code == 200, response.text
    return np.asarray([row["embedding"] for row in response.json()["data"]], np.float32)


def _works(server: LiveServer) -> bool:
    """Whether the next request is answered, and nothing of those before is left."""
    return (
        _vecs(server.client.post(EMBED, json={"input": uuid.uuid4().hex})).shape[0] == 1
        and not server.tasks_left()
    )


UNUSABLE = {
    "an empty list": ({"input": []}, "input"),
    "no input": ({}, "input"),
    "null": ({"input": None}, "input"),
    "a number": ({"input": 7}, "input"),
    "an object": ({"input": {"text": "hello"}}, "input"),
    "one text that is none": ({"input": ["fine", None]}, "input"),
    "token numbers": ({"input": [1, 2, 3]}, "input"),
    "lists of token numbers": ({"input": [[1, 2], [3]]}, "input"),
    "an unknown encoding": ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
    "a list of encodings": ({"input": "a", "encoding_format": ["float"]}, "encoding_format"),
    "fewer dimensions": ({"input": "a", "dimensions": 128}, "dimensions"),
    "a list of dimensions": ({"input": "a", "dimensions": [384]}, "dimensions"),
}


@pytest.mark.parametrize(("body", "field"), UNUSABLE.values(), ids=UNUSABLE)
def test_an_embedding_request_that_cannot_be_used_names_its_field(
    fake: LiveServer, body: dict[str, Any], field: str
) -> None:
    _problem(fake.client.post(EMBED, json=body), 422, "invalid_input", field)
    assert _works(fake)


UNUSABLE_CHATS = {
    "no messages": ({}, "messages"),
    "an empty list": ({"messages": []}, "messages"),
    "a text": ({"messages": "hello"}, "messages"),
    "an unknown role": ({"messages": [{"role": "robot", "content": "a"}]}, "messages"),
    "a list for a role": ({"messages": [{"role": ["user"], "content": "a"}]}, "messages"),
    "no content": ({"messages": [{"role": "user"}]}, "messages"),
    "a picture": ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
    "two answers": ({"n": 2}, "n"),
    "a list for n": ({"n": [1]}, "n"),
    "a temperature too high": ({"temperature": 9}, "temperature"),
    "a temperature in words": ({"temperature": "warm"}, "temperature"),
    "no token": ({"max_tokens": 0}, "max_tokens"),
    "half a token": ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
    "true for a number": ({"top_p": True}, "top_p"),
    "nine stops": ({"stop": ["x"] * 9}, "stop"),
    "half a seed": ({"seed": 0.5}, "seed"),
}


@pytest.mark.parametrize(("changes", "field"), UNUSABLE_CHATS.values(), ids=UNUSABLE_CHATS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_request_that_cannot_be_used_names_its_field(
    fake: LiveServer, changes: dict[str, Any], field: str, stream: bool
) -> None:
    whole = {"messages": [{"role": "user", "content": "a"}], "stream": stream}
    body = {**whole, **changes} if changes else {"stream": stream}
    _problem(fake.client.post(CHAT, json=body), 422, "invalid_input", field)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/rerank", {"documents": ["a"]}, "query"),
        ("/rerank", {"query": 7, "documents": ["a"]}, "query"),
        ("/rerank", {"query": "a", "documents": []}, "documents"),
        ("/rerank", {"query": "a", "documents": [{"title": "b"}]}, "documents"),
        ("/rerank", {"query": "a", "documents": ["a"], "top_n": 0}, "top_n"),
        ("/v1/rerank", {"query": "a", "documents": ["a"], "top_n": "all"}, "top_n"),
        ("/classify", {"input": "a"}, "task"),
        ("/classify", {"task": "polarity"}, "input"),
        ("/classify", {"task": "polarity", "input": [{"text": "a", "towards": 7}]}, "input"),
        ("/tag", {"task": "entities", "input": [["a"]]}, "input"),
        ("/tag", {"input": ["a"]}, "task"),
    ],
)
def test_other_requests_that_cannot_be_used_name_their_field(
    fake: LiveServer, path: str, body: dict[str, Any], field: str
) -> None:
    _problem(fake.client.post(path, json=body), 422, "invalid_input", field)


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'"text"', b'{"input": "\xff\xfe"}', b'{"input": NaN}'])
@pytest.mark.parametrize("path", [EMBED, CHAT, "/rerank", "/classify", "/tag"])
def test_a_body_that_is_not_json_in_utf8_is_told_so(fake: LiveServer, path: str, data: bytes) -> None:
    _problem(fake.client.post(path, content=data), 400, "malformed_request")
    assert _works(fake)


def test_json_nested_beyond_measure_is_no_accident(fake: LiveServer) -> None:
    _problem(fake.client.post(EMBED, content=b'{"input":' + b"[" * 100_000), 400, "malformed_request")


def test_a_body_over_the_limit_is_refused_by_its_header_alone(fake: LiveServer) -> None:
    with socket.create_connection(fake.client.base_url.netloc.decode().split(":"), 30) as line:
        line.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n")
        assert line.recv(4096).startswith(b"HTTP/1.1 413")
    assert _works(fake)


def test_a_body_over_the_limit_is_refused_without_a_header_too(fake: LiveServer) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"input": "'
        for _ in range(40):
            yield b"word " * 10_000
        yield b'"}'

    message = _problem(fake.client.post(EMBED, content=pieces()), 413, "too_large")
    assert "1 MiB" in message
    assert _works(fake)


def test_an_address_or_method_that_is_not_served_is_an_error_of_the_same_shape(fake: LiveServer) -> None:
    _problem(fake.client.post("/v1/completions", json={}), 404, "not_found")
    _problem(fake.client.get(EMBED), 405, "malformed_request")


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Trefoil-Priority", "urgent"),
        ("X-Trefoil-Priority", ""),
        ("X-Trefoil-Deadline-S", "soon"),
        ("X-Trefoil-Deadline-S", "0"),
        ("X-Trefoil-Deadline-S", "-1"),
        ("X-Trefoil-Deadline-S", "nan"),
        ("X-Trefoil-Deadline-S", "inf"),
    ],
)
def test_a_priority_or_deadline_that_makes_no_sense_is_named(
    fake: LiveServer, header: str, value: str
) -> None:
    response = fake.client.post(EMBED, json={"input": "a"}, headers={header: value})
    _problem(response, 422, "invalid_input", header)


def test_an_unknown_model_is_not_found_whatever_its_type(fake: LiveServer) -> None:
    for named in ("gpt-9", ["fake"], {"a": 1}, 7):
        _problem(fake.client.post(EMBED, json={"input": "a", "model": named}), 404, "not_found", "model")
    chat = {"messages": [{"role": "user", "content": "a"}], "model": "gpt-9"}
    _problem(fake.client.post(CHAT, json=chat), 404, "not_found", "model")


@pytest.mark.parametrize("named", ["fake", "fake-1", "default", "", None])
def test_the_encoder_answers_to_its_name_its_version_and_default(fake: LiveServer, named: str | None) -> None:
    assert fake.client.post(EMBED, json={"input": "a", "model": named}).json()["model"] == "fake-1"


def test_without_the_key_nothing_is_told_but_whether_it_lives_and_is_ready() -> None:
    with live_server(FakeEngine(), inference_api_key=KEY) as server:
        ask = server.client
        for path in (EMBED, CHAT, "/rerank", "/v1/rerank", "/classify", "/tag"):
            response = ask.post(path, content=b"not even read")
            _problem(response, 401, "not_authenticated")
            assert response.headers["www-authenticate"] == "Bearer"
        for path in ("/v1/models", "/stats", "/metrics"):
            for wrong in ("", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY, f"Bearer {KEY}x", "Bearer ü"):
                headers = {"Authorization": wrong.encode()}
                _problem(ask.get(path, headers=headers), 401, "not_authenticated")
        for path in ("/live", "/ready"):
            assert ask.get(path).status_code == 200
        right = {"Authorization": f"bearer {KEY}"}
        assert ask.get("/v1/models", headers=right).status_code == 200
        assert _vecs(ask.post(EMBED, json={"input": "a"}, headers=right)).shape == (1, 384)


def test_rerank_gives_the_best_first_and_the_texts_when_asked(fake: LiveServer) -> None:
    body = {"query": "lost parcel", "documents": ["the weather", {"text": "a lost parcel"}, "parcel"]}
    whole = fake.client.post("/rerank", json={**body, "return_documents": True}).json()
    assert [row["index"] for row in whole["results"]] == [1, 2, 0]
    assert whole["results"][0]["document"] == {"text": "a lost parcel"}
    one = fake.client.post("/v1/rerank", json={**body, "top_n": 1}).json()["results"]
    assert [set(row) for row in one] == [{"index", "relevance_score"}]


def test_classify_and_tag_answer_a_row_a_text_and_no_rows_for_none(fake: LiveServer) -> None:
    rows = [{"text": "Acme fell", "towards": "Acme"}, "Acme rose"]
    found = fake.client.post("/classify", json={"task": "polarity", "input": rows}).json()
    np.testing.assert_allclose(np.sum(found["data"], axis=1), 1.0, atol=1e-6)
    assert found["labels"] == ["negative", "neutral", "positive"]
    tagged = fake.client.post("/tag", json={"task": "entities", "input": "ask Mona"}).json()["data"]
    assert tagged == [[{"start": 4, "end": 8, "label": "NAME", "score": 0.9}]]
    for path in ("/classify", "/tag"):
        assert fake.client.post(path, json={"task": "any", "input": []}).json()["data"] == []


# the queue behind it


def test_the_empty_text_is_embedded(local: LiveServer) -> None:
    assert _vecs(local.client.post(EMBED, json={"input": ""})).shape == (1, DIM)
    assert _vecs(local.client.post(EMBED, json={"input": ["", "a"]})).shape == (2, DIM)


def test_a_task_or_generator_nobody_configured_is_unavailable(local: LiveServer) -> None:
    for path in ("/classify", "/tag"):
        response = local.client.post(path, json={"task": "weather", "input": "a"})
        assert "TASK_MODELS" in _problem(response, 503, "model_unavailable")
    for stream in (False, True):
        chat = {"messages": [{"role": "user", "content": "a"}], "stream": stream}
        assert "GENERATOR" in _problem(local.client.post(CHAT, json=chat), 503, "model_unavailable")
    assert _works(local)


def test_numbers_that_are_not_finite_are_never_an_answer(local: LiveServer, model: ScriptedModel) -> None:
    model.does = lambda texts: np.full((len(texts), DIM), np.nan, np.float32)
    _problem(local.client.post(EMBED, json={"input": ["a", "b"]}), 500, "model_failed")
    model.does = lambda texts: None
    assert _works(local)


def test_what_a_model_raises_is_told_without_its_words(local: LiveServer, model: ScriptedModel) -> None:
    def fails(texts: list[str]) -> None:
        raise RuntimeError("the secret path /etc/model")

    model.does = fails
    message = _problem(local.client.post(EMBED, json={"input": "a"}), 500, "model_failed")
    assert "secret" not in message
    model.does = lambda texts: None
    assert _works(local)


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_answered(
    local: LiveServer, model: ScriptedModel
) -> None:
    sizes: list[int] = []

    def small(texts: list[str]) -> None:
        sizes.append(len(texts))
        if len(texts) > 2:
            raise MemoryError

    model.does = small
    texts = [f"text {n:02}" for n in range(16)]
    found = _vecs(local.client.post(EMBED, json={"input": texts}))
    np.testing.assert_allclose(found, vectors(texts), atol=1e-6)
    assert max(sizes) > 2
    assert _works(local)


def test_a_deadline_that_passes_takes_the_texts_off_the_queue(
    local: LiveServer, model: ScriptedModel
) -> None:
    model.does = gate = Gate()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(local.client.post, EMBED, json={"input": "first"})
        assert gate.entered.wait(30)
        late = local.client.post(EMBED, json={"input": "late"}, headers={"X-Trefoil-Deadline-S": "0.05"})
        _problem(late, 504, "deadline_exceeded")
        gate.opened.set()
        assert first.result(30).status_code == 200
    assert _works(local)
    assert "late" not in model.texts


def test_a_full_queue_says_when_to_come_back_and_recovers(local: LiveServer, model: ScriptedModel) -> None:
    model.does = gate = Gate()

    def ask(names: list[str], priority: str = "normal") -> httpx.Response:
        return local.client.post(EMBED, json={"input": names}, headers={"X-Trefoil-Priority": priority})

    with ThreadPoolExecutor(6) as pool:
        first = pool.submit(ask, ["first"])
        assert gate.entered.wait(30)
        calls = [pool.submit(ask, [f"{call}-{n}" for n in range(24)]) for call in range(4)]  # 48 may wait
        done = as_completed(calls, timeout=30)
        refused = [next(done).result(), next(done).result()]
        person = pool.submit(ask, ["person"], "interactive")
        gate.opened.set()
        assert [call.result(30).status_code for call in (first, person)] == [200, 200]
        assert [call.result().status_code for call in done] == [200, 200]
    for response in refused:
        _problem(response, 503, "overloaded")
        assert int(response.headers["retry-after"]) >= 1
    assert len(model.texts) == 1 + 2 * 24 + 1
    assert _works(local)
    assert local.client.get("/stats").json()["queue"] == 0


def test_a_caller_that_leaves_in_mid_request_takes_its_texts_along(
    local: LiveServer, model: ScriptedModel
) -> None:
    model.does = gate = Gate()
    body = json.dumps({"input": [f"{n:02} " * 100 for n in range(40)]}).encode()
    with socket.create_connection(local.client.base_url.netloc.decode().split(":"), 30) as line:
        head = f"POST {EMBED} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body)
        assert gate.entered.wait(30)
    assert local.tasks_left() == 0
    gate.opened.set()
    assert _works(local)
    assert len(model.texts) < 10
    assert local.client.get("/stats").json()["errors"] == {}


def test_fifty_callers_at_once_each_get_their_own_vectors(local: LiveServer) -> None:
    barrier = threading.Barrier(50)
    threads = {thread.name for thread in threading.enumerate()}

    def ask(n: int) -> bool:
        texts = [f"number {n}"]
        with httpx.Client(base_url=local.url, timeout=60, trust_env=False) as client:
            barrier.wait(30)
            found = _vecs(
                client.post(EMBED, json={"input": texts}, headers={"X-Trefoil-Priority": "interactive"})
            )
        return bool(np.allclose(found, vectors(texts), atol=1e-6))

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(ask, range(50)))
    assert _works(local)
    assert len({thread.name for thread in threading.enumerate()} - threads) <= 16


def test_ten_thousand_texts_are_answered_in_order_and_one_more_is_refused(local: LiveServer) -> None:
    texts = [f"{n}" for n in range(10_000)]
    np.testing.assert_allclose(
        _vecs(local.client.post(EMBED, json={"input": texts})), vectors(texts), atol=1e-6
    )
    response = local.client.post(EMBED, json={"input": [*texts, "x"]})
    assert "10000" in _problem(response, 422, "invalid_input", "input")
    assert _works(local)


def test_ready_infers_each_time_past_the_cache(local: LiveServer, model: ScriptedModel) -> None:
    for _ in range(2):
        assert local.client.post(EMBED, json={"input": "ready"}).status_code == 200
    assert model.texts == ["ready"]
    for asked in range(2, 5):
        assert local.client.get("/ready").status_code == 200
        assert model.texts == ["ready"] * asked
    model.does = lambda texts: np.full((len(texts), DIM), np.inf, np.float32)
    _problem(local.client.get("/ready"), 503, "unavailable")
    assert local.client.get("/live").status_code == 200


def test_a_loop_that_died_is_neither_live_nor_ready(local: LiveServer, model: ScriptedModel) -> None:
    def dies(texts: list[str]) -> None:
        raise SystemExit

    assert local.client.get("/live").status_code == 200
    model.does = dies
    _problem(local.client.post(EMBED, json={"input": "a"}), 503, "unavailable")
    _problem(local.client.get("/live"), 503, "unavailable")
    _problem(local.client.get("/ready"), 503, "unavailable")
    _problem(local.client.post(EMBED, json={"input": "a"}), 503, "unavailable")


def test_a_server_that_is_still_loading_is_live_but_not_ready(
    model: ScriptedModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    may_load = threading.Event()

    def load(settings: Any) -> Any:
        assert may_load.wait(30)
        return model.loaded()

    monkeypatch.setattr(serving, "load_encoder", load)
    with live_server(LocalEngine(cpu_settings(tmp_path)), warm=True) as server:
        assert server.client.get("/live").status_code == 200
        _problem(server.client.get("/ready"), 503, "unavailable")
        assert "dim" not in server.client.get("/v1/models").json()["data"][0]
        may_load.set()
        assert _works(server)
        assert server.client.get("/ready").status_code == 200
        assert server.client.get("/v1/models").json()["data"][0]["dim"] == DIM


def test_an_encoder_that_cannot_be_loaded_is_named_at_every_door(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    def fails(settings: Any) -> Any:
        raise ModelUnavailable("Check ENCODER.")

    monkeypatch.setattr(serving, "load_encoder", fails)
    with live_server(LocalEngine(cpu_settings(tmp_path)), warm=True) as server:
        assert "ENCODER" in _problem(server.client.post(EMBED, json={"input": "a"}), 503, "model_unavailable")
        _problem(server.client.get("/ready"), 503, "unavailable")
        assert server.client.get("/metrics").status_code == 200


# texts as they are written


class Writer(FakeEngine):
    """Writes a word, then waits until it is told to go on, or is told that nobody reads."""

    def __init__(self, fails_with: Exception | None = None) -> None:
        super().__init__()
        self.fails_with = fails_with
        self.begun, self.stopped = threading.Event(), threading.Event()
        self.first = True

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        try:
            self.begun.set()
            if self.first:
                yield Delta("one ")
            if self.fails_with is not None:
                raise self.fails_with
            await asyncio.Event().wait()
            yield Finished("stop", 1, 1, "never")
        finally:
            self.stopped.set()


def _chat(stream: bool) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "one two three"}], "stream": stream}


def test_a_reader_that_leaves_in_mid_stream_stops_the_writer() -> None:
    writer = Writer()
    with live_server(writer) as server:
        with server.client.stream("POST", CHAT, json=_chat(True)) as response:
            lines = response.iter_lines()  # kept: when it goes, the connection goes
            assert "one" in next(lines)
            assert not writer.stopped.is_set()
        assert writer.stopped.wait(30)
        assert server.tasks_left() == 0
        assert _works(server)


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_that_leaves_before_the_first_word_stops_the_writer(stream: bool) -> None:
    writer = Writer()
    writer.first = False
    with live_server(writer) as server:
        body = json.dumps(_chat(stream)).encode()
        with socket.create_connection(server.client.base_url.netloc.decode().split(":"), 30) as line:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
            line.sendall(head.encode() + body)
            assert writer.begun.wait(30)
        assert writer.stopped.wait(30)
        assert server.tasks_left() == 0
        assert _works(server)


@pytest.mark.parametrize(
    ("error", "code"), [(ModelUnavailable("gone"), "model_unavailable"), (ValueError("x"), "internal_error")]
)
def test_trouble_in_mid_stream_is_an_error_event_and_no_silence(error: Exception, code: str) -> None:
    with live_server(Writer(error)) as server:
        lines = [line for line in server.client.post(CHAT, json=_chat(True)).text.split("\n\n") if line]
        assert len(lines) == 2
        assert json.loads(lines[1].removeprefix("data: "))["error"]["code"] == code
        assert _works(server)


def test_a_whole_text_is_written_with_its_usage(fake: LiveServer) -> None:
    found = fake.client.post(CHAT, json={**_chat(False), "max_tokens": 2}).json()
    assert found["choices"][0]["message"] == {"role": "assistant", "content": "one two"}
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


# the default encoder


def test_a_megabyte_in_one_text_is_cut_and_embedded(
    real_server: LiveServer, local_engine: LocalEngine
) -> None:
    text = "Where is my parcel? " * 52_429
    assert len(text) > 2**20
    found = _vecs(real_server.client.post(EMBED, json={"input": text}))
    assert float(found[0] @ local_engine.embed([text])[0]) > 0.999
    assert _works(real_server)


def test_late_interaction_ranks_by_meaning_over_http(real_server: LiveServer) -> None:
    documents = ["The sky is blue today.", "Your package has not arrived yet."]
    body = {"query": "Where is my parcel?", "documents": documents}
    assert real_server.client.post("/rerank", json=body).json()["results"][0]["index"] == 1
