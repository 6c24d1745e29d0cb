"""The operators' pages on what the suite shares: people, keys, engines."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as PlainGroupAdmin
from django.contrib.auth.admin import UserAdmin as PlainUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from services.console import api_keys, training_admin, views
from services.console.models import ApiKey, EngineProcess
from services.console.permissions import OnlyShown

__all__ = ["ApiKeyAdmin", "EngineProcessAdmin", "GroupAdmin", "UserAdmin", "training_admin"]

admin.site.unregister(User)
admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(PlainUserAdmin, ModelAdmin):  # type: ignore[misc, type-arg]
    """People who may sign in."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm


@admin.register(Group)
class GroupAdmin(PlainGroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Roles: what a group of people may do."""


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """A name and what the key may do."""

    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope.choices, widget=forms.CheckboxSelectMultiple, label=gettext_lazy("May")
    )

    class Meta:
        model = ApiKey
        fields = ["name", "scopes"]


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]
    """Keys for programs; a new one is shown once."""

    form = ApiKeyForm
    list_display = ["name", "prefix", "shown_scopes", "shown_state", "created_at"]
    search_fields = ["name", "prefix"]
    actions = ["revoke"]

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        row, key = api_keys.make(obj.name, form.cleaned_data["scopes"])
        obj.pk, obj.prefix = row.pk, row.prefix
        message = _("Copy the key now; it is not shown again:")
        messages.warning(request, format_html("{} <code>{}</code>", message, key))

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Keys are revoked, so that the log of who did what keeps its names."""
        return False

    @action(description=gettext_lazy("Revoke"))
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """The chosen keys open nothing from now on."""
        n = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        messages.success(request, _("%(n)d keys revoked.") % {"n": n})

    @display(description=gettext_lazy("May"))
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description=gettext_lazy("State"), label={"active": "success", "revoked": "danger"})
    def shown_state(self, key: ApiKey) -> tuple[str, str]:
        return ("revoked", _("revoked")) if key.revoked_at else ("active", _("active"))


@admin.register(EngineProcess)
class EngineProcessAdmin(OnlyShown, ModelAdmin):  # type: ignore[misc]
    """Models → Serving: in the place of a list, the page of what the engines do. Nothing is edited."""

    def get_urls(self) -> list[URLPattern]:
        return [
            path("", views.serving_page, name="console_engineprocess_changelist"),
            path("numbers.json", views.serving_json, name="console_engineprocess_numbers"),
        ]
