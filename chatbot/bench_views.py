"""Support → Bench: a question taken apart, a past answer asked once more, and how careful to be."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatbot import bench, bench_words, carefulness, dialogue, retrieval
from chatbot.answerability import zones
from chatbot.conf import ChatbotSettings
from chatbot.models import Inbox, KnowledgeBase, Turn
from services.conf import load
from services.console.storage import storage
from services.errors import InvalidInput, NotAllowed, SuiteError, Unavailable
from services.inference.engine import get_engine

MAY_LOOK, MAY_REPLAY = "chatbot.view_passage", "chatbot.view_conversation"
MAY_SAVE = "chatbot.change_knowledgebase"
BEFORE = "bench-carefulness-before"
"""Where a session keeps what it can go back to: knowledge base -> [value before, value saved]."""


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
def page(request: HttpRequest) -> HttpResponse:
    """The bench with an empty question, or with a turn of a conversation asked once more."""
    if not request.GET.get("turn"):
        return render(request, "chatbot/admin/bench.html", _page(request, request.GET.get("base", "")))
    if not request.user.has_perm(MAY_REPLAY):
        raise PermissionDenied
    turns = Turn.objects.select_related("conversation__inbox__knowledge_base")
    number = request.GET["turn"]
    turn = get_object_or_404(turns, pk=int(number) if number.isdecimal() else 0)
    context = _page(request, str(turn.conversation.inbox.knowledge_base_id)) | {"turn": turn}
    try:
        told = bench.replay(turn, now=timezone.now(), **_tools())
    except SuiteError as error:
        context |= _trouble(error)
    else:
        context |= {"replayed": told, **_seen(told.looked)}
        context |= {"question": told.looked.asked.text, "locale": told.looked.asked.locale}
    return render(request, "chatbot/admin/bench.html", context)


@require_POST
@_looking
def ask(request: HttpRequest) -> HttpResponse:
    """A typed question, taken apart."""
    context = _page(request, request.POST.get("base", ""))
    text, earlier = request.POST.get("question", ""), request.POST.get("earlier", "")
    locale = request.POST.get("locale", "")
    locale = locale if locale in dialogue.LANGUAGES else "en"
    context |= {"question": text, "earlier": earlier, "locale": locale}
    try:
        if context["base"] is None:
            raise InvalidInput(_("Choose a knowledge base."), field="base")
        settings, now = load(ChatbotSettings), timezone.now()
        asked = bench.question(
            text, context["base"], locale=locale, earlier=earlier.splitlines(), now=now, settings=settings
        )
        context |= _seen(bench.look(asked, **_tools()))
    except SuiteError as error:
        context |= _trouble(error)
    part = "chatbot/admin/bench_asked.html" if request.headers.get("HX-Request") else ""
    return render(request, part or "chatbot/admin/bench.html", context)


@require_GET
@_looking
def careful(request: HttpRequest) -> HttpResponse:
    """How careful: the slider, what it would do, and the reliability curve."""
    context = _page(request, request.GET.get("base", ""))
    base = context["base"]
    if base is not None:
        before, saved = request.session.get(BEFORE, {}).get(str(base.pk), [None, None])
        border = retrieval.borders_of(base, storage()).faq
        context |= {
            "value": f"{base.carefulness:.2f}",
            "before": before if saved == round(base.carefulness, 2) else None,
            "curve": [{"p": p, "right": right, "n": n} for p, right, n in border.curve],
            "fitted_on": border.cases,
            "may_save": request.user.has_perm(MAY_SAVE),
        }
    return render(request, "chatbot/admin/bench_careful.html", context)


@require_GET
@_looking
def effect(request: HttpRequest) -> HttpResponse:
    """What a value would do; while the cases are still being asked, how far that is."""
    base = get_object_or_404(
        KnowledgeBase.objects.select_related("live_version"), pk=_number(request, "base")
    )
    context: dict[str, Any] = {"base": base}
    try:
        value = carefulness.parsed(request.GET.get("carefulness", ""))
        progress = carefulness.step(base, get_engine(), storage())
    except SuiteError as error:
        return render(request, "chatbot/admin/bench_effect.html", context | _trouble(error))
    saved = round(base.carefulness, 2)
    context |= {"progress": progress, "value": f"{value:.2f}", "saved": f"{saved:.2f}"}
    context |= {"borders": bench_words.scale(value, None), "changed": value != saved, "zones": zones(value)}
    context["may_save"] = request.user.has_perm(MAY_SAVE)
    context["inboxes"] = list(base.inboxes.values_list("name", flat=True))
    if progress.asked:
        now, then = carefulness.figures(progress.asked, value), carefulness.figures(progress.asked, saved)
        sides = carefulness.sides(progress.asked, saved, value)
        context |= {
            "tiles": list(bench_words.tiles(now, then)),
            "sides": [(side, *bench_words.side_words(side)) for side in sides[: carefulness.MOST_SIDES]],
            "sides_n": len(sides),
            "worse_n": sum(not side.better for side in sides),
            "better_n": sum(side.better for side in sides),
            "cases_n": sum(case.kind != "taken" for case in progress.asked),
            "taken_n": sum(case.kind == "taken" for case in progress.asked),
        }
    return render(request, "chatbot/admin/bench_effect.html", context)


@require_POST
@_looking
def save(request: HttpRequest) -> HttpResponse:
    """Keep a value; then the page again, which offers to go back."""
    base = get_object_or_404(KnowledgeBase, pk=_number(request, "base"))
    try:
        if not request.user.has_perm(MAY_SAVE):
            raise NotAllowed(_("You may not change how careful this knowledge base is."))
        value = carefulness.parsed(request.POST.get("carefulness", ""))
        expected = carefulness.parsed(request.POST.get("expected", ""))
        carefulness.save(base, value, expected=expected, who=request.user.get_username())
    except SuiteError as error:
        messages.error(request, _words(error))
    else:
        kept = {**request.session.get(BEFORE, {}), str(base.pk): [expected, value]}
        request.session[BEFORE] = kept
        told = {"then": f"{expected:.2f}", "now": f"{value:.2f}"}
        messages.success(
            request, _("Saved: how careful was %(then)s and is %(now)s, from the next question on.") % told
        )
    return redirect(f"{reverse('chatbot-bench-careful')}?base={base.pk}")


def _page(request: HttpRequest, asked: str) -> dict[str, Any]:
    """What every page of the bench shows."""
    bases = list(KnowledgeBase.objects.order_by("name").select_related("live_version"))
    base = next((one for one in bases if str(one.pk) == asked), bases[0] if bases and not asked else None)
    inbox = base.inboxes.order_by("pk").first() if base else None
    return {
        **admin.site.each_context(request),
        "title": _("Bench"),
        "opts": KnowledgeBase._meta,
        "bases": bases,
        "base": base,
        "is_empty": base is not None and not base.index_path and not base.documents.exists(),
        "locale": inbox.locale if isinstance(inbox, Inbox) else "en",
        "most_earlier": bench.MOST_EARLIER,
        "most_chars": load(ChatbotSettings).chatbot_question_chars,
    }


def _tools() -> dict[str, Any]:
    return {"engine": get_engine(), "storage": storage(), "settings": load(ChatbotSettings)}


def _number(request: HttpRequest, name: str) -> int:
    given = (request.POST if request.method == "POST" else request.GET).get(name, "")
    return int(given) if given.isdecimal() else 0


def _trouble(error: SuiteError) -> dict[str, Any]:
    """What is wrong, at its field; what is only down for a moment is said calmly."""
    return {"problem": _words(error), "field": error.field or "", "calm": isinstance(error, Unavailable)}


def _words(error: SuiteError) -> str:
    names = {
        "question": _("Question"),
        "earlier": _("Asked before"),
        "base": _("Knowledge base"),
        "carefulness": _("How careful"),
    }
    name = names.get(error.field or "")
    return f"{name}: {error.detail}" if name else error.detail


def _seen(looked: bench.Looked) -> dict[str, Any]:
    reads = retrieval.reads(get_engine(), looked.seen.spoken)
    return {**bench_words.shown(looked), "reads": reads}
