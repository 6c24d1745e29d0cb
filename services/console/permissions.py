"""Who may do what on the console's pages, where that is the same for several."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


class OnlyShown:
    """Whoever may sign in may look, as at the console's other pages; nobody adds, changes or deletes."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
