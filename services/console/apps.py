"""The console as a Django app; gives the process its engine."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConsoleConfig(AppConfig):
    """Registers the start-up checks and says how this process makes its engine."""

    name = "services.console"
    label = "console"
    verbose_name = _("Console")

    def ready(self) -> None:
        from services.console.engine import configure

        configure()
