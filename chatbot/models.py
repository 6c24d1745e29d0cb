"""Rows: knowledge (documents, passages, pieces, versions), intents, and conversations (events, turns).

Fields, constraints and small derived properties only; what happens to rows is in the rooms.
Rows between stages are the queue: a document `queued`, a piece without `vec`, a knowledge base whose
`revision` is ahead of `indexed_revision`, a turn without `answered_at`.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class KnowledgeBase(models.Model):
    """What one assistant may answer from. `revision` grows with every change of its passages."""

    name = models.CharField(_("name"), max_length=120, unique=True)
    revision = models.PositiveIntegerField(_("revision"), default=0)
    indexed_revision = models.PositiveIntegerField(_("indexed revision"), default=0)
    index_path = models.CharField(_("index"), max_length=200, blank=True)
    indexed_at = models.DateTimeField(_("indexed at"), null=True, blank=True)
    live_version = models.ForeignKey(
        "KnowledgeVersion", models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    publishes_itself = models.BooleanField(
        _("publish by itself"),
        default=True,
        help_text=_("A version that passes the gate goes live without being asked about."),
    )
    carefulness = models.FloatField(
        _("how careful"),
        default=0.5,
        help_text=_("0 answers whenever it may be right, 1 only when it is nearly sure."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("knowledge base")
        verbose_name_plural = _("knowledge bases")

    def __str__(self) -> str:
        return self.name


class Document(models.Model):
    """One uploaded source, kept as it came in the file store; its text as blocks in its passages.

    A removed one is shown nowhere and stays for the versions and the answers that hold its passages; a new
    upload of the same file name brings it back.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Being read")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        REMOVED = "removed", _("Removed")

    knowledge_base = models.ForeignKey(
        KnowledgeBase, models.CASCADE, related_name="documents", verbose_name=_("knowledge base")
    )
    title = models.CharField(_("title"), max_length=200)
    filename = models.CharField(_("file name"), max_length=200)
    media_type = models.CharField(_("type"), max_length=80)
    language = models.CharField(_("language"), max_length=10, blank=True)
    size_bytes = models.PositiveIntegerField(_("size in bytes"))
    content_hash = models.CharField(_("content hash"), max_length=64)
    file_path = models.CharField(_("file"), max_length=200)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED)
    failure = models.TextField(_("what went wrong"), blank=True)
    pieces_done = models.PositiveIntegerField(_("pieces done"), default=0)
    pieces_total = models.PositiveIntegerField(_("pieces in all"), default=0)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    claimed_at = models.DateTimeField(_("last sign of life"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    ingested_at = models.DateTimeField(_("ingested at"), null=True, blank=True)

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        ordering = ["title"]
        indexes = [models.Index(fields=["state", "claimed_at"], name="document_queue")]
        constraints = [
            models.UniqueConstraint(fields=["knowledge_base", "filename"], name="document_filename_once")
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def progress(self) -> float:
        """Share of the pieces that are embedded, 0 to 1."""
        return self.pieces_done / self.pieces_total if self.pieces_total else 0.0


class Passage(models.Model):
    """One section of a document: what an answer quotes and links to.

    `blocks` is a list of {"kind": "paragraph"|"item"|"row", "start", "end", "cells"?}, offsets into
    `text` in characters. `start`/`end` place the passage in the document's whole text. A passage that its
    document has no longer is `retired_at` and stays for the versions and the answers that hold it.
    """

    document = models.ForeignKey(
        Document, models.CASCADE, related_name="passages", verbose_name=_("document")
    )
    ordinal = models.PositiveIntegerField(_("position"))
    heading = models.CharField(_("heading"), max_length=400)
    anchor = models.CharField(_("anchor"), max_length=120)
    text = models.TextField(_("text"))
    blocks = models.JSONField(_("blocks"), default=list)
    variants = models.JSONField(_("question variants"), default=list, blank=True)
    start = models.PositiveIntegerField(_("start"))
    end = models.PositiveIntegerField(_("end"))
    language = models.CharField(_("language"), max_length=10, blank=True)
    content_hash = models.CharField(_("content hash"), max_length=64)
    retired_at = models.DateTimeField(_("left out since"), null=True, blank=True, editable=False)
    review_by = models.DateField(_("to be looked at by"), null=True, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("passage")
        verbose_name_plural = _("passages")
        ordering = ["document_id", "ordinal"]
        constraints = [
            models.UniqueConstraint(fields=["document", "content_hash"], name="passage_content_once")
        ]

    def __str__(self) -> str:
        return self.heading


class Piece(models.Model):
    """A title, a stretch of the body of at most 256 characters, or a question variant.

    `text` is what the passage says there, `embedded` what the encoder reads of it.
    `vec` is float32 (dim,) as bytes, empty until embedded by the encoder named in `model_version`.
    """

    class Kind(models.TextChoices):
        TITLE = "title", _("Title")
        BODY = "body", _("Body")
        VARIANT = "variant", _("Question variant")

    passage = models.ForeignKey(Passage, models.CASCADE, related_name="pieces", verbose_name=_("passage"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    text = models.TextField(_("text"))
    embedded = models.TextField(_("embedded text"))
    vec = models.BinaryField(_("vector"), null=True)
    model_version = models.CharField(_("model version"), max_length=120, blank=True)

    class Meta:
        verbose_name = _("piece")
        verbose_name_plural = _("pieces")

    def __str__(self) -> str:
        return self.text[:80]


class KnowledgeVersion(models.Model):
    """One state of a knowledge base that can answer: its index, how it did on the cases, if it may serve.

    `evaluation` holds the figures of this version and of the one that was live, and the gate's reasons;
    `failing` the cases that the live one answers and this one does not. `passage_ids` are those its index
    holds. A row without `index_path` is to be built, one without `judged_at` to be judged: the row is the
    queue, `claimed_at` the last sign of life of the worker that has it.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("Draft")
        PUBLISHED = "published", _("Published")
        BLOCKED = "blocked", _("Blocked")
        RETIRED = "retired", _("Was live")

    knowledge_base = models.ForeignKey(
        KnowledgeBase, models.CASCADE, related_name="versions", verbose_name=_("knowledge base")
    )
    number = models.PositiveIntegerField(_("number"))
    revision = models.PositiveIntegerField(_("revision"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.DRAFT)
    index_path = models.CharField(_("index"), max_length=200, blank=True)
    passages_n = models.PositiveIntegerField(_("passages"), default=0)
    passage_ids = models.JSONField(default=list, blank=True, editable=False)
    evaluation = models.JSONField(_("evaluation"), default=dict, blank=True)
    failing = models.JSONField(_("failing cases"), default=list, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    created_at = models.DateTimeField(_("created at"))
    claimed_at = models.DateTimeField(_("last sign of life"), null=True, blank=True, editable=False)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, editable=False)
    cases_done = models.PositiveIntegerField(_("cases done"), default=0, editable=False)
    cases_total = models.PositiveIntegerField(_("cases in all"), default=0, editable=False)
    judged_at = models.DateTimeField(_("judged at"), null=True, blank=True, editable=False)
    published_at = models.DateTimeField(_("published at"), null=True, blank=True)
    published_by = models.CharField(_("published by"), max_length=150, blank=True)

    class Meta:
        verbose_name = _("knowledge version")
        verbose_name_plural = _("knowledge versions")
        ordering = ["-number"]
        permissions = [("publish_knowledgeversion", "Can publish and roll back knowledge versions")]
        constraints = [
            models.UniqueConstraint(fields=["knowledge_base", "number"], name="knowledge_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.knowledge_base} v{self.number}"


class EvaluationCase(models.Model):
    """A question and the passage that answers it, or none: what a draft is judged on.

    The passage is named by its document and heading, so that the case outlives a new upload.
    """

    class Origin(models.TextChoices):
        HAND = "hand", _("By hand")
        VARIANT = "variant", _("Question variant")
        LINK = "link", _("An agent's link")

    knowledge_base = models.ForeignKey(
        KnowledgeBase, models.CASCADE, related_name="cases", verbose_name=_("knowledge base")
    )
    question = models.TextField(_("question"))
    document = models.ForeignKey(Document, models.SET_NULL, null=True, blank=True, verbose_name=_("document"))
    heading = models.CharField(_("heading"), max_length=400, blank=True)
    answerable = models.BooleanField(_("can be answered"), default=True)
    origin = models.CharField(_("from"), max_length=10, choices=Origin, default=Origin.HAND)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("evaluation case")
        verbose_name_plural = _("evaluation cases")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["knowledge_base", "question"], name="evaluation_question_once")
        ]

    def __str__(self) -> str:
        return self.question[:80]


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
