"""Rows: sources, entries, stories, companies, scores, hourly buckets, alerts, deliveries.

Fields, constraints and small derived properties only. Rows between stages are the queue: a source
whose `next_fetch_at` has come, an entry without `story`, a story without `scored_at`, a company
evaluated up to an hour before now, a delivery without `sent_at`.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _


def new_token() -> str:
    """A token for an acknowledge link, safe in a URL."""
    return secrets.token_urlsafe(24)


class Source(models.Model):
    """Where entries come from: a feed that is polled, or a door they are pushed or imported through."""

    class Kind(models.TextChoices):
        FEED = "feed", _("Feed (RSS, Atom, JSON Feed)")
        PUSH = "push", _("Pushed or imported")

    class State(models.TextChoices):
        OK = "ok", _("OK")
        DEGRADED = "degraded", _("Degraded")
        BACKING_OFF = "backing_off", _("Backing off")
        GONE = "gone", _("Gone")

    name = models.CharField(_("name"), max_length=120)
    slug = models.SlugField(_("key"), max_length=80, unique=True)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind, default=Kind.FEED)
    url = models.URLField(_("feed address"), max_length=1000, blank=True)
    language = models.CharField(_("language"), max_length=10, default="en")
    enabled = models.BooleanField(_("enabled"), default=True)
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.OK)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    last_error = models.CharField(_("last error"), max_length=300, blank=True)
    last_success_at = models.DateTimeField(_("last success"), null=True, blank=True)
    next_fetch_at = models.DateTimeField(_("next look"), null=True, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    etag = models.CharField(max_length=300, blank=True, editable=False)
    last_modified = models.CharField(max_length=100, blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("source")
        verbose_name_plural = _("sources")
        ordering = ["name"]
        indexes = [models.Index(fields=["enabled", "next_fetch_at"], name="source_queue")]

    def __str__(self) -> str:
        return self.name


class Company(models.Model):
    """A company of the watch-list; `surge_state` is the detector's state after `evaluated_at`."""

    slug = models.SlugField(_("key"), max_length=60, unique=True)
    name = models.CharField(_("name"), max_length=120)
    tickers = models.JSONField(_("tickers"), default=list, blank=True)
    aliases = models.JSONField(_("other names"), default=list, blank=True)
    aliases_zh = models.JSONField(_("Chinese names"), default=list, blank=True)
    context = models.JSONField(
        _("context words"),
        default=list,
        blank=True,
        help_text=_("Words near an ambiguous name that confirm it means this company."),
    )
    sector = models.CharField(_("sector"), max_length=80, blank=True)
    watched = models.BooleanField(_("watched"), default=True)
    surge_state = models.JSONField(default=dict, blank=True, editable=False)
    evaluated_at = models.DateTimeField(_("evaluated up to"), null=True, blank=True)

    class Meta:
        verbose_name = _("company")
        verbose_name_plural = _("companies")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Story(models.Model):
    """One piece of news, however many entries repeat it. Everything is counted by stories.

    `happened_at` is when its first entry counts as seen; `vec` is float32 (dim,) as bytes.
    """

    title = models.CharField(_("title"), max_length=500)
    language = models.CharField(_("language"), max_length=10, default="en")
    happened_at = models.DateTimeField(_("first seen"), db_index=True)
    entries_n = models.PositiveIntegerField(_("entries"), default=0)
    vec = models.BinaryField(null=True, editable=False)
    signature = models.BinaryField(null=True, editable=False)
    encoder_version = models.CharField(max_length=120, blank=True, editable=False)
    scored_at = models.DateTimeField(_("scored at"), null=True, blank=True)

    class Meta:
        verbose_name = _("story")
        verbose_name_plural = _("stories")
        ordering = ["-happened_at"]

    def __str__(self) -> str:
        return self.title


