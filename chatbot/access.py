"""May this caller see that row? Public keys for inboxes, a token for each conversation."""

from __future__ import annotations

import hashlib
import secrets
import uuid

from django.http import HttpRequest
from django.utils.translation import gettext as _

from chatbot.models import Conversation, Document, Inbox, KnowledgeBase
from services.errors import InvalidInput, NotAuthenticated, NotFound


def new_token() -> tuple[str, str]:
    """A fresh conversation token and the hash that is kept of it."""
    token = secrets.token_urlsafe(32)
    return token, _hash(token)


def inbox_for(key: str) -> Inbox:
    """The inbox with a public key. Raises NotFound."""
    inbox = Inbox.objects.select_related("knowledge_base").filter(key=key).first()
    if inbox is None:
        raise NotFound(_("There is no inbox with this key. Check data-inbox in the page's script tag."))
    return inbox


def knowledge_base_for(base_id: int) -> KnowledgeBase:
    """The knowledge base with this number. Raises NotFound."""
    base = KnowledgeBase.objects.filter(pk=base_id).first()
    if base is None:
        raise NotFound(_("There is no knowledge base with this number; GET /api/v1/knowledge lists them."))
    return base


def knowledge_base_named(name: str) -> KnowledgeBase:
    """The knowledge base of that name; the only one for an empty name.

    Raises NotFound, and InvalidInput on `base` when a name is needed to tell them apart.
    """
    rows = KnowledgeBase.objects.select_related("live_version").order_by("pk")
    found = list(rows.filter(name=name) if name else rows[:2])
    if not found:
        raise NotFound(
            _("There is no such knowledge base.") if name else _("There is no knowledge base yet.")
        )
    if len(found) > 1:
        raise InvalidInput(_("There are several knowledge bases: name one with --base."), field="base")
    return found[0]


def document_for(base_id: int, document_id: int) -> Document:
    """A document of that knowledge base that was not removed. Raises NotFound."""
    rows = Document.objects.filter(knowledge_base=knowledge_base_for(base_id), pk=document_id)
    document = rows.exclude(state=Document.State.REMOVED).first()
    if document is None:
        raise NotFound(_("This knowledge base has no such document."))
    return document


def conversation_for(request: HttpRequest, conversation_id: uuid.UUID) -> Conversation:
    """The conversation the request's bearer token opens.

    Raises NotAuthenticated without a token and NotFound when the token does not open this
    conversation, whether it exists or not.
    """
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated(_("Send the conversation's token as Authorization: Bearer …"))
    conversation = (
        Conversation.objects.select_related("inbox__knowledge_base").filter(id=conversation_id).first()
    )
    expected = conversation.token_hash if conversation else _hash("")
    if not secrets.compare_digest(_hash(token.strip()), expected) or conversation is None:
        raise NotFound(_("There is no such conversation, or it has ended. Start a new one."))
    return conversation


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
