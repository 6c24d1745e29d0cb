"""★ From entries to warnings: read this file to know what happens to a piece of news.

feeds -> entries -> stories -> entities, scores, hours (labelling) -> surge -> alerts -> delivery.
Each call is one room and takes what the one before left as rows, so any stage can run again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sentiment_monitor import alerts, entities, labelling, stories
from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Company
from sentiment_monitor.scoring import live_model
from services.inference.engine import Engine


@dataclass(frozen=True, slots=True)
class Processed:
    """How much was done: new stories, stories scored, hours judged."""

    new_stories: int
    scored: int
    hours: int


def process(
    *,
    engine: Engine,
    settings: MonitorSettings,
    now: datetime,
    alive: Callable[[], object] = lambda: None,
) -> Processed:
    """Take every waiting entry through to the alerts, as of `now`.

    `alive` is called between batches, for a worker that holds a lease.
    Raises the engine's SuiteErrors; what was done until then is kept, the rest waits.
    """
    companies = list(Company.objects.filter(watched=True).order_by("pk"))
    watched = entities.watch_list(companies)
    new = scored = 0
    model = live_model(engine)
    while waiting := stories.waiting():
        alive()
        new += len(stories.assign(waiting, watched, engine=engine, settings=settings))
    while unscored := labelling.waiting():
        alive()
        scored += labelling.label(unscored, watched, engine=engine, model=model, now=now)
    hours = alerts.watch(companies, model.model_version, settings, now)
    return Processed(new, scored, hours)
