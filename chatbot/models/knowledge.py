"""Rows of the knowledge: web sites, documents, passages, pieces, their versions, and what they are judged on.

Rows between stages are the queue: a web site or a document `queued`, a piece without `vec`, a knowledge base
whose `revision` is ahead of `indexed_revision`.
"""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class KnowledgeBase(models.Model):
    """What one assistant may answer from. `revision` grows with every change of its passages.

    `compared_revision` is the one whose passages were last compared with one another for conflicts, from
    `compared_at` on; `comparing_at` is the last sign of life of the worker that compares them now.
    """

    name = models.CharField(_("name"), max_length=120, unique=True)
    revision = models.PositiveIntegerField(_("revision"), default=0)
    indexed_revision = models.PositiveIntegerField(_("indexed revision"), default=0)
    compared_revision = models.PositiveIntegerField(default=0, editable=False)
    compared_at = models.DateTimeField(null=True, blank=True, editable=False)
    comparing_at = models.DateTimeField(null=True, blank=True, editable=False)
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


class Source(models.Model):
    """A web site whose pages are documents: read when asked, and again every so many hours.

    The row is the queue, as a document's is. `problems` is a list of {"url", "reason", "detail"}: pages that
    gave nothing in the last round, and why.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        RUNNING = "running", _("Being read")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")
        STOPPED = "stopped", _("Stopped")

    knowledge_base = models.ForeignKey(
        KnowledgeBase, models.CASCADE, related_name="sources", verbose_name=_("knowledge base")
    )
    url = models.URLField(_("address"), max_length=500)
    every_h = models.PositiveIntegerField(_("read again every so many hours"), null=True, blank=True)
    most_pages = models.PositiveIntegerField(_("pages at most"), default=500)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED)
    failure = models.TextField(_("what went wrong"), blank=True)
    stop_asked = models.BooleanField(default=False, editable=False)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0, editable=False)
    claimed_at = models.DateTimeField(_("last sign of life"), null=True, blank=True, editable=False)
    began_at = models.DateTimeField(_("being read since"), null=True, blank=True, editable=False)
    now_reading = models.CharField(_("page being read"), max_length=500, blank=True, editable=False)
    pages_changed = models.PositiveIntegerField(_("new or changed pages"), default=0, editable=False)
    pages_same = models.PositiveIntegerField(_("unchanged pages"), default=0, editable=False)
    pages_skipped = models.PositiveIntegerField(_("pages left out"), default=0, editable=False)
    problems = models.JSONField(_("problems"), default=list, blank=True, editable=False)
    read_at = models.DateTimeField(_("last read"), null=True, blank=True, editable=False)
    due_at = models.DateTimeField(_("next reading"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("web site")
        verbose_name_plural = _("web sites")
        ordering = ["url"]
        indexes = [models.Index(fields=["state", "due_at"], name="web_source_queue")]
        constraints = [models.UniqueConstraint(fields=["knowledge_base", "url"], name="source_url_once")]

    def __str__(self) -> str:
        return self.url


class Document(models.Model):
    """One uploaded source, kept as it came in the file store; its text as blocks in its passages.

    A web site's page has its `source`, its `url` to show and, as `page`, what the next crawl compares.
    `editions` are the files it had before, latest first, as {"path", "hash", "type", "at", "by"}.
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
    source = models.ForeignKey(
        Source, models.SET_NULL, null=True, blank=True, related_name="documents", verbose_name=_("web site")
    )
    url = models.CharField(_("address"), max_length=500, blank=True)
    page = models.JSONField(default=dict, blank=True, editable=False)
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
    review_by = models.DateField(_("to be looked at by"), null=True, blank=True)
    editions = models.JSONField(default=list, blank=True, editable=False)

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


class QuestionVariant(models.Model):
    """A question that people gave a passage, beside those of its file; it outlives a new upload.

    The passage is named by its document and heading, as an evaluation case names it.
    """

    class Origin(models.TextChoices):
        HAND = "hand", _("By hand")
        LINK = "link", _("An agent's link")

    document = models.ForeignKey(
        Document, models.CASCADE, related_name="question_variants", verbose_name=_("document")
    )
    heading = models.CharField(_("heading"), max_length=400)
    question = models.CharField(_("question"), max_length=500)
    origin = models.CharField(_("from"), max_length=10, choices=Origin, default=Origin.HAND)
    by = models.CharField(_("added by"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("question variant")
        verbose_name_plural = _("question variants")
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["document", "heading", "question"], name="variant_once")
        ]

    def __str__(self) -> str:
        return self.question[:80]


class Term(models.Model):
    """Words that mean the same to this company: each finds what is written with another."""

    knowledge_base = models.ForeignKey(
        KnowledgeBase, models.CASCADE, related_name="terms", verbose_name=_("knowledge base")
    )
    words = models.JSONField(_("words"), default=list)
    note = models.CharField(_("note"), max_length=200, blank=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("term")
        verbose_name_plural = _("terms")
        ordering = ["pk"]

    def __str__(self) -> str:
        return " = ".join(map(str, self.words))[:80]


class Conflict(models.Model):
    """Two passages alike in what they are about, unlike in a number or a negation.

    `evidence` says where: {"first": [start, end], "second": [start, end], "first_says", "second_says",
    "likeness"}, offsets into the passages' texts in characters.
    """

    class Kind(models.TextChoices):
        FIGURE = "figure", _("Unlike figures")
        NEGATION = "negation", _("One says no")

    class State(models.TextChoices):
        OPEN = "open", _("Open")
        DISMISSED = "dismissed", _("Not a conflict")

    knowledge_base = models.ForeignKey(
        KnowledgeBase, models.CASCADE, related_name="conflicts", verbose_name=_("knowledge base")
    )
    first = models.ForeignKey(Passage, models.CASCADE, related_name="+", verbose_name=_("first passage"))
    second = models.ForeignKey(Passage, models.CASCADE, related_name="+", verbose_name=_("second passage"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind)
    evidence = models.JSONField(_("evidence"), default=dict)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    decided_by = models.CharField(_("decided by"), max_length=150, blank=True)
    found_at = models.DateTimeField(_("found at"))

    class Meta:
        verbose_name = _("conflict")
        verbose_name_plural = _("conflicts")
        ordering = ["-found_at", "pk"]
        constraints = [models.UniqueConstraint(fields=["first", "second"], name="conflict_once")]

    def __str__(self) -> str:
        return f"{self.first} ≠ {self.second}"


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
