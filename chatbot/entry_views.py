"""Support → Knowledge, written: an article or an FAQ entry, its editions, what is taken over, what goes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatbot import entries, entry_forms, entry_history, faq_files
from chatbot.entry_forms import editing, number, writer
from chatbot.faq_files import Entry
from chatbot.models import Document, KnowledgeBase, Passage
from chatbot.tasks import index_soon, ingest_soon
from services.console.storage import storage
from services.errors import Conflict, NotFound, SuiteError

A_PAGE = 50
LOOKED_BACK = 5
"""Editions that are looked through for what somebody saw before another changed it."""


@require_http_methods(["GET", "POST"])
@editing
def new(request: HttpRequest) -> HttpResponse:
    """An empty article or FAQ entry; posted, kept, or shown again with what is wrong at its field."""
    kind = "faq" if (request.POST.get("kind") or request.GET.get("kind")) == "faq" else "text"
    into = (
        Document.objects.filter(pk=number(request, "document")).exclude(state=Document.State.REMOVED).first()
    )
    fields = (
        entry_forms.given(request)
        if request.method == "POST"
        else {"question": request.GET.get("question", "")}
    )
    if request.method == "GET":
        return _editor(request, kind, fields, document=into if kind == "faq" else None)
    try:
        if kind == "faq":
            entry = entry_forms.entry_of(fields)
            document = entries.new_entry(
                number(request, "base"), entry, writer(request), number(request, "document") or None
            )
            return _saved(request, document, entry.checked(), ADDITION)
        document = entries.new_article(
            number(request, "base"), fields["title"], fields["text"], writer(request)
        )
    except SuiteError as error:
        return _editor(request, kind, fields, error, document=into if kind == "faq" else None)
    return _saved(request, document, None, ADDITION)


@require_http_methods(["GET", "POST"])
@editing
def edit(request: HttpRequest, document_id: int) -> HttpResponse:
    """A document as a text, one entry of an FAQ, or the list of its entries."""
    document = Document.objects.select_related("knowledge_base").filter(pk=document_id).first()
    if request.method == "POST":
        return _save(request, document_id, document)
    if document is None or document.state == Document.State.REMOVED:
        raise Http404(_("This document has been removed."))
    opened = entries.opened(document, storage())
    if opened.kind == "copy":
        return _copy_page(request, opened)
    if opened.kind == "text":
        return _editor(request, "text", entry_forms.of_text(opened), document=document)
    sent = request.GET.get("entry", "")
    if not sent.isdecimal():
        return _list_page(request, opened)
    at = int(sent)
    if at >= len(opened.entries):
        raise Http404(_("This entry has been removed."))
    entry = opened.entries[at]
    return _editor(request, "faq", entry_forms.of_entry(entry), document=document, at=at, entry=entry)


@require_POST
@editing
def remove_entry(request: HttpRequest, document_id: int) -> HttpResponse:
    """Take an entry away from its FAQ; the edition before it can be gone back to."""
    at = number(request, "at")
    try:
        left = entries.save_entry(document_id, at, None, request.POST.get("expected", ""), writer(request))
    except SuiteError as error:
        messages.error(request, error.detail)
        return redirect("chatbot-entry-edit", document_id)
    if left is None:
        base = Document.objects.values_list("knowledge_base", flat=True).get(pk=document_id)
        index_soon(base)
        messages.success(request, _("Removed. It was the last entry, so its document is gone too."))
        return redirect("admin:chatbot_document_changelist")
    _log(request, left, CHANGE, _("An entry was removed."))
    ingest_soon(left.pk)
    messages.success(request, _("Removed. Under “Earlier editions” you can go back."))
    return redirect("chatbot-entry-edit", document_id)


@require_http_methods(["GET", "POST"])
@editing
def edition(request: HttpRequest, document_id: int, digest: str) -> HttpResponse:
    """An earlier edition beside the present one; posted, it is the present one again."""
    document = get_object_or_404(
        Document.objects.select_related("knowledge_base").exclude(state=Document.State.REMOVED),
        pk=document_id,
    )
    if request.method == "POST":
        try:
            back = entries.go_back(document_id, digest, request.POST.get("expected", ""), writer(request))
        except SuiteError as error:
            messages.error(request, error.detail)
            return redirect("chatbot-entry-edit", document_id)
        _log(request, back, CHANGE, _("An earlier edition was brought back."))
        ingest_soon(back.pk)
        return redirect(f"{reverse('chatbot-entry-edit', args=[document_id])}?saved=1")
    try:
        then = entry_history.edition_of(document, digest, storage())
        now = entry_history.edition_of(document, document.content_hash, storage())
    except NotFound as error:
        raise Http404(error.detail) from error
    one = next((row for row in _editions(document) if row["hash"] == digest), None)
    before, after = (entry_history.as_people_read(data, document.media_type) for data in (then, now))
    context = _page(request, document.title) | {
        "document": document,
        "one": one,
        "digest": digest,
        "parts": entry_history.compared(before, after) if before is not None and after is not None else None,
        "said": before,
        "size_kib": max(len(then) // 1024, 1),
    }
    return render(request, "chatbot/admin/entry_edition.html", context)


@require_POST
@editing
def take_over(request: HttpRequest, document_id: int) -> HttpResponse:
    """What was read of a file as a document that can be edited."""
    try:
        copy = entries.take_over(document_id, writer(request), keep=request.POST.get("original") == "keep")
    except SuiteError as error:
        messages.error(request, error.detail)
        return redirect("chatbot-entry-edit", document_id)
    _log(request, copy, ADDITION, _("Taken over from another document."))
    ingest_soon(copy.pk)
    return redirect(f"{reverse('chatbot-entry-edit', args=[copy.pk])}?saved=1")


@require_GET
@editing
def at_passage(request: HttpRequest, passage_id: int) -> HttpResponse:
    """To where a passage is written: its entry, or its heading in the text."""
    passage = get_object_or_404(Passage.objects.select_related("document"), pk=passage_id)
    if passage.document.state == Document.State.REMOVED:
        raise Http404(_("This document has been removed."))
    opened = entries.opened(passage.document, storage())
    address = reverse("chatbot-entry-edit", args=[passage.document_id])
    for at, entry in enumerate(opened.entries):
        if entry.heading == passage.heading:
            return redirect(f"{address}?entry={at}")
    return redirect(f"{address}#passage-{passage.anchor}")


def _save(request: HttpRequest, document_id: int, document: Document | None) -> HttpResponse:
    """Keep what was sent; where somebody else was first, show both."""
    kind = "faq" if request.POST.get("kind") == "faq" else "text"
    fields, expected = entry_forms.given(request), request.POST.get("expected", "")
    at, who = number(request, "at"), writer(request)
    entry = entry_forms.entry_of(fields) if kind == "faq" else None
    try:
        if entry is not None:
            saved = entries.save_entry(document_id, at, entry, expected, who)
            assert saved is not None
            return _saved(request, saved, entry.checked(), CHANGE)
        media_type = document.media_type if document else entries.MARKDOWN
        text = entry_forms.text_of(fields, media_type)
        saved = entries.save_text(document_id, text, expected, who, revive="revive" in request.POST)
    except NotFound as error:  # with its knowledge base: what was written becomes a new entry
        return _editor(request, kind, fields, error)
    except Conflict as error:
        return _both(request, kind, fields, error, document_id, expected, at)
    except SuiteError as error:
        return _editor(request, kind, fields, error, document=document, at=at, entry=entry, expected=expected)
    return _saved(request, saved, None, CHANGE)


def _both(
    request: HttpRequest, kind: str, fields: dict[str, str], error: Conflict, document_id: int,
    expected: str, at: int,
) -> HttpResponse:  # fmt: skip
    """What the other one changed, and how what was written differs from that."""
    document = Document.objects.select_related("knowledge_base").get(pk=document_id)
    removed = error.extra.get("why") == "removed"
    told: dict[str, Any] = {"why": error.extra.get("why"), "words": error.detail}
    told |= next(iter(_editions(document)), {})
    if kind == "text":
        opened = entries.opened(document, storage())
        mine, theirs = entry_forms.text_of(fields, document.media_type), opened.text
        base = _text_then(document, expected)
        now = document.content_hash
        shown: dict[str, Any] = {"document": document, "expected": now}
    else:
        seen, entry, at = _entry_then(document, expected, at)
        mine = faq_files.as_text([entry_forms.entry_of(fields)])
        theirs = faq_files.as_text([entry]) if entry else ""
        base = faq_files.as_text([seen]) if seen else None
        told["why"] = told["why"] if entry else "removed"
        shown = {"document": document, "at": at, "entry": entry} if entry else {"document": document}
        removed = removed or entry is None
    told |= {"theirs": theirs, "yours": entry_history.compared(theirs, mine)}
    told["changes"] = entry_history.compared(base, theirs) if base is not None and not removed else None
    return _editor(request, kind, fields, error, conflict=told, **shown)


def _text_then(document: Document, digest: str) -> str | None:
    try:
        data = entry_history.edition_of(document, digest, storage())
    except NotFound:
        return None
    return entry_history.as_people_read(data, document.media_type)


def _entry_then(document: Document, digest: str, at: int) -> tuple[Entry | None, Entry | None, int]:
    """The entry as it was seen, what it says now (None when it is gone), and its place now."""
    seen = None
    for one in document.editions[:LOOKED_BACK]:
        try:
            found = faq_files.read(storage().read(one["path"]), document.media_type)
        except SuiteError:
            continue
        seen = next((entry for entry in found if entry.digest == digest), None)
        if seen is not None:
            break
    if document.state == Document.State.REMOVED:
        return seen, None, at
    now = faq_files.read(storage().read(document.file_path), document.media_type)
    for n, entry in enumerate(now):
        if seen is not None and entry.question == seen.question:
            return seen, entry, n
    same_length = seen is not None and at < len(now) and len(found) == len(now)
    return seen, now[at] if same_length or (seen is None and at < len(now)) else None, at


def _editor(
    request: HttpRequest,
    kind: str,
    fields: dict[str, str],
    error: SuiteError | None = None,
    *,
    document: Document | None = None,
    at: int | None = None,
    entry: Entry | None = None,
    expected: str = "",
    conflict: dict[str, Any] | None = None,
) -> HttpResponse:
    """The page with the text, its preview, a question, and what was before."""
    is_new = document is None or (kind == "faq" and at is None)
    if not expected and document is not None and not is_new:
        expected = (entry.digest if entry else "") if kind == "faq" else document.content_hash
    names = {"title", "text", "question", "answer", "variants", "section"}
    wrong = (
        {} if error is None or conflict else {error.field if error.field in names else "all": error.detail}
    )
    extra = error.extra if error is not None else {}
    title = document.title if document is not None and not is_new else _("Write an entry")
    context = _page(request, title) | {
        "kind": kind,
        "document": document,
        "is_new": is_new,
        "at": at,
        "replaces": request.POST.get("replaces") or (entry.heading if entry and not is_new else ""),
        "given": fields,
        "expected": expected,
        "wrong": wrong,
        "other_passage": extra.get("passage") or None,
        "other_document": extra.get("document") or None,
        "conflict": conflict,
        "bases": list(KnowledgeBase.objects.order_by("name")),
        "base_id": document.knowledge_base_id if document else number(request, "base"),
        "is_markdown": kind == "text" and (document is None or document.media_type == entries.MARKDOWN),
        "saved": request.method == "GET" and "saved" in request.GET,
        "editions": list(_editions(document)) if document is not None and not is_new else [],
        "headings": _headings(document, entry if kind == "faq" else None) if document and not is_new else [],
        "most_chars": entries.MOST_CHARS,
    }
    status = 200 if error is None else error.http_status
    return render(request, "chatbot/admin/entry.html", context, status=status)


def _list_page(request: HttpRequest, opened: entries.Opened) -> HttpResponse:
    words = request.GET.get("q", "").strip()
    rows = [
        (at, entry)
        for at, entry in enumerate(opened.entries)
        if all(w in faq_files.as_text([entry]).casefold() for w in words.casefold().split())
    ]
    page = Paginator(rows, A_PAGE).get_page(request.GET.get("page"))
    context = _page(request, opened.document.title) | {
        "document": opened.document,
        "rows": page,
        "total": len(opened.entries),
        "words": words,
        "editions": list(_editions(opened.document)),
        "saved": "saved" in request.GET,
    }
    return render(request, "chatbot/admin/entry_list.html", context)


def _copy_page(request: HttpRequest, opened: entries.Opened) -> HttpResponse:
    passages = opened.document.passages.filter(retired_at=None).order_by("ordinal")
    context = _page(request, opened.document.title) | {
        "document": opened.document,
        "why": opened.why,
        "passages": passages[:A_PAGE],
        "passages_n": passages.count(),
        "shown_n": A_PAGE,
        "editions": list(_editions(opened.document)),
        "headings": _headings(opened.document, None),
        "most_chars": entries.MOST_CHARS,
        "saved": "saved" in request.GET,
    }
    return render(request, "chatbot/admin/entry_copy.html", context)


def _saved(request: HttpRequest, document: Document, entry: Entry | None, act: int) -> HttpResponse:
    _log(request, document, act, _("Written in the console."))
    ingest_soon(document.pk)
    address = f"{reverse('chatbot-entry-edit', args=[document.pk])}?saved=1"
    if entry is not None:
        now = entries.opened(document, storage()).entries
        at = next((n for n, one in enumerate(now) if one.heading == entry.heading), None)
        address += f"&entry={at}" if at is not None else ""
    return redirect(address)


def _log(request: HttpRequest, document: Document, act: int, words: str) -> None:
    """In the document's history, where uploads and removals stand too."""
    LogEntry.objects.log_actions(request.user.pk or 0, [document], act, words, single_object=True)


def _page(request: HttpRequest, title: str) -> dict[str, Any]:
    return {**admin.site.each_context(request), "title": title, "opts": Document._meta}


def _editions(document: Document) -> list[dict[str, Any]]:
    return [{**one, "at": parse_datetime(str(one.get("at", "")))} for one in document.editions]


def _headings(document: Document, entry: Entry | None) -> list[Passage]:
    """The first passage under each heading, to hang wordings and cases on."""
    rows = document.passages.filter(retired_at=None).order_by("ordinal")
    if entry is not None:
        rows = rows.filter(heading=entry.heading)
    found: dict[str, Passage] = {}
    for passage in rows:
        found.setdefault(passage.heading, passage)
    return list(found.values())[:200]
