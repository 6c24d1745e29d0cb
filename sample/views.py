"""The demo shop: a host page as a customer's website would be, with the chat widget on it."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from sample import catalogue_file

INBOX_KEY = "larkmoor"


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Every item of the catalogue, with search and categories."""
    return render(request, "sample/shop.html", {"inbox_key": INBOX_KEY, "items": catalogue_file.items()})


@require_GET
def item(request: HttpRequest, item_id: str) -> HttpResponse:
    """One item and a few like it."""
    found = next((i for i in catalogue_file.items() if i["id"] == item_id), None)
    if found is None:
        raise Http404
    context = {"inbox_key": INBOX_KEY, "item": found, "similar": catalogue_file.like(found)}
    return render(request, "sample/item.html", context)
