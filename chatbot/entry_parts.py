"""The live parts of the editor: the preview, a question asked of it, how far a saved text is, a passage's
questions.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatbot import cases, entry_forms, entry_preview, entry_trial, publishing, variants
from chatbot.answerability import zones
from chatbot.conf import ChatbotSettings
from chatbot.entry_forms import editing, number
from chatbot.models import Document, EvaluationCase, KnowledgeVersion, Passage, QuestionVariant
from chatbot.tasks import ingest_soon
from services.conf import load
from services.console.storage import storage
from services.errors import SuiteError
from services.inference.engine import get_engine

MAY_ADD_CASE = "chatbot.add_evaluationcase"
UNREAD = {"waits", "reading"}


@require_POST
@editing
def preview(request: HttpRequest) -> HttpResponse:
    """How what is being written will be cut, what is doubtful, how visitors will see it."""
    context: dict[str, Any] = {}
    try:
        seen = entry_preview.look(entry_forms.draft_of(request))
    except SuiteError as error:
        context = {"problem": error.detail}
    else:
        shown = seen.cuts[: entry_preview.MOST_SHOWN]
        context = {"seen": seen, "cuts": shown, "more_n": len(seen.cuts) - len(shown)}
    return render(request, "chatbot/admin/entry_preview.html", context)


@require_POST
@editing
def ask(request: HttpRequest) -> HttpResponse:
    """Which passage would win a question if what is being written were live, and whether it would answer."""
    try:
        draft = entry_forms.draft_of(request)
        tried = entry_trial.ask(
            request.POST.get("asked", ""), draft, entry_preview.look(draft),
            engine=get_engine(), storage=storage(), settings=load(ChatbotSettings),
        )  # fmt: skip
    except SuiteError as error:
        return render(request, "chatbot/admin/entry_asked.html", {"problem": error.detail})
    context = {
        "tried": tried,
        "rows": list(zip(tried.found, tried.edited, strict=True))[:5],
        "zones": zones(draft.base.carefulness),
        "base": draft.base,
    }
    return render(request, "chatbot/admin/entry_asked.html", context)


@require_GET
@editing
def progress(request: HttpRequest, document_id: int) -> HttpResponse:
    """A saved text on its way: read, in a version, judged, live or held back."""
    document = get_object_or_404(
        Document.objects.select_related("knowledge_base__live_version"), pk=document_id
    )
    way = _way(document)
    response = render(request, "chatbot/admin/entry_progress.html", {"document": document, **way})
    if request.GET.get("was") in UNREAD and way["step"] not in UNREAD:
        response["HX-Trigger"] = "entry-read"  # the passages are others now
    return response


@require_http_methods(["GET", "POST"])
@editing
def questions(request: HttpRequest, passage_id: int) -> HttpResponse:
    """A passage's wordings and evaluation cases; posted, one is added or taken away."""
    passage = get_object_or_404(Passage.objects.select_related("document__knowledge_base"), pk=passage_id)
    context: dict[str, Any] = {"passage": passage, "may_case": request.user.has_perm(MAY_ADD_CASE)}
    if request.method == "POST":
        try:
            _change_questions(request, passage)
        except SuiteError as error:
            name = "case" if "case" in request.POST else "wording"
            sent = request.POST.get("case") or request.POST.get("wording") or ""
            context |= {"wrong": {name: error.detail}, "sent": {name: sent}}
            context["other"] = error.extra.get("passage")
    document = passage.document
    context |= {
        "by_hand": document.question_variants.filter(heading=passage.heading),
        "cases": EvaluationCase.objects.filter(document=document, heading=passage.heading),
        "was_changed": request.method == "POST" and "wrong" not in context,
    }
    return render(request, "chatbot/admin/entry_questions.html", context)


def _change_questions(request: HttpRequest, passage: Passage) -> None:
    """One wording or case. Raises what the rooms raise."""
    document = passage.document
    if "remove" in request.POST:
        rows = QuestionVariant.objects.filter(document=document, pk=number(request, "remove"))
        for variant in rows.select_related("document"):
            variants.remove(variant)
            ingest_soon(document.pk)
    elif "wording" in request.POST:
        variants.add(passage, request.POST["wording"], by=request.user.get_username())
        ingest_soon(document.pk)
    elif request.user.has_perm(MAY_ADD_CASE):
        cases.keep(document.knowledge_base, request.POST.get("case", ""), passage)


def _way(document: Document) -> dict[str, Any]:
    """How far a document's text is: "waits", "reading", "failed", "building", "judging", "live", …"""
    base = document.knowledge_base
    if document.state in {Document.State.QUEUED, Document.State.RUNNING}:
        return {"step": "waits" if document.state == Document.State.QUEUED else "reading", "going": True}
    if document.state in {Document.State.FAILED, Document.State.REMOVED}:
        return {"step": str(document.state), "going": False}
    newest = base.versions.defer("failing").order_by("-number").first()
    if base.pk in publishing.behind() and (newest is None or newest.judged_at is not None):
        return {"step": "building", "going": True}
    if newest is not None and newest.judged_at is None and newest.revision >= base.revision:
        step = "judging" if newest.index_path else "building"
        return {"step": step, "going": True, "version": newest}
    used = set(document.passages.filter(retired_at=None).values_list("pk", flat=True))
    if base.live_version is not None and used <= set(base.live_version.passage_ids):
        return {"step": "live", "going": False, "version": base.live_version}
    states = {KnowledgeVersion.State.BLOCKED: "blocked", KnowledgeVersion.State.DRAFT: "draft"}
    step = states.get(KnowledgeVersion.State(newest.state), "building") if newest is not None else "building"
    return {"step": step, "going": step == "building", "version": newest}
