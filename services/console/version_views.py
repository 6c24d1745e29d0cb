"""Models → Versions: a task's versions side by side, promoting, rolling back, and asking the live one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from services.console import versions, why
from services.console.models import AuditEntry, ModelVersion
from services.console.storage import storage
from services.errors import InvalidInput, NotAllowed, SuiteError
from services.inference.engine import get_engine
from services.registry.manifest import shipped
from services.registry.store import ModelStore

MOST_TRIED_CHARS = 2000
ASKED_AGAIN = 8
"""How often the version before may answer until the page stops asking again, a second apart."""
TRIED_WITHIN_S = 20.0


@require_GET
@never_cache
def versions_page(request: HttpRequest) -> HttpResponse:
    """A task's versions; two of them compared when the address names them."""
    store = ModelStore(storage())
    names = versions.task_names(store)
    chosen = request.GET.get("task", "")
    if chosen not in names:
        chosen = names[0] if names else ""
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Versions"),
        "opts": ModelVersion._meta,
        "tasks": names,
        "chosen": chosen,
        "may_promote": request.user.has_perm("console.promote_version"),
    }
    if chosen:
        task = versions.look(store, chosen)
        rows = [
            (version, [version.lineage.metrics.get(name) for name in task.metrics])
            for version in task.versions
        ]
        context |= {"task": task, "rows": rows, "history": list(reversed(store.history(chosen)))[:50]}
        context |= _compared(store, chosen, request.GET.getlist("version"))
    return render(request, "console/versions.html", context)


@require_GET
def card_part(request: HttpRequest) -> HttpResponse:
    """A version's model card, as text."""
    try:
        text = versions.card(
            ModelStore(storage()), request.GET.get("task", ""), request.GET.get("version", "")
        )
    except SuiteError as error:
        text = error.detail
    return HttpResponse(
        text or _("This version has no model card."), content_type="text/plain; charset=utf-8"
    )


@require_POST
def act(request: HttpRequest, what: str) -> HttpResponseRedirect:
    """Promote or roll back; then the page again, with what came of it."""
    store, now, task = ModelStore(storage()), timezone.now(), request.POST.get("task", "")
    told = {
        "expected": request.POST.get("expected", ""),
        "who": request.user.get_username(),
        "reason": request.POST.get("reason", ""),
    }
    try:
        if not request.user.has_perm("console.promote_version"):
            raise NotAllowed(_("You may not promote or roll back versions."))
        if what == "promote":
            entry = versions.promote(store, task, request.POST.get("version", ""), now, **told)
        else:
            entry = versions.roll_back(store, task, now, **told)
    except SuiteError as error:
        messages.error(request, error.detail)
    else:
        messages.success(request, _told(entry))
    return redirect(f"{reverse('admin:console_modelversion_changelist')}?{urlencode({'task': task})}")


@require_POST
@never_cache
def try_part(request: HttpRequest) -> HttpResponse:
    """What the live model says of a text, with its version; a person sees a promotion arrive here."""
    task, text = request.POST.get("task", ""), request.POST.get("text", "").strip()
    company = request.POST.get("company", "").strip()
    asked = int(request.POST.get("asked", "0")) if request.POST.get("asked", "0").isdecimal() else 0
    context: dict[str, Any] = {"text": text, "company": company, "task": task, "asked": asked + 1}
    try:
        if not text or len(text) > MOST_TRIED_CHARS:
            raise InvalidInput(_("Write a text of at most %(n)d characters.") % {"n": MOST_TRIED_CHARS})
        scores = get_engine().classify(task, [(text, company or None)], deadline_s=TRIED_WITHIN_S)
        ranked = sorted(zip(scores.labels, scores.probs[0].tolist(), strict=True), key=lambda pair: -pair[1])
        context |= {"answer": ranked[:10], "version": scores.version}
        store = ModelStore(storage())
        live = store.live(task)
        expected = [live.version] if live else store.versions(task)
        answers = any(versions.is_served_as(version, scores.version) for version in expected)
        exchanging = answers is (live is None)
        context["again"] = exchanging and asked < ASKED_AGAIN
        context["live"] = live.version if live else ""
    except SuiteError as error:
        context["problem"] = error.detail
    return render(request, "console/parts/tried.html", context)


@require_POST
@never_cache
def why_part(request: HttpRequest) -> HttpResponse:
    """Which words of a tried text made the answer; one more answer for each word is asked for."""
    task, text = request.POST.get("task", ""), request.POST.get("text", "").strip()
    company = request.POST.get("company", "").strip()
    context: dict[str, Any] = {}
    try:
        if not text or len(text) > MOST_TRIED_CHARS:
            raise InvalidInput(_("Write a text of at most %(n)d characters.") % {"n": MOST_TRIED_CHARS})
        context["why"] = why.explain(get_engine(), task, text, company or None, TRIED_WITHIN_S)
    except SuiteError as error:
        context["problem"] = error.detail
    return render(request, "console/parts/why.html", context)


def _told(entry: AuditEntry) -> str:
    if entry.after:
        told = _("%(version)s serves %(task)s now; running processes take it over within five seconds.")
    elif entry.task in shipped():
        told = _("What came with the product serves %(task)s again, everywhere within five seconds.")
    else:
        told = _("Nothing serves %(task)s any more.")
    return told % {"version": entry.after, "task": entry.task}


def _compared(store: ModelStore, task: str, names: list[str]) -> dict[str, Any]:
    if len(names) != versions.COMPARED:
        return {"compare_hint": bool(names)}
    first, second = names
    try:
        found = store.compare(task, first, second)
    except SuiteError as error:
        return {"compare_problem": error.detail}
    other = [change for change in found.other if change.name not in {"version", "format"}]
    return {"first": first, "second": second, "compared": found, "compared_other": other}