class Entry(models.Model):
    """One item of a source, as it came.

    `published_at` is what the source says, when that can be read; `first_seen_at` is when it came here.
    `happened_at` is the time it counts at: never before it was published, never after it was seen.
    """

    source = models.ForeignKey(Source, models.CASCADE, related_name="entries", verbose_name=_("source"))
    external_id = models.CharField(max_length=500)
    url = models.CharField(_("address"), max_length=1000, blank=True)
    canonical_url = models.CharField(max_length=1000, blank=True, db_index=True)
    content_hash = models.CharField(max_length=64, db_index=True)
    title = models.CharField(_("title"), max_length=500)
    body = models.TextField(_("text"), blank=True)
    language = models.CharField(_("language"), max_length=10, default="en")
    published_raw = models.CharField(max_length=100, blank=True)
    published_at = models.DateTimeField(_("published"), null=True, blank=True)
    first_seen_at = models.DateTimeField(_("first seen"))
    happened_at = models.DateTimeField(db_index=True)
    story = models.ForeignKey(
        Story, models.SET_NULL, related_name="entries", null=True, blank=True, verbose_name=_("story")
    )

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        ordering = ["-happened_at"]
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id"], name="entry_external_id_once")
        ]
        indexes = [models.Index(fields=["story", "happened_at", "id"], name="entry_queue")]

    def __str__(self) -> str:
        return self.title


class Mention(models.Model):
    """A watched company in a story; `relevance` 0 to 1, higher when in the title."""

    story = models.ForeignKey(Story, models.CASCADE, related_name="mentions")
    company = models.ForeignKey(Company, models.CASCADE, related_name="mentions")
    relevance = models.FloatField()
    matched = models.CharField(max_length=120)

    class Meta:
        verbose_name = _("mention")
        verbose_name_plural = _("mentions")
        constraints = [models.UniqueConstraint(fields=["story", "company"], name="mention_once")]

    def __str__(self) -> str:
        return f"{self.company} in {self.story}"


class Score(models.Model):
    """What one model version says of a story, for the text (`company` empty) or towards a company.

    Append-only per model version; probabilities 0 to 1 that sum to one.
    """

    story = models.ForeignKey(Story, models.CASCADE, related_name="scores")
    company = models.ForeignKey(Company, models.CASCADE, related_name="scores", null=True, blank=True)
    model_version = models.CharField(max_length=120)
    p_neg = models.FloatField()
    p_neu = models.FloatField()
    p_pos = models.FloatField()
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("score")
        verbose_name_plural = _("scores")
        constraints = [
            models.UniqueConstraint(fields=["story", "company", "model_version"], name="score_once"),
            models.UniqueConstraint(
                fields=["story", "model_version"],
                condition=models.Q(company=None),
                name="score_of_text_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.polarity:+.2f}"

    @property
    def polarity(self) -> float:
        """P(positive) − P(negative), −1 to 1."""
        return self.p_pos - self.p_neg

    @property
    def label(self) -> str:
        """The most probable class."""
        ranked = {"negative": self.p_neg, "neutral": self.p_neu, "positive": self.p_pos}
        return max(ranked, key=lambda name: ranked[name])


class Bucket(models.Model):
    """One hour of one company under one model version: counts of stories and weighted polarity."""

    company = models.ForeignKey(Company, models.CASCADE, related_name="buckets")
    hour = models.DateTimeField()
    model_version = models.CharField(max_length=120)
    n_neg = models.PositiveIntegerField(default=0)
    n_neu = models.PositiveIntegerField(default=0)
    n_pos = models.PositiveIntegerField(default=0)
    sum_w = models.FloatField(default=0.0)
    sum_wv = models.FloatField(default=0.0)

    class Meta:
        verbose_name = _("hour")
        verbose_name_plural = _("hours")
        constraints = [
            models.UniqueConstraint(fields=["company", "hour", "model_version"], name="bucket_once")
        ]

    def __str__(self) -> str:
        return f"{self.company} {self.hour:%Y-%m-%d %H}h"


class Reading(models.Model):
    """What the surge detector said of one company at the end of one hour.

    `frozen` hours are left out of what is usual. `phase` is the state after this hour.
    """

    company = models.ForeignKey(Company, models.CASCADE, related_name="readings")
    hour = models.DateTimeField()
    p_value = models.FloatField()
    level = models.CharField(max_length=10)
    kind = models.CharField(max_length=20)
    phase = models.CharField(max_length=12)
    expected = models.FloatField()
    frozen = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("reading")
        verbose_name_plural = _("readings")
        constraints = [models.UniqueConstraint(fields=["company", "hour"], name="reading_once")]

    def __str__(self) -> str:
        return f"{self.company} {self.hour:%Y-%m-%d %H}h {self.level}"


class Lease(models.Model):
    """Who works on what only one worker may; free again when its holder shows no sign of life."""

    name = models.CharField(max_length=60, unique=True)
    holder = models.CharField(max_length=40, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """One warning about one company, from the hour it fired to the hour it was over.

    `fingerprint` names company, kind and starting hour: the same surge never makes two alerts.
    """

    class Kind(models.TextChoices):
        NEGATIVE_SURGE = "negative_surge", _("Negative surge")
        VOLUME_SURGE = "volume_surge", _("Volume surge")

    class State(models.TextChoices):
        FIRING = "firing", _("Firing")
        RECOVERING = "recovering", _("Recovering")
        RESOLVED = "resolved", _("Resolved")

    company = models.ForeignKey(Company, models.CASCADE, related_name="alerts", verbose_name=_("company"))
    kind = models.CharField(_("kind"), max_length=20, choices=Kind)
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.FIRING)
    fingerprint = models.CharField(max_length=64, unique=True, editable=False)
    started_at = models.DateTimeField(_("started"))
    last_at = models.DateTimeField(_("last above the line"))
    resolved_at = models.DateTimeField(_("over"), null=True, blank=True)
    window_h = models.PositiveSmallIntegerField(_("window in hours"))
    observed = models.FloatField(_("stories seen"))
    expected = models.FloatField(_("stories expected"))
    share = models.FloatField(_("negative share"))
    baseline_share = models.FloatField(_("usual negative share"))
    p_value = models.FloatField(_("chance of this by accident"))
    evidence = models.JSONField(_("stories"), default=list)
    token = models.CharField(max_length=60, default=new_token, unique=True, editable=False)
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True, blank=True)
    acknowledged_by = models.CharField(_("acknowledged by"), max_length=120, blank=True)

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.company}"

    @property
    def message_due_at(self) -> datetime:
        """When the message about it is due: what came later is for the alert's page."""
        return self.started_at


