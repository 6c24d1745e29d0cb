"""How this process makes its engine: from the typed settings, on first use."""

from __future__ import annotations

import sys

from services.conf import load
from services.inference.engine import Engine, configure_engine


def configure() -> None:
    """Tell `get_engine` what to make; loads nothing."""
    configure_engine(_make)


def _make() -> Engine:
    from services.console import engine_reports
    from services.inference.conf import InferenceSettings
    from services.inference.local import build_engine

    engine = build_engine(load(InferenceSettings))
    role = engine_reports.role_of(sys.argv)
    if role != "command":
        engine_reports.start_publishing(engine, role)
    return engine
