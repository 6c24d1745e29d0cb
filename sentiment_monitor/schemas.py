"""The monitor API's JSON shapes, checked at the door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field, StringConstraints

Key = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,79}$")]


class EntryIn(Schema):
    """One piece of news as its sender has it."""

    id: str = Field("", max_length=500)
    source: Key
    title: Annotated[str, StringConstraints(min_length=1, max_length=2000, strip_whitespace=True)]
    body: str = Field("", max_length=50_000)
    url: str = Field("", max_length=1000)
    published_at: datetime | None = None
    language: str = Field("en", max_length=10)


class EntriesIn(Schema):
    """Rows as they are; each is checked by itself."""

    rows: list[dict[str, Any]] = Field(max_length=1000)


class RowOut(Schema):
    """What became of one row: created, duplicate or rejected."""

    row: int
    status: str
    code: str | None = None
    field: str | None = None
    detail: str | None = None


class EntriesOut(Schema):
    """The rows in the order they were sent, and how many of each."""

    created: int
    duplicates: int
    rejected: int
    rows: list[RowOut]
