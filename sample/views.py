"""The demo shop: a host page as a customer's website would be, with the chat widget on it.

Its server side is what a shop's own would be: it knows who is shopping, sends events and asks for
recommendations; here in the same process, elsewhere over the API.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from recommender import access, recommend
from recommender import events as behaviour
from recommender.conf import RecommenderSettings
from recommender.models import Person
from sample import catalogue_file, orders
from sample.catalogue_file import INBOX_KEY
from services.conf import load
from services.console.storage import storage
from services.errors import SuiteError
from services.inference.engine import get_engine

SHOPPER, VISIT = "shop_shopper", "shop_visit"
EVENTS = {"view", "click", "cart", "purchase", "dislike"}


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Every item of the catalogue, with search and categories, and a row picked for the shopper."""
    context = {"inbox_key": INBOX_KEY, "items": catalogue_file.items(), **_who(request)}
    return _with_visit(request, render(request, "sample/shop.html", context))


@require_GET
def item(request: HttpRequest, item_id: str) -> HttpResponse:
    """One item and a few like it."""
    found = catalogue_file.by_id().get(item_id)
    if found is None:
        raise Http404
    context = {
        "inbox_key": INBOX_KEY,
        "item": found,
        "similar": catalogue_file.like(found),
        **_who(request),
    }
    return _with_visit(request, render(request, "sample/item.html", context))


@require_GET
def for_you(request: HttpRequest) -> HttpResponse:
    """The row picked for this shopper, or for an item's page, as a partial with a reason on each card."""
    shopper = request.COOKIES.get(SHOPPER, "")
    person = access.person_or_none(shopper) if shopper else None
    now: dict[str, Any] = {
        "engine": get_engine(),
        "storage": storage(),
        "settings": load(RecommenderSettings),
        "now": timezone.now(),
    }
    asked = recommend.Asked(n=8)
    try:
        if about := request.GET.get("item"):
            slate = recommend.similar(access.item_for(about), asked, **now)
        else:
            tail = behaviour.tail(person, request.COOKIES.get(VISIT, ""))
            slate = recommend.recommend(tail, asked, **now)
    except SuiteError as error:
        return render(request, "sample/for_you.html", {"picks": [], "trouble": error.detail})
    shown = [
        {"item": catalogue_file.by_id()[p.item.item_id], "reason": p.reason, "source": p.source}
        for p in slate.picks
        if p.item.item_id in catalogue_file.by_id()
    ]
    return render(request, "sample/for_you.html", {"picks": shown, "trouble": ""})


@require_POST
def event(request: HttpRequest) -> JsonResponse:
    """A shopper did something with an item: {"item", "type"}."""
    try:
        sent = json.loads(request.body)
        item_id, kind = str(sent["item"]), str(sent["type"])
    except (ValueError, KeyError, TypeError):
        return JsonResponse({"detail": _("Send an item and a type.")}, status=400)
    if kind not in EVENTS:
        return JsonResponse({"detail": _("That type of event is not known here.")}, status=422)
    row = {
        "item": item_id,
        "type": kind,
        "user": request.COOKIES.get(SHOPPER) or None,
        "session": request.COOKIES.get(VISIT) or uuid.uuid4().hex,
    }
    kept = behaviour.record([row], load(RecommenderSettings), timezone.now())[0]
    if kept.error is not None:
        return JsonResponse({"detail": kept.error.detail}, status=kept.error.http_status)
    return JsonResponse({"status": kept.status}, status=201)


@require_GET
def order_status(request: HttpRequest, number: str) -> JsonResponse:
    """Where an order is, for the assistant: what a shop's own system would say."""
    found = orders.status_of(number, timezone.localdate())
    if found is None:
        return JsonResponse({"detail": _("There is no order of that number.")}, status=404)
    return JsonResponse(found)


@require_POST
def become(request: HttpRequest) -> HttpResponse:
    """Shop as one of the sample's users, or as a new visitor."""
    shopper = request.POST.get("shopper", "")
    onward = request.POST.get("next", "")
    response = redirect(onward if onward.startswith("/shop/") else "shop")
    if shopper and Person.objects.filter(user_id=shopper).exists():
        response.set_cookie(SHOPPER, shopper, samesite="Lax", httponly=True)
    else:
        response.delete_cookie(SHOPPER)
        response.set_cookie(VISIT, uuid.uuid4().hex, samesite="Lax", httponly=True)
    return response


def _who(request: HttpRequest) -> dict[str, Any]:
    """Who is shopping, and whom one may shop as."""
    people = Person.objects.exclude(attributes={}).order_by("user_id")[:12]
    return {
        "shopper": request.COOKIES.get(SHOPPER, ""),
        "shoppers": [
            {"id": person.user_id, "interests": person.attributes.get("interests", [])} for person in people
        ],
    }


def _with_visit(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    if VISIT not in request.COOKIES:
        response.set_cookie(VISIT, uuid.uuid4().hex, samesite="Lax", httponly=True)
    return response
