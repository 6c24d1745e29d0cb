"""Refuse to start misconfigured: each check names the setting and the remedy.

Registered as Django system checks, so `manage.py check`, `migrate` and `up` all run them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from services.console.storage import storage
from services.errors import StorageFailed


@register()
def data_dir_is_writable(app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """DATA_DIR holds the embedded database and broker."""
    if os.access(settings.DATA_DIR, os.W_OK | os.X_OK):
        return []
    return [
        Error(
            "DATA_DIR: the folder cannot be written.",
            hint="Set DATA_DIR to a folder this user may write.",
            id="trefoil.E001",
        )
    ]


@register()
def storage_works(app_configs: Any, **_: Any) -> Sequence[CheckMessage]:
    """STORAGE_URL takes a write, gives it back and lets it be removed."""
    try:
        storage().probe()
    except StorageFailed as error:
        return [
            Error(
                f"STORAGE_URL: {error.detail}",
                hint="Set STORAGE_URL to a folder or bucket that can be written "
                "(S3_ENDPOINT_URL and AWS_* for an S3-compatible store).",
                id="trefoil.E002",
            )
        ]
    return []
