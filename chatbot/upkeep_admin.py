"""Dates to look at documents again, as the list of documents and its pages have them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.decorators import action, display

from chatbot import upkeep
from chatbot.models import Document

ACTIONS = ["look_again_3", "look_again_6", "look_again_12"]


class ReviewDates:
    """The column with a document's date, and what sets it for several at once."""

    @display(description=gettext_lazy("To be looked at by"), ordering="review_by")
    def shown_review(self, document: Document) -> str | SafeString:
        if document.review_by is None:
            return "–"
        day = date_format(document.review_by, "SHORT_DATE_FORMAT")
        if document.review_by >= timezone.localdate():
            return day
        return format_html('{} <span class="tr-wrong">▲ {}</span>', day, _("overdue"))

    @action(description=gettext_lazy("Look at again in 3 months"), permissions=["change"])
    def look_again_3(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        _look_again(request, queryset, 3)

    @action(description=gettext_lazy("Look at again in 6 months"), permissions=["change"])
    def look_again_6(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        _look_again(request, queryset, 6)

    @action(description=gettext_lazy("Look at again in 12 months"), permissions=["change"])
    def look_again_12(self, request: HttpRequest, queryset: QuerySet[Document]) -> None:
        _look_again(request, queryset, 12)


def _look_again(request: HttpRequest, queryset: QuerySet[Any], months: int) -> None:
    today = timezone.localdate()
    n = upkeep.look_again(queryset.values_list("pk", flat=True), months, today)
    told = {"n": n, "day": date_format(upkeep.in_months(today, months), "DATE_FORMAT")}
    words = ngettext(
        "%(n)d document is to be looked at again by %(day)s.",
        "%(n)d documents are to be looked at again by %(day)s.",
        n,
    )
    messages.success(request, words % told)
