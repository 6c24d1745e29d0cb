"""Support → Intents: the list, and which page is where."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from chatbot import intent_views, training
from chatbot.models import Inbox, Intent
from services.console.storage import storage
from services.inference.open_set import OUTSIDE
from services.registry.store import ModelStore


@admin.register(Intent)
class IntentAdmin(ModelAdmin):  # type: ignore[misc]
    """What visitors may want and what is done about it; in the place of a form, a page of our own."""

    list_display = [
        "shown_name", "shown_examples", "shown_answer", "shown_slots", "shown_action", "shown_left_out",
        "enabled", "inbox",
    ]  # fmt: skip
    list_filter = ["inbox", "enabled"]
    search_fields = ["name", "examples", "template", "template_zh"]
    list_select_related = ["inbox"]
    actions = ["use", "rest"]
    list_before_template = "chatbot/admin/intents_slot.html"

    def get_urls(self) -> list[URLPattern]:
        view, pages = self.admin_site.admin_view, intent_views
        own = [
            path("add/", view(pages.intent_page), name="chatbot_intent_add"),
            path("<int:intent_id>/change/", view(pages.intent_page), name="chatbot_intent_change"),
            path("panel/", view(pages.panel), name="chatbot_intent_panel"),
            path("<int:inbox_id>/train/", view(pages.train), name="chatbot_intent_train"),
            path("<int:inbox_id>/try/", view(pages.try_page), name="chatbot_intent_try"),
            path("<int:inbox_id>/import/", view(pages.import_page), name="chatbot_intent_import"),
            path("<int:inbox_id>/examples.csv", view(pages.export), name="chatbot_intent_export"),
        ]
        return [*own, *super().get_urls()]

    def has_view_permission(self, request: HttpRequest, obj: Intent | None = None) -> bool:
        """As the other pages of the console: whoever may sign in."""
        return True

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, each row with what is known of its left-out examples."""
        found = super().get_changelist_instance(request)
        store, known = ModelStore(storage()), {}
        for intent in found.result_list:
            if intent.inbox_id not in known:
                known[intent.inbox_id] = training.state(intent.inbox, store).left_out
            intent.left_out = known[intent.inbox_id].get(intent.name)
        return found

    @display(description=gettext_lazy("Intent"), ordering="name", header=True)
    def shown_name(self, intent: Intent) -> list[str]:
        none = _("questions about none of the intents") if intent.name == OUTSIDE else ""
        return [intent.name, none or (intent.examples[0][:40] if intent.examples else "–")]

    @display(description=gettext_lazy("Examples"))
    def shown_examples(self, intent: Intent) -> int:
        return len(intent.examples)

    @display(description=gettext_lazy("Answer"))
    def shown_answer(self, intent: Intent) -> str:
        languages = [("en", intent.template), ("zh", intent.template_zh)]
        return ", ".join(name for name, text in languages if text) or "–"

    @display(description=gettext_lazy("Asks for"))
    def shown_slots(self, intent: Intent) -> str:
        return ", ".join(str(slot.get("name", "")) for slot in intent.slots) or "–"

    @display(description=gettext_lazy("Action"))
    def shown_action(self, intent: Intent) -> str:
        if not intent.action:
            return "–"
        host = urlsplit(str(intent.action.get("url", ""))).netloc or _("this installation")
        return f"{intent.action.get('method', '')} {host}"

    @display(description=gettext_lazy("Left-out examples"))
    def shown_left_out(self, intent: Any) -> str:
        if not getattr(intent, "left_out", None):
            return "–"
        right, asked = intent.left_out
        return _("%(right)d of %(asked)d right") % {"right": right, "asked": asked}

    @action(description=gettext_lazy("Use again"), permissions=["change"])
    def use(self, request: HttpRequest, queryset: QuerySet[Intent]) -> None:
        """Have them answer again."""
        self._switch(request, queryset, on=True)

    @action(description=gettext_lazy("Put aside"), permissions=["change"])
    def rest(self, request: HttpRequest, queryset: QuerySet[Intent]) -> None:
        """Have them answer nothing for now."""
        self._switch(request, queryset, on=False)

    def delete_model(self, request: HttpRequest, obj: Intent) -> None:
        obj.delete()
        training.sync(obj.inbox)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Intent]) -> None:
        inboxes = list(Inbox.objects.filter(intents__in=queryset).distinct())
        queryset.delete()
        for inbox in inboxes:
            training.sync(inbox)

    def get_deleted_objects(self, objs: Iterable[Any], request: HttpRequest) -> Any:
        """What goes, by name: its examples, answer, slots and action."""
        named, counted, lacking, protected = super().get_deleted_objects(objs, request)
        return [_what_goes(intent) for intent in objs] or named, counted, lacking, protected

    def _switch(self, request: HttpRequest, queryset: QuerySet[Intent], *, on: bool) -> None:
        inboxes = list(Inbox.objects.filter(intents__in=queryset).distinct())
        n = queryset.update(enabled=on)
        for inbox in inboxes:
            training.sync(inbox)
        messages.success(request, ngettext("%(n)d intent changed.", "%(n)d intents changed.", n) % {"n": n})


def _what_goes(intent: Intent) -> str:
    parts = [ngettext("%(n)d example", "%(n)d examples", len(intent.examples)) % {"n": len(intent.examples)}]
    if intent.template or intent.template_zh:
        parts.append(_("its answer"))
    if intent.slots:
        parts.append(ngettext("%(n)d slot", "%(n)d slots", len(intent.slots)) % {"n": len(intent.slots)})
    if intent.action:
        parts.append(_("its action"))
    told = {"name": intent.name, "inbox": intent.inbox.name, "parts": ", ".join(parts)}
    return _("%(name)s of %(inbox)s: %(parts)s") % told
