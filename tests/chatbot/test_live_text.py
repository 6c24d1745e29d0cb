"""What is being written shows while it is written, seldom, by its owner only, and is never in the log."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client
from django.utils import timezone

from chatbot import events, live_text, tasks, turns
from chatbot.dialogue import Reply
from chatbot.live_text import LiveText, Speaking
from chatbot.models import Conversation, ConversationEvent, Passage, Turn
from services.inference.engine import get_engine, set_engine
from tests.builders import RETURNS_MD, make_inbox, make_knowledge_base
from tests.chatbot.test_events import make_conversation, say
from tests.chatbot.writers import WritingEngine

LEASE = timedelta(seconds=15)
ANSWER = Reply("answer", {"text": "Five days."}, {}, "fake-1")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def claimed(conversation: Conversation) -> Turn:
    say(conversation, "How long?", "k1")
    turn = turns.claim(Turn.objects.get().pk, timezone.now(), LEASE)
    assert turn is not None
    return turn


@pytest.mark.django_db
def test_it_is_written_four_times_a_second_at_most_and_nothing_gets_lost() -> None:
    turn, clock, woken = claimed(make_conversation()), Clock(), [0]

    def wake() -> None:
        woken[0] += 1

    speaking = Speaking(turn, wake, clock=clock)
    for n in range(1, 101):  # a sentence every 20 ms: two seconds
        speaking.say("x" * n)
        clock.now += 0.02
    assert 7 <= woken[0] <= 9
    clock.now += 1
    assert not speaking.lost()
    assert Turn.objects.get().partial == "x" * 100


@pytest.mark.django_db
def test_asking_whether_the_turn_is_lost_writes_what_was_held_back() -> None:
    turn, clock = claimed(make_conversation()), Clock()
    speaking = Speaking(turn, lambda: None, clock=clock)
    speaking.say("One.")
    speaking.say("One. Two.")
    assert Turn.objects.get().partial == "One."
    clock.now += 0.3
    assert not speaking.lost()
    assert Turn.objects.get().partial == "One. Two."


@pytest.mark.django_db
def test_an_attempt_that_was_overtaken_writes_nothing_and_is_told_so() -> None:
    turn, clock = claimed(make_conversation()), Clock()
    speaking = Speaking(turn, lambda: None, clock=clock)
    speaking.say("One.")
    Turn.objects.update(attempts=2, partial="Another's words.")
    clock.now += 1
    speaking.say("One. Two.")
    assert speaking.lost()
    assert Turn.objects.get().partial == "Another's words."


@pytest.mark.django_db
def test_a_turn_answered_meanwhile_is_lost_and_its_text_is_gone() -> None:
    conversation, clock = make_conversation(), Clock()
    turn = claimed(conversation)
    speaking = Speaking(turn, lambda: None, clock=clock)
    speaking.say("Five")
    assert live_text.now(conversation) == LiveText(1, 1, "Five")
    assert turns.settle(turn, ANSWER, timezone.now())
    assert live_text.now(conversation) is None
    clock.now += 1
    speaking.say("Five days")
    assert speaking.lost()
    assert Turn.objects.get().partial == ""


@pytest.mark.django_db
def test_a_new_attempt_begins_with_nothing_said() -> None:
    turn = claimed(make_conversation())
    Speaking(turn, lambda: None).say("Half of an ans")
    assert turns.claim(turn.pk, timezone.now() + 2 * LEASE, LEASE) is not None
    assert Turn.objects.get().partial == ""


@pytest.mark.django_db(transaction=True)
async def test_a_follower_sees_the_text_grow_and_then_the_answer() -> None:
    conversation = await sync_to_async(make_conversation)()
    turn = await sync_to_async(claimed)(conversation)
    clock = Clock()
    speaking = Speaking(turn, lambda: events.wake(conversation), clock=clock)
    stream = events.follow(conversation, seq=1)
    await sync_to_async(speaking.say)("One.")
    assert await anext(stream) == LiveText(1, 1, "One.")
    clock.now += 1
    await sync_to_async(speaking.say)("One. Two.")
    assert await anext(stream) == LiveText(1, 1, "One. Two.")
    await sync_to_async(turns.settle)(turn, ANSWER, timezone.now())
    last = await anext(stream)
    assert isinstance(last, ConversationEvent)
    assert last.kind == "bot_message"
    await stream.aclose()


@pytest.mark.django_db(transaction=True)
async def test_the_same_text_is_told_once_and_silence_gives_a_heartbeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.6)
    conversation = await sync_to_async(make_conversation)()
    turn = await sync_to_async(claimed)(conversation)
    await sync_to_async(turns.speaking(turn).say)("One.")
    stream = events.follow(conversation, seq=1)
    assert isinstance(await anext(stream), LiveText)
    assert await anext(stream) is None
    await stream.aclose()


@pytest.mark.django_db(transaction=True)
async def test_a_log_whose_end_was_deleted_is_followed_without_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.3)
    conversation = await sync_to_async(make_conversation)()
    await Conversation.objects.filter(pk=conversation.pk).aupdate(last_seq=9)
    stream = events.follow(conversation, seq=0)
    assert await anext(stream) is None
    await stream.aclose()


@pytest.mark.django_db(transaction=True)
async def test_the_stream_sends_it_without_a_number_and_the_list_beside_the_events() -> None:
    conversation = await sync_to_async(make_conversation)()
    from chatbot import access

    token, conversation.token_hash = access.new_token()
    await conversation.asave()
    turn = await sync_to_async(claimed)(conversation)
    await sync_to_async(turns.speaking(turn).say)("Fünf\nTage 👋")
    path = f"/api/v1/chatbot/conversations/{conversation.pk}"
    headers = {"authorization": f"Bearer {token}"}
    answer = await AsyncClient().get(f"{path}/events", headers={**headers, "Last-Event-ID": "1"})
    chunks = aiter(answer.streaming_content)
    assert (await anext(chunks)).decode() == "retry: 1000\n\n"
    name, data = (await anext(chunks)).decode().rstrip("\n").split("\n")
    assert name == "event: partial"
    told = {"kind": "partial", "question_seq": 1, "text": "Fünf\nTage 👋"}
    assert json.loads(data.removeprefix("data: ")) == told
    await chunks.aclose()
    polled = await sync_to_async(Client().get)(f"{path}/messages?after=1", headers=headers)
    assert polled.json() == {"events": [], "partial": told}
    assert await ConversationEvent.objects.acount() == 1


def test_only_a_visitor_who_followed_and_stayed_away_has_left() -> None:
    clock, streams = Clock(), [0]
    audience = live_text.Audience(lambda: streams[0], clock=clock)
    clock.now += 60
    assert not audience.gone()  # one who polls
    streams[0] = 1
    assert not audience.gone()
    streams[0], clock.now = 0, clock.now + live_text.GONE_S - 0.1
    assert not audience.gone()  # a stream that broke and comes back
    streams[0] = 1
    assert not audience.gone()
    streams[0], clock.now = 0, clock.now + live_text.GONE_S + 0.1
    assert audience.gone()


@pytest.mark.django_db(transaction=True)
async def test_who_leaves_the_page_stops_the_writing_and_finds_an_answer_when_coming_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_text, "GONE_S", 0.05)
    engine = WritingEngine("One sentence more. " * 5_000, pause_s=0.05)
    before = get_engine()
    set_engine(engine)
    try:
        base = await sync_to_async(make_knowledge_base)(returns_md=RETURNS_MD)
        inbox = await sync_to_async(make_inbox)(base)
        conversation = await Conversation.objects.acreate(inbox=inbox, token_hash="x")
        chosen = await Passage.objects.aget(heading__endswith="Refunds")
        asked = {"text": "When are refunds paid?", "passage": chosen.pk}
        await sync_to_async(events.append)(conversation, "visitor_message", asked, now=timezone.now())
        stream = events.follow(conversation, seq=0)
        await anext(stream)
        turn = await Turn.objects.aget()
        answering = asyncio.create_task(sync_to_async(tasks.answer_turn, thread_sensitive=False)(turn.pk))
        async with asyncio.timeout(20):
            while not engine.asked:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # the writing is under way, and followed
        assert events.followers(conversation) == 1
        await stream.aclose()
        assert events.followers(conversation) == 0
        began = time.monotonic()
        await asyncio.wait_for(answering, 30)
        assert time.monotonic() - began < 5  # not the eight seconds that a model has
        left = await conversation.events.aget(kind="bot_message")
        assert "5 business days" in left.payload["text"]
    finally:
        set_engine(before)
