"""The recommender API: parse, authorise, one call, shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Query, Router, Status
from pydantic import BaseModel, ValidationError

from recommender import access, catalogue, events, recommend, tasks
from recommender.conf import RecommenderSettings
from recommender.models import Item
from recommender.schemas import (
    BulkIn,
    BulkOut,
    EventIn,
    ItemFields,
    ItemIn,
    ItemOut,
    ItemPatch,
    Recommended,
    RecommendOut,
    RowOut,
    SessionIn,
    UserIn,
)
from services.conf import load
from services.console.api_keys import requires
from services.console.storage import storage
from services.errors import InvalidInput, SuiteError, TooLarge
from services.inference.engine import get_engine

READ, WRITE = requires("recommender:read"), requires("recommender:write")
router = Router()
M = TypeVar("M", bound=BaseModel)


@router.post("/items:bulk", auth=WRITE, response=BulkOut, summary="Write many items")
def put_items(request: HttpRequest, payload: BulkIn) -> BulkOut:
    """Each row is checked by itself; the good ones are written together."""
    parsed, rejected = _each(payload.rows, ItemIn)
    before = access.known_items([row.id for _n, row in parsed])
    catalogue.put([_item_row(row.id, row) for _n, row in parsed])
    tasks.embed_soon()
    rows = [
        RowOut(row=n, key=item.id, status="changed" if item.id in before else "created") for n, item in parsed
    ]
    return _bulk(rows + rejected)


@router.put(
    "/items/{path:item_id}", auth=WRITE, response={200: ItemOut, 201: ItemOut}, summary="Write an item"
)
def put_item(request: HttpRequest, item_id: str, payload: ItemFields) -> Status[ItemOut]:
    """Makes the item or replaces it whole; its vector follows within seconds."""
    made, _changed = catalogue.put([_item_row(item_id, payload)])
    tasks.embed_soon()
    return Status(201 if made else 200, _item_out(access.item_for(item_id)))


@router.patch("/items/{path:item_id}", auth=WRITE, response=ItemOut, summary="Change some fields of an item")
def patch_item(request: HttpRequest, item_id: str, payload: ItemPatch) -> ItemOut:
    """Hiding an item takes it out of every answer at once."""
    access.item_for(item_id)
    catalogue.put([{"item_id": item_id, **payload.dict(exclude_unset=True)}])
    tasks.embed_soon()
    return _item_out(access.item_for(item_id))


@router.get("/items/{path:item_id}", auth=READ, response=ItemOut, summary="An item as it is kept")
def get_item(request: HttpRequest, item_id: str) -> ItemOut:
    """With `embedded`: whether text can find it yet."""
    return _item_out(access.item_for(item_id))


@router.delete("/items/{path:item_id}", auth=WRITE, response={204: None}, summary="Delete an item")
def delete_item(request: HttpRequest, item_id: str) -> Status[None]:
    """With its events. To take it out of answers only, hide it."""
    catalogue.remove(access.item_for(item_id))
    return Status(204, None)


@router.put("/users/{path:user_id}", auth=WRITE, response={204: None}, summary="Write a user")
def put_user(request: HttpRequest, user_id: str, payload: UserIn) -> Status[None]:
    """Makes the user or replaces the attributes."""
    access.put_person(user_id, payload.attributes)
    return Status(204, None)


@router.delete("/users/{path:user_id}", auth=WRITE, response={204: None}, summary="Erase a user")
def delete_user(request: HttpRequest, user_id: str) -> Status[None]:
    """With all events."""
    access.person_for(user_id).delete()
    return Status(204, None)


@router.post("/events", auth=WRITE, response={201: RowOut, 200: RowOut}, summary="Send an event")
def post_event(request: HttpRequest, payload: EventIn) -> Status[RowOut]:
    """Counts in the very next answer. The same `event_key` again changes nothing (200)."""
    kept = events.record([payload.dict()], load(RecommenderSettings), timezone.now())[0]
    if kept.error is not None:
        raise kept.error
    status = 201 if kept.status == "created" else 200
    return Status(status, RowOut(row=0, key=kept.event_key, status=kept.status))


@router.post("/events:bulk", auth=WRITE, response=BulkOut, summary="Send many events")
def post_events(request: HttpRequest, payload: BulkIn) -> BulkOut:
    """Each row is checked by itself; the good ones are written together."""
    parsed, rejected = _each(payload.rows, EventIn)
    kept = events.record([row.dict() for _n, row in parsed], load(RecommenderSettings), timezone.now())
    rows = [
        RowOut(row=n, key=k.event_key, status=k.status, **_problem(k.error))
        for (n, _row), k in zip(parsed, kept, strict=True)
    ]
    return _bulk(rows + rejected)


@router.post(
    "/recommend/session", auth=READ, response=RecommendOut, summary="Recommend to an anonymous visit"
)
def post_session(request: HttpRequest, payload: SessionIn) -> RecommendOut:
    """By the events of the session and the items named, of which unknown ones are ignored."""
    asked = recommend.Asked(n=payload.n, exclude=frozenset(payload.exclude))
    tail = events.tail(None, payload.session or "")
    made = recommend.recommend(tail, asked, visited=payload.items, **_now())
    return _answer(made, None)


@router.get("/recommend/{path:user_id}", auth=READ, response=RecommendOut, summary="Recommend to a user")
def get_recommend(
    request: HttpRequest,
    user_id: str,
    n: int = Query(10, ge=1, le=100),
    exclude: str = "",
    category: str = "",
    min_price: float | None = Query(None, ge=0),
    max_price: float | None = Query(None, ge=0),
    diversity: float = Query(0.3, ge=0, le=1),
    seen: bool = False,
) -> RecommendOut:
    """From the last 100 events; an unknown user gets what is popular and new.

    `exclude` is a comma-separated list of ids, `seen=true` allows items the user has already met.
    """
    if min_price is not None and max_price is not None and min_price > max_price:
        raise InvalidInput(_("min_price is above max_price; nothing can match."), field="min_price")
    asked = recommend.Asked(
        n=n,
        exclude=frozenset(part for part in exclude.split(",") if part),
        category=category,
        min_price=min_price,
        max_price=max_price,
        diversity=diversity,
        seen=seen,
    )
    person = access.person_or_none(user_id)
    tail = events.tail(person, "")
    return _answer(recommend.recommend(tail, asked, **_now()), user_id)


@router.get("/similar/{path:item_id}", auth=READ, response=RecommendOut, summary="Items like an item")
def get_similar(request: HttpRequest, item_id: str, n: int = Query(10, ge=1, le=100)) -> RecommendOut:
    """By words and by what people who met it met too."""
    item = access.item_for(item_id)
    return _answer(recommend.similar(item, recommend.Asked(n=n), **_now()), None)


@router.get("/popular", auth=READ, response=RecommendOut, summary="What is popular now")
def get_popular(request: HttpRequest, n: int = Query(10, ge=1, le=100)) -> RecommendOut:
    """Over everyone, recent events counting more."""
    return _answer(recommend.popular(recommend.Asked(n=n), **_now()), None)


@router.get("/latest", auth=READ, response=RecommendOut, summary="What is new")
def get_latest(request: HttpRequest, n: int = Query(10, ge=1, le=100)) -> RecommendOut:
    """By the time of publication."""
    return _answer(recommend.latest(recommend.Asked(n=n), **_now()), None)


def _now() -> dict[str, Any]:
    now: datetime = timezone.now()
    return {
        "engine": get_engine(),
        "storage": storage(),
        "settings": load(RecommenderSettings),
        "now": now,
    }


def _answer(made: recommend.Slate, user_id: str | None) -> RecommendOut:
    rows = [
        Recommended(
            id=p.item.item_id, title=p.item.title, score=round(p.score, 4), source=p.source,
            reason=p.reason, because=p.because,
        )
        for p in made.picks
    ]  # fmt: skip
    return RecommendOut(items=rows, slate=made.slate_id, user=user_id)


def _each(rows: Sequence[dict[str, Any]], shape: type[M]) -> tuple[list[tuple[int, M]], list[RowOut]]:
    limit = load(RecommenderSettings).recommender_bulk_rows
    if len(rows) > limit:
        raise TooLarge(
            _("%(count)d rows; at most %(limit)d are taken at once. Send them in parts.")
            % {"count": len(rows), "limit": limit},
            field="rows",
        )
    parsed, rejected = [], []
    for n, row in enumerate(rows):
        try:
            parsed.append((n, shape.model_validate(row)))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"]))
            wrong = InvalidInput(first["msg"], field=field)
            key = str(row.get("id") or row.get("event_key") or "")[:200]
            rejected.append(RowOut(row=n, key=key, status="rejected", **_problem(wrong)))
    return parsed, rejected


def _bulk(rows: list[RowOut]) -> BulkOut:
    count: Callable[[str], int] = lambda status: sum(row.status == status for row in rows)  # noqa: E731
    return BulkOut(
        created=count("created"),
        changed=count("changed"),
        duplicates=count("duplicate"),
        rejected=count("rejected"),
        rows=sorted(rows, key=lambda row: row.row),
    )


def _problem(error: SuiteError | None) -> dict[str, Any]:
    return {"code": error.code, "field": error.field, "detail": error.detail} if error else {}


def _item_row(item_id: str, fields: ItemFields) -> dict[str, Any]:
    return {"item_id": item_id, **{k: v for k, v in fields.dict().items() if k != "id"}}


def _item_out(item: Item) -> ItemOut:
    values = {name: getattr(item, name) for name in catalogue.FIELDS}
    return ItemOut(id=item.item_id, embedded=item.vec is not None, **values)
