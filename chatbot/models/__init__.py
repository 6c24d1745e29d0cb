"""Rows of the chatbot: what it knows, and what was said.

Fields, constraints and small derived properties only; what happens to rows is in the rooms.
"""

from __future__ import annotations

from chatbot.models.conversations import Conversation, ConversationEvent, Inbox, Intent, Quotation, Turn
from chatbot.models.knowledge import (
    Conflict,
    Document,
    EvaluationCase,
    KnowledgeBase,
    KnowledgeVersion,
    Passage,
    Piece,
    QuestionVariant,
    Source,
    Term,
)

__all__ = [
    "Conflict",
    "Conversation",
    "ConversationEvent",
    "Document",
    "EvaluationCase",
    "Inbox",
    "Intent",
    "KnowledgeBase",
    "KnowledgeVersion",
    "Passage",
    "Piece",
    "QuestionVariant",
    "Quotation",
    "Source",
    "Term",
    "Turn",
]
