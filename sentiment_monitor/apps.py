"""The sentiment monitor as a Django app."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SentimentMonitorConfig(AppConfig):
    """Nothing happens at start-up: models load on first use."""

    name = "sentiment_monitor"
    verbose_name = _("Monitor")
