"""Rows the whole suite shares: keys for the API, processes with an engine."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ApiKey(models.Model):
    """A key for programs. Only its SHA-256 is kept; `prefix` is what people recognise it by."""

    class Scope(models.TextChoices):
        RECOMMENDER_READ = "recommender:read", _("Recommender: ask for recommendations")
        RECOMMENDER_WRITE = "recommender:write", _("Recommender: send items, users and events")
        MONITOR_WRITE = "monitor:write", _("Monitor: send entries")

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
