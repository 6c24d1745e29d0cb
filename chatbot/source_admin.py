"""Support → Web sites: which page is where; and, in the list of documents, where each comes from."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, re_path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin

from chatbot import source_views
from chatbot.models import Document, Source
from services.console.permissions import OnlyShown


@admin.register(Source)
class SourceAdmin(OnlyShown, ModelAdmin):  # type: ignore[misc]
    """In the place of a list and a form, pages of our own."""

    def get_urls(self) -> list[URLPattern]:
        view, pages = self.admin_site.admin_view, source_views
        act = r"^(?P<source_id>[0-9]{1,12})/(?P<what>" + "|".join(pages.MAY) + r")/$"
        return [
            path("", view(pages.sites_page), name="chatbot_source_changelist"),
            path("add/", view(pages.add_page), name="chatbot_source_add"),
            path("progress/", view(pages.progress_part), name="chatbot_source_progress"),
            path("<int:source_id>/change/", view(pages.site_page), name="chatbot_source_change"),
            re_path(act, view(pages.act), name="chatbot_source_act"),
        ]


class FromFilter(admin.SimpleListFilter):
    """Documents that were uploaded, and those of each web site."""

    title = gettext_lazy("from")
    parameter_name = "from"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        sites = [(str(pk), url) for pk, url in Source.objects.values_list("pk", "url")]
        return [("upload", _("upload")), ("sites", _("web sites")), *sites]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Document]) -> QuerySet[Document]:
        asked = self.value() or ""
        if asked.isdecimal() and len(asked) < 12:
            return queryset.filter(source=int(asked))
        return queryset.filter(source__isnull=asked == "upload") if asked else queryset


def from_of(document: Document) -> SafeString | str:
    """Where a document comes from: its web site's page in the console, or an upload."""
    if document.source is None:
        return _("upload")
    page = reverse("admin:chatbot_source_change", args=[document.source_id])
    return format_html('<a class="tf-link" href="{}">{}</a>', page, document.source.url)


def address_of(document: Document) -> SafeString | str:
    """The address of a page on its own site."""
    if not document.url.startswith(("http://", "https://")):
        return "–"
    return format_html('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>', document.url)
