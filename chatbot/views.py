"""Pages for visitors: the widget's frame, and the source an answer cites."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import translation
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.clickjacking import xframe_options_exempt
from django.views.decorators.http import require_GET

from chatbot import access
from chatbot.models import Document, Inbox, Passage
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
    sections: list[dict[str, Any]] = []
    for passage in document.passages.filter(retired_at=None).order_by("ordinal"):
        heading = passage.heading.rsplit(" › ", 1)[-1]
        if not sections or sections[-1]["heading"] != heading:
            sections.append({"heading": heading, "passages": []})
        is_cited = passage.pk == cited[0]
        span = (cited[1], cited[2]) if is_cited else (0, 0)
        sections[-1]["passages"].append(
            {
                "id": passage.pk,
                "anchor": passage.anchor,
                "html": passage_html(passage, *span),
                "cited": is_cited,
            }
        )
    shown = {
        "title": document.title,
        "language": document.language or "en",
        "updated_at": document.ingested_at,
    }
    context: dict[str, Any] = {"document": shown, "sections": sections}
    if replaced is not None:
        words = passage_html(replaced, cited[1], cited[2])
        context["replaced"] = {"heading": replaced.heading.rsplit(" › ", 1)[-1], "html": words}
    response = render(request, "chatbot/source.html", context)
    response["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; base-uri 'none'"
    )
    return response


def passage_html(passage: Passage, start: int, end: int) -> SafeString:
    """A passage's blocks as HTML, every word escaped, characters start..end inside <mark>."""
    parts: list[str] = []
    open_tag = ""
    for block in passage.blocks:
        kind = block["kind"]
        group = {"item": "ul", "row": "table"}.get(kind, "")
        if group != open_tag:
            parts.append(f"</{open_tag}>" if open_tag else "")
            parts.append(f"<{group}>" if group else "")
            open_tag = group
            if group == "table" and any(name for name, _words in block["cells"]):
                head = "".join(f'<th scope="col">{escape(name)}</th>' for name, _words in block["cells"])
                parts.append(f"<tr>{head}</tr>")
        parts.append(_block_html(passage.text, block, start, end))
    parts.append(f"</{open_tag}>" if open_tag else "")
    return mark_safe("".join(parts))  # noqa: S308 - every piece of text went through escape()


def _block_html(text: str, block: dict[str, Any], start: int, end: int) -> str:
    at, to = block["start"], block["end"]
    inside = start < to and end > at
    if block["kind"] == "row":
        cells = "".join(
            f"<td>{_marked(words, 0, len(words) if inside else 0)}</td>" for _name, words in block["cells"]
        )
        return f"<tr>{cells}</tr>"
    tag = "li" if block["kind"] == "item" else "p"
    words = text[at:to]
    marked = _marked(words, max(start - at, 0), min(end - at, len(words))) if inside else escape(words)
    return f"<{tag}>{marked}</{tag}>"


def _marked(words: str, start: int, end: int) -> str:
    if end <= start:
        return str(escape(words))
    return f"{escape(words[:start])}<mark>{escape(words[start:end])}</mark>{escape(words[end:])}"


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
