"""The operators' lists of the recommender: catalogue and users."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from recommender import catalogue
from recommender.models import Event, Item, Person
from recommender.tasks import embed_soon


@admin.register(Item)
class ItemAdmin(ModelAdmin):  # type: ignore[misc]
    """The catalogue; hiding takes effect in the next answer."""

    list_display = ["shown_title", "price", "stock", "shown_state", "event_count", "published_at"]
    list_filter = ["hidden", "brand", ("vec", admin.EmptyFieldListFilter)]
    search_fields = ["item_id", "title", "brand", "description"]
    fields = [
        "item_id", "title", "description", "brand", "categories", "tags", "price", "stock", "hidden",
        "published_at", "expires_at", "attributes",
    ]  # fmt: skip
    actions = ["hide", "show"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Item]:
        return super().get_queryset(request).annotate(events_n=Count("events"))

    def get_readonly_fields(self, request: HttpRequest, obj: Item | None = None) -> list[str]:
        """The shop's own id does not change once it is there."""
        return ["item_id"] if obj else []

    def save_model(self, request: HttpRequest, obj: Item, form: Any, change: bool) -> None:
        catalogue.apply(obj, {})
        super().save_model(request, obj, form, change)
        catalogue.touch()
        embed_soon()

    def delete_model(self, request: HttpRequest, obj: Item) -> None:
        catalogue.remove(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Item]) -> None:
        queryset.delete()
        catalogue.touch()

    @action(description=gettext_lazy("Hide"))
    def hide(self, request: HttpRequest, queryset: QuerySet[Item]) -> None:
        """Take the chosen items out of every answer."""
        self._set_hidden(request, queryset, True)

    @action(description=gettext_lazy("Show"))
    def show(self, request: HttpRequest, queryset: QuerySet[Item]) -> None:
        """Let the chosen items be recommended again."""
        self._set_hidden(request, queryset, False)

    def _set_hidden(self, request: HttpRequest, queryset: QuerySet[Item], hidden: bool) -> None:
        n = queryset.update(hidden=hidden)
        catalogue.touch()
        text = _("%(n)d items hidden.") if hidden else _("%(n)d items shown.")
        messages.success(request, text % {"n": n})

    @display(description=gettext_lazy("Item"), ordering="title", header=True)
    def shown_title(self, item: Item) -> list[str]:
        return [item.title, item.item_id]

    @display(
        description=gettext_lazy("State"),
        label={"shown": "success", "hidden": "warning", "waiting": "info"},
    )
    def shown_state(self, item: Item) -> tuple[str, str]:
        if item.hidden:
            return "hidden", _("hidden")
        return ("shown", _("shown")) if item.vec is not None else ("waiting", _("waits for its vector"))

    @display(description=gettext_lazy("Events"), ordering="events_n")
    def event_count(self, item: Any) -> int:
        return int(item.events_n)


@admin.register(Person)
class PersonAdmin(ModelAdmin):  # type: ignore[misc]
    """Users; a row opens the page that says why they see what they see."""

    list_display = ["user_id", "event_count", "last_event"]
    search_fields = ["user_id"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Users come by the API or an import."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Person]:
        return super().get_queryset(request).annotate(events_n=Count("events"), last=Max("events__time"))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        person = Person.objects.filter(pk=object_id).first()
        if person is None:
            return super().change_view(request, object_id, form_url, extra_context)  # type: ignore[no-any-return]
        return redirect("recommender-why", user_id=person.user_id)

    @display(description=gettext_lazy("Events"), ordering="events_n")
    def event_count(self, person: Any) -> int:
        return int(person.events_n)

    @display(description=gettext_lazy("Last event"), ordering="last")
    def last_event(self, person: Any) -> Any:
        return person.last


@admin.register(Event)
class EventAdmin(ModelAdmin):  # type: ignore[misc]
    """The log of behaviour, newest first."""

    list_display = ["type", "item", "person", "session", "time"]
    list_filter = ["type", ("time", admin.DateFieldListFilter)]
    search_fields = ["event_key", "item__title", "person__user_id", "session"]
    list_select_related = ["item", "person"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False
