"""A file of dated entries played through the monitor on a clock of its own, an hour a step.

Each step writes the hour's entries and takes them through the same path as live news, as of that hour.
The replay's clock is a row that moves on after a step is done: a killed worker plays the step again,
which changes nothing that is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction

from sentiment_monitor import feeds, monitor
from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Company, Replay
from services.errors import InvalidInput
from services.inference.engine import Engine
from services.storage import Storage

WEEK = timedelta(weeks=1)


def start(
    rows: Iterable[dict[str, Any]],
    *,
    storage: Storage,
    now: datetime,
    shift: bool = True,
    hours_per_s: float = 0.0,
) -> Replay:
    """Queue a replay of entries {"id","source","title","body","url","published_at","language"}.

    With `shift` the dates are moved by whole weeks, so that the file ends as late as it may before
    `now` and hours keep their place in the week. `hours_per_s` 0 plays as fast as it goes.
    Raises InvalidInput when there is no entry with a time.
    """
    dated = [(feeds.read_time(str(row.get("published_at"))), row) for row in rows]
    times = [at for at, _row in dated if at is not None]
    if not times:
        raise InvalidInput("No entry of the file has a time that can be read.", field="published_at")
    moved = ((now - max(times)) // WEEK) * WEEK if shift else timedelta(0)
    kept = sorted(
        ({**row, "published_at": (at + moved).isoformat()} for at, row in dated if at is not None),
        key=lambda row: str(row["published_at"]),
    )
    first, last = min(times) + moved, max(times) + moved
    begins = first.replace(hour=0, minute=0, second=0, microsecond=0)
    path = f"replays/{begins:%Y%m%d%H}-{len(kept)}-{int(now.timestamp())}.jsonl"
    storage.write(path, "\n".join(json.dumps(row, ensure_ascii=False) for row in kept).encode())
    ends = min(now, last.replace(minute=0, second=0, microsecond=0) + timedelta(hours=25))
    with transaction.atomic():
        replay = Replay.objects.create(
            entries_path=path,
            starts_at=begins,
            ends_at=ends,
            cursor=begins,
            shift_s=int(moved.total_seconds()),
            hours_per_s=hours_per_s,
        )
        Company.objects.filter(watched=True).update(evaluated_at=begins, surge_state={})
    return replay


def step(
    replay: Replay,
    *,
    storage: Storage,
    engine: Engine,
    settings: MonitorSettings,
) -> bool:
    """Play one step; False when the replay is over."""
    if replay.state != Replay.State.RUNNING:
        return False
    at = min(replay.cursor + timedelta(seconds=replay.step_s), replay.ends_at)
    for source_name, rows in _between(_rows(replay, storage), replay.cursor, at).items():
        source = feeds.push_source(source_name)
        for row in rows:
            raw = feeds.raw_from(row)
            feeds.keep(source, [raw], raw.published_at or at)
    monitor.process(engine=engine, settings=settings, now=at)
    done = at >= replay.ends_at
    Replay.objects.filter(pk=replay.pk, state=Replay.State.RUNNING).update(
        cursor=at, state=Replay.State.DONE if done else Replay.State.RUNNING
    )
    replay.cursor = at
    replay.state = Replay.State.DONE if done else Replay.State.RUNNING
    return not done


def running() -> Replay | None:
    """The replay that is being played, if any."""
    return Replay.objects.filter(state=Replay.State.RUNNING).order_by("pk").first()


def read_file(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file. Raises InvalidInput naming the line."""
    rows = []
    for n, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"Line {n} is not valid JSON.", field="file", line=n) from error
        rows.append({**row, "source": row.get("source") or row.get("publisher") or "import"})
    return rows


_read: dict[str, list[dict[str, Any]]] = {}


def _rows(replay: Replay, storage: Storage) -> list[dict[str, Any]]:
    if replay.entries_path not in _read:
        _read.clear()
        lines = storage.read(replay.entries_path).decode().splitlines()
        _read[replay.entries_path] = [json.loads(line) for line in lines]
    return _read[replay.entries_path]


def _between(rows: list[dict[str, Any]], start: datetime, end: datetime) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        at = feeds.read_time(str(row["published_at"]))
        if at is not None and start <= at < end:
            found.setdefault(str(row["source"]), []).append(row)
    return found
