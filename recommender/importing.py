"""Files into rows: items, users and events from CSV or JSONL, each bad line named."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from recommender import catalogue, events
from recommender.conf import RecommenderSettings
from recommender.models import Person
from recommender.schemas import EventIn, ItemIn
from services.errors import InvalidInput

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Imported:
    """Rows written, rows that were there already, and the refused ones: (line, field, why)."""

    written: int
    duplicates: int
    rejected: tuple[tuple[int, str, str], ...]


def items(path: Path, progress: Callable[[int], None] = lambda n: None) -> Imported:
    """Write the items of a file; a known id is replaced."""
    written, rejected = 0, []
    for good, bad in _checked(path, ItemIn):
        rejected += bad
        rows = [row.dict() for _line, row in good]
        catalogue.put([{"item_id": r.pop("id"), **r} for r in rows])
        written += len(rows)
        progress(written)
    return Imported(written, 0, tuple(rejected))


def users(path: Path, progress: Callable[[int], None] = lambda n: None) -> Imported:
    """Write the users of a file, {"id" or "user", "attributes"}."""
    written, rejected = 0, []
    for line, row in _rows(path):
        user_id = str(row.get("id") or row.get("user") or "")
        if not user_id or len(user_id) > 200:
            rejected.append((line, "id", "A user needs an id of at most 200 characters."))
            continue
        Person.objects.update_or_create(user_id=user_id, defaults={"attributes": row.get("attributes") or {}})
        written += 1
        progress(written)
    return Imported(written, 0, tuple(rejected))


def behaviour(
    path: Path,
    settings: RecommenderSettings,
    now: datetime,
    move: Callable[[datetime], datetime] = lambda at: at,
    progress: Callable[[int], None] = lambda n: None,
) -> Imported:
    """Write the events of a file; `move` may shift their times. The same file twice writes once."""
    written = duplicates = 0
    rejected: list[tuple[int, str, str]] = []
    for good, bad in _checked(path, EventIn):
        rejected += bad
        rows = [row.dict() for _line, row in good]
        for row in rows:
            row["time"] = move(row["time"]) if row["time"] else now
        for (line, _row), kept in zip(good, events.record(rows, settings, now), strict=True):
            written += kept.status == "created"
            duplicates += kept.status == "duplicate"
            if kept.error is not None:
                rejected.append((line, kept.error.field or "", kept.error.detail))
        progress(written + duplicates)
    return Imported(written, duplicates, tuple(rejected))


def _checked(
    path: Path, shape: type[BaseModel]
) -> Iterator[tuple[list[tuple[int, Any]], list[tuple[int, str, str]]]]:
    good: list[tuple[int, Any]] = []
    bad: list[tuple[int, str, str]] = []
    for line, row in _rows(path):
        try:
            good.append((line, shape.model_validate(_without_nothing(row))))
        except ValidationError as error:
            first = error.errors()[0]
            bad.append((line, ".".join(map(str, first["loc"])), first["msg"]))
        if len(good) >= CHUNK:
            yield good, bad
            good, bad = [], []
    yield good, bad


def _without_nothing(row: dict[str, Any]) -> dict[str, Any]:
    """An empty cell means that nothing was said."""
    return {name: value for name, value in row.items() if value is not None and value != ""}


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("The file is not text in UTF-8. Save it as UTF-8.", field="file") from error
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(text.splitlines())
        for row in reader:
            yield reader.line_num, _listed(row)
        return
    for line, words in enumerate(text.splitlines(), start=1):
        if not words.strip():
            continue
        try:
            row = json.loads(words)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"Line {line} is not valid JSON.", field="file", line=line) from error
        if not isinstance(row, dict):
            raise InvalidInput(f"Line {line} is not an object.", field="file", line=line)
        yield line, row


def _listed(row: dict[str, Any]) -> dict[str, Any]:
    """Lists in one cell are separated by |."""
    split: Sequence[str] = ("categories", "tags")
    return {k: (v.split("|") if k in split and isinstance(v, str) and v else v) for k, v in row.items()}
