"""Support → Upkeep: conflicts, what is to be looked at, answers from overdue entries, hits."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatbot import conflicts, tasks, upkeep
from chatbot.conflict_words import Side, sides
from chatbot.models import Conflict, KnowledgeBase, Passage
from services.errors import NotAllowed, SuiteError

MAY_LOOK, MAY_READ_TALKS = "chatbot.view_passage", "chatbot.view_conversation"
MAY_DECIDE, MAY_DATE = "chatbot.change_conflict", "chatbot.change_document"
MOST_SHOWN = 50


def _looking(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page for those who may read the passages."""

    @never_cache
    @staff_member_required
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.has_perm(MAY_LOOK):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return inner


@require_GET
@_looking
def conflicts_page(request: HttpRequest) -> HttpResponse:
    """Passages that contradict each other, side by side; those set aside on demand."""
    context = _page(request, "conflicts")
    state = Conflict.State.DISMISSED if request.GET.get("state") == "dismissed" else Conflict.State.OPEN
    rows = conflicts.in_question(context["base"])
    found = rows.filter(state=state)
    context |= {
        "state": state,
        "cards": [_card(request, row) for row in found[:MOST_SHOWN]],
        "found_n": found.count(),
        "dismissed_n": rows.filter(state=Conflict.State.DISMISSED).count(),
        "most": MOST_SHOWN,
        "may_decide": request.user.has_perm(MAY_DECIDE),
    }
    return render(request, "chatbot/admin/upkeep.html", context)


@require_GET
@_looking
def progress_part(request: HttpRequest) -> HttpResponse:
    """Knowledge bases that are being compared; asked every other second while there are any."""
    active = list(KnowledgeBase.objects.exclude(comparing_at=None).order_by("name"))
    due = conflicts.waiting(timezone.now())
    behind = [
        base for base in KnowledgeBase.objects.filter(pk__in=due).order_by("name") if base not in active
    ]
    response = render(request, "chatbot/admin/upkeep_progress.html", {"active": active, "behind": behind})
    if request.GET.get("was") and not active and not behind:
        response["HX-Refresh"] = "true"
    return response


@require_POST
@_looking
def compare_again(request: HttpRequest) -> HttpResponse:
    """Have every passage compared with every other once more."""
    base = _base(request.POST.get("base", ""), list(KnowledgeBase.objects.all()))
    if not request.user.has_perm(MAY_DECIDE):
        messages.error(request, _("You may not have passages compared."))
    elif conflicts.ask_again(base):
        for base_id in conflicts.waiting(timezone.now()):
            tasks.compare_soon(base_id)
        messages.success(request, _("All passages are being compared; what is found shows up here."))
    return redirect(_back("chatbot-upkeep", request))


@require_POST
@_looking
def decide(request: HttpRequest, conflict_id: int) -> HttpResponse:
    """Set a conflict aside, or open it again; its card with the way back, or the page without scripts."""
    try:
        if not request.user.has_perm(MAY_DECIDE):
            raise NotAllowed(_("You may not decide on conflicts."))
        dismissed = request.POST.get("act") == "dismiss"
        row = conflicts.decide(conflict_id, dismissed=dismissed, who=request.user.get_username())
    except SuiteError as error:
        if request.headers.get("HX-Request"):
            return render(request, "chatbot/admin/upkeep_conflict.html", {"problem": error.detail})
        messages.error(request, error.detail)
        return redirect(_back("chatbot-upkeep", request))
    if request.headers.get("HX-Request"):
        context = {"card": _card(request, row), "may_decide": True, "decided": dismissed}
        return render(request, "chatbot/admin/upkeep_conflict.html", context)
    return redirect(_back("chatbot-upkeep", request))


@require_GET
@_looking
def review_page(request: HttpRequest) -> HttpResponse:
    """What is overdue or soon due, each with its buttons."""
    context = _page(request, "review")
    rows = upkeep.due(context["base"], timezone.localdate())
    context |= {
        "rows": [(one, edit_url(one.document.pk, one.passage.pk if one.passage else None)) for one in rows],
        "undated_n": upkeep.without_date(context["base"]),
        "soon_days": upkeep.SOON.days,
        "months": upkeep.MONTHS,
        "may_date": request.user.has_perm(MAY_DATE),
    }
    return render(request, "chatbot/admin/upkeep_review.html", context)


@require_POST
@_looking
def still_right(request: HttpRequest) -> HttpResponse:
    """Move an entry's date on: it was looked at and is right."""
    try:
        if not request.user.has_perm(MAY_DATE):
            raise NotAllowed(_("You may not change when an entry is looked at."))
        by = upkeep.still_right(
            document=_number(request.POST.get("document")),
            passage=_number(request.POST.get("passage")),
            months=_number(request.POST.get("months")),
            today=timezone.localdate(),
        )
    except SuiteError as error:
        messages.error(request, error.detail)
    else:
        told = {"day": date_format(by, "DATE_FORMAT")}
        messages.success(request, _("Still right: it is to be looked at again by %(day)s.") % told)
    return redirect(_back("chatbot-upkeep-review", request))


