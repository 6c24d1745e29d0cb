"""Support → Evaluation cases: the form of one, files in and out, and how the live version does on them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from chatbot import cases
from chatbot.models import EvaluationCase, KnowledgeBase, Passage
from services.errors import InvalidInput, SuiteError

MOST_FILE_BYTES = 4 * 2**20
SHOWN_PROBLEMS = 50


@never_cache
def case_page(request: HttpRequest, case_id: int | None = None) -> HttpResponse:
    """The form of a case; posted, kept, or shown again with what is wrong at its field."""
    case = (
        get_object_or_404(EvaluationCase.objects.select_related("document"), pk=case_id) if case_id else None
    )
    may = request.user.has_perm("chatbot.change_evaluationcase" if case else "chatbot.add_evaluationcase")
    if not may and (case is None or request.method == "POST"):
        raise PermissionDenied
    base = case.knowledge_base if case else _base(request)
    passage = _passage_of(case)
    given: dict[str, Any] = {
        "question": case.question if case else request.GET.get("question", ""),
        "unanswerable": case is not None and not case.answerable,
    }
    wrong: dict[str, str] = {}
    if request.method == "POST":
        given = {"question": request.POST.get("question", ""), "unanswerable": "unanswerable" in request.POST}
        try:
            passage = None if given["unanswerable"] else _chosen(request)
            if base is None:
                raise InvalidInput(_("Choose a knowledge base."), field="base")
            if passage is None and not given["unanswerable"]:
                raise InvalidInput(
                    _("Choose the passage that answers it, or say that none does."), field="passage"
                )
            cases.keep(base, given["question"], passage, row=case)
        except InvalidInput as error:
            wrong = {error.field or "question": error.detail}
        else:
            messages.success(request, _("The case is kept; the next version is judged on it too."))
            again = "another" in request.POST and base is not None
            if again:
                return redirect(f"{request.path}?base={base.pk if base else ''}")
            return redirect("admin:chatbot_evaluationcase_changelist")
    context = {
        **admin.site.each_context(request),
        "title": _("Evaluation case") if case else _("Add a case"),
        "opts": EvaluationCase._meta,
        "case": case,
        "base": base,
        "bases": KnowledgeBase.objects.order_by("name"),
        "given": given,
        "wrong": wrong,
        "passages": [passage] if passage else [],
        "picked": passage.pk if passage else None,
        "is_gone": case is not None and case.answerable and passage is None,
        "may": may,
    }
    return render(request, "chatbot/admin/case.html", context, status=422 if wrong else 200)


@require_GET
def passages_part(request: HttpRequest) -> HttpResponse:
    """Passages that hold the words looked for, to pick one of."""
    base, words = _base(request), request.GET.get("words", "").strip()
    context = {
        "passages": cases.look_up(base, words) if base is not None and words else [],
        "words": words,
        "picked": None,
    }
    return render(request, "chatbot/admin/case_passages.html", context)


@never_cache
def import_page(request: HttpRequest) -> HttpResponse:
    """Cases from a file; posted, what came of it, with each line that cannot be used."""
    if not request.user.has_perm("chatbot.add_evaluationcase"):
        raise PermissionDenied
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Import cases"),
        "opts": EvaluationCase._meta,
        "bases": KnowledgeBase.objects.order_by("name"),
        "base": _base(request),
        "limit_mib": MOST_FILE_BYTES // 2**20,
    }
    if request.method == "POST":
        try:
            done = _imported(request)
        except SuiteError as error:
            context["wrong"] = error.detail
        else:
            context |= {"done": done, "problems": done.problems[:SHOWN_PROBLEMS]}
            if not done.problems:
                told = ngettext("%(n)d case added", "%(n)d cases added", done.added) % {"n": done.added}
                changed = ngettext("%(n)d changed", "%(n)d changed", done.changed) % {"n": done.changed}
                messages.success(request, f"{told}, {changed}.")
                return redirect("admin:chatbot_evaluationcase_changelist")
    bad = "wrong" in context or "done" in context
    return render(request, "chatbot/admin/cases_import.html", context, status=422 if bad else 200)


@require_GET
def export(request: HttpRequest) -> StreamingHttpResponse:
    """All cases of a knowledge base, or of all, as a file that can be imported."""
    rows = EvaluationCase.objects.order_by("pk")
    if (base := _base(request)) is not None and request.GET.get("base"):
        rows = rows.filter(knowledge_base=base)
    return StreamingHttpResponse(
        cases.as_csv(rows), content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="evaluation-cases.csv"'},
    )  # fmt: skip


@require_GET
@never_cache
def panel(request: HttpRequest) -> HttpResponse:
    """How the live versions do on their cases, for the top of the list; asked again while one is judged."""
    shown = []
    for base in KnowledgeBase.objects.select_related("live_version").order_by("name"):
        live = base.live_version
        shown.append(
            {
                "base": base,
                "live": live,
                "figures": (live.evaluation.get("this") or {}) if live else {},
                "asked_n": live.evaluation.get("cases") if live else None,
                "failing_n": len(live.failing) if live else 0,
                "cases_n": base.cases.count(),
                "active": base.versions.filter(judged_at=None).exists(),
            }
        )
    active = any(one["active"] for one in shown)
    context = {
        "shown": shown,
        "active": active,
        "may_judge": request.user.has_perm("chatbot.publish_knowledgeversion"),
        "may_add": request.user.has_perm("chatbot.add_evaluationcase"),
    }
    return render(request, "chatbot/admin/cases_panel.html", context)


def _imported(request: HttpRequest) -> cases.Imported:
    base, file = _base(request), request.FILES.get("file")
    if base is None:
        raise InvalidInput(_("Choose a knowledge base."), field="base")
    if file is None or isinstance(file, list):
        raise InvalidInput(_("Choose a file."), field="file")
    data = file.read(MOST_FILE_BYTES + 1)
    if len(data) > MOST_FILE_BYTES:
        raise InvalidInput(_("The file is larger than %(n)d MiB.") % {"n": MOST_FILE_BYTES // 2**20})
    return cases.read_csv(base, data)


def _base(request: HttpRequest) -> KnowledgeBase | None:
    """The knowledge base that is named, or the first."""
    asked = request.POST.get("base") or request.GET.get("base") or ""
    rows = KnowledgeBase.objects.order_by("name")
    return (rows.filter(pk=int(asked)).first() if asked.isdecimal() else None) or rows.first()


def _chosen(request: HttpRequest) -> Passage | None:
    asked = request.POST.get("passage", "")
    rows = Passage.objects.select_related("document")
    return rows.filter(pk=int(asked)).first() if asked.isdecimal() else None


def _passage_of(case: EvaluationCase | None) -> Passage | None:
    """The passage in use that a case names, if it is still there."""
    if case is None or not case.answerable or case.document_id is None:
        return None
    rows = Passage.objects.filter(document=case.document_id, heading=case.heading, retired_at=None)
    return rows.select_related("document").first()
