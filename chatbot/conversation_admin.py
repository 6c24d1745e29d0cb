"""The list of conversations, and the transcript of one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import display

from chatbot.models import Conversation


@admin.register(Conversation)
class ConversationAdmin(ModelAdmin):  # type: ignore[misc]
    """Conversations with their transcript."""

    list_display = ["shown_first", "shown_outcome", "inbox", "locale", "last_seq", "created_at"]
    list_filter = ["inbox", "locale", ("created_at", admin.DateFieldListFilter)]
    search_fields = ["events__payload__text"]
    change_form_template = "chatbot/admin/transcript.html"
    fields: list[str] = []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Conversation | None = None) -> bool:
        """The log is append-only: it is read here."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conversation]:
        return super().get_queryset(request).prefetch_related("events")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        conversation = Conversation.objects.filter(pk=object_id).prefetch_related("events", "turns").first()
        if conversation is None:
            return super().change_view(request, object_id, form_url, extra_context)
        turns = {turn.question_seq: turn for turn in conversation.turns.all()}
        lines = [
            {"event": event, "turn": turns.get(event.payload.get("reply_to", 0))}
            for event in conversation.events.all()
        ]
        context = {**(extra_context or {}), "conversation": conversation, "lines": lines}
        return super().change_view(request, object_id, form_url, context)

    @display(description=gettext_lazy("First question"), header=True)
    def shown_first(self, conversation: Conversation) -> list[str]:
        first = next((e for e in conversation.events.all() if e.kind == "visitor_message"), None)
        words = first.payload["text"] if first else _("(nothing said yet)")
        return [words[:90] + ("…" if len(words) > 90 else ""), conversation.page_url]

    @display(
        description=gettext_lazy("Last answer"),
        label={"answer": "success", "refusal": "warning", "failed": "danger", "none": "info"},
    )
    def shown_outcome(self, conversation: Conversation) -> tuple[str, str]:
        names = {
            "answer": _("answered"),
            "refusal": _("refused"),
            "failed": _("failed"),
            "none": _("none yet"),
        }
        last = [e for e in conversation.events.all() if e.kind != "visitor_message"]
        outcome = last[-1].payload.get("outcome", "failed") if last else "none"
        return outcome, names.get(outcome, outcome)
