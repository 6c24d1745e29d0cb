"""Support → Intents: the page of one intent, how the classifier stands, trying it, files in and out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from chatbot import actions, intent_forms, intents, slots, training
from chatbot.conf import ChatbotSettings
from chatbot.models import Inbox, Intent
from services.conf import CoreSettings, load
from services.console.models import TrainingRun
from services.console.run_views import eta_words, stage_words
from services.console.storage import storage
from services.console.tasks import perform_run_soon
from services.errors import FetchFailed, InvalidInput, NotAllowed, SuiteError, TooLarge
from services.inference.engine import get_engine
from services.inference.open_set import OUTSIDE
from services.registry.store import ModelStore
from services.text.language import detect
from services.web import fetch

MOST_FILE_BYTES = 4 * 2**20
LONGEST_TRIED = 500


@never_cache
def intent_page(request: HttpRequest, intent_id: int | None = None) -> HttpResponse:
    """The form of an intent; posted, kept, or shown again with what is wrong at its field."""
    intent = get_object_or_404(Intent.objects.select_related("inbox"), pk=intent_id) if intent_id else None
    may = request.user.has_perm("chatbot.change_intent" if intent else "chatbot.add_intent")
    inbox = intent.inbox if intent else _inbox(request)
    given, wrong = intent_forms.as_form(intent), {}
    if request.method == "POST":
        if not may:
            raise PermissionDenied
        given = intent_forms.as_sent(request.POST)
        if inbox is None:
            wrong = {"inbox": _("Choose an inbox.")}
        else:
            values, wrong = intent_forms.plan(request.POST, inbox, intent, _place())
            if not wrong:
                return _kept(request, inbox, intent, values)
    elif intent is None and not may:
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": intent.name if intent else _("Add an intent"),
        "opts": Intent._meta,
        "intent": intent,
        "inbox": inbox,
        "inboxes": Inbox.objects.order_by("name"),
        "given": given,
        "wrong": wrong,
        "kinds": list(slots.KINDS.items()),
        "methods": actions.METHODS,
        "hosts": ", ".join(_place().hosts),
        "is_outside": (intent.name if intent else given.get("name")) == OUTSIDE,
        "outside": OUTSIDE,
        "slot_rows": [{**row, "n": n} for n, row in enumerate(given["slots"])],
        "most_slots": intent_forms.MOST_SLOTS,
        "header_rows": _with_room(given["headers"], 2),
        "body_rows": _with_room(given["body"], 3),
        "refused": training.refused_questions(inbox) if intent and inbox else [],
        "may": may,
    }
    return render(request, "chatbot/admin/intent.html", context, status=422 if wrong else 200)


@require_GET
@never_cache
def panel(request: HttpRequest) -> HttpResponse:
    """How the classifiers of the inboxes stand, for the top of the list; asked again while one is trained."""
    store = ModelStore(storage())
    shown = []
    for inbox in Inbox.objects.order_by("name"):
        state = training.state(inbox, store)
        mine = inbox.intents.filter(enabled=True)
        run = state.run
        shown.append(
            {
                "inbox": inbox,
                "state": state,
                "intents_n": mine.exclude(name=OUTSIDE).count(),
                "examples_n": sum(len(one.examples) for one in mine),
                "active": run is not None and not run.over,
                "stage": stage_words(run) if run else "",
                "eta": eta_words(run) if run else "",
                "live_n": TrainingRun.objects.filter(pk=state.live_run.pk).count() if state.live_run else 0,
            }
        )
    active = any(one["active"] for one in shown)
    context = {
        "shown": shown,
        "active": active,
        "may_train": request.user.has_perm("console.add_trainingrun"),
    }
    response = render(request, "chatbot/admin/intents_panel.html", context)
    if request.GET.get("was") and not active:
        response["HX-Refresh"] = "true"
    return response


@require_POST
def train(request: HttpRequest, inbox_id: int) -> HttpResponseRedirect:
    """Start a run on the inbox's examples; then its page."""
    inbox = get_object_or_404(Inbox, pk=inbox_id)
    try:
        if not request.user.has_perm("console.add_trainingrun"):
            raise NotAllowed(_("You may not start training runs."))
        run = training.start(inbox, request.user.get_username())
    except SuiteError as error:
        messages.error(request, error.detail)
        return redirect("admin:chatbot_intent_changelist")
    perform_run_soon(run.pk)
    messages.success(request, _("The training has been asked for; a worker takes it up within seconds."))
    return redirect("admin:console_trainingrun_change", run.pk)


@never_cache
def try_page(request: HttpRequest, inbox_id: int) -> HttpResponse:
    """A box for a sentence; posted, what the assistant would make of it."""
    inbox = get_object_or_404(Inbox, pk=inbox_id)
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": _("Try it: %(name)s") % {"name": inbox.name},
        "opts": Intent._meta,
        "inbox": inbox,
    }
    if request.method == "POST":
        text = request.POST.get("text", "").strip()
        really = "really" in request.POST and request.user.has_perm("chatbot.change_intent")
        if text and len(text) <= LONGEST_TRIED:
            context |= _tried(text, inbox, really=really)
        else:
            context["problem"] = _("Write a sentence of at most %(n)d characters.") % {"n": LONGEST_TRIED}
        context["text"] = text
    part = "chatbot/admin/intent_tried.html" if request.headers.get("HX-Request") else ""
    return render(request, part or "chatbot/admin/intent_try.html", context)


