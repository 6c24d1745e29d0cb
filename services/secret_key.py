"""The key that signs sessions: made once, kept in a file only its owner can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from services.errors import Misconfigured


def read_or_make(path: Path) -> str:
    """The key kept at `path`; made there on the first call (mode 0600, never overwritten).

    Raises Misconfigured when the folder cannot be written or the file cannot be read.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read(path)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
        return _read(path)
    except OSError as error:
        raise Misconfigured(
            f"DATA_DIR: the folder cannot be written ({error.strerror}). "
            "Set DATA_DIR to a folder this user may write, or set SECRET_KEY."
        ) from error


def _read(path: Path) -> str:
    key = path.read_text().strip()
    if len(key) < 32:
        raise Misconfigured(
            f"SECRET_KEY: the file {path.name} in DATA_DIR is damaged. Remove it to have a new key made "
            "(everyone is signed out), or set SECRET_KEY."
        )
    return key
