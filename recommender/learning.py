"""What is learnt from all behaviour: which items go together, and how much each source counts.

Learnt by a worker, published as files of a version that a row points to, read by every process and
kept in memory until the row points elsewhere. Before anything is learnt the table is empty and the
blend is the untuned one.
"""

from __future__ import annotations

import tempfile
import threading
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from django.db.models import Max

from recommender import catalogue, profiles, sources
from recommender.blending import learn_blend
from recommender.candidates import Source
from recommender.conf import RecommenderSettings
from recommender.covisitation import CoVisitation, History
from recommender.models import Catalogue, Event
from recommender.ranking import UNTUNED, Blend
from services.errors import NotFound
from services.inference.engine import Engine
from services.storage import Storage

LATEST = 200_000
"""Events that are learnt from, the latest ones."""
EVERY = timedelta(minutes=10)
BLEND_FROM = 200
"""Histories from which the blend is fitted at all."""


def due(now: datetime) -> bool:
    """Whether there are events that what is live has not seen, and it was not learnt just before."""
    newest = Event.objects.aggregate(newest=Max("id"))["newest"] or 0
    catalogue_row = Catalogue.objects.filter(pk=1).first()
    if catalogue_row is None or catalogue_row.covisits_at is None:
        return bool(newest)
    fresh = now - catalogue_row.covisits_at < EVERY
    return bool(newest > catalogue_row.covisits_events and not fresh)


def learn(engine: Engine, storage: Storage, settings: RecommenderSettings, now: datetime) -> int:
    """Learn anew from the latest events and publish it; the number of histories."""
    newest = Event.objects.aggregate(newest=Max("id"))["newest"] or 0
    histories = _histories(newest)
    table = CoVisitation.fit(histories)
    blend = _blend(histories, engine, settings, now) if len(histories) >= BLEND_FROM else UNTUNED
    path = f"covisits/{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory() as folder:
        table.save(Path(folder) / "learnt")
        blend.save(Path(folder) / "learnt" / "blend.json")
        storage.put_folder(Path(folder) / "learnt", path)
    catalogue.touch()
    old = Catalogue.objects.values_list("covisits_path", flat=True).get(pk=1)
    Catalogue.objects.filter(pk=1).update(covisits_path=path, covisits_events=newest, covisits_at=now)
    for other in storage.folders("covisits"):
        if other not in {path, old}:
            storage.delete(other)
    return len(histories)


_lock = threading.Lock()
_kept: tuple[str, CoVisitation, Blend] | None = None


def live(storage: Storage) -> tuple[CoVisitation, Blend]:
    """The table and the blend that serve now."""
    global _kept
    path = Catalogue.objects.filter(pk=1).values_list("covisits_path", flat=True).first() or ""
    if not path:
        return CoVisitation.fit([]), UNTUNED
    with _lock:
        if _kept is None or _kept[0] != path:
            try:
                folder = storage.local_folder(path)
                _kept = (path, CoVisitation.load(folder), Blend.load(folder / "blend.json"))
            except (NotFound, FileNotFoundError):  # replaced this moment
                return (_kept[1], _kept[2]) if _kept else (CoVisitation.fit([]), UNTUNED)
        return _kept[1], _kept[2]


def _histories(newest: int) -> list[History]:
    """Every user's and session's items with their times, oldest first."""
    found: dict[str, list[tuple[int, float]]] = {}
    rows = Event.objects.exclude(type="dislike").filter(id__gt=newest - LATEST).order_by("time", "id")
    for person, session, item, time in rows.values_list("person_id", "session", "item_id", "time"):
        found.setdefault(f"p{person}" if person else f"s{session}", []).append((item, time.timestamp()))
    return list(found.values())


def _blend(histories: list[History], engine: Engine, settings: RecommenderSettings, now: datetime) -> Blend:
    shelf = catalogue.shelf(engine)
    vec_of = {int(key): shelf.vecs[i] for i, key in enumerate(shelf.keys) if shelf.embedded[i]}
    folding = profiles.ProfileSettings(half_life_d=settings.recommender_half_life_d)

    def build(kept: object) -> tuple[CoVisitation, list[Source]]:
        table = CoVisitation.fit(kept)  # type: ignore[arg-type]
        return table, sources.assemble(shelf, table, now.timestamp())

    def profile_of(history: History) -> profiles.Profile:
        events = [profiles.Event(item, 1.0, at_s) for item, at_s in history]
        last = history[-1][1] if history else 0.0
        return profiles.fold(events, vec_of, last, folding)

    return learn_blend(histories, np.asarray(shelf.keys), build, profile_of)
