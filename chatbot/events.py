"""The conversation's append-only log: write once, number without gaps, wake whoever follows it.

Readers are woken through Redis pub/sub when there is Redis. Otherwise what this process writes wakes them,
and for what others write a follower looks at the conversation's `last_seq` every quarter of a second.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F

from chatbot import live_text
from chatbot.live_text import LiveText
from chatbot.models import Conversation, ConversationEvent, Turn
from services.console.wakeups import Wait, hears_other_processes, publish, subscription

_lock = threading.Lock()
_followers: Counter[str] = Counter()
POLL_S = 0.25
HEARTBEAT_S = 15.0


def append(
    conversation: Conversation,
    kind: str,
    payload: dict[str, Any],
    *,
    now: datetime,
    idempotency_key: str | None = None,
) -> tuple[ConversationEvent, bool]:
    """Append one event and wake its followers after the commit.

    Returns the event and whether it is new: a repeated idempotency key gives the first event back and
    writes nothing. A new visitor message also makes the turn that asks for an answer.
    """
    with transaction.atomic():
        Conversation.objects.filter(pk=conversation.pk).update(
            last_seq=F("last_seq") + 1, last_event_at=now
        )  # locks the conversation's row: writers queue here
        if idempotency_key is not None:
            first = conversation.events.filter(idempotency_key=idempotency_key).first()
            if first is not None:
                Conversation.objects.filter(pk=conversation.pk).update(last_seq=F("last_seq") - 1)
                return first, False
        seq = Conversation.objects.values_list("last_seq", flat=True).get(pk=conversation.pk)
        event = ConversationEvent.objects.create(
            conversation=conversation,
            seq=seq,
            kind=kind,
            payload=payload,
            idempotency_key=idempotency_key,
            created_at=now,
        )
        if kind == ConversationEvent.Kind.VISITOR_MESSAGE:
            Turn.objects.create(conversation=conversation, question_seq=seq, created_at=now)
        transaction.on_commit(lambda: wake(conversation))
    conversation.last_seq = seq
    return event, True


def after(conversation: Conversation, seq: int, limit: int = 200) -> list[ConversationEvent]:
    """Events with a higher number, in order."""
    return list(conversation.events.filter(seq__gt=seq).order_by("seq")[:limit])


def as_json(event: ConversationEvent) -> dict[str, Any]:
    """An event as followers and pollers get it."""
    return {
        **event.payload,
        "seq": event.seq,
        "kind": event.kind,
        "created_at": event.created_at.isoformat(),
    }


def wake(conversation: Conversation) -> None:
    """Let the conversation's followers look again: something is new that they can read."""
    publish(_channel(conversation))


async def follow(conversation: Conversation, seq: int) -> AsyncGenerator[ConversationEvent | LiveText | None]:
    """Every event after `seq`, then new ones as they come; None when there was nothing for 15 s.

    Between a question and its answer comes what is said of it so far, as LiveText, each time it has grown.
    Never ends by itself: the reader leaves. Nothing is missed between the first look and the
    subscription, because the subscription is made first.
    """
    told: LiveText | None = None
    async with _counted(conversation), subscription(_channel(conversation)) as wait:
        while True:
            last_seq, said = await _glance(conversation)
            found = [e async for e in conversation.events.filter(seq__gt=seq).order_by("seq")[:200]]
            for event in found:
                seq = event.seq
                yield event
            if found:
                continue
            seq = max(seq, last_seq)  # what is not there now will not come: it was deleted
            if said not in (None, told):
                told = said
                yield told
            elif not await _wait_for_more(conversation, seq, told, wait):
                yield None


def followers(conversation: Conversation) -> int:
    """How many streams of this process follow a conversation now."""
    with _lock:
        return _followers[_channel(conversation)]


@asynccontextmanager
async def _counted(conversation: Conversation) -> AsyncIterator[None]:
    name = _channel(conversation)
    with _lock:
        _followers[name] += 1
    try:
        yield
    finally:
        with _lock:
            _followers.subtract([name])
            if not _followers[name]:
                del _followers[name]


async def _wait_for_more(conversation: Conversation, seq: int, told: LiveText | None, wait: Wait) -> bool:
    if hears_other_processes():
        return await wait(HEARTBEAT_S)
    waited_s = 0.0
    while waited_s < HEARTBEAT_S:
        if await wait(POLL_S):
            return True
        waited_s += POLL_S
        last_seq, said = await _glance(conversation)
        if last_seq > seq or said not in (None, told):
            return True
    return False


async def _glance(conversation: Conversation) -> tuple[int, LiveText | None]:
    return live_text.read(await live_text.glance(conversation).afirst())


def _channel(conversation: Conversation) -> str:
    return f"chatbot:{conversation.pk}"
