"""The chat API: parse, authorise, one call, shape."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from uuid import UUID

from asgiref.sync import sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router, Status

from chatbot import access, events, live_text
from chatbot.conf import ChatbotSettings
from chatbot.models import Conversation, ConversationEvent
from chatbot.schemas import (
    ConversationIn,
    ConversationOut,
    EventsOut,
    InboxOut,
    MessageIn,
    MessageOut,
    PartialOut,
)
from chatbot.tasks import answer_soon
from services.conf import load
from services.errors import InvalidInput, UnsupportedMediaType

router = Router()


@router.get("/inboxes/{key}", response=InboxOut, summary="An inbox's name, greeting and suggestions")
def get_inbox(request: HttpRequest, key: str, locale: str = "en") -> InboxOut:
    """Public: what the widget shows before the first message."""
    inbox = access.inbox_for(key)
    zh = locale.startswith("zh")
    return InboxOut(
        key=inbox.key,
        name=inbox.name,
        locale=inbox.locale,
        greeting=(inbox.greeting_zh if zh else inbox.greeting) or inbox.greeting,
        suggestions=(inbox.suggestions_zh if zh else inbox.suggestions) or inbox.suggestions,
        colour=inbox.colour,
    )


@router.post("/conversations", response={201: ConversationOut}, summary="Open a conversation")
def open_conversation(request: HttpRequest, payload: ConversationIn) -> Status[ConversationOut]:
    """Anyone may open one; the token in the answer is needed for everything after."""
    _json_only(request)
    token, token_hash = access.new_token()
    conversation = Conversation.objects.create(
        inbox=access.inbox_for(payload.inbox),
        token_hash=token_hash,
        locale=payload.locale,
        page_url=payload.page_url or "",
    )
    return Status(201, ConversationOut(id=conversation.id, token=token, last_seq=0))


@router.post(
    "/conversations/{conversation_id}/messages", response={201: MessageOut}, summary="Send a message"
)
def send_message(request: HttpRequest, conversation_id: UUID, payload: MessageIn) -> Status[MessageOut]:
    """Kept at once; the answer comes as an event. Sending the same key again changes nothing."""
    _json_only(request)
    conversation = access.conversation_for(request, conversation_id)
    limit = load(ChatbotSettings).chatbot_question_chars
    if not payload.text:
        raise InvalidInput(_("The message is empty. Write a question."), field="text")
    if len(payload.text) > limit:
        raise InvalidInput(
            _("The message has %(count)d characters; at most %(limit)d are taken. Please shorten it.")
            % {"count": len(payload.text), "limit": limit},
            field="text",
            limit=limit,
        )
    event, is_new = events.append(
        conversation,
        ConversationEvent.Kind.VISITOR_MESSAGE,
        {
            "text": payload.text,
            "idempotency_key": payload.idempotency_key,
            **({"passage": payload.passage} if payload.passage else {}),
        },
        now=timezone.now(),
        idempotency_key=payload.idempotency_key,
    )
    if is_new:
        answer_soon(event)
    return Status(201, MessageOut(seq=event.seq, duplicate=not is_new))


@router.get("/conversations/{conversation_id}/messages", response=EventsOut, summary="Events after a number")
def get_messages(request: HttpRequest, conversation_id: UUID, after: int = 0) -> EventsOut:
    """For clients that cannot keep a stream open."""
    conversation = access.conversation_for(request, conversation_id)
    found = [events.as_json(event) for event in events.after(conversation, after)]
    saying = live_text.now(conversation)
    return EventsOut(events=found, partial=PartialOut(**saying.as_json()) if saying else None)


@router.get("/conversations/{conversation_id}/events", summary="Follow a conversation (server-sent events)")
async def follow_conversation(request: HttpRequest, conversation_id: UUID) -> StreamingHttpResponse:
    """Every event after `Last-Event-ID`, then new ones as they come; a comment every 15 s keeps it open.

    `partial` events, without a number, say what is being written at the moment.
    """
    conversation = await sync_to_async(access.conversation_for)(request, conversation_id)
    seq = _last_event_id(request)
    response = StreamingHttpResponse(_stream(conversation, seq), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache, no-transform"
    response["X-Accel-Buffering"] = "no"
    return response


async def _stream(conversation: Conversation, seq: int) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async with aclosing(events.follow(conversation, seq)) as found:  # left at once when the visitor leaves
        async for event in found:
            if event is None:
                yield ": still here\n\n"
                continue
            if isinstance(event, live_text.LiveText):
                yield f"event: partial\ndata: {json.dumps(event.as_json(), ensure_ascii=False)}\n\n"
                continue
            data = json.dumps(events.as_json(event), ensure_ascii=False)
            yield f"id: {event.seq}\nevent: {event.kind}\ndata: {data}\n\n"


def _last_event_id(request: HttpRequest) -> int:
    given = request.headers.get("Last-Event-ID", "0").strip() or "0"
    if not given.isdecimal() or len(given) > 9:
        raise InvalidInput(
            _("Last-Event-ID must be the number of the last event you have."), field="Last-Event-ID"
        )
    return int(given)


def _json_only(request: HttpRequest) -> None:
    if request.content_type != "application/json":
        raise UnsupportedMediaType(_("Send the body as application/json."))
