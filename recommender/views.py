"""The recommender's pages: why a user sees what they see, and whether events are healthy."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from recommender import catalogue, doctor, events, recommend
from recommender.conf import RecommenderSettings
from recommender.models import Person
from services.conf import load
from services.console.storage import storage
from services.inference.engine import get_engine


@require_GET
@staff_member_required
def person_why(request: HttpRequest, user_id: str) -> HttpResponse:
    """What a user did, what it adds up to, what they are shown now and why."""
    person = get_object_or_404(Person, user_id=user_id)
    now = timezone.now()
    tail = events.tail(person, "")
    slate = recommend.recommend(
        tail,
        recommend.Asked(n=12),
        engine=get_engine(),
        storage=storage(),
        settings=load(RecommenderSettings),
        now=now,
    )
    context = {
        **admin.site.each_context(request),
        "title": _("Why does %(user)s see this?") % {"user": person.user_id},
        "person": person,
        "events": [
            {
                "type": e.type,
                "title": e.item.title,
                "item_id": e.item.item_id,
                "time": e.time,
                "value": e.value,
            }
            for e in tail
        ],
        "interests": doctor.interests(slate.profile, catalogue.shelf(get_engine())),
        "picks": [_shown(pick) for pick in slate.picks],
        "excluded": _left_out(slate.left_out),
    }
    return render(request, "recommender/person_why.html", context)


@require_GET
@staff_member_required
def health(request: HttpRequest) -> HttpResponse:
    """Events by type and day, and what is wrong with the data, by name."""
    context = {
        **admin.site.each_context(request),
        "title": _("Event health"),
        **doctor.health(timezone.now()),
    }
    return render(request, "recommender/health.html", context)


def _shown(pick: recommend.Pick) -> dict[str, Any]:
    whole = sum(value for _name, value in pick.parts) or 1.0
    return {
        "title": pick.item.title,
        "item_id": pick.item.item_id,
        "score": pick.score,
        "source": pick.source,
        "reason": pick.reason,
        "parts": {name: pick.score * value / whole for name, value in pick.parts},
    }


def _left_out(counts: dict[str, int]) -> dict[str, int]:
    names = {
        "never": _("hidden, expired or out of stock"),
        "excluded": _("excluded by the request"),
        "filter": _("outside the filter"),
        "seen": _("met already"),
    }
    return {names[name]: n for name, n in counts.items() if n}
