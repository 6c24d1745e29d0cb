"""The recommender API's JSON shapes, checked at the door."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field, StringConstraints

Id = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Word = Annotated[str, StringConstraints(max_length=200, strip_whitespace=True)]
EventType = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[a-z][a-z0-9_-]*$")]


class ItemFields(Schema):
    """An item without its id; whatever is left out keeps its default."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
    description: str = Field("", max_length=20_000)
    brand: Word = ""
    categories: list[Word] = Field(default_factory=list, max_length=20)
    tags: list[Word] = Field(default_factory=list, max_length=50)
    price: float | None = Field(None, ge=0)
    stock: int | None = None
    hidden: bool = False
    published_at: datetime | None = None
    expires_at: datetime | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)


class ItemIn(ItemFields):
    """An item in a bulk request."""

    id: Id


class ItemPatch(Schema):
    """Only the fields that are named are changed."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = None
    description: str | None = Field(None, max_length=20_000)
    brand: Word | None = None
    categories: list[Word] | None = None
    tags: list[Word] | None = None
    price: float | None = Field(None, ge=0)
    stock: int | None = None
    hidden: bool | None = None
    published_at: datetime | None = None
    expires_at: datetime | None = None
    attributes: dict[str, Any] | None = None


class ItemOut(ItemFields):
    """An item as it is kept; `embedded` once text can find it."""

    id: str
    embedded: bool


class UserIn(Schema):
    """A user's attributes; nothing that names a person belongs here."""

    attributes: dict[str, Any] = Field(default_factory=dict)


class EventIn(Schema):
    """Something a user (or a session without a user) did with an item."""

    event_key: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    user: Id | None = None
    session: Id | None = None
    item: Id
    type: EventType
    time: datetime | None = None
    value: float | None = None
    text: str | None = Field(None, max_length=5000)


class RowOut(Schema):
    """What became of one row of a bulk request: created, changed, duplicate or rejected."""

    row: int
    key: str
    status: str
    code: str | None = None
    field: str | None = None
    detail: str | None = None


class BulkOut(Schema):
    """The rows in the order they were sent, and how many of each."""

    created: int
    changed: int = 0
    duplicates: int = 0
    rejected: int
    rows: list[RowOut]


class BulkIn(Schema):
    """Rows as they are; each is checked by itself."""

    rows: list[dict[str, Any]]


class Recommended(Schema):
    """An item of the answer, its score 0 to 1, where it came from, and why."""

    id: str
    title: str
    score: float
    source: str
    reason: str
    because: str | None = None


class RecommendOut(Schema):
    """The answer, best first."""

    items: list[Recommended]
    slate: str
    user: str | None = None


class SessionIn(Schema):
    """Recommendations for a visitor without a user id, by the items of the visit, oldest first."""

    session: Id | None = None
    items: list[Id] = Field(default_factory=list, max_length=100)
    n: int = Field(10, ge=1, le=100)
    exclude: list[Id] = Field(default_factory=list, max_length=1000)
