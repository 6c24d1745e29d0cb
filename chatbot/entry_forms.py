"""The editor's fields: what was sent as a draft, what a document says as fields, and who may write."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin.views.decorators import staff_member_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from chatbot import entries, entry_history
from chatbot.entry_preview import Draft
from chatbot.faq_files import Entry
from chatbot.models import Document, KnowledgeBase
from services.conf import CoreSettings, load
from services.console.storage import storage
from services.errors import InvalidInput

MAY = "chatbot.change_document"
FIELDS = ("title", "text", "question", "answer", "variants", "section")


def editing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A page for those who may change documents."""

    @never_cache
    @staff_member_required
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.has_perm(MAY):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return inner


def writer(request: HttpRequest) -> entries.Writer:
    """Who writes, as the rooms want it."""
    limit = load(CoreSettings).max_upload_mib * 2**20
    return entries.Writer(request.user.get_username(), timezone.now(), storage(), limit)


def given(request: HttpRequest) -> dict[str, str]:
    """The fields as they were sent; browsers send line breaks in a way of their own."""
    return {name: request.POST.get(name, "").replace("\r\n", "\n") for name in FIELDS}


def of_entry(entry: Entry) -> dict[str, str]:
    """An FAQ entry as fields."""
    return {
        "question": entry.question,
        "answer": entry.answer,
        "variants": "\n".join(entry.variants),
        "section": entry.section,
    }


def of_text(opened: entries.Opened) -> dict[str, str]:
    """A document's text as fields."""
    if opened.document.media_type != entries.MARKDOWN:
        return {"title": "", "text": opened.text}
    title, text = entries.title_and_text(opened.text)
    return {"title": title, "text": text}


def entry_of(fields: dict[str, str]) -> Entry:
    """The FAQ entry that the fields make."""
    wordings = tuple(fields["variants"].splitlines())
    return Entry(fields["question"], fields["answer"], wordings, fields["section"])


def text_of(fields: dict[str, str], media_type: str) -> str:
    """The text that the fields make."""
    if media_type != entries.MARKDOWN:
        return fields["text"]
    return entries.with_title(fields["title"], fields["text"])


def draft_of(request: HttpRequest) -> Draft:
    """What is being written. Raises InvalidInput when its knowledge base or document is gone."""
    fields = given(request)
    document = Document.objects.filter(pk=number(request, "document")).first()
    base = document.knowledge_base if document else _base(request)
    if base is None:
        raise InvalidInput(_("This knowledge base was deleted. Choose another one; your text is still here."))
    if request.POST.get("kind") == "faq":
        title = document.title if document else _("Written answers")
        replaces = request.POST.get("replaces", "")
        entry = entry_of(fields)
        return Draft(base, entries.MARKDOWN, title, "", entry, document, replaces)
    media_type = document.media_type if document else entries.MARKDOWN
    media_type = media_type if media_type in entry_history.TEXTS else entries.MARKDOWN
    title = fields["title"].strip() or (document.title if document else _("Untitled"))
    return Draft(base, media_type, title, text_of(fields, media_type), None, document)


def number(request: HttpRequest, name: str) -> int:
    """A number that was sent, 0 for anything else."""
    sent = request.POST.get(name) or request.GET.get(name) or ""
    return int(sent) if sent.isdecimal() and len(sent) < 12 else 0


def _base(request: HttpRequest) -> KnowledgeBase | None:
    return KnowledgeBase.objects.filter(pk=number(request, "base")).first()
