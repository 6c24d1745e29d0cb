"""The operators' lists of the monitor: stories with their sentiment, companies, alerts, sources."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action, display

from sentiment_monitor import delivery
from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Alert, Company, Delivery, Entry, Recipient, Source, Story
from services.conf import load

SIGNS = {"negative": "▼", "neutral": "●", "positive": "▲"}
LABELS = {"negative": "danger", "neutral": "info", "positive": "success"}


class EntryInline(TabularInline):  # type: ignore[misc]
    """The entries that tell a story."""

    model = Entry
    fields = ["title", "source", "shown_url", "happened_at"]
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description=gettext_lazy("Address"))
    def shown_url(self, entry: Entry) -> SafeString | str:
        if not entry.url.startswith(("http://", "https://")):
            return "–"
        return format_html('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>', entry.url)


@admin.register(Story)
class StoryAdmin(ModelAdmin):  # type: ignore[misc]
    """Stories, newest first, with what the model says of them."""

    list_display = ["title", "shown_sentiment", "shown_companies", "entries_n", "happened_at"]
    list_filter = ["mentions__company", "language", ("happened_at", admin.DateFieldListFilter)]
    search_fields = ["title"]
    readonly_fields = ["title", "language", "happened_at", "entries_n", "scored_at", "shown_scores"]
    fields = readonly_fields
    inlines = [EntryInline]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Story]:
        return super().get_queryset(request).prefetch_related("scores__company", "mentions__company")

    @display(description=gettext_lazy("Sentiment"), label=LABELS)
    def shown_sentiment(self, story: Story) -> tuple[str, str]:
        score = next((s for s in story.scores.all() if s.company_id is None), None)
        if score is None:
            return "neutral", _("not scored")
        names = {"negative": _("negative"), "neutral": _("neutral"), "positive": _("positive")}
        return score.label, f"{SIGNS[score.label]} {names[score.label]} {score.polarity:+.2f}"

    @display(description=gettext_lazy("Companies"))
    def shown_companies(self, story: Story) -> SafeString:
        scores = {s.company_id: s for s in story.scores.all()}
        rows = []
        for mention in story.mentions.all():
            score = scores.get(mention.company_id)
            rows.append((mention.company.name, f" {SIGNS[score.label]}" if score else ""))
        return format_html_join(", ", "{}{}", rows) or SafeString("–")

    @display(description=gettext_lazy("Scores"))
    def shown_scores(self, story: Story) -> SafeString:
        rows = [
            (
                s.company.name if s.company else _("the whole text"),
                f"{s.polarity:+.2f}",
                f"{s.p_neg:.2f} / {s.p_neu:.2f} / {s.p_pos:.2f}",
                s.model_version,
            )
            for s in story.scores.all()
        ]
        head = _("(negative / neutral / positive)")
        return format_html(
            "{}{}",
            format_html_join("", "<div>{}: <b>{}</b> · {} · <code>{}</code></div>", rows),
            head if rows else _("not scored: the live model does not read this language"),
        )


@admin.register(Company)
class CompanyAdmin(ModelAdmin):  # type: ignore[misc]
    """The watch-list."""

    list_display = ["name", "shown_tickers", "sector", "watched", "evaluated_at"]
    list_filter = ["watched", "sector"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    readonly_fields = ["evaluated_at"]

    @display(description=gettext_lazy("Tickers"))
    def shown_tickers(self, company: Company) -> str:
        return ", ".join(company.tickers)


@admin.register(Alert)
class AlertAdmin(ModelAdmin):  # type: ignore[misc]
    """Alerts, newest first; a row opens the alert's page with its evidence."""

    list_display = ["shown_what", "shown_state", "started_at", "shown_numbers", "acknowledged_at"]
    list_filter = ["state", "kind", "company", ("acknowledged_at", admin.EmptyFieldListFilter)]
    search_fields = ["company__name"]
    list_select_related = ["company"]
    actions = ["acknowledge"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return redirect("monitor-alert", alert_id=int(object_id))

    @action(description=gettext_lazy("Acknowledge"))
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Say that the chosen alerts have been seen."""
        n = queryset.filter(acknowledged_at=None).update(
            acknowledged_at=timezone.now(), acknowledged_by=request.user.get_username()
        )
        messages.success(request, _("%(n)d alerts acknowledged.") % {"n": n})

    @display(description=gettext_lazy("Alert"), header=True)
    def shown_what(self, alert: Alert) -> list[str]:
        return [alert.company.name, alert.get_kind_display()]

    @display(
        description=gettext_lazy("State"),
        label={"firing": "danger", "recovering": "warning", "resolved": "success"},
    )
    def shown_state(self, alert: Alert) -> tuple[str, str]:
        return alert.state, alert.get_state_display()

    @display(description=gettext_lazy("Seen / expected"))
    def shown_numbers(self, alert: Alert) -> str:
        return _("%(seen)d in %(hours)d h / %(expected).1f") % {
            "seen": alert.observed,
            "hours": alert.window_h,
            "expected": alert.expected,
        }


@admin.register(Source)
class SourceAdmin(ModelAdmin):  # type: ignore[misc]
    """Sources with their health; the next look says that none is ever given up."""

    list_display = ["name", "shown_state", "shown_entries", "last_success_at", "next_fetch_at", "last_error"]
    list_filter = ["state", "kind", "enabled", "language"]
    search_fields = ["name", "slug", "url"]
    prepopulated_fields = {"slug": ["name"]}
    fields = [
        "name", "slug", "kind", "url", "language", "enabled", "state", "failures", "last_error",
        "last_success_at", "next_fetch_at",
    ]  # fmt: skip
    readonly_fields = ["state", "failures", "last_error", "last_success_at", "next_fetch_at"]
    actions = ["look_now"]

    @action(description=gettext_lazy("Look now"))
    def look_now(self, request: HttpRequest, queryset: QuerySet[Source]) -> None:
        """Ask the workers to look at the chosen feeds at once."""
        queryset.update(next_fetch_at=timezone.now(), claimed_at=None)
        messages.success(request, _("A worker looks at them within seconds."))

    @display(
        description=gettext_lazy("State"),
        label={"ok": "success", "degraded": "warning", "backing_off": "warning", "gone": "danger"},
    )
    def shown_state(self, source: Source) -> tuple[str, str]:
        return source.state, source.get_state_display()

    @display(description=gettext_lazy("Entries"))
    def shown_entries(self, source: Source) -> int:
        return source.entries.count()


@admin.register(Delivery)
class DeliveryAdmin(ModelAdmin):  # type: ignore[misc]
    """The outbox: what was sent to whom, what waits, what was given up."""

    list_display = ["address", "shown_alert", "shown_state", "attempts", "sent_at", "last_error"]
    list_filter = ["state"]
    search_fields = ["address"]
    list_select_related = ["alert__company"]
    actions = ["redeliver"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Delivery | None = None) -> bool:
        return False

    @action(description=gettext_lazy("Send again"))
    def redeliver(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        """Queue the chosen messages once more."""
        queryset.update(state=Delivery.State.QUEUED, attempts=0, next_try_at=timezone.now(), claimed_at=None)
        messages.success(request, _("Queued again."))

    @display(description=gettext_lazy("Alert"))
    def shown_alert(self, message: Delivery) -> SafeString:
        url = reverse("monitor-alert", args=[message.alert_id])
        return format_html('<a href="{}">{}</a>', url, message.alert)

    @display(description=gettext_lazy("State"), label={"queued": "info", "sent": "success", "dead": "danger"})
    def shown_state(self, message: Delivery) -> tuple[str, str]:
        return message.state, message.get_state_display()


@admin.register(Recipient)
class RecipientAdmin(ModelAdmin):  # type: ignore[misc]
    """Who is told; "send a test" proves that the way is open."""

    list_display = ["address", "language", "enabled"]
    list_filter = ["enabled", "language"]
    search_fields = ["address"]
    actions = ["send_test"]

    @action(description=gettext_lazy("Send a test"))
    def send_test(self, request: HttpRequest, queryset: QuerySet[Recipient]) -> None:
        """Send each chosen address a short message now, and say what became of it."""
        for recipient in queryset:
            problem = delivery.send_test(recipient, load(MonitorSettings).email_from)
            if problem:
                messages.error(request, f"{recipient.address}: {problem}")
            else:
                messages.success(request, _("%(address)s: sent.") % {"address": recipient.address})
