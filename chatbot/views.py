"""Pages for visitors: the widget's frame, and the source an answer cites."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_GET

from chatbot import access, source_page
from chatbot.models import Document, Inbox
from services.errors import NotFound

LOCALES = {"en", "zh-hans"}


@require_GET
@xframe_options_exempt
def widget_frame(request: HttpRequest) -> HttpResponse:
    """The chat itself, framed only by this site and the websites of its inbox."""
    try:
        inbox = access.inbox_for(request.GET.get("inbox", ""))
    except NotFound as error:
        raise Http404(error.detail) from error
    locale = request.GET.get("locale", inbox.locale)
    locale = locale if locale in LOCALES else "en"
    with translation.override(locale):
        response = render(
            request, "chatbot/widget_frame.html", {"inbox": _as_shown(inbox, locale), "locale": locale}
        )
    ancestors = " ".join(["'self'", *inbox.allowed_origins])
    response["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}"
    )
    return response


@require_GET
def source(request: HttpRequest, document_id: int) -> HttpResponse:
    """A help document as its readers see it, with the cited words marked.

    Cited words that the document has no longer are shown above it; of a removed one, they alone.
    """
    document = get_object_or_404(Document, pk=document_id)
    cited = _number(request, "passage"), _number(request, "start"), _number(request, "end")
    replaced = document.passages.exclude(retired_at=None).filter(pk=cited[0]).first()
    if document.state == Document.State.REMOVED and replaced is None:
        raise Http404(_("This page has been taken down."))
    sections = source_page.sections(document.passages.filter(retired_at=None).order_by("ordinal"), cited)
    shown = {
        "title": document.title,
        "language": document.language or "en",
        "updated_at": document.ingested_at,
        **_original(document),
    }
    context: dict[str, Any] = {"document": shown, "sections": sections}
    is_there = document.state != Document.State.REMOVED
    if is_there and request.user.is_staff and request.user.has_perm("chatbot.change_document"):
        context["edit_url"] = reverse("chatbot-entry-edit", args=[document.pk])
    if replaced is not None:
        words = source_page.passage_html(replaced, cited[1], cited[2])
        context["replaced"] = {"heading": replaced.heading.rsplit(" › ", 1)[-1], "html": words}
    response = render(request, "chatbot/source.html", context)
    response["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'"
    )
    return response


def _original(document: Document) -> dict[str, str]:
    """Where a web site's page stands itself, and on which host, as long as it is there."""
    address = urlsplit(document.url)
    if address.scheme not in {"http", "https"} or document.state == Document.State.REMOVED:
        return {}
    return {"url": document.url, "host": address.hostname or ""}


def _as_shown(inbox: Inbox, locale: str) -> dict[str, Any]:
    zh = locale == "zh-hans"
    return {
        "key": inbox.key,
        "name": inbox.name,
        "greeting": (inbox.greeting_zh if zh else "") or inbox.greeting,
        "suggestions": (inbox.suggestions_zh if zh else []) or inbox.suggestions,
        "colour": inbox.colour,
    }


def _number(request: HttpRequest, name: str) -> int:
    value = request.GET.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 12 else 0
