"""The recommender as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RecommenderConfig(AppConfig):
    """Nothing happens at start-up: vectors load on first use."""

    name = "recommender"
    verbose_name = _("Recommender")
