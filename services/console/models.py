"""Rows the whole suite shares: keys, processes with an engine, examples, training runs, the audit log."""

from __future__ import annotations

from django.core import validators
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from services.training.verdict import Reason


class ApiKey(models.Model):
    """A key for programs. Only its SHA-256 is kept; `prefix` is what people recognise it by."""

    class Scope(models.TextChoices):
        RECOMMENDER_READ = "recommender:read", _("Recommender: ask for recommendations")
        RECOMMENDER_WRITE = "recommender:write", _("Recommender: send items, users and events")
        MONITOR_WRITE = "monitor:write", _("Monitor: send entries")
        KNOWLEDGE_READ = "knowledge:read", _("Knowledge: list documents and their states")
        KNOWLEDGE_WRITE = "knowledge:write", _("Knowledge: upload and delete documents")

    name = models.CharField(_("name"), max_length=120)
    prefix = models.CharField(_("begins with"), max_length=12, editable=False)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(_("may"), default=list)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class EngineProcess(models.Model):
    """A process that serves with an engine of its own, and what it last said of it.

    `report` is a `services.inference.meters.Report` whose empty moments are left out, `models` a list of
    `ModelInfo`; both as JSON of the version that wrote them, so readers expect fields to be missing.
    """

    class Role(models.TextChoices):
        WEB = "web", _("web")
        WORKER = "worker", _("worker")

    role = models.CharField(_("role"), max_length=20, choices=Role.choices)
    host = models.CharField(_("host"), max_length=255)
    pid = models.PositiveBigIntegerField(_("process id"))
    started_at = models.DateTimeField(_("engine started at"))
    seen_at = models.DateTimeField(_("last seen at"), db_index=True)
    trouble = models.CharField(_("error code"), max_length=60, blank=True)
    """Why the engine could not be asked at `seen_at`; the report is then an older one."""
    report = models.JSONField(_("report"), default=dict)
    models = models.JSONField(_("models"), default=list)

    class Meta:
        verbose_name = _("process with an engine")
        verbose_name_plural = _("processes with an engine")
        ordering = ["role", "host", "pid"]
        constraints = [
            models.UniqueConstraint(fields=["role", "host", "pid"], name="console_engine_process_once")
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What people recognise it by: "worker on web-1 (4211)"."""
        names = {"role": self.get_role_display(), "host": self.host, "pid": self.pid}
        return str(_("%(role)s on %(host)s (%(pid)d)")) % names


class Dataset(models.Model):
    """Texts to learn from, for one task. `labels` in the order people see them; empty lets a file say."""

    class Shape(models.TextChoices):
        LABELLED = "labelled", _("one label a text")
        MULTI = "multi", _("several labels a text")
        SPANS = "spans", _("named things in a text")
        PAIRS = "pairs", _("questions with their answers")
        REWRITES = "rewrites", _("texts and what they become")
        DIALOGUES = "dialogues", _("dialogues")
        TEXTS = "texts", _("texts alone")

    name = models.CharField(_("name"), max_length=120, unique=True)
    task = models.CharField(
        _("task"),
        max_length=60,
        validators=[
            validators.RegexValidator(r"\A[a-z0-9][a-z0-9._-]*\Z", _("Use small letters, digits and . _ -"))
        ],
        help_text=_("What the model is asked for, such as sentiment."),
    )
    shape = models.CharField(_("shape"), max_length=12, choices=Shape.choices, default=Shape.LABELLED)
    labels = models.JSONField(_("labels"), default=list, blank=True)
    licence = models.CharField(
        _("licence"), max_length=120, blank=True, help_text=_("Kept with every version trained on it.")
    )
    languages = models.JSONField(_("languages"), default=list, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("data set")
        verbose_name_plural = _("data sets")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class DatasetRow(models.Model):
    """One example, or a text that waits for its label.

    `data` holds the fields of a `services.training.dataset.Example` that have no column here; `key` is the
    same for rows that differ at most in their labels. `uncertainty` 0 (sure) to 1, of the suggestion.
    """

    class State(models.TextChoices):
        LABELLED = "labelled", _("labelled")
        OPEN = "open", _("open")
        SKIPPED = "skipped", _("skipped")

    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, related_name="rows", verbose_name=_("data set")
    )
    position = models.PositiveIntegerField(_("row"))
    text = models.TextField(_("text"))
    entity = models.TextField(_("company"), blank=True)
    label = models.TextField(_("label"), blank=True)
    data = models.JSONField(_("more"), default=dict, blank=True)
    key = models.CharField(max_length=32, editable=False)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.OPEN)
    labelled_by = models.CharField(_("labelled by"), max_length=150, blank=True)
    labelled_at = models.DateTimeField(_("labelled at"), null=True, blank=True)
    suggestion = models.TextField(_("suggestion"), blank=True)
    suggested_p = models.FloatField(_("its probability"), null=True, blank=True)
    uncertainty = models.FloatField(_("uncertainty"), null=True, blank=True)

    class Meta:
        verbose_name = _("row")
        verbose_name_plural = _("rows")
        ordering = ["dataset", "position"]
        indexes = [
            models.Index(fields=["dataset", "position"], name="console_row_position"),
            models.Index(fields=["dataset", "key"], name="console_row_key"),
            models.Index(fields=["dataset", "state"], name="console_row_state"),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class DatasetJob(models.Model):
    """Work on a data set in the background: reading a file, or asking the live model for suggestions.

    `done` counts what is finished and kept; whoever takes the job up again goes on from there.
    """

    class Kind(models.TextChoices):
        EXAMPLES = "examples", _("import of examples")
        TEXTS = "texts", _("import of texts to label")
        SUGGEST = "suggest", _("suggestions")

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, related_name="jobs", verbose_name=_("data set")
    )
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.QUEUED)
    filename = models.CharField(_("file"), max_length=200, blank=True)
    file = models.CharField(max_length=300, blank=True, editable=False)
    done = models.PositiveIntegerField(_("done"), default=0)
    total = models.PositiveIntegerField(_("of"), default=0)
    added = models.PositiveIntegerField(_("added"), default=0)
    problems_n = models.PositiveIntegerField(_("lines that cannot be used"), default=0)
    problems = models.JSONField(_("the first of them"), default=list)
    version = models.CharField(_("model version"), max_length=120, blank=True)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error_detail = models.TextField(_("what went wrong"), blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_by = models.CharField(_("by"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.filename or str(self.get_kind_display())


class TrainingRun(models.Model):
    """A training run: what was asked, how far it is, what came of it.

    `order` is a `services.training.order.Order` as JSON, `outcome` an Outcome's metrics and report.
    Whoever performs it holds it by `attempt`: a write for an earlier attempt changes nothing.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    task = models.CharField(_("task"), max_length=60)
    recipe = models.CharField(_("recipe"), max_length=60)
    order = models.JSONField(_("order"), default=dict)
    datasets = models.ManyToManyField(Dataset, related_name="runs", verbose_name=_("data sets"))
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.QUEUED, db_index=True
    )
    stage = models.CharField(_("stage"), max_length=40, blank=True)
    done = models.PositiveIntegerField(_("steps done"), default=0)
    total = models.PositiveIntegerField(_("steps"), default=0)
    eta_s = models.FloatField(_("seconds left in the stage"), null=True, blank=True)
    log = models.TextField(_("log"), blank=True)
    heartbeat_at = models.DateTimeField(_("last sign of life"), null=True, blank=True)
    nudged_at = models.DateTimeField(null=True, blank=True, editable=False)
    worker = models.CharField(_("worker"), max_length=300, blank=True)
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    cancel_requested_at = models.DateTimeField(_("asked to stop at"), null=True, blank=True)
    error_code = models.CharField(_("error code"), max_length=60, blank=True)
    error_detail = models.TextField(_("what went wrong"), blank=True)
    outcome = models.JSONField(_("outcome"), default=dict, blank=True)
    version = models.CharField(_("version"), max_length=120, blank=True)
    passed = models.BooleanField(_("passed the gate"), null=True, blank=True)
    reasons = models.JSONField(_("reasons"), default=list, blank=True)
    created_by = models.CharField(_("started by"), max_length=150, blank=True)
    created_at = models.DateTimeField(_("asked for at"), auto_now_add=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("training run")
        verbose_name_plural = _("training runs")
        ordering = ["-pk"]

    def __str__(self) -> str:
        return str(_("Run %(n)d: %(task)s")) % {"n": self.pk or 0, "task": self.task}

    @property
    def over(self) -> bool:
        """Whether nothing happens any more."""
        return self.state in {self.State.DONE, self.State.FAILED, self.State.CANCELLED}

    @property
    def gate_says(self) -> list[str]:
        """The gate's reasons in the reader's language, in English where only that was kept."""
        known = self.outcome.get("report", {}).get("gate", {}).get("reasons")
        if not known:
            return list(self.reasons)
        return [Reason(one["code"], one["values"]).text(gettext) for one in known]


class TrainingPoint(models.Model):
    """One point of a run's curve: `curve` is loss, learning_rate, validation_loss, validation_macro_f1."""

    id: int
    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="points")
    curve = models.CharField(max_length=60)
    step = models.PositiveIntegerField()
    value = models.FloatField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.curve} {self.step}: {self.value:g}"