@require_GET
def export(request: HttpRequest, inbox_id: int) -> StreamingHttpResponse:
    """All examples of an inbox as CSV."""
    inbox = get_object_or_404(Inbox, pk=inbox_id)
    return StreamingHttpResponse(
        intent_forms.as_csv(inbox),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="intents-{inbox.key}.csv"'},
    )


@never_cache
def import_page(request: HttpRequest, inbox_id: int) -> HttpResponse:
    """A CSV file of examples into the inbox's intents, all of it or nothing."""
    inbox = get_object_or_404(Inbox, pk=inbox_id)
    if not request.user.has_perm("chatbot.add_intent"):
        raise PermissionDenied
    wrong = ""
    if request.method == "POST":
        try:
            added, made = intent_forms.take_in(inbox, intent_forms.read_csv(_content(request)))
        except SuiteError as error:
            wrong = error.detail
        else:
            training.sync(inbox)
            told = ngettext("%(n)d example added.", "%(n)d examples added.", added) % {"n": added}
            more = ngettext("%(n)d intent made.", "%(n)d intents made.", made) % {"n": made}
            messages.success(request, f"{told} {more}" if made else told)
            return redirect("admin:chatbot_intent_changelist")
    context = {
        **admin.site.each_context(request),
        "title": _("Import examples: %(name)s") % {"name": inbox.name},
        "opts": Intent._meta,
        "inbox": inbox,
        "wrong": wrong,
    }
    return render(request, "chatbot/admin/intents_import.html", context, status=422 if wrong else 200)


@dataclass(slots=True)
class _Rehearsal:
    """Stands in for the company's service: remembers what would have been asked."""

    asked: list[str] = field(default_factory=list)

    def call(self, method: str, url: str, **_options: Any) -> fetch.Fetched:
        """Ask nothing."""
        self.asked.append(f"{method} {url}")
        raise FetchFailed("Only tried.")


def _tried(text: str, inbox: Inbox, *, really: bool) -> dict[str, Any]:
    settings, rehearsal = load(ChatbotSettings), _Rehearsal()
    language = detect(text, default=inbox.locale)
    decision = intents.decide(
        text,
        {},
        inbox,
        get_engine(),
        timezone.now(),
        language if language in {"en", "zh-hans"} else inbox.locale,
        settings=settings,
        call=fetch.call if really else rehearsal.call,
    )
    name = str(decision.trace.get("intent", ""))
    intent = inbox.intents.filter(name=name).first()
    reading = slots.Reading(timezone.now(), settings.chatbot_order_number, settings.chatbot_phone_region)
    found = slots.find(slots.of_rows(intent.slots), text, reading) if intent else {}
    said = "" if rehearsal.asked else decision.text
    return {
        "decision": decision,
        "intent": intent,
        "intent_name": name,
        "is_outside": name == OUTSIDE,
        "p": decision.trace.get("p"),
        "threshold": settings.chatbot_intent_confidence,
        "found": found,
        "asked": rehearsal.asked,
        "said": said,
        "template": (intent.template_zh if decision.language.startswith("zh") else "") or intent.template
        if intent and rehearsal.asked
        else "",
    }


def _kept(
    request: HttpRequest, inbox: Inbox, intent: Intent | None, values: dict[str, Any]
) -> HttpResponseRedirect:
    row = intent or Intent(inbox=inbox)
    for name, value in values.items():
        setattr(row, name, value)
    row.save()
    training.sync(inbox)
    messages.success(request, _("%(name)s is kept.") % {"name": row.name})
    return redirect("admin:chatbot_intent_changelist")


def _inbox(request: HttpRequest) -> Inbox | None:
    asked = (request.POST if request.method == "POST" else request.GET).get("inbox", "")
    inboxes = Inbox.objects.order_by("name")
    return inboxes.filter(pk=asked).first() if asked.isdecimal() else inboxes.first()


def _place() -> actions.Place:
    return actions.Place(
        actions.hosts_of(load(ChatbotSettings).chatbot_action_hosts), load(CoreSettings).public_url
    )


def _with_room(pairs: list[tuple[str, str]], room: int) -> list[tuple[int, str, str]]:
    """Numbered rows, a few empty ones at the end."""
    rows = [*pairs, *[("", "")] * room][: intent_forms.MOST_PAIRS]
    return [(n, name, value) for n, (name, value) in enumerate(rows)]


def _content(request: HttpRequest) -> bytes:
    file = request.FILES.get("file")
    if file is None or isinstance(file, list):
        raise InvalidInput(_("Choose a file."), field="file")
    content: bytes = file.read(MOST_FILE_BYTES + 1)
    if len(content) > MOST_FILE_BYTES:
        raise TooLarge(_("The file is larger than %(n)d MiB.") % {"n": MOST_FILE_BYTES // 2**20})
    return content
