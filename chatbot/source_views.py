"""Support → Web sites: the list, the form of a new one, one with its progress, problems and documents."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatbot import actions, site_reading, sources
from chatbot.conf import ChatbotSettings
from chatbot.models import Document, KnowledgeBase, Source
from chatbot.tasks import index_soon, read_soon
from services.conf import load
from services.errors import InvalidInput, NotAllowed, SuiteError

DAILY_H, WEEKLY_H = 24, 168
ACTIVE = (Source.State.QUEUED, Source.State.RUNNING)
MAY = {"read": "change_source", "stop": "change_source", "often": "change_source", "remove": "delete_source"}


@require_GET
@never_cache
def sites_page(request: HttpRequest) -> HttpResponse:
    """The web sites with their state, how many pages they gave, and when each is read again."""
    words = request.GET.get("q", "").strip()
    found = _rows().filter(url__icontains=words) if words else _rows()
    context = {
        **admin.site.each_context(request),
        "title": _("Web sites"),
        "opts": Source._meta,
        "rows": [(source, often_words(source)) for source in found],
        "words": words,
        "has_bases": KnowledgeBase.objects.exists(),
        "may_add": request.user.has_perm("chatbot.add_source"),
    }
    return render(request, "chatbot/admin/sites.html", context)


@require_GET
@never_cache
def site_page(request: HttpRequest, source_id: int) -> HttpResponse:
    """One web site: how far it is read, why pages are not in the knowledge, and what can be done."""
    return _site_page(request, get_object_or_404(_rows(), pk=source_id))


@never_cache
def add_page(request: HttpRequest) -> HttpResponse:
    """The form of a new web site; posted, kept and queued, or shown again with what is wrong at its field."""
    if not request.user.has_perm("chatbot.add_source"):
        raise PermissionDenied
    given: dict[str, Any] = {"often": "", "most_pages": "500"}
    wrong: dict[str, str] = {}
    if request.method == "POST":
        given = request.POST.dict()
        try:
            source = _added(request)
        except InvalidInput as error:
            wrong = {error.field or "url": error.detail}
        else:
            read_soon(source.pk)
            messages.success(request, _("The web site is being read; its pages appear as they come."))
            return redirect("admin:chatbot_source_change", source.pk)
    context = {
        **admin.site.each_context(request),
        "title": _("Add a web site"),
        "opts": Source._meta,
        "bases": KnowledgeBase.objects.order_by("name"),
        "given": given,
        "wrong": wrong,
        "most": sources.MOST_PAGES,
    }
    return render(request, "chatbot/admin/site_add.html", context, status=422 if wrong else 200)


@require_POST
def act(request: HttpRequest, source_id: int, what: str) -> HttpResponse:
    """Read a web site now, stop that, change how often it is read, or remove it."""
    source = get_object_or_404(_rows(), pk=source_id)
    try:
        if not request.user.has_perm(f"chatbot.{MAY[what]}"):
            raise NotAllowed(_("You may not do this with web sites."))
        return _DO[what](request, source)
    except InvalidInput as error:
        return _site_page(request, source, {error.field or "": error.detail})
    except SuiteError as error:
        messages.error(request, error.detail)
        return redirect("admin:chatbot_source_change", source.pk)


@require_GET
@never_cache
def progress_part(request: HttpRequest) -> HttpResponse:
    """Web sites that wait or are being read, or the one asked for; asked every second while there are any."""
    asked = request.GET.get("source", "")
    rows = Source.objects.filter(state__in=ACTIVE)
    active = rows.filter(pk=int(asked)) if asked.isdecimal() and len(asked) < 12 else rows
    context = {
        "active": [(source, source.pages_changed + source.pages_same) for source in active],
        "asked": asked if asked.isdecimal() else "",
    }
    response = render(request, "chatbot/admin/sites_progress.html", context)
    was = request.GET.get("was", "")
    changed = was in ACTIVE and [source.state for source in active] != [was]
    if changed or (was == "1" and not context["active"]):
        response["HX-Refresh"] = "true"
    return response


def often_words(source: Source) -> str:
    """How often a web site is read, in words."""
    if source.every_h is None:
        return _("by hand")
    if source.every_h == DAILY_H:
        return _("every day")
    if source.every_h == WEEKLY_H:
        return _("every week")
    return ngettext("every hour", "every %(n)d hours", source.every_h) % {"n": source.every_h}


def _rows() -> QuerySet[Any]:
    shown = ~Q(documents__state=Document.State.REMOVED)
    failed = Q(documents__state=Document.State.FAILED)
    counted = Source.objects.select_related("knowledge_base").annotate(
        documents_n=Count("documents", filter=shown), failed_n=Count("documents", filter=failed)
    )
    return counted.order_by("url", "pk")


def _site_page(request: HttpRequest, source: Any, wrong: dict[str, str] | None = None) -> HttpResponse:
    often = {None: "", DAILY_H: "day", WEEKLY_H: "week"}.get(source.every_h, "hours")
    given = {
        "often": often,
        "hours": source.every_h if often == "hours" else "",
        "most_pages": source.most_pages,
    }
    context = {
        **admin.site.each_context(request),
        "title": source.url,
        "opts": Source._meta,
        "source": source,
        "active": source.state in ACTIVE,
        "often": often_words(source),
        "problems": [(row, site_reading.problem_words(row["reason"])) for row in source.problems],
        "most_problems": site_reading.MOST_PROBLEMS,
        "given": request.POST.dict() if wrong else given,
        "wrong": wrong or {},
        "most": sources.MOST_PAGES,
        "may_change": request.user.has_perm("chatbot.change_source"),
        "may_remove": request.user.has_perm("chatbot.delete_source"),
    }
    return render(request, "chatbot/admin/site.html", context, status=422 if wrong else 200)


def _added(request: HttpRequest) -> Source:
    asked = request.POST.get("base", "")
    base = KnowledgeBase.objects.filter(pk=int(asked)).first() if asked.isdecimal() else None
    if base is None:
        raise InvalidInput(_("Choose a knowledge base."), field="base")
    return sources.add(
        base,
        request.POST.get("url", ""),
        every_h=_every_h(request),
        most_pages=_number(request, "most_pages"),
        allow_hosts=actions.hosts_of(load(ChatbotSettings).chatbot_site_hosts),
    )


def _read(request: HttpRequest, source: Source) -> HttpResponseRedirect:
    sources.ask(source)
    read_soon(source.pk)
    messages.success(request, _("The web site is being read; only what changed is taken in."))
    return redirect("admin:chatbot_source_change", source.pk)


def _stop(request: HttpRequest, source: Source) -> HttpResponseRedirect:
    sources.stop(source)
    messages.success(request, _("Reading stops within seconds. What was read stays."))
    return redirect("admin:chatbot_source_change", source.pk)


def _change(request: HttpRequest, source: Source) -> HttpResponseRedirect:
    sources.change(
        source, every_h=_every_h(request), most_pages=_number(request, "most_pages"), now=timezone.now()
    )
    messages.success(request, _("Kept."))
    return redirect("admin:chatbot_source_change", source.pk)


def _remove(request: HttpRequest, source: Source) -> HttpResponseRedirect:
    keeps = {"keep": True, "remove": False}.get(request.POST.get("documents", ""))
    if keeps is None:
        raise InvalidInput(_("Choose what becomes of its documents."), field="documents")
    url, n = source.url, sources.remove(source, timezone.now(), keep_documents=keeps)
    index_soon(source.knowledge_base_id)
    if keeps:
        words = ngettext(
            "%(url)s is removed; its %(n)d document stays.",
            "%(url)s is removed; its %(n)d documents stay.",
            n,
        )
    else:
        words = ngettext(
            "%(url)s is removed, and its %(n)d document with it.",
            "%(url)s is removed, and its %(n)d documents with it.",
            n,
        )
    messages.success(request, words % {"url": url, "n": n})
    return redirect("admin:chatbot_source_changelist")


def _every_h(request: HttpRequest) -> int | None:
    often = request.POST.get("often", "")
    if often not in {"", "day", "week", "hours"}:
        raise InvalidInput(_("Choose how often the web site is read."), field="often")
    if often == "hours":
        return _number(request, "hours")
    return {"": None, "day": DAILY_H, "week": WEEKLY_H}[often]


def _number(request: HttpRequest, name: str) -> int:
    """A posted number; one that is none is out of every range, and told so by the room."""
    given = request.POST.get(name, "").strip()
    field = {"hours": "every_h"}.get(name, name)
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise InvalidInput(_("Write a whole number."), field=field)
    return int(given)


_DO = {"read": _read, "stop": _stop, "often": _change, "remove": _remove}
