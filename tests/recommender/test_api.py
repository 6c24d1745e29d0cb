"""The recommender API through the outermost door."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from recommender import catalogue, learning, tasks
from recommender.models import Event, Item, Person
from services.console import api_keys
from services.console.storage import storage
from tests.builders import post_json

pytestmark = pytest.mark.django_db
API = "/api/v1/recommender"
ITEMS = [
    ("tent", "Two person tent", "A light tent with two poles for hiking"),
    ("mat", "Sleeping mat", "A warm mat for the tent floor"),
    ("bag", "Sleeping bag", "A down bag for cold nights in the tent"),
    ("pan", "Iron pan", "A cast iron pan for the kitchen stove"),
    ("wok", "Steel wok", "A deep pan for the kitchen, carbon steel"),
    ("a/b c", "Odd id", "An item whose id has a slash and a space"),
]


@pytest.fixture
def key() -> dict[str, str]:
    _row, made = api_keys.make("test", ["recommender:read", "recommender:write"])
    return {"authorization": f"Bearer {made}"}


@pytest.fixture
def shop(client: Client, key: dict[str, str]) -> None:
    catalogue.forget_shelf()
    rows = [{"id": i, "title": t, "description": d, "price": 10.0 + n} for n, (i, t, d) in enumerate(ITEMS)]
    answer = post_json(client, f"{API}/items:bulk", {"rows": rows}, **key)
    assert answer.json()["created"] == len(ITEMS)
    tasks.embed_items()


def recommend(client: Client, key: dict[str, str], user: str = "u1", query: str = "") -> list[str]:
    answer = client.get(f"{API}/recommend/{user}{query}", headers=key)
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["items"]]


def send(client: Client, key: dict[str, str], **event: Any) -> Any:
    return post_json(client, f"{API}/events", {"user": "u1", "type": "click", **event}, **key)


@pytest.mark.usefixtures("shop")
def test_a_click_counts_in_the_very_next_answer(client: Client, key: dict[str, str]) -> None:
    before = recommend(client, key)
    assert set(before) == {i for i, _t, _d in ITEMS}
    assert send(client, key, item="tent", type="view").status_code == 201
    after = recommend(client, key)
    assert "tent" not in after
    assert set(after[:2]) <= {"mat", "bag"}
    first = client.get(f"{API}/recommend/u1", headers=key).json()["items"][0]
    assert (first["because"], first["reason"]) == ("tent", "Because you looked at Two person tent")


@pytest.mark.usefixtures("shop")
def test_what_is_hidden_expired_or_sold_out_is_in_no_answer_at_once(
    client: Client, key: dict[str, str]
) -> None:
    past = (timezone.now() - timedelta(days=1)).isoformat()
    for item, change in (("mat", {"hidden": True}), ("bag", {"expires_at": past}), ("wok", {"stock": 0})):
        assert client.patch(f"{API}/items/{item}", change, "application/json", headers=key).status_code == 200
        answers = [recommend(client, key)] + [
            [i["id"] for i in client.get(f"{API}/{door}", headers=key).json()["items"]]
            for door in ("popular", "latest", "similar/tent")
        ]
        assert all(item not in answer for answer in answers)


@pytest.mark.usefixtures("shop")
def test_a_disliked_item_stays_away_and_pushes_its_like_down(client: Client, key: dict[str, str]) -> None:
    send(client, key, item="tent", type="purchase")
    send(client, key, item="pan", type="dislike")
    answer = recommend(client, key)
    assert "pan" not in answer
    assert answer.index("wok") > answer.index("mat")


@pytest.mark.usefixtures("shop")
def test_a_new_item_is_found_by_its_words(client: Client, key: dict[str, str]) -> None:
    send(client, key, item="tent", type="view")
    row = {"title": "Tent pegs", "description": "Pegs for a light hiking tent with poles"}
    assert client.put(f"{API}/items/pegs", row, "application/json", headers=key).status_code == 201
    tasks.embed_items()
    assert client.get(f"{API}/items/pegs", headers=key).json()["embedded"]
    assert "pegs" in recommend(client, key)[:3]


@pytest.mark.usefixtures("shop")
def test_an_id_with_a_slash_works_everywhere(client: Client, key: dict[str, str]) -> None:
    assert client.get(f"{API}/items/a/b c", headers=key).json()["title"] == "Odd id"
    assert client.get(f"{API}/similar/a/b c", headers=key).status_code == 200
    assert send(client, key, item="a/b c").status_code == 201


@pytest.mark.usefixtures("shop")
def test_the_same_event_or_batch_twice_is_written_once(client: Client, key: dict[str, str]) -> None:
    assert send(client, key, item="tent", event_key="e1").status_code == 201
    assert send(client, key, item="tent", event_key="e1").status_code == 200
    rows = [{"user": "u2", "type": "view", "item": "mat", "event_key": f"b{i}"} for i in range(3)]
    first = post_json(client, f"{API}/events:bulk", {"rows": rows}, **key).json()
    again = post_json(client, f"{API}/events:bulk", {"rows": rows}, **key).json()
    assert (first["created"], again["created"], again["duplicates"]) == (3, 0, 3)
    assert Event.objects.count() == 4


@pytest.mark.usefixtures("shop")
def test_each_bad_row_is_named_and_the_good_ones_are_kept(client: Client, key: dict[str, str]) -> None:
    future = (timezone.now() + timedelta(days=2)).isoformat()
    rows: list[dict[str, Any]] = [
        {"user": "u1", "type": "view", "item": "tent"},
        {"user": "u1", "type": "view", "item": "no such"},
        {"user": "u1", "type": "view", "item": "tent", "time": future},
        {"type": "view", "item": "tent"},
        {"user": "u1", "type": "VIEW!", "item": "tent"},
        {"user": "u1", "item": "tent"},
    ]
    body = post_json(client, f"{API}/events:bulk", {"rows": rows}, **key).json()
    assert (body["created"], body["rejected"]) == (1, 5)
    named = [(row["row"], row["field"]) for row in body["rows"] if row["status"] == "rejected"]
    assert named == [(1, "item"), (2, "time"), (3, "user"), (4, "type"), (5, "type")]
    assert Event.objects.count() == 1


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("query", "field"),
    [("?n=0", "n"), ("?n=abc", "n"), ("?diversity=2", "diversity"), ("?min_price=-1", "min_price"),
     ("?min_price=9&max_price=3", "min_price")],
)  # fmt: skip
def test_a_parameter_of_nonsense_is_named(
    client: Client, key: dict[str, str], query: str, field: str
) -> None:
    answer = client.get(f"{API}/recommend/u1{query}", headers=key)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.usefixtures("shop")
def test_filters_and_exclusions_hold(client: Client, key: dict[str, str]) -> None:
    assert set(recommend(client, key, query="?exclude=tent,mat")) == {"bag", "pan", "wok", "a/b c"}
    assert set(recommend(client, key, query="?min_price=11&max_price=12")) == {"mat", "bag"}
    assert recommend(client, key, query="?category=Nothing") == []


@pytest.mark.usefixtures("shop")
def test_an_anonymous_visit_is_followed_by_its_session_and_its_items(
    client: Client, key: dict[str, str]
) -> None:
    assert send(client, key, user=None, session="s1", item="pan", type="view").status_code == 201
    by_session = post_json(client, f"{API}/recommend/session", {"session": "s1"}, **key).json()
    assert by_session["items"][0]["id"] == "wok"
    by_items = post_json(client, f"{API}/recommend/session", {"items": ["tent", "unknown"]}, **key).json()
    assert by_items["items"][0]["id"] in {"mat", "bag"}


@pytest.mark.usefixtures("shop")
def test_erasing_a_user_takes_the_events_along(client: Client, key: dict[str, str]) -> None:
    send(client, key, item="tent")
    assert client.delete(f"{API}/users/u1", headers=key).status_code == 204
    assert not Person.objects.exists()
    assert not Event.objects.exists()
    assert client.delete(f"{API}/users/u1", headers=key).status_code == 404


@pytest.mark.usefixtures("shop")
def test_what_is_bought_together_is_learnt_by_the_worker(client: Client, key: dict[str, str]) -> None:
    for n in range(12):
        for item in ("pan", "mat"):
            send(client, key, user=f"p{n}", item=item, type="purchase")
    tasks.learn_behaviour()
    table, _blend = learning.live(storage())
    pan, mat = (Item.objects.get(item_id=i).pk for i in ("pan", "mat"))
    row = list(table.keys).index(pan)
    assert table.together[row, list(table.keys).index(mat)] > 0
    send(client, key, user="new", item="pan", type="view")
    assert "mat" in recommend(client, key, user="new")[:3]


def test_keys_open_only_what_their_scopes_say(client: Client) -> None:
    _row, reader = api_keys.make("reader", ["recommender:read"])
    row, gone = api_keys.make("gone", ["recommender:read"])
    row.revoked_at = timezone.now()
    row.save()
    item = {"title": "T"}
    read = {"authorization": f"Bearer {reader}"}
    assert client.put(f"{API}/items/x", item, "application/json", headers=read).status_code == 403
    assert client.get(f"{API}/popular", headers={"x-api-key": reader}).status_code == 200
    for headers in ({}, {"authorization": "Bearer tf_nope"}, {"authorization": f"Bearer {gone}"}):
        answer = client.get(f"{API}/popular", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert not Item.objects.exists()


def test_an_empty_shop_answers_with_an_empty_list(client: Client, key: dict[str, str]) -> None:
    catalogue.forget_shelf()
    assert recommend(client, key) == []
    assert client.get(f"{API}/similar/x", headers=key).status_code == 404