class Recipient(models.Model):
    """Who is told of every negative surge, and in which language."""

    address = models.EmailField(_("email address"), unique=True)
    language = models.CharField(
        _("language"), max_length=10, choices=[("en", _("English")), ("zh-hans", _("Simplified Chinese"))],
        default="en",
    )  # fmt: skip
    enabled = models.BooleanField(_("enabled"), default=True)

    class Meta:
        verbose_name = _("recipient")
        verbose_name_plural = _("recipients")
        ordering = ["address"]

    def __str__(self) -> str:
        return self.address


class Delivery(models.Model):
    """The outbox: one message to one address, written with its alert, sent by a worker, retried."""

    class State(models.TextChoices):
        QUEUED = "queued", _("Queued")
        SENT = "sent", _("Sent")
        DEAD = "dead", _("Given up")

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="deliveries", verbose_name=_("alert"))
    address = models.EmailField(_("to"))
    language = models.CharField(_("language"), max_length=10, default="en")
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_try_at = models.DateTimeField(_("next try"))
    claimed_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    last_error = models.CharField(_("last error"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        constraints = [models.UniqueConstraint(fields=["alert", "address"], name="delivery_once")]

    def __str__(self) -> str:
        return f"{self.address}: {self.get_state_display()}"


class Replay(models.Model):
    """A file of dated entries played through the monitor on a clock of its own.

    `cursor` is how far the replay's clock has come; a killed worker goes on from there.
    """

    class State(models.TextChoices):
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        CANCELLED = "cancelled", _("Cancelled")

    entries_path = models.CharField(max_length=300)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    cursor = models.DateTimeField()
    shift_s = models.BigIntegerField(default=0)
    step_s = models.PositiveIntegerField(default=3600)
    hours_per_s = models.FloatField(default=0.0)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    claimed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("replay")
        verbose_name_plural = _("replays")

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d} – {self.ends_at:%Y-%m-%d}"

    @property
    def progress(self) -> float:
        """Share played, 0 to 1."""
        whole = (self.ends_at - self.starts_at).total_seconds()
        return (self.cursor - self.starts_at).total_seconds() / whole if whole else 1.0
