"""Which items go together, learnt from all behaviour by a worker and read by every process.

The table is a file of a version; a row points to the live one. A process keeps it in memory until the
row points elsewhere.
"""

from __future__ import annotations

import tempfile
import threading
import uuid
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from django.db.models import Max

from recommender import catalogue
from recommender.models import Catalogue, Event
from services.errors import NotFound
from services.storage import Storage

if TYPE_CHECKING:
    from recommender.candidates import CoVisitation

LATEST = 500_000


def behind() -> bool:
    """Whether there are events the live table has not seen."""
    newest = Event.objects.aggregate(newest=Max("id"))["newest"] or 0
    seen = Catalogue.objects.filter(pk=1).values_list("covisits_events", flat=True).first() or 0
    return bool(newest > seen)


def learn(storage: Storage, now: datetime) -> int:
    """Learn the table anew from the latest events and publish it; the number of histories."""
    from recommender.candidates import CoVisitation

    newest = Event.objects.aggregate(newest=Max("id"))["newest"] or 0
    histories: dict[str, list[tuple[int, float]]] = {}
    rows = Event.objects.exclude(type="dislike").filter(id__gt=newest - LATEST).order_by("time", "id")
    for person, session, item, time in rows.values_list("person_id", "session", "item_id", "time"):
        histories.setdefault(f"p{person}" if person else f"s{session}", []).append(
            (item, time.timestamp())
        )
    table = CoVisitation.fit(list(histories.values()))
    path = f"covisits/{uuid.uuid4().hex[:12]}"
    with tempfile.TemporaryDirectory() as folder:
        table.save(Path(folder) / "table")
        storage.put_folder(Path(folder) / "table", path)
    catalogue.touch()
    old = Catalogue.objects.values_list("covisits_path", flat=True).get(pk=1)
    Catalogue.objects.filter(pk=1).update(covisits_path=path, covisits_events=newest, covisits_at=now)
    for other in storage.folders("covisits"):
        if other not in {path, old}:
            storage.delete(other)
    return len(histories)


_lock = threading.Lock()
_kept: tuple[str, CoVisitation] | None = None


def live(storage: Storage) -> CoVisitation | None:
    """The live table; None before there is any."""
    global _kept
    path = Catalogue.objects.filter(pk=1).values_list("covisits_path", flat=True).first() or ""
    if not path:
        return None
    with _lock:
        if _kept is None or _kept[0] != path:
            from recommender.candidates import CoVisitation

            try:
                _kept = (path, CoVisitation.load(storage.local_folder(path)))
            except NotFound:  # replaced this moment: the one in memory serves once more
                return _kept[1] if _kept else None
        return _kept[1]