class TrainingSchedule(models.Model):
    """A run to do again: every so many days, or once so many labels have come in, whichever is first."""

    like = models.ForeignKey(
        TrainingRun,
        on_delete=models.PROTECT,
        related_name="schedules",
        verbose_name=_("a run like"),
        help_text=_("Its task, data sets, recipe and parameters are used."),
    )
    every_days = models.PositiveIntegerField(
        _("every so many days"), null=True, blank=True, validators=[validators.MinValueValidator(1)]
    )
    new_labels = models.PositiveIntegerField(
        _("or after so many new labels"), null=True, blank=True, validators=[validators.MinValueValidator(1)]
    )
    on = models.BooleanField(_("on"), default=True)
    last_at = models.DateTimeField(_("last started"), null=True, blank=True, editable=False)
    last_run = models.ForeignKey(
        TrainingRun,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        verbose_name=_("last run"),
    )
    labels_then = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("training schedule")
        verbose_name_plural = _("training schedules")
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(every_days__isnull=False) | models.Q(new_labels__isnull=False),
                name="console_schedule_has_a_time",
                violation_error_message=_("Say after how many days, or after how many new labels."),
            )
        ]

    def __str__(self) -> str:
        return str(_("%(task)s again")) % {"task": self.like.task}


class AuditEntry(models.Model):
    """Who changed which model serves, when, and why. Written once, never changed."""

    class Act(models.TextChoices):
        PROMOTED = "promoted", _("promoted")
        OVERRIDDEN = "overridden", _("promoted against the gate")
        ROLLED_BACK = "rolled_back", _("rolled back")

    at = models.DateTimeField(_("at"), db_index=True)
    who = models.CharField(_("who"), max_length=150)
    act = models.CharField(_("what"), max_length=20, choices=Act.choices)
    task = models.CharField(_("task"), max_length=60)
    before = models.CharField(_("version before"), max_length=120, blank=True)
    after = models.CharField(_("version after"), max_length=120)
    reason = models.TextField(_("why"), blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit log")
        ordering = ["-at", "-pk"]

    def __str__(self) -> str:
        return f"{self.task}: {self.before or '–'} → {self.after}"


class ModelVersion(AuditEntry):
    """Versions live in the file store and have no rows; this gives their page its place and permission."""

    class Meta:
        proxy = True
        verbose_name = _("version")
        verbose_name_plural = _("versions")
        permissions = [("promote_version", "Can promote and roll back model versions")]
