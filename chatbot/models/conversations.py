"""Rows of the conversations: inboxes, intents, the log of what was said, the turns to be answered.

A turn without `answered_at` is to be answered: the row is the queue.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from chatbot.models.knowledge import KnowledgeBase, Passage


class Inbox(models.Model):
    """One place where visitors meet the assistant: a website's widget with its words and colour."""

    name = models.CharField(_("name"), max_length=120)
    key = models.SlugField(_("public key"), max_length=40, unique=True)
    knowledge_base = models.ForeignKey(
        KnowledgeBase, models.PROTECT, related_name="inboxes", verbose_name=_("knowledge base")
    )
    locale = models.CharField(_("language"), max_length=10, default="en")
    greeting = models.CharField(_("greeting"), max_length=300, blank=True)
    greeting_zh = models.CharField(_("greeting in Chinese"), max_length=300, blank=True)
    suggestions = models.JSONField(_("suggested questions"), default=list, blank=True)
    suggestions_zh = models.JSONField(_("suggested questions in Chinese"), default=list, blank=True)
    colour = models.CharField(_("colour"), max_length=9, default="#1d6b45")
    allowed_origins = models.JSONField(
        _("websites that may show the widget"),
        default=list,
        blank=True,
        help_text=_("Origins such as https://shop.example.com; an empty list allows this site only."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("inbox")
        verbose_name_plural = _("inboxes")

    def __str__(self) -> str:
        return self.name

    @property
    def intents_task(self) -> str:
        """The task that its intents' classifier serves."""
        return f"intents-{self.key.lower()}"


class Intent(models.Model):
    """What a visitor may want, in the operator's own examples, and what is done about it.

    `template` is said with its slots filled ({order_number}); `slots` is a list of {"name", "kind",
    "pattern"?, "ask", "ask_zh"?, "required"}; `action` is {"method", "url", "headers"?, "reply_path"?} or {}.
    """

    inbox = models.ForeignKey("Inbox", models.CASCADE, related_name="intents", verbose_name=_("inbox"))
    name = models.SlugField(_("name"), max_length=60)
    examples = models.JSONField(_("examples"), default=list, blank=True)
    template = models.TextField(_("answer"), blank=True)
    template_zh = models.TextField(_("answer in Chinese"), blank=True)
    slots = models.JSONField(_("slots"), default=list, blank=True)
    action = models.JSONField(_("action"), default=dict, blank=True)
    enabled = models.BooleanField(_("in use"), default=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("intent")
        verbose_name_plural = _("intents")
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["inbox", "name"], name="intent_name_once")]

    def __str__(self) -> str:
        return self.name


class Conversation(models.Model):
    """One visitor's conversation. `token_hash` is the SHA-256 of the token only the visitor holds."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    inbox = models.ForeignKey(Inbox, models.PROTECT, related_name="conversations", verbose_name=_("inbox"))
    token_hash = models.CharField(max_length=64, editable=False)
    locale = models.CharField(_("language"), max_length=10, default="en")
    page_url = models.CharField(_("opened on"), max_length=500, blank=True)
    last_seq = models.PositiveIntegerField(_("events"), default=0)
    form = models.JSONField(_("open form"), default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(_("started at"), auto_now_add=True)
    last_event_at = models.DateTimeField(_("last event at"), null=True, blank=True)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return str(self.id)[:8]


class ConversationEvent(models.Model):
    """The append-only log of a conversation; `seq` counts from 1 without a gap."""

    class Kind(models.TextChoices):
        VISITOR_MESSAGE = "visitor_message", _("Visitor")
        BOT_MESSAGE = "bot_message", _("Assistant")
        FAILED = "failed", _("Failed")

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=20, choices=Kind)
    payload = models.JSONField()
    idempotency_key = models.CharField(max_length=80, null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["conversation_id", "seq"]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "seq"], name="event_seq_once"),
            models.UniqueConstraint(fields=["conversation", "idempotency_key"], name="event_key_once"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.kind}"


class Turn(models.Model):
    """One question to be answered: the queue of the dialogue, and the record of how it was answered."""

    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="turns")
    question_seq = models.PositiveIntegerField()
    claimed_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    answered_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    partial = models.TextField(blank=True)
    trace = models.JSONField(default=dict, blank=True)
    model_version = models.CharField(max_length=120, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        indexes = [models.Index(fields=["answered_at", "claimed_at"], name="turn_queue")]
        constraints = [
            models.UniqueConstraint(fields=["conversation", "question_seq"], name="turn_question_once")
        ]

    def __str__(self) -> str:
        return f"{self.conversation_id} #{self.question_seq}"


class Quotation(models.Model):
    """That an answer quoted a passage; `review_by` is the date it was to be looked at by, at that time."""

    turn = models.ForeignKey(Turn, models.CASCADE, related_name="quotations", verbose_name=_("turn"))
    passage = models.ForeignKey(Passage, models.CASCADE, related_name="quotations", verbose_name=_("passage"))
    review_by = models.DateField(_("to be looked at by"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), db_index=True)

    class Meta:
        verbose_name = _("quotation")
        verbose_name_plural = _("quotations")
        constraints = [models.UniqueConstraint(fields=["turn", "passage"], name="quotation_once")]

    def __str__(self) -> str:
        return f"{self.turn} → {self.passage}"
