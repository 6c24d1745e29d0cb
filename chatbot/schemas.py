"""The chat API's JSON shapes, checked at the door."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import AfterValidator, Field


def _printable(text: str) -> str:
    """Without control characters (tabs and line breaks stay) and outer white space."""
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cs"})
    return kept.strip()


Key = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\x21-\x7e]+$")]


class InboxOut(Schema):
    """What a widget needs to know of its inbox."""

    key: str
    name: str
    locale: str
    greeting: str
    suggestions: list[str]
    colour: str


class ConversationIn(Schema):
    """A visitor opens a conversation on a page."""

    inbox: str = Field(max_length=40)
    locale: Literal["en", "zh-hans"] = "en"
    page_url: str | None = Field(None, max_length=500)


class ConversationOut(Schema):
    """The new conversation and the token that opens it; the token is shown once."""

    id: UUID
    token: str
    last_seq: int


class MessageIn(Schema):
    """A visitor's message; the key makes sending it twice harmless. `passage`: chosen from those offered."""

    text: Annotated[str, AfterValidator(_printable)]
    idempotency_key: Key
    passage: Annotated[int, Field(ge=1, le=2**53)] | None = None


class MessageOut(Schema):
    """The message's number in the conversation; `duplicate` when it had been sent before."""

    seq: int
    duplicate: bool


class PartialOut(Schema):
    """The text so far of the answer to a question; not in the log, and gone when the answer is there."""

    kind: Literal["partial"]
    question_seq: int
    text: str


class EventsOut(Schema):
    """Events in order, as the stream sends them, and what is being written at the moment, if anything is."""

    events: list[dict[str, Any]]
    partial: PartialOut | None = None


class DocumentIn(Schema):
    """A document as text; the ending of its file name says what it is: .md, .html, .txt, .csv, .jsonl."""

    filename: str = Field(min_length=1, max_length=200)
    text: str
    title: str = Field("", max_length=200)


class DocumentOut(Schema):
    """A document of the knowledge base and how far its ingest is; `failure` says why it could not be read."""

    id: int
    title: str
    filename: str
    url: str
    media_type: str
    language: str
    size_bytes: int
    state: Literal["queued", "running", "done", "failed"]
    failure: str
    pieces_done: int
    pieces_total: int
    created_at: datetime
    ingested_at: datetime | None


class DocumentsOut(Schema):
    """Some documents in the order they came, and the `after` that asks for those that follow."""

    documents: list[DocumentOut]
    next: int | None


class KnowledgeBaseOut(Schema):
    """A knowledge base, how many documents it has, and the version that answers now."""

    id: int
    name: str
    documents: int
    live_version: int | None


class KnowledgeBasesOut(Schema):
    """The knowledge bases by name."""

    knowledge_bases: list[KnowledgeBaseOut]
