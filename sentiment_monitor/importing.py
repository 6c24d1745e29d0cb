"""Files into rows: a watch-list (JSONL), entries with their own times (CSV or JSONL)."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sentiment_monitor import feeds
from sentiment_monitor.models import Company
from services.errors import InvalidInput, SuiteError

COMPANY_FIELDS = ("name", "tickers", "aliases", "aliases_zh", "context", "sector")


@dataclass(frozen=True, slots=True)
class Imported:
    """Rows written, rows that were there already, and the refused ones: (line, field, why)."""

    created: int
    duplicates: int
    rejected: tuple[tuple[int, str, str], ...]


def companies(path: Path) -> int:
    """Put the companies of a JSONL file on the watch-list; known ones are brought up to date."""
    count = 0
    for line, row in _rows(path):
        if not row.get("slug") or not row.get("name"):
            raise InvalidInput(f"Line {line}: a company needs slug and name.", field="slug", line=line)
        values = {name: row[name] for name in COMPANY_FIELDS if name in row}
        Company.objects.update_or_create(slug=row["slug"], defaults=values)
        count += 1
    return count


def entries(path: Path, source: str, now: datetime) -> Imported:
    """Keep the entries of a file, each at its own time; a bad line does not stop the others."""
    created = duplicates = 0
    rejected = []
    for line, row in _rows(path):
        try:
            raw = feeds.raw_from(row)
            slug = str(row.get("source") or row.get("publisher") or source)
            seen = min(raw.published_at or now, now)
            new = feeds.keep(feeds.push_source(slug), [raw], seen)
        except SuiteError as error:
            rejected.append((line, error.field or "", error.detail))
            continue
        created += new
        duplicates += 1 - new
    return Imported(created, duplicates, tuple(rejected))


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("The file is not text in UTF-8. Save it as UTF-8.", field="file") from error
    if path.suffix.lower() == ".csv":
        reader = csv.DictReader(text.splitlines())
        if "title" not in (reader.fieldnames or []) and "slug" not in (reader.fieldnames or []):
            raise InvalidInput("The first line must name the columns, title among them.", field="title")
        for row in reader:
            yield reader.line_num, row
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
