"""The official OpenAI client against our server: what works there works here, and fails by the same names."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import openai
import pytest

from services.errors import ModelFailed, Overloaded
from services.inference.fake import FakeEngine
from services.inference.local import LocalEngine
from tests.services.inference.live_server import LiveServer, live_server

KEY = "a key of twenty-four bytes"
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Where is 我的 parcel? 🙂"}]


@pytest.fixture(scope="module")
def engine_behind() -> FakeEngine:
    return FakeEngine()


@pytest.fixture(scope="module")
def server(engine_behind: FakeEngine) -> Iterator[LiveServer]:
    with live_server(engine_behind, inference_api_key=KEY, inference_max_texts=100) as found:
        yield found


@pytest.fixture
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with _client(server) as found:
        yield found


def _client(server: LiveServer, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=60)


def test_vectors_are_the_engines_however_they_are_written(
    client: openai.OpenAI, engine_behind: FakeEngine
) -> None:
    texts = ["first text", "", "第二 text 🙂"]
    expected = engine_behind.embed(texts)
    by_default = client.embeddings.create(model="fake", input=texts)  # the client asks for base64
    as_floats = client.embeddings.create(model="fake", input=texts, encoding_format="float")
    for found in (by_default, as_floats):
        assert [row.index for row in found.data] == [0, 1, 2]
        np.testing.assert_allclose([row.embedding for row in found.data], expected, atol=1e-7)
        assert found.model == "fake-1"
        assert found.usage.total_tokens == found.usage.prompt_tokens > 0
    packed = client.embeddings.create(model="fake", input=texts, encoding_format="base64").data[0].embedding
    assert isinstance(packed, str)
    one = client.embeddings.create(model="fake-1", input="first text", dimensions=384)
    np.testing.assert_allclose(one.data[0].embedding, expected[0], atol=1e-7)


def test_the_default_encoder_answers_the_official_client(
    real_server: LiveServer, local_engine: LocalEngine
) -> None:
    texts = ["Where is my parcel?", "我的包裹在哪里？", ""]
    found = _client(real_server).embeddings.create(model="default", input=texts)
    vecs = np.asarray([row.embedding for row in found.data], np.float32)
    assert np.sum(vecs * local_engine.embed(texts), axis=1).min() > 0.999
    assert found.model == local_engine.encoder().version


def test_a_chat_is_answered_whole(client: openai.OpenAI) -> None:
    found = client.chat.completions.create(model="default", messages=CHAT, max_completion_tokens=50)
    assert found.choices[0].message.content == "Where is 我的 parcel? 🙂"
    assert found.choices[0].message.role == "assistant"
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (7, 5)


def test_a_chat_is_streamed_piece_by_piece(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="default", messages=CHAT, stream=True, stream_options={"include_usage": True}
        )
    )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert [piece for piece in pieces if piece] == ["Where", " is", " 我的", " parcel?", " 🙂"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5


def test_content_in_parts_and_a_developers_role_are_read(client: openai.OpenAI) -> None:
    parts = [{"type": "text", "text": "in two "}, {"type": "text", "text": "parts"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    found = client.chat.completions.create(model="default", messages=messages, max_tokens=2)
    assert found.choices[0].message.content == "in two"
    assert found.choices[0].finish_reason == "length"


async def test_the_asynchronous_client_is_answered_too(server: LiveServer) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
        found = await client.embeddings.create(model="fake", input=["a", "b"])
        assert len(found.data) == 2
        stream = await client.chat.completions.create(model="default", messages=CHAT, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == "Where is 我的 parcel? 🙂"


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    (found,) = client.models.list().data
    assert (found.id, found.object, found.owned_by) == ("fake-1", "model", "trefoil")
    assert found.model_dump()["dim"] == 384


def test_a_wrong_key_is_an_authentication_error(server: LiveServer) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        _client(server, "another key of some bytes").embeddings.create(model="fake", input="a")
    assert caught.value.code == "not_authenticated"


def test_an_unknown_model_is_a_not_found_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="text-embedding-3-small", input="a")
    assert (caught.value.code, caught.value.param) == ("not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=CHAT)


@pytest.mark.parametrize("given", [[], [1, 2, 3], [[1, 2]], ["a"] * 101])
def test_an_input_that_cannot_be_used_is_named(client: openai.OpenAI, given: list[object]) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.embeddings.create(model="fake", input=given)
    assert (caught.value.code, caught.value.param) == ("invalid_input", "input")
    assert caught.value.type == "invalid_request_error"


def test_dimensions_the_encoder_does_not_have_are_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.embeddings.create(model="fake", input="a", dimensions=64)
    assert caught.value.param == "dimensions"


def test_a_server_that_is_too_busy_says_when_to_come_back() -> None:
    engine = FakeEngine(fail_with=Overloaded("Too busy.", retry_after_s=0.01))
    with live_server(engine) as server:
        with pytest.raises(openai.InternalServerError) as caught:
            _client(server).embeddings.create(model="fake", input="a")
        assert caught.value.status_code == 503
        assert caught.value.code == "overloaded"
        assert caught.value.response.headers["retry-after"] == "1"


def test_a_stream_that_fails_before_its_first_word_fails_with_a_status() -> None:
    with live_server(FakeEngine(fail_with=ModelFailed())) as server:
        with pytest.raises(openai.InternalServerError) as caught:
            _client(server).chat.completions.create(model="default", messages=CHAT, stream=True)
        assert caught.value.code == "model_failed"
