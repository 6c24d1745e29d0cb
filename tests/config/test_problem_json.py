"""Whatever goes wrong under /api/v1 is answered as problem+json with a stable code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from config.api import api, problem
from services.errors import Overloaded, SuiteError, every_error
from tests.builders import make_inbox, make_knowledge_base

API = "/api/v1/chatbot"


def problem_of(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer with this status and code."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = json.loads(answer.content)
    assert {"type", "title", "status", "code", "detail"} <= set(body)
    assert body["status"] == status
    assert body["code"] == code
    assert body["type"] == f"/docs/errors#{code}"
    assert body["detail"]
    return body


@pytest.mark.parametrize("body", [b'{"inbox": ', b"\xff\xfe{}", b'{"inbox": "\xc3\x28"}', b"nonsense"])
def test_a_body_that_is_no_json_in_utf_8_is_malformed(client: Client, body: bytes) -> None:
    answer = client.post(f"{API}/conversations", body, content_type="application/json")
    problem_of(answer, 400, "malformed_request")


def test_an_empty_body_is_answered_as_a_value_that_is_missing(client: Client) -> None:
    problem_of(
        client.post(f"{API}/conversations", b"", content_type="application/json"), 422, "invalid_input"
    )


def test_a_body_over_the_limit_is_too_large(client: Client, settings: Any) -> None:
    body = json.dumps({"inbox": "x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE})
    answer = client.post(f"{API}/conversations", body, content_type="application/json")
    problem_of(answer, 413, "too_large")


@pytest.mark.django_db
def test_another_content_type_is_not_taken(client: Client) -> None:
    make_inbox(make_knowledge_base())
    answer = client.post(f"{API}/conversations", b'{"inbox": "shop"}', content_type="text/plain")
    problem_of(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/chatbot/nothing/", "/api/v2/x"])
def test_an_unknown_address_under_the_api_is_not_found(client: Client, path: str) -> None:
    problem_of(client.get(path), 404, "not_found")


@pytest.mark.django_db
def test_a_missing_inbox_is_not_found_with_a_remedy(client: Client) -> None:
    body = problem_of(client.get(f"{API}/inboxes/none"), 404, "not_found")
    assert "data-inbox" in body["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "inbox"), ({"inbox": 7}, "inbox"), ({"inbox": "shop", "locale": "fr"}, "locale")],
)
def test_a_value_that_cannot_be_used_is_named(client: Client, body: dict[str, Any], field: str) -> None:
    answer = client.post(f"{API}/conversations", json.dumps(body), content_type="application/json")
    assert problem_of(answer, 422, "invalid_input")["field"] == field


def test_a_broken_conversation_number_is_named(client: Client) -> None:
    answer = client.get(f"{API}/conversations/7/messages", headers={"authorization": "Bearer x"})
    assert problem_of(answer, 422, "invalid_input")["field"] == "conversation_id"


def test_an_unexpected_exception_is_a_plain_500_without_its_words() -> None:
    request = RequestFactory().get("/api/v1/chatbot/inboxes/shop")
    answer = api.on_exception(request, RuntimeError("password is hunter2"))
    assert isinstance(answer, HttpResponse)
    problem_of(answer, 500, "internal_error")
    assert b"hunter2" not in answer.content


def test_every_error_of_the_tree_becomes_a_problem_of_its_own_code() -> None:
    codes = [cls.code for cls in every_error()]
    assert len(codes) == len(set(codes))
    for cls in every_error():
        problem_of(problem(cls()), cls.http_status, cls.code)


def test_a_full_queue_says_when_to_come_back() -> None:
    assert problem(Overloaded("Too busy.", retry_after_s=2.6))["Retry-After"] == "3"
    assert "Retry-After" not in problem(SuiteError("x"))


def test_a_problem_carries_its_field_and_its_numbers() -> None:
    body = json.loads(problem(SuiteError("x", field="text", limit=2000)).content)
    assert body["field"] == "text"
    assert body["limit"] == 2000
