"""The operators' pages on the chatbot's rows: documents with their progress, passages, bases, inboxes."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Max, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget

from chatbot import knowledge
from chatbot.conversation_admin import ConversationAdmin as ConversationAdmin
from chatbot.intent_admin import IntentAdmin as IntentAdmin
from chatbot.knowledge_admin import EvaluationCaseAdmin as EvaluationCaseAdmin
from chatbot.knowledge_admin import KnowledgeVersionAdmin as KnowledgeVersionAdmin
from chatbot.knowledge_admin import TermAdmin as TermAdmin
from chatbot.knowledge_admin import UsedFilter
from chatbot.models import Document, Inbox, KnowledgeBase, KnowledgeVersion, Passage
from chatbot.parsing import MEDIA_TYPES
from chatbot.source_admin import FromFilter, address_of, from_of
from chatbot.source_admin import SourceAdmin as SourceAdmin
from chatbot.tasks import index_soon, ingest_soon
from chatbot.upkeep_admin import ACTIONS, ReviewDates
from services.conf import CoreSettings, load
from services.console.storage import storage
from services.errors import SuiteError


class _MultipleFiles(forms.FileField):
    """A file field that takes several files and gives a list."""

    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminFileFieldWidget(attrs={"accept": ",".join(MEDIA_TYPES)})
        widget.allow_multiple_selected = True
        widget.attrs["multiple"] = True
        super().__init__(widget=widget, **options)

    def clean(self, data: Any, initial: Any = None) -> list[Any]:
        files = data if isinstance(data, list | tuple) else [data]
        return [super(_MultipleFiles, self).clean(file, initial) for file in files]


class UploadForm(forms.Form):
    """Files for a knowledge base."""

    knowledge_base = forms.ModelChoiceField(
        KnowledgeBase.objects.all(),
        label=gettext_lazy("Knowledge base"),
        widget=UnfoldAdminSelectWidget,
        empty_label=None,
    )
    files = _MultipleFiles(label=gettext_lazy("Files"))  # type: ignore[assignment]


@admin.register(Document)
class DocumentAdmin(ReviewDates, ModelAdmin):  # type: ignore[misc]
    """Documents with their state; uploading, retrying, removing."""

    list_display = [
        "shown_title",
        "shown_state",
        "passage_count",
        "shown_from",
        "language",
        "shown_ingested",
        "shown_review",
        "shown_edit",
    ]
    list_select_related = ["source"]
    list_filter = ["state", FromFilter, "language", "media_type", "knowledge_base"]
    search_fields = ["title", "filename", "url"]
    readonly_fields = [
        "title", "knowledge_base", "shown_from", "shown_address", "filename", "media_type", "language",
        "size_bytes", "shown_state", "shown_progress", "failure", "attempts", "created_at", "ingested_at",
        "shown_link", "shown_edit",
    ]  # fmt: skip
    fields = ["review_by", *readonly_fields]
    actions = ["retry", *ACTIONS]
    actions_list = ["write", "upload"]
    list_before_template = "chatbot/admin/progress_slot.html"

    def get_urls(self) -> list[URLPattern]:
        page = path("progress/", self.admin_site.admin_view(self.progress), name="chatbot_document_progress")
        return [page, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Documents come by upload, not by an empty form."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        """Removed ones are kept for the answers that quote them, and shown nowhere."""
        used = Count("passages", filter=Q(passages__retired_at=None))
        shown = super().get_queryset(request).exclude(state=Document.State.REMOVED)
        return shown.annotate(passages_n=used)

    @action(description=gettext_lazy("Write an entry"), url_path="write", icon="edit_note")
    def write(self, request: HttpRequest) -> HttpResponse:
        """To the page where a question or an article is written."""
        return redirect(f"{reverse('chatbot-entry-new')}?kind=faq")

    @action(description=gettext_lazy("Upload documents"), url_path="upload", icon="upload")
    def upload(self, request: HttpRequest) -> HttpResponse:
        """Take one or more files; each is refused or queued by itself."""
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            queued = 0
            limit = load(CoreSettings).max_upload_mib * 2**20
            for file in form.cleaned_data["files"]:
                try:
                    document = knowledge.receive(
                        form.cleaned_data["knowledge_base"],
                        file.name,
                        file.read(limit + 1),
                        storage=storage(),
                        max_bytes=limit,
                        by=request.user.get_username(),
                    )
                except SuiteError as error:
                    messages.error(request, f"{file.name}: {error.detail}")
                else:
                    queued += 1
                    ingest_soon(document.pk)
            if queued:
                messages.success(
                    request, ngettext("%(n)d file queued.", "%(n)d files queued.", queued) % {"n": queued}
                )
                return redirect("admin:chatbot_document_changelist")
        context = {
            **self.admin_site.each_context(request),
            "form": form,
            "title": _("Upload documents"),
            "opts": self.model._meta,
            "endings": ", ".join(MEDIA_TYPES),
            "limit_mib": load(CoreSettings).max_upload_mib,
        }
        return render(request, "chatbot/admin/upload.html", context)

    def progress(self, request: HttpRequest) -> HttpResponse:
        """The running ingests as an htmx partial; it stops asking when there are none."""
        active = Document.objects.filter(state__in=[Document.State.QUEUED, Document.State.RUNNING])
        context = {
            "active": active.order_by("-state", "pk")[:5],
            "active_n": active.count(),
            "total_n": Document.objects.exclude(state=Document.State.REMOVED).count(),
            "blocked": _blocked(),
            "failed_n": Document.objects.filter(state=Document.State.FAILED).count(),
        }
        response = render(request, "chatbot/admin/progress.html", context)
        if request.GET.get("was") and not context["active_n"]:
            response["HX-Refresh"] = "true"
        return response

    @display(description=gettext_lazy("Title"), ordering="title", header=True)
    def shown_title(self, document: Document) -> list[str]:
        address = urlsplit(document.url)
        place = address.path + (f"?{address.query}" if address.query else "")
        return [document.title, place if document.url else document.filename]

    @display(description=gettext_lazy("Ingested at"), ordering="ingested_at")
    def shown_ingested(self, document: Document) -> str:
        at = document.ingested_at
        return date_format(localtime(at), "SHORT_DATETIME_FORMAT") if at else "–"

    @display(
        description=gettext_lazy("State"),
        ordering="state",
        label={"queued": "info", "running": "warning", "done": "success", "failed": "danger"},
    )
    def shown_state(self, document: Document) -> tuple[str, str]:
        return document.state, document.get_state_display()

    @display(description=gettext_lazy("Embedded"))
    def shown_progress(self, document: Document) -> str:
        if not document.pieces_total:
            return "–"
        return _("%(done)d of %(total)d pieces") % {
            "done": document.pieces_done,
            "total": document.pieces_total,
        }

    @display(description=gettext_lazy("Passages"), ordering="passages_n")
    def passage_count(self, document: Any) -> SafeString:
        url = reverse("admin:chatbot_passage_changelist") + f"?document__id__exact={document.pk}"
        return format_html('<a href="{}">{}</a>', url, document.passages_n)

    @display(description=gettext_lazy("From"), ordering="source__url")
    def shown_from(self, document: Document) -> SafeString | str:
        return from_of(document)

    @display(description=gettext_lazy("Address"))
    def shown_address(self, document: Document) -> SafeString | str:
        return address_of(document)

    @display(description=gettext_lazy("Text"))
    def shown_edit(self, document: Document) -> SafeString:
        url = reverse("chatbot-entry-edit", args=[document.pk])
        label = _("Edit “%(title)s”") % {"title": document.title}
        return format_html('<a class="tf-link" href="{}" aria-label="{}">{}</a>', url, label, _("Edit"))

    @display(description=gettext_lazy("As visitors see it"))
    def shown_link(self, document: Document) -> SafeString:
        return format_html(
            '<a href="{0}" target="_blank">{0}</a>', reverse("help-source", args=[document.pk])
        )

    @action(description=gettext_lazy("Read again"))
    def retry(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        """Queue the chosen documents once more."""
        for document in queryset:
            knowledge.retry(document)
            ingest_soon(document.pk)
        messages.success(request, _("Queued again."))

    def delete_model(self, request: HttpRequest, obj: Document) -> None:
        knowledge_base_id = obj.knowledge_base_id
        knowledge.remove(obj)
        index_soon(knowledge_base_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        for document in queryset:
            self.delete_model(request, document)


@admin.register(Passage)
class PassageAdmin(ModelAdmin):  # type: ignore[misc]
    """What answers quote; read here, changed in the editor or by uploading the document again."""

    list_display = ["heading", "shown_text", "document", "language"]
    list_filter = [UsedFilter, "document__knowledge_base", "language", "document"]
    search_fields = ["heading", "text"]
    list_select_related = ["document"]
    readonly_fields = [
        "document",
        "heading",
        "language",
        "text",
        "shown_variants",
        "shown_edit",
        "start",
        "end",
        "updated_at",
    ]
    fields = ["review_by", *readonly_fields]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Passage | None = None) -> bool:
        """Passages go with their document."""
        return False

    @display(description=gettext_lazy("Text"))
    def shown_text(self, passage: Passage) -> str:
        return passage.text[:120] + ("…" if len(passage.text) > 120 else "")

    @display(description=gettext_lazy("Question variants"))
    def shown_variants(self, passage: Passage) -> str:
        by_hand = passage.document.question_variants.filter(heading=passage.heading)
        return "\n".join([*passage.variants, *by_hand.values_list("question", flat=True)]) or "–"

    @display(description=gettext_lazy("Text and wordings"))
    def shown_edit(self, passage: Passage) -> SafeString | str:
        if passage.retired_at is not None:
            return "–"
        url = reverse("chatbot-entry-at", args=[passage.pk])
        return format_html('<a class="tf-link" href="{}">{}</a>', url, _("Edit"))


@admin.register(KnowledgeBase)
class KnowledgeBaseAdmin(ModelAdmin):  # type: ignore[misc]
    """What an assistant may answer from."""

    list_display = ["name", "document_count", "shown_index", "shown_live", "indexed_at"]
    search_fields = ["name"]
    list_select_related = ["live_version"]
    fields = ["name", "publishes_itself", "shown_careful", "shown_index", "shown_live", "indexed_at"]
    readonly_fields = ["shown_careful", "shown_index", "shown_live", "indexed_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[KnowledgeBase]:
        shown = ~Q(documents__state=Document.State.REMOVED)
        return super().get_queryset(request).annotate(documents_n=Count("documents", filter=shown))

    @display(description=gettext_lazy("How careful"))
    def shown_careful(self, knowledge_base: KnowledgeBase) -> SafeString | str:
        if not knowledge_base.pk:
            return f"{knowledge_base.carefulness:.2f}"
        url = f"{reverse('chatbot-bench-careful')}?base={knowledge_base.pk}"
        words = _("see what another value would do")
        return format_html(
            '{} · <a class="tf-link" href="{}">{}</a>', f"{knowledge_base.carefulness:.2f}", url, words
        )

    @display(description=gettext_lazy("Documents"))
    def document_count(self, knowledge_base: Any) -> SafeString:
        url = reverse("admin:chatbot_document_changelist") + f"?knowledge_base__id__exact={knowledge_base.pk}"
        return format_html('<a href="{}">{}</a>', url, knowledge_base.documents_n)

    @display(
        description=gettext_lazy("Search index"),
        label={
            "empty": "info",
            "behind": "warning",
            "blocked": "danger",
            "draft": "info",
            "current": "success",
        },
    )
    def shown_index(self, knowledge_base: KnowledgeBase) -> tuple[str, str]:
        if not knowledge_base.index_path:
            return "empty", _("empty")
        if knowledge_base.revision > knowledge_base.indexed_revision:
            return "behind", _("being rebuilt")
        newest = knowledge_base.versions.order_by("-number").first()
        if newest is not None and newest.state in {
            KnowledgeVersion.State.DRAFT,
            KnowledgeVersion.State.BLOCKED,
        }:
            waits = newest.state == KnowledgeVersion.State.DRAFT
            return newest.state, _("waits to be published") if waits else _("blocked by the gate")
        return "current", _("up to date")

    @display(description=gettext_lazy("Live version"))
    def shown_live(self, knowledge_base: KnowledgeBase) -> str | SafeString:
        live = knowledge_base.live_version
        if live is None:
            return "–"
        return format_html('<a href="{}">v{}</a>', _page_of(live), live.number)


def _blocked() -> list[tuple[KnowledgeVersion, str]]:
    """Newest versions that the gate holds back, with their pages."""
    found = KnowledgeVersion.objects.select_related("knowledge_base").filter(
        state=KnowledgeVersion.State.BLOCKED
    )
    rows = found.defer("passage_ids", "failing").order_by("knowledge_base", "-number")
    newest = {base.pk: base.newest for base in KnowledgeBase.objects.annotate(newest=Max("versions__number"))}
    return [(row, _page_of(row)) for row in rows if newest.get(row.knowledge_base_id) == row.number]


def _page_of(version: KnowledgeVersion) -> str:
    return reverse("admin:chatbot_knowledgeversion_change", args=[version.pk])


@admin.register(Inbox)
class InboxAdmin(ModelAdmin):  # type: ignore[misc]
    """A website's widget: its words, its colour, where it may be shown, and the tag to paste."""

    list_display = ["name", "key", "knowledge_base", "locale"]
    search_fields = ["name", "key"]
    readonly_fields = ["shown_tag"]

    @display(description=gettext_lazy("Tag for the website"))
    def shown_tag(self, inbox: Inbox) -> SafeString:
        address = load(CoreSettings).public_url
        return format_html(
            '<code>&lt;script src="{}" data-inbox="{}" async&gt;&lt;/script&gt;</code>',
            f"{address}/static/chatbot/widget/widget.js",
            inbox.key or "KEY",
        )
