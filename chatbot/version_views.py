"""Support → Knowledge versions: the list, one version with its cases and changes, publishing, going back."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatbot import differences, evaluation, publishing
from chatbot.models import EvaluationCase, KnowledgeBase, KnowledgeVersion
from chatbot.tasks import index_soon
from services.errors import NotAllowed, SuiteError
from services.inference.engine import get_engine

MAY = "chatbot.publish_knowledgeversion"
STATES = {"draft": "○", "published": "●", "blocked": "▲", "retired": "◌"}


@require_GET
@never_cache
def versions_page(request: HttpRequest) -> HttpResponse:
    """The versions of a knowledge base, newest first, each with its figures beside those it was judged by."""
    bases = list(KnowledgeBase.objects.order_by("name"))
    asked = request.GET.get("base", "")
    chosen = next((base for base in bases if str(base.pk) == asked), bases[0] if bases else None)
    rows = []
    if chosen is not None:
        found = chosen.versions.select_related("knowledge_base").defer("passage_ids", "failing")
        rows = [row_of(version, chosen) for version in found.order_by("-number")]
    context = {
        **admin.site.each_context(request),
        "title": _("Knowledge versions"),
        "opts": KnowledgeVersion._meta,
        "bases": bases,
        "chosen": chosen,
        "rows": rows,
        "earlier": publishing.earlier(chosen) if chosen else None,
        "cases_n": chosen.cases.count() if chosen else 0,
        "may": request.user.has_perm(MAY),
    }
    return render(request, "chatbot/admin/versions.html", context)


@require_GET
@never_cache
def version_page(request: HttpRequest, version_id: int) -> HttpResponse:
    """A version: what the gate says and why, its failing cases, what differs from the live one."""
    version = get_object_or_404(KnowledgeVersion.objects.select_related("knowledge_base"), pk=version_id)
    base = version.knowledge_base
    live = base.live_version
    other = publishing.earlier(base) if live == version else live
    context = {
        **admin.site.each_context(request),
        "title": str(version),
        "opts": KnowledgeVersion._meta,
        "version": version,
        "row": row_of(version, base),
        "live": live,
        "reasons": [
            (publishing.reason_words(reason), reason["blocks"])
            for reason in version.evaluation.get("reasons", [])
        ],
        "figures": _figures(version.evaluation),
        "failing": [(row, _why_words(row["why"])) for row in version.failing],
        "most_failing": evaluation.MOST_FAILING,
        "other": other,
        "differences": differences.between(other, version) if other and version.index_path else None,
        "most_shown": differences.MOST_SHOWN,
        "origins": dict(EvaluationCase.Origin.choices),
        "may": request.user.has_perm(MAY),
    }
    return render(request, "chatbot/admin/version.html", context)


@require_POST
def act(request: HttpRequest, version_id: int) -> HttpResponseRedirect:
    """Make a version live, for the first time or again; then its page, with what came of it."""
    version = get_object_or_404(KnowledgeVersion.objects.select_related("knowledge_base"), pk=version_id)
    expected = request.POST.get("expected", "")
    try:
        if not request.user.has_perm(MAY):
            raise NotAllowed(_("You may not publish or roll back versions."))
        entry = publishing.publish(
            version,
            expected=int(expected) if expected.isdecimal() else None,
            who=request.user.get_username(),
            now=timezone.now(),
            reason=request.POST.get("reason", "")[:500],
            hold="hold" in request.POST,
            encoder=get_engine().encoder().version,
        )
    except SuiteError as error:
        messages.error(request, error.detail)
    else:
        told = {"base": version.knowledge_base, "version": entry.after}
        messages.success(
            request,
            _("“%(base)s” answers from %(version)s now; running processes follow within five seconds.")
            % told,
        )
    return redirect("admin:chatbot_knowledgeversion_change", version.pk)


@require_POST
def judge_again(request: HttpRequest, base_id: int) -> HttpResponseRedirect:
    """Queue the live and the newest version to be judged anew; then the list, where the progress is."""
    base = get_object_or_404(KnowledgeBase, pk=base_id)
    try:
        if not request.user.has_perm(MAY):
            raise NotAllowed(_("You may not have versions judged."))
        if publishing.ask_again(base):
            index_soon(base.pk)
            messages.success(request, _("The cases are being asked; the figures follow."))
        else:
            messages.info(request, _("There is no version to ask yet, or its cases are being asked already."))
    except SuiteError as error:
        messages.error(request, error.detail)
    return redirect(f"{reverse('admin:chatbot_knowledgeversion_changelist')}?base={base.pk}")


@require_GET
@never_cache
def progress_part(request: HttpRequest) -> HttpResponse:
    """Versions that wait, are being built or judged; asked every second while there are any."""
    active = list(
        KnowledgeVersion.objects.filter(judged_at=None).select_related("knowledge_base").defer("passage_ids")
    )
    building = {version.knowledge_base_id for version in active}
    behind = [
        base
        for base in KnowledgeBase.objects.filter(pk__in=publishing.behind()).order_by("name")
        if base.pk not in building
    ]
    context = {"active": active, "behind": behind}
    response = render(request, "chatbot/admin/versions_progress.html", context)
    if request.GET.get("was") and not active and not behind:
        response["HX-Refresh"] = "true"
    return response


def row_of(version: KnowledgeVersion, base: KnowledgeBase) -> dict[str, Any]:
    """A version as a row: its state in words with a mark, and each metric with its change."""
    is_live = base.live_version_id == version.pk
    told, gains = version.evaluation.get("this") or {}, version.evaluation.get("gains") or {}
    metrics = [(told.get(name), (gains.get(name) or {}).get("gain")) for name in evaluation.METRICS]
    words = _("live") if is_live else str(version.get_state_display()).lower()
    if version.judged_at is None and not is_live:
        words = _("being judged") if version.index_path else _("being built")
    return {
        "version": version,
        "is_live": is_live,
        "mark": STATES[version.state],
        "state": words,
        "metrics": metrics,
        "lost": version.evaluation.get("lost"),
    }


def _figures(told: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the comparison: a figure of this version, of the other, the change and its interval."""
    mine, other, gains = told.get("this") or {}, told.get("live") or {}, told.get("gains") or {}
    names = [
        ("recall_at_1", _("Right passage first (recall@1)")),
        ("recall_at_5", _("Among the first five (recall@5)")),
        ("mrr", _("Mean reciprocal rank (MRR)")),
        ("answered_right", _("Answers from the right passage")),
        ("refused_wrongly", _("Not answered though it could be")),
        ("refused", _("Not answered where nothing answers")),
    ]
    rows = []
    for name, words in names:
        now, then = mine.get(name), other.get(name)
        gain = gains.get(name) or {}
        change = gain.get("gain", now - then if now is not None and then is not None else None)
        rows.append({"name": words, "this": now, "other": then, "change": change, **gain})
    return rows


def _why_words(code: str) -> str:
    return {
        "gone": _("its passage is gone"),
        "lost": _("found before, not among the first five now"),
        "answers": _("answered, though nothing answers it"),
        "missed": _("not among the first five"),
    }[code]
