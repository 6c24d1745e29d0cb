"""Entries pushed through the outermost door."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from sentiment_monitor.models import Entry, Source
from services.console import api_keys
from tests.builders import post_json

pytestmark = pytest.mark.django_db
URL = "/api/v1/monitor/entries"


@pytest.fixture
def key() -> dict[str, str]:
    return {"authorization": f"Bearer {api_keys.make('test', ['monitor:write'])[1]}"}


def test_the_same_batch_twice_is_written_once(client: Client, key: dict[str, str]) -> None:
    rows = [{"source": "wire", "id": str(i), "title": f"Story {i}"} for i in range(3)]
    first = post_json(client, URL, {"rows": rows}, **key).json()
    again = post_json(client, URL, {"rows": rows}, **key).json()
    assert (first["created"], again["created"], again["duplicates"]) == (3, 0, 3)
    assert Entry.objects.count() == 3
    assert Source.objects.get().slug == "wire"


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"source": "wire"}, "title"),
        ({"source": "wire", "title": "   "}, "title"),
        ({"title": "T"}, "source"),
        ({"source": "Not A Key!", "title": "T"}, "source"),
        ({"source": "wire", "title": "T", "published_at": "yesterday"}, "published_at"),
        ({"source": "wire", "title": "x" * 3000}, "title"),
    ],
)
def test_a_bad_row_is_named_and_the_good_one_is_kept(
    client: Client, key: dict[str, str], row: dict[str, Any], field: str
) -> None:
    body = post_json(client, URL, {"rows": [row, {"source": "wire", "title": "Good"}]}, **key).json()
    assert (body["created"], body["rejected"]) == (1, 1)
    assert body["rows"][0]["field"] == field


def test_markup_in_a_title_becomes_words(client: Client, key: dict[str, str]) -> None:
    row = {"source": "wire", "title": "Acme <script>alert(1)</script>&amp; <b>co</b>"}
    post_json(client, URL, {"rows": [row]}, **key)
    assert Entry.objects.get().title == "Acme & co"


def test_a_date_ahead_of_now_counts_from_when_it_came(client: Client, key: dict[str, str]) -> None:
    row = {"source": "wire", "title": "T", "published_at": "2090-01-01T00:00:00Z"}
    post_json(client, URL, {"rows": [row]}, **key)
    entry = Entry.objects.get()
    assert entry.happened_at == entry.first_seen_at


def test_without_a_key_nothing_is_taken(client: Client) -> None:
    assert post_json(client, URL, {"rows": []}).status_code == 401
    _row, reader = api_keys.make("reader", ["recommender:read"])
    assert post_json(client, URL, {"rows": []}, authorization=f"Bearer {reader}").status_code == 403
