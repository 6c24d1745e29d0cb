"""The chat API through the outermost door."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from django.test import AsyncClient, Client

from chatbot import tasks
from chatbot.models import Conversation, ConversationEvent, KnowledgeBase, Passage, Turn
from services.errors import ModelFailed
from services.inference.engine import set_engine
from services.inference.fake import FakeEngine
from tests.builders import RETURNS_MD, make_inbox, make_knowledge_base, post_json

API = "/api/v1/chatbot"
QUESTION = "do you pay refunds within 5 business days after the parcel reaches us, bank may take 2 more days"
UNSURE = "within how many business days do you pay refunds"


@pytest.fixture
def shop() -> None:
    make_inbox(make_knowledge_base(returns_md=RETURNS_MD))


def open_conversation(client: Client, **more: Any) -> tuple[str, dict[str, str]]:
    """A new conversation's path and the headers that open it."""
    made = post_json(client, f"{API}/conversations", {"inbox": "shop", **more})
    assert made.status_code == 201, made.content
    body = made.json()
    return f"{API}/conversations/{body['id']}", {"authorization": f"Bearer {body['token']}"}


def send(client: Client, path: str, headers: dict[str, str], text: Any, key: str = "k1") -> Any:
    return post_json(client, f"{path}/messages", {"text": text, "idempotency_key": key}, **headers)


def wait_for_answer(client: Client, path: str, headers: dict[str, str], after: int = 1) -> dict[str, Any]:
    for _ in range(200):
        found = client.get(f"{path}/messages?after={after}", headers=headers).json()["events"]
        if found:
            return dict(found[0])
        time.sleep(0.05)
    raise AssertionError("no answer came")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_a_question_is_answered_with_sentences_and_their_source(client: Client) -> None:
    path, headers = open_conversation(client)
    sent = send(client, path, headers, QUESTION)
    assert sent.status_code == 201
    assert sent.json() == {"seq": 1, "duplicate": False}
    answer = wait_for_answer(client, path, headers)
    assert (answer["kind"], answer["outcome"], answer["reply_to"]) == ("bot_message", "answer", 1)
    assert "within 5 business days" in answer["text"]
    citation = answer["citations"][0]
    assert citation["section"] == "Refunds"
    page = client.get(citation["url"].split("#")[0])
    assert f"<mark>{citation['quote']}</mark>" in page.content.decode()
    assert [s["citation"] for s in answer["sentences"]] == [1] * len(answer["sentences"])


