"""The log of a conversation: numbered without gaps, written once, followed without a miss."""

from __future__ import annotations

import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone

from chatbot import events
from chatbot.models import Conversation, ConversationEvent, KnowledgeBase, Turn
from tests.builders import make_inbox


def make_conversation() -> Conversation:
    base = KnowledgeBase.objects.create(name="Help")
    return Conversation.objects.create(inbox=make_inbox(base), token_hash="x")


def say(conversation: Conversation, text: str, key: str | None = None) -> tuple[ConversationEvent, bool]:
    return events.append(
        conversation, "visitor_message", {"text": text}, now=timezone.now(), idempotency_key=key
    )


@pytest.mark.django_db
def test_a_repeated_key_gives_the_first_event_and_writes_nothing() -> None:
    conversation = make_conversation()
    first, is_new = say(conversation, "hello", "k1")
    again, is_new_again = say(conversation, "hello", "k1")
    assert (is_new, is_new_again) == (True, False)
    assert first.pk == again.pk
    assert Turn.objects.count() == 1
    conversation.refresh_from_db()
    assert conversation.last_seq == 1


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_leave_no_gap_and_no_double() -> None:
    conversation = make_conversation()

    def write(name: int) -> None:
        for n in range(5):
            say(conversation, f"{name}-{n}", f"{name}-{n}")
            say(conversation, f"{name}-{n}", f"{name}-{n}")
        connection.close()

    threads = [threading.Thread(target=write, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = list(conversation.events.values_list("seq", flat=True))
    assert numbers == list(range(1, 31))


@pytest.mark.django_db(transaction=True)
async def test_a_follower_gets_what_it_missed_and_then_what_comes() -> None:
    conversation = await sync_to_async(make_conversation)()
    for text in ("one", "two", "three"):
        await sync_to_async(say)(conversation, text)
    stream = events.follow(conversation, seq=1)
    seen = [await anext(stream), await anext(stream)]
    await sync_to_async(say)(conversation, "four")
    seen.append(await anext(stream))
    await stream.aclose()
    assert [event.seq for event in seen if isinstance(event, ConversationEvent)] == [2, 3, 4]


@pytest.mark.django_db(transaction=True)
async def test_silence_gives_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.3)
    conversation = await sync_to_async(make_conversation)()
    stream = events.follow(conversation, seq=0)
    assert await anext(stream) is None
    await stream.aclose()
