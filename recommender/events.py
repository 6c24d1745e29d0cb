"""What users do: written once, checked row by row, read back as the tail a profile is folded from."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from recommender.conf import RecommenderSettings
from recommender.models import Event, Item, Person
from services.errors import InvalidInput, NotFound, SuiteError

TAIL = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of one event: `status` created, duplicate or rejected (then `error` says why)."""

    event_key: str
    status: str
    error: SuiteError | None = None


def record(rows: Sequence[dict[str, Any]], settings: RecommenderSettings, now: datetime) -> list[Kept]:
    """Write events; one that is refused does not keep the others from being written.

    A row is {"event_key"?, "user"?, "session"?, "item", "type", "time"?, "value"?, "text"?}.
    The same key twice, in one batch or in two, is written once.
    """
    items = {i.item_id: i for i in Item.objects.filter(item_id__in={str(r["item"]) for r in rows})}
    results: list[Kept] = []
    new: dict[str, Event] = {}
    with transaction.atomic():
        people = _people({str(r["user"]) for r in rows if r.get("user")}, settings)
        keys = [str(r.get("event_key") or uuid.uuid4().hex) for r in rows]
        known = set(Event.objects.filter(event_key__in=keys).values_list("event_key", flat=True))
        for key, row in zip(keys, rows, strict=True):
            if key in known or key in new:
                results.append(Kept(key, "duplicate"))
                continue
            try:
                new[key] = _event(key, row, items, people, settings, now)
            except SuiteError as error:
                results.append(Kept(key, "rejected", error))
            else:
                results.append(Kept(key, "created"))
        Event.objects.bulk_create(new.values(), ignore_conflicts=True)
    return results


def tail(person: Person | None, session: str, newest: int = TAIL) -> list[Event]:
    """The last events of a user, or of an anonymous session, newest first."""
    if person is not None:
        return list(person.events.order_by("-time", "-id")[:newest])
    if session:
        return list(Event.objects.filter(session=session, person=None).order_by("-time", "-id")[:newest])
    return []


def _event(
    key: str,
    row: dict[str, Any],
    items: dict[str, Item],
    people: dict[str, Person],
    settings: RecommenderSettings,
    now: datetime,
) -> Event:
    item = items.get(str(row["item"]))
    if item is None:
        raise NotFound(_("There is no item with this id. Send the item first."), field="item")
    user, session = str(row.get("user") or ""), str(row.get("session") or "")
    if not user and not session:
        raise InvalidInput(_("An event needs a user or a session."), field="user")
    if user and user not in people:
        raise NotFound(_("There is no user with this id, and events do not make any."), field="user")
    time = row.get("time") or now
    if time > now + timedelta(seconds=settings.recommender_future_s):
        raise InvalidInput(_("The time lies in the future. Check the clock of the sender."), field="time")
    return Event(
        event_key=key,
        person=people.get(user),
        session=session,
        item=item,
        type=str(row["type"]),
        value=row.get("value"),
        text=str(row.get("text") or "")[:5000],
        time=time,
    )


def _people(user_ids: set[str], settings: RecommenderSettings) -> dict[str, Person]:
    if settings.recommender_create_unknown and user_ids:
        Person.objects.bulk_create([Person(user_id=u) for u in sorted(user_ids)], ignore_conflicts=True)
    return {p.user_id: p for p in Person.objects.filter(user_id__in=user_ids)}
