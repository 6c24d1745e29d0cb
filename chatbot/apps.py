"""The chatbot as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatbotConfig(AppConfig):
    """Models load on first use; the start-up command is told what it may wait for."""

    name = "chatbot"
    verbose_name = _("Support")

    def ready(self) -> None:
        from services.console import pending

        def unfinished() -> int:
            from chatbot import knowledge

            return knowledge.unfinished()

        pending.register(unfinished)