@pytest.mark.django_db(transaction=True)
def test_an_empty_knowledge_base_refuses_and_says_so(client: Client) -> None:
    make_inbox(KnowledgeBase.objects.create(name="Nothing in it"))
    path, headers = open_conversation(client)
    send(client, path, headers, QUESTION)
    answer = wait_for_answer(client, path, headers)
    assert answer["outcome"] == "refusal"
    assert answer["citations"] == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_a_question_in_chinese_is_refused_in_chinese(client: Client) -> None:
    path, headers = open_conversation(client)
    send(client, path, headers, "你们卖汽车轮胎吗？")
    answer = wait_for_answer(client, path, headers)
    assert answer["language"] == "zh-hans"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_the_same_message_sent_twice_is_answered_once(client: Client) -> None:
    path, headers = open_conversation(client)
    assert not send(client, path, headers, QUESTION).json()["duplicate"]
    assert send(client, path, headers, QUESTION).json() == {"seq": 1, "duplicate": True}
    wait_for_answer(client, path, headers)
    time.sleep(0.3)
    assert ConversationEvent.objects.count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_a_failing_model_is_told_as_an_event_and_not_as_an_answer(client: Client) -> None:
    path, headers = open_conversation(client)
    set_engine(FakeEngine(fail_with=ModelFailed()))
    send(client, path, headers, QUESTION)
    event = wait_for_answer(client, path, headers)
    assert (event["kind"], event["code"]) == ("failed", "model_failed")
    assert "send it again" in event["detail"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_what_is_not_sure_is_offered_and_what_is_chosen_is_answered(client: Client) -> None:
    path, headers = open_conversation(client)
    send(client, path, headers, UNSURE)
    offered = wait_for_answer(client, path, headers)
    assert offered["outcome"] == "choices"
    assert 0 < len(offered["choices"]) <= 3
    first = offered["choices"][0]
    assert {"text", "passage", "document", "excerpt"} == set(first)
    body = {"text": first["text"], "idempotency_key": "k2", "passage": first["passage"]}
    assert post_json(client, f"{path}/messages", body, **headers).status_code == 201
    answer = wait_for_answer(client, path, headers, after=3)
    assert answer["outcome"] == "answer"
    assert {citation["passage"] for citation in answer["citations"]} == {first["passage"]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_a_passage_of_another_knowledge_base_cannot_be_chosen(client: Client) -> None:
    other = make_knowledge_base(name="Other", secret_md=b"# Wages\n\nThe boss earns 1 EUR.")
    passage = Passage.objects.get(document__knowledge_base=other)
    path, headers = open_conversation(client)
    body = {"text": "Wages", "idempotency_key": "k1", "passage": passage.pk}
    post_json(client, f"{path}/messages", body, **headers)
    assert "boss" not in json.dumps(wait_for_answer(client, path, headers))


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_a_question_whose_process_died_is_answered_by_the_sweep(client: Client) -> None:
    path, headers = open_conversation(client)
    send(client, path, headers, QUESTION)
    wait_for_answer(client, path, headers)
    ConversationEvent.objects.filter(kind="bot_message").delete()
    Conversation.objects.update(last_seq=1)
    Turn.objects.update(answered_at=None, claimed_at="2026-01-01T00:00:00Z")
    tasks.answer_waiting()
    assert wait_for_answer(client, path, headers)["outcome"] == "answer"


@pytest.mark.django_db
@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("", 422, "invalid_input"),
        ("   \n ", 422, "invalid_input"),
        ("\x00\x01\x02", 422, "invalid_input"),
        ("x" * 100_000, 422, "invalid_input"),
        (None, 422, "invalid_input"),
        (["a"], 422, "invalid_input"),
    ],
)
def test_a_message_that_cannot_be_used_is_refused_by_name(
    client: Client, text: Any, status: int, code: str
) -> None:
    path, headers = open_conversation(client)
    answer = send(client, path, headers, text)
    assert answer.status_code == status
    assert answer["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["field"]) == (code, "text")
    assert not ConversationEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_control_characters_are_dropped_and_the_rest_is_kept(client: Client) -> None:
    path, headers = open_conversation(client)
    assert send(client, path, headers, "\x07re\x00funds?\n").status_code == 201
    assert ConversationEvent.objects.get(seq=1).payload["text"] == "refunds?"
    wait_for_answer(client, path, headers)


@pytest.mark.django_db
@pytest.mark.usefixtures("shop")
def test_another_visitors_token_opens_nothing(client: Client) -> None:
    mine, _headers = open_conversation(client)
    _other, other_headers = open_conversation(client)
    for answer in (
        send(client, mine, other_headers, "hi"),
        client.get(f"{mine}/messages", headers=other_headers),
        client.get(f"{API}/conversations/{uuid.uuid4()}/messages", headers=other_headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert client.get(f"{mine}/messages").status_code == 401
    assert client.get(f"{mine}/events").status_code == 401


@pytest.mark.django_db
@pytest.mark.usefixtures("shop")
def test_bodies_that_cannot_be_read_are_refused(client: Client) -> None:
    path, headers = open_conversation(client)
    url = f"{path}/messages"
    broken = client.post(url, b'{"text": ', content_type="application/json", headers=headers)
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_request")
    latin = client.post(url, b'{"text": "\xff\xfe"}', content_type="application/json", headers=headers)
    assert (latin.status_code, latin.json()["code"]) == (400, "malformed_request")
    body = json.dumps({"text": "a", "idempotency_key": "k"})
    plain = client.post(url, body, content_type="text/plain", headers=headers)
    assert (plain.status_code, plain.json()["code"]) == (415, "unsupported_media_type")
    assert not ConversationEvent.objects.exists()


@pytest.mark.django_db
def test_an_unknown_inbox_says_what_to_check(client: Client) -> None:
    answer = post_json(client, f"{API}/conversations", {"inbox": "nope"})
    assert answer.status_code == 404
    assert "data-inbox" in answer.json()["detail"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
async def test_the_stream_replays_what_was_missed_and_is_not_buffered(client: Client) -> None:
    from asgiref.sync import sync_to_async

    path, headers = await sync_to_async(open_conversation)(client)
    await sync_to_async(send)(client, path, headers, QUESTION)
    await sync_to_async(wait_for_answer)(client, path, headers)
    answer = await AsyncClient().get(f"{path}/events", headers={**headers, "Last-Event-ID": "1"})
    assert answer["content-type"] == "text/event-stream"
    chunks = aiter(answer.streaming_content)
    assert (await anext(chunks)).decode() == "retry: 1000\n\n"
    event = (await anext(chunks)).decode()
    assert event.startswith("id: 2\nevent: bot_message\ndata: {")
    await chunks.aclose()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
async def test_a_last_event_id_of_nonsense_is_named() -> None:
    from asgiref.sync import sync_to_async

    path, headers = await sync_to_async(open_conversation)(Client())
    answer = await AsyncClient().get(f"{path}/events", headers={**headers, "Last-Event-ID": "abc"})
    assert (answer.status_code, answer.json()["field"]) == (422, "Last-Event-ID")


@pytest.mark.django_db
def test_the_inbox_speaks_the_visitors_language(client: Client) -> None:
    base = KnowledgeBase.objects.create(name="Help")
    make_inbox(base, greeting="Hello", greeting_zh="您好", suggestions=["a"], suggestions_zh=[])
    english = client.get(f"{API}/inboxes/shop").json()
    chinese = client.get(f"{API}/inboxes/shop?locale=zh-hans").json()
    assert (english["greeting"], chinese["greeting"]) == ("Hello", "您好")
    assert chinese["suggestions"] == ["a"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shop")
def test_questions_sent_in_a_row_are_answered_in_their_order(client: Client) -> None:
    path, headers = open_conversation(client)
    for n in range(4):
        send(client, path, headers, f"{QUESTION} {n}", f"k{n}")
    for _ in range(200):
        found = client.get(f"{path}/messages?after=0", headers=headers).json()["events"]
        if len(found) == 8:
            break
        time.sleep(0.05)
    asked = [e["seq"] for e in found if e["kind"] == "visitor_message"]
    assert [e["reply_to"] for e in found if e["kind"] == "bot_message"] == asked
