"""Settings are read once a process: a test that sets its own must not meet those of the test before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.conf import load


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    """What the environment says now, and again after the test."""
    load.cache_clear()
    yield
    load.cache_clear()
