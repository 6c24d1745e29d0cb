"""The monitor's pages: dashboard, alert with its evidence, acknowledge link."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from sentiment_monitor import alerts, dashboard, delivery, evidence, replay
from sentiment_monitor.models import Alert, Company


@require_GET
@staff_member_required
def dashboard_page(request: HttpRequest) -> HttpResponse:
    """Index and volume over time, companies by their bad news, open alerts, sources in trouble."""
    range_name, company = _asked(request)
    now = timezone.now()
    company_id = company.pk if company else None
    context = {
        **admin.site.each_context(request),
        "title": _("Monitor"),
        "range": range_name,
        "ranges": list(dashboard.RANGES),
        "company": company,
        "overview": dashboard.overview(range_name, now, company_id),
        "stories": dashboard.latest_stories(company_id, now),
        "replay": replay.running(),
    }
    return render(request, "sentiment_monitor/dashboard.html", context)


@require_GET
@staff_member_required
def series_json(request: HttpRequest) -> JsonResponse:
    """The chart's numbers, for one company or for all."""
    range_name, company = _asked(request)
    line = dashboard.line(company.pk if company else None, range_name, timezone.now())
    return JsonResponse(asdict(line))


@require_GET
@staff_member_required
def progress(request: HttpRequest) -> HttpResponse:
    """The running replay as an htmx partial; it asks for the whole page once the replay is over."""
    playing = replay.running()
    response = render(request, "sentiment_monitor/progress.html", {"replay": playing})
    if request.GET.get("was") and playing is None:
        response["HX-Refresh"] = "true"
    return response


@require_GET
@staff_member_required
def alert_page(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Why it fired, the hours around it, its stories with their sources, who was told."""
    alert = get_object_or_404(Alert.objects.select_related("company"), pk=alert_id)
    found = evidence.gather(alert, timezone.now())
    context = {
        **admin.site.each_context(request),
        "title": str(alert),
        "alert": alert,
        "why": delivery.why_now(alert),
        "stories": found.stories,
        "hours": [{"at": h.at.isoformat(), "neg": h.n_neg, "all": h.n_all} for h in found.hours],
        "deliveries": alert.deliveries.order_by("address"),
    }
    return render(request, "sentiment_monitor/alert.html", context)


@require_POST
@staff_member_required
def acknowledge_here(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Acknowledge from the console, or take it back."""
    alert = get_object_or_404(Alert, pk=alert_id)
    if request.POST.get("undo"):
        alerts.take_back(alert)
    else:
        alerts.acknowledge(alert, request.user.get_username(), timezone.now())
    return redirect("monitor-alert", alert_id=alert.pk)


@require_http_methods(["GET", "POST"])
def acknowledge(request: HttpRequest, token: str) -> HttpResponse:
    """The link in the email: shows what it is about, and acknowledges on a click.

    A GET changes nothing, since mail programs open links by themselves.
    """
    alert = Alert.objects.select_related("company").filter(token=token).first()
    if alert is None:
        raise Http404
    if request.method == "POST":
        alerts.acknowledge(alert, _("link in the email"), timezone.now())
        return redirect(request.path)
    return render(
        request, "sentiment_monitor/acknowledge.html", {"alert": alert, "why": delivery.why_now(alert)}
    )


def _asked(request: HttpRequest) -> tuple[str, Company | None]:
    range_name = request.GET.get("range", "30d")
    company: Any = Company.objects.filter(slug=request.GET.get("company", "")).first()
    return (range_name if range_name in dashboard.RANGES else "30d"), company
