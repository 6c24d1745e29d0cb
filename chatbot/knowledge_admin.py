"""Support → Knowledge versions and Evaluation cases: the lists, and which page is where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from chatbot import case_views, cases, term_views, version_views
from chatbot.models import EvaluationCase, KnowledgeVersion, Passage, Term
from services.console.permissions import OnlyShown


class UsedFilter(admin.SimpleListFilter):
    """Passages in use, as long as nobody asks for the others."""

    title = gettext_lazy("use")
    parameter_name = "use"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("replaced", _("replaced or removed")), ("all", _("all"))]

    def choices(self, changelist: Any) -> Iterator[Any]:
        first = {"selected": self.value() is None, "display": _("in use")}
        yield first | {"query_string": changelist.get_query_string(remove=[self.parameter_name])}
        for value, words in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self.value() == str(value), "query_string": query, "display": words}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Passage]) -> QuerySet[Passage]:
        if self.value() == "all":
            return queryset
        return queryset.filter(retired_at__isnull=self.value() != "replaced")


@admin.register(KnowledgeVersion)
class KnowledgeVersionAdmin(OnlyShown, ModelAdmin):  # type: ignore[misc]
    """In the place of a list, the page of a knowledge base's versions."""

    def get_urls(self) -> list[URLPattern]:
        view, pages = self.admin_site.admin_view, version_views
        return [
            path("", view(pages.versions_page), name="chatbot_knowledgeversion_changelist"),
            path("progress/", view(pages.progress_part), name="chatbot_knowledgeversion_progress"),
            path("<int:base_id>/judge/", view(pages.judge_again), name="chatbot_knowledgeversion_judge"),
            path(
                "<int:version_id>/change/", view(pages.version_page), name="chatbot_knowledgeversion_change"
            ),
            path("<int:version_id>/act/", view(pages.act), name="chatbot_knowledgeversion_act"),
        ]


@admin.register(Term)
class TermAdmin(OnlyShown, ModelAdmin):  # type: ignore[misc]
    """In the place of a list, the page on which a knowledge base's terms are written down."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("", view(term_views.terms_page), name="chatbot_term_changelist"),
            path("terms.csv", view(term_views.export), name="chatbot_term_export"),
        ]


@admin.register(EvaluationCase)
class EvaluationCaseAdmin(ModelAdmin):  # type: ignore[misc]
    """Questions that versions are judged on; in the place of a form, a page of our own."""

    list_display = ["shown_question", "shown_expected", "origin", "knowledge_base", "created_at"]
    list_filter = ["knowledge_base", "origin", "answerable"]
    search_fields = ["question", "heading", "document__title"]
    list_select_related = ["document", "knowledge_base"]
    list_before_template = "chatbot/admin/cases_slot.html"
    actions = ["export_csv"]
    actions_list = ["import_cases"]

    def get_urls(self) -> list[URLPattern]:
        view, pages = self.admin_site.admin_view, case_views
        own = [
            path("add/", view(pages.case_page), name="chatbot_evaluationcase_add"),
            path("<int:case_id>/change/", view(pages.case_page), name="chatbot_evaluationcase_change"),
            path("passages/", view(pages.passages_part), name="chatbot_evaluationcase_passages"),
            path("panel/", view(pages.panel), name="chatbot_evaluationcase_panel"),
            path("import/", view(pages.import_page), name="chatbot_evaluationcase_import"),
            path("cases.csv", view(pages.export), name="chatbot_evaluationcase_export"),
        ]
        return [*own, *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: EvaluationCase | None = None) -> bool:
        """As the other pages of the console: whoever may sign in."""
        return True

    @action(description=gettext_lazy("Import"), url_path="import-cases", icon="upload")
    def import_cases(self, request: HttpRequest) -> HttpResponse:
        """To the page that takes a file."""
        return redirect("admin:chatbot_evaluationcase_import")

    @action(description=gettext_lazy("Export as CSV"))
    def export_csv(self, request: HttpRequest, queryset: QuerySet[EvaluationCase]) -> StreamingHttpResponse:
        """The chosen cases as a file."""
        return StreamingHttpResponse(
            cases.as_csv(queryset), content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="evaluation-cases.csv"'},
        )  # fmt: skip

    @display(description=gettext_lazy("Question"), ordering="question")
    def shown_question(self, case: EvaluationCase) -> str:
        return case.question if len(case.question) <= 120 else f"{case.question[:119]}…"

    @display(description=gettext_lazy("Answered by"), header=True)
    def shown_expected(self, case: EvaluationCase) -> list[str]:
        if not case.answerable:
            return [_("nothing: to be refused"), ""]
        if case.document is None:
            return [f"▲ {_('its document is gone')}", case.heading]
        return [case.heading.rsplit(" › ", 1)[-1], case.document.title]
