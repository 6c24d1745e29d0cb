"""The demo as a Django app, above the three products."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class SampleConfig(AppConfig):
    """A shop of a fictional company, and the command that loads its data."""

    name = "sample"
    verbose_name = _("Sample company")
