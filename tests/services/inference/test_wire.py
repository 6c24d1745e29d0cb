"""The JSON of the server, where the tests over sockets do not reach."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np
import pytest

from services.errors import InvalidInput, ModelFailed, ModelUnavailable, Overloaded
from services.inference import wire
from services.inference.fake import FakeEngine
from services.inference.values import (
    ChatMessage,
    ClassScores,
    Delta,
    EncoderInfo,
    Failed,
    Finished,
    GenerateEvent,
    Relevance,
    Sampling,
)
from services.inference.writing import awrite, write

INFO = EncoderInfo("small", "small-1", 3, 512, "openvino", "cpu")
VECS = np.array([[0.1, -0.2, 0.3], [1e-8, 1.0, -1.0]], np.float32)
ASKED = (ChatMessage("user", "hello there"),)


@pytest.mark.parametrize("how", ["float", "base64"])
def test_a_vector_is_read_bit_for_bit_as_it_was_written(how: str) -> None:
    rows = json.loads(wire.embeddings(VECS, INFO, how, ["a", "b"]))["data"]
    for row, vec in zip(rows, VECS, strict=True):
        np.testing.assert_array_equal(wire.read_vector(row["embedding"], 3), vec)


@pytest.mark.parametrize(
    "found",
    [
        None,
        7,
        {},
        "no base64!",
        "AAAA",
        "é",
        [[1.0]],
        [1.0, "two"],
        [1.0, None],
        [1.0],
        base64.b64encode(np.array([np.nan, 0, 0], "<f4").tobytes()).decode(),
        base64.b64encode(np.zeros(2, "<f4").tobytes()).decode(),
    ],
)
def test_what_is_no_vector_of_that_length_is_a_value_error(found: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        wire.read_vector(found, 3)


def test_equal_scores_keep_the_order_of_the_texts() -> None:
    found = Relevance(np.array([0.5, 0.9, 0.5, 0.9], np.float32), "v")
    results = json.loads(wire.reranked(found, ["a", "b", "c", "d"], 3, False))["results"]
    assert [row["index"] for row in results] == [1, 3, 0]


def test_probabilities_of_no_text_keep_their_labels() -> None:
    found = json.loads(wire.classified(ClassScores(("a", "b"), np.empty((0, 2), np.float32), "v")))
    assert (found["labels"], found["data"]) == (["a", "b"], [])


def test_a_column_of_probabilities_that_lies_crosswise_in_memory_is_written_row_by_row() -> None:
    probs = np.asfortranarray(np.array([[0.25, 0.75], [0.5, 0.5]], np.float32))
    found = json.loads(wire.classified(ClassScores(("a", "b"), probs, "v", exclusive=False)))
    assert (found["data"], found["exclusive"]) == ([[0.25, 0.75], [0.5, 0.5]], False)


def test_the_older_and_the_newer_name_of_the_most_tokens_are_read() -> None:
    chat = {"messages": [{"role": "user", "content": "a"}]}
    for name in ("max_tokens", "max_completion_tokens"):
        assert wire.chat_request({**chat, name: 9}).sampling.max_tokens == 9
    assert wire.chat_request({**chat, "max_tokens": None}).sampling == Sampling()
    assert wire.chat_request({**chat, "stop": "END", "seed": 3.0}).sampling == Sampling(stop=("END",), seed=3)


def test_more_texts_than_may_be_are_counted_in_the_answer() -> None:
    for read, body in (
        (lambda body: wire.texts(body, "input", 2), {"input": ["a"] * 3}),
        (lambda body: wire.pairs(body, 2), {"input": ["a"] * 3}),
        (lambda body: wire.documents(body, 2), {"documents": ["a"] * 3}),
    ):
        with pytest.raises(InvalidInput, match="3 texts; 2 is the most"):
            read(body)


def test_the_last_event_holds_the_last_line_and_a_failure_holds_none() -> None:
    end = Finished("length", 3, 2, "v-1")
    plain = wire.chat_chunk(end, "id", 0, "", False).decode().split("\n\n")
    assert plain[-2:] == ["data: [DONE]", ""]
    assert json.loads(plain[0][6:])["choices"][0]["finish_reason"] == "length"
    with_usage = wire.chat_chunk(end, "id", 0, "", True).decode().split("\n\n")
    assert json.loads(with_usage[1][6:])["usage"]["total_tokens"] == 5
    failed = wire.chat_chunk(Failed("overloaded", "busy"), "id", 0, "", True).decode()
    assert "[DONE]" not in failed
    assert json.loads(failed[6:])["error"]["code"] == "overloaded"


def test_a_line_break_in_a_text_does_not_end_its_event() -> None:
    data = wire.chat_chunk(Delta("one\n\ndata: two\u2028"), "id", 0, "", False)
    assert data.count(b"\n\n") == 1
    assert json.loads(data[6:])["choices"][0]["delta"]["content"] == "one\n\ndata: two\u2028"


# whole texts of a writer's events


class Says(FakeEngine):
    """Gives these events and notes that it was closed."""

    def __init__(self, *events: GenerateEvent) -> None:
        super().__init__()
        self.events, self.closed = events, False

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        try:
            for event in self.events:
                yield event
            if not self.events:
                await asyncio.Event().wait()
        finally:
            self.closed = True


def test_a_text_is_written_whole() -> None:
    text, end = write(FakeEngine(), ASKED, Sampling(max_tokens=1))
    assert (text, end.reason, end.completion_tokens) == ("hello", "length", 1)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (Failed("overloaded", "busy"), Overloaded),
        (Failed("model_unavailable", "no key"), ModelUnavailable),
        (Failed("something_new", "who knows"), ModelFailed),
    ],
)
def test_a_text_that_breaks_off_is_its_error_and_no_text(event: Failed, error: type[Exception]) -> None:
    engine = Says(Delta("half a "), event)
    with pytest.raises(error, match=event.detail):
        write(engine, ASKED)
    assert engine.closed


def test_a_text_without_an_end_broke_off() -> None:
    with pytest.raises(ModelFailed):
        write(Says(Delta("half a ")), ASKED)


async def test_who_stops_waiting_for_a_text_stops_its_writer() -> None:
    engine = Says()
    asked = asyncio.create_task(awrite(engine, ASKED))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert engine.closed