@require_GET
@_looking
def expired_page(request: HttpRequest) -> HttpResponse:
    """Answers that quoted an entry after the date it was to be looked at by."""
    if not request.user.has_perm(MAY_READ_TALKS):
        raise PermissionDenied
    context = _page(request, "expired")
    rows = upkeep.expired_answers(context["base"])
    context |= {
        "rows": [
            (one, edit_url(one.quotation.passage.document_id, one.quotation.passage_id)) for one in rows
        ],
        "most": upkeep.MOST_LISTED,
    }
    return render(request, "chatbot/admin/upkeep_expired.html", context)


@require_GET
@_looking
def hits_page(request: HttpRequest) -> HttpResponse:
    """How often each document is quoted, as bars with numbers; those that nobody was answered from."""
    context = _page(request, "hits")
    rows = upkeep.hits(context["base"], timezone.now())
    top = max((one.counts[-1] for one in rows), default=0)
    context |= {
        "quoted": [one for one in rows if one.counts[-1]],
        "never": [one for one in rows if not one.counts[-1]],
        "top": top or 1,
        "total": sum(one.counts[-1] for one in rows),
        "periods": upkeep.PERIODS,
        "longest": max(upkeep.PERIODS),
    }
    return render(request, "chatbot/admin/upkeep_hits.html", context)


@require_GET
@_looking
def hits_file(request: HttpRequest) -> HttpResponse:
    """The hits as a CSV file."""
    base = _base(request.GET.get("base", ""), list(KnowledgeBase.objects.all()))
    lines = upkeep.hits_csv(upkeep.hits(base, timezone.now()))
    return HttpResponse(
        "".join(lines), content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="document-hits.csv"'},
    )  # fmt: skip


def edit_url(document_id: int, passage_id: int | None = None) -> str:
    """Where a passage or its document is edited; the document's own page where there is no editor."""
    try:
        if passage_id is not None:
            return reverse("chatbot-entry-at", args=[passage_id])
        return reverse("chatbot-entry-edit", args=[document_id])
    except NoReverseMatch:
        return reverse("admin:chatbot_document_change", args=[document_id])


def _page(request: HttpRequest, tab: str) -> dict[str, Any]:
    """What every page of the upkeep shows: the knowledge bases to choose from, the tabs with their counts."""
    bases = list(KnowledgeBase.objects.order_by("name"))
    base = _base(request.GET.get("base", ""), bases)
    today = timezone.localdate()
    open_ones = conflicts.in_question(base).filter(state=Conflict.State.OPEN).count()
    overdue = sum(one.days < 0 for one in upkeep.due(base, today))
    tabs = [
        ("conflicts", _("Conflicts"), "chatbot-upkeep", open_ones),
        ("review", _("To be looked at"), "chatbot-upkeep-review", overdue),
        ("hits", _("Hits"), "chatbot-upkeep-hits", None),
    ]
    if request.user.has_perm(MAY_READ_TALKS):
        expired = upkeep.overdue_quotations(base).count()
        tabs.insert(2, ("expired", _("Answers from overdue entries"), "chatbot-upkeep-expired", expired))
    return {
        **admin.site.each_context(request),
        "title": _("Upkeep"),
        "opts": KnowledgeBase._meta,
        "bases": bases,
        "base": base,
        "query": f"?base={base.pk}" if base else "",
        "tab": tab,
        "tabs": tabs,
        "here": next(name for key, _words, name, _n in tabs if key == tab),
    }


def _card(request: HttpRequest, row: Conflict) -> dict[str, Any]:
    """A conflict as it is shown: both sides, each with its source and where it is edited."""

    def side(passage: Passage, told: Side) -> dict[str, Any]:
        start, end = told.span
        place = f"?passage={passage.pk}&start={start}&end={end}#passage-{passage.pk}"
        return {
            "passage": passage,
            "told": told,
            "source": reverse("help-source", args=[passage.document_id]) + place,
            "edit": edit_url(passage.document_id, passage.pk),
        }

    first, second = sides(row)
    return {"row": row, "sides": [side(row.first, first), side(row.second, second)]}


def _base(asked: str, bases: list[KnowledgeBase]) -> KnowledgeBase | None:
    return next((base for base in bases if str(base.pk) == asked), None)


def _back(name: str, request: HttpRequest) -> str:
    asked = _number(request.POST.get("base"))
    return reverse(name) + (f"?base={asked}" if asked else "")


def _number(given: str | None) -> int:
    return int(given) if given and given.isdecimal() and len(given) < 12 else 0
