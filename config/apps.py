"""The front hall as a Django app: registers the start-up checks."""

from __future__ import annotations

from django.apps import AppConfig


class FrontHallConfig(AppConfig):
    """Loads `config/checks.py`, so that every command runs the checks first."""

    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401
