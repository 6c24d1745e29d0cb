"""How this process makes its engine: from the typed settings, on first use."""

from __future__ import annotations

import sys

from services.conf import CoreSettings, load
from services.console.storage import storage
from services.inference.engine import Engine, configure_engine
from services.registry.store import ModelStore


def configure() -> None:
    """Tell `get_engine` what to make; loads nothing."""
    configure_engine(_make)


def _make() -> Engine:
    from services.console import engine_reports
    from services.inference.conf import InferenceSettings
    from services.inference.dying import end_process
    from services.inference.local import build_engine

    engine = build_engine(
        load(InferenceSettings),
        store=ModelStore(storage()),
        redis_url=load(CoreSettings).redis_url,
        on_death=end_process,
    )
    role = engine_reports.role_of(sys.argv)
    if role != "command":
        engine_reports.start_publishing(engine, role)
    return engine
