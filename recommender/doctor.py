"""What is known of users and events, in words an operator can act on."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Count, Max
from django.db.models.functions import TruncDate
from django.utils.translation import gettext as _

from recommender.catalogue import Shelf
from recommender.models import Event, Item
from recommender.profiles import Profile

DAYS = 30
NEAREST = 12


def interests(profile: Profile, shelf: Shelf) -> list[dict[str, Any]]:
    """Each interest by the commonest category among the items nearest to it, and its share 0 to 1."""
    found = []
    for vec, share in zip(profile.interests, profile.shares, strict=True):
        nearest = np.argsort(-(shelf.vecs @ vec), kind="stable")[:NEAREST]
        categories = Counter(shelf.categories[i].split("/")[-1] for i in nearest if shelf.categories[i])
        name = categories.most_common(1)[0][0] if categories else shelf.titles[int(nearest[0])]
        found.append({"label": name, "weight": float(share)})
    return found


def health(now: datetime) -> dict[str, Any]:
    """Counts by day and type of the last 30 days, totals, and warnings with what to do."""
    since = (now - timedelta(days=DAYS - 1)).date()
    days = [since + timedelta(days=i) for i in range(DAYS)]
    rows = (
        Event.objects.filter(time__date__gte=since)
        .annotate(day=TruncDate("time"))
        .values("day", "type")
        .annotate(n=Count("id"))
    )
    by_type: dict[str, dict[Any, int]] = {}
    for row in rows:
        by_type.setdefault(row["type"], {})[row["day"]] = row["n"]
    types = sorted(by_type, key=lambda t: -sum(by_type[t].values()))
    last = Event.objects.aggregate(last=Max("received_at"))["last"]
    items = {
        "total": Item.objects.count(),
        "without_text": Item.objects.filter(description="").count(),
        "without_vec": Item.objects.filter(vec=None).count(),
    }
    return {
        "days": [day.isoformat() for day in days],
        "types": types,
        "counts": [[by_type[t].get(day, 0) for day in days] for t in types],
        "totals": {t: sum(by_type[t].values()) for t in types},
        "items": items,
        "last_event": last,
        "warnings": _warnings(items, types, last, now),
    }


def _warnings(
    items: dict[str, int], types: list[str], last: datetime | None, now: datetime
) -> list[dict[str, str]]:
    found = []
    if not items["total"]:
        found.append(("error", _("There are no items. Send them first: an event needs its item.")))
    if last is None:
        found.append(
            ("warning", _("There are no events. Until there are, everyone gets what is popular or new."))
        )
    elif now - last > timedelta(days=1):
        found.append(("warning", _("No event came in for over a day. Check the shop's connection.")))
    if types and not {"purchase", "cart"} & set(types):
        found.append(("warning", _("No purchase or basket in 30 days: what people buy is not being told.")))
    if items["without_text"]:
        text = _("%(n)d items have no description; words cannot find them well.")
        found.append(("warning", text % {"n": items["without_text"]}))
    if items["without_vec"]:
        text = _("%(n)d items wait for their vector; a worker makes it within seconds.")
        found.append(("info", text % {"n": items["without_vec"]}))
    ahead = Event.objects.filter(time__gt=now).count()
    if ahead:
        text = _("%(n)d events lie in the future: a sender's clock is wrong.")
        found.append(("warning", text % {"n": ahead}))
    return [{"level": level, "text": text} for level, text in found]
