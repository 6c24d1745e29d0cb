"""The process's one file store, from the settings."""

from __future__ import annotations

from functools import cache

from django.conf import settings

from services.storage import Storage


@cache
def storage() -> Storage:
    """The store at STORAGE_URL, with its local cache in DATA_DIR."""
    return Storage(settings.STORAGE_URL, settings.DATA_DIR / "cache", **settings.STORAGE_OPTIONS)
