"""The queue of questions: who answers which, and that each is answered once.

A turn is claimed by a conditional update; whoever changed the row has it. The answer and the row that
says so are written in one short transaction, so a question never has two answers.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import translation
from django.utils.translation import gettext as _

from chatbot import events, upkeep
from chatbot.conf import ChatbotSettings
from chatbot.dialogue import Asked, Reply
from chatbot.live_text import Audience, Speaking
from chatbot.models import Conversation, ConversationEvent, Turn
from services.conf import load
from services.text.masking import mask

EARLIER = 8
"""Events before a message that are looked at to understand it."""
_ROLES = {"visitor_message": "visitor", "bot_message": "bot"}


def waiting(now: datetime, lease: timedelta) -> list[int]:
    """Turns nobody has answered for longer than the lease, oldest first."""
    late = Q(claimed_at=None, created_at__lt=now - lease) | Q(claimed_at__lt=now - lease)
    return list(Turn.objects.filter(late, answered_at=None).order_by("pk").values_list("pk", flat=True)[:100])


def claim(turn_id: int, now: datetime, lease: timedelta) -> Turn | None:
    """Take an unanswered turn; None when it is answered, another has it, or an earlier one waits still."""
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - lease)
    before = Turn.objects.filter(
        conversation=OuterRef("conversation"), question_seq__lt=OuterRef("question_seq"), answered_at=None
    )
    ready = Turn.objects.filter(~Exists(before), free, pk=turn_id, answered_at=None)
    taken = ready.update(claimed_at=now, attempts=F("attempts") + 1, partial="")
    if not taken:
        return None
    return Turn.objects.select_related("conversation__inbox__knowledge_base").get(pk=turn_id)


def following(turn: Turn) -> int | None:
    """The conversation's next question without an answer: it was not taken while this one waited."""
    later = turn.conversation.turns.filter(question_seq__gt=turn.question_seq, answered_at=None)
    return later.order_by("question_seq").values_list("pk", flat=True).first()


def asked(turn: Turn, now: datetime) -> Asked:
    """The visitor's message with what was said before it, without personal data where others will read it."""
    conversation = turn.conversation
    earlier = conversation.events.filter(seq__lte=turn.question_seq).order_by("-seq")[: EARLIER + 1]
    *before, message = reversed(earlier)
    answers = [event for event in before if event.kind == ConversationEvent.Kind.BOT_MESSAGE]
    cited = answers[-1].payload.get("citations") if answers else None
    text = str(message.payload["text"])
    if (chosen := message.payload.get("passage")) is not None:
        questions = [event for event in before if event.kind == ConversationEvent.Kind.VISITOR_MESSAGE]
        text = f"{text} {questions[-1].payload['text']}" if questions else text
    region = load(ChatbotSettings).chatbot_phone_region.upper()
    return Asked(
        text=text,
        inbox=conversation.inbox,
        locale=conversation.locale,
        now=now,
        form=conversation.form,
        earlier=tuple(
            (_ROLES[event.kind], mask(str(event.payload["text"]), region=region).text)
            for event in before
            if event.kind in _ROLES
        ),
        heading=str(cited[0]["section"]) if cited else "",
        chosen=chosen,
        key=f"{conversation.pk}-{turn.question_seq}",
    )


def speaking(turn: Turn) -> Speaking:
    """What shows the visitor the answer to this turn while it is being made; see `live_text.Speaking`."""
    return Speaking(turn, lambda: events.wake(turn.conversation))


def audience(turn: Turn) -> Audience:
    """Whether the visitor who waits for the answer to this turn has left; see `live_text.Audience`."""
    return Audience(lambda: events.followers(turn.conversation))


def settle(turn: Turn, reply: Reply, now: datetime) -> bool:
    """Write the reply; False when the turn was answered meanwhile, and nothing is written."""
    payload = {"reply_to": turn.question_seq, "outcome": reply.outcome, **reply.payload}
    with transaction.atomic():
        first = Turn.objects.filter(pk=turn.pk, answered_at=None, attempts=turn.attempts).update(
            answered_at=now,
            outcome=reply.outcome,
            trace=reply.trace,
            model_version=reply.model_version,
            partial="",
        )
        if first:
            Conversation.objects.filter(pk=turn.conversation_id).update(form=dict(reply.form))
            events.append(turn.conversation, ConversationEvent.Kind.BOT_MESSAGE, payload, now=now)
            upkeep.quote(turn, payload, now)
    return bool(first)


def fail(turn: Turn, code: str, now: datetime) -> None:
    """Tell the visitor that no answer could be made, calmly, in the conversation's language."""
    with translation.override(turn.conversation.locale):
        detail = _("The answer could not be made just now. Your question is kept; please send it again.")
    with transaction.atomic():
        first = Turn.objects.filter(pk=turn.pk, answered_at=None).update(
            answered_at=now, outcome="failed", trace={"code": code}, partial=""
        )
        if first:
            events.append(
                turn.conversation,
                ConversationEvent.Kind.FAILED,
                {"reply_to": turn.question_seq, "code": code, "detail": detail},
                now=now,
            )
