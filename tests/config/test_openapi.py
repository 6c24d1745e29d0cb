"""The API is what its document says, and the document changes only on purpose."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from tests.config.openapi_snapshot import SNAPSHOT, current


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    paths = json.loads(current())["paths"]
    return [(path, method, body) for path, methods in paths.items() for method, body in methods.items()]


def test_the_document_is_the_snapshot() -> None:
    assert current() == SNAPSHOT.read_text(encoding="utf-8"), (
        "The API changed. If that is meant: python -m tests.config.openapi_snapshot, and read the difference."
    )


def test_the_document_is_served_where_it_says(client: Client) -> None:
    answer = client.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert set(answer.json()["paths"]) == {path for path, _method, _body in operations()}


def test_every_operation_says_what_it_does() -> None:
    assert len(operations()) >= 5
    for path, method, body in operations():
        assert body.get("summary"), (method, path)
        assert body.get("description"), (method, path)
        assert body.get("tags"), (method, path)


def test_the_page_of_the_api_loads_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/v1/docs")
    assert page.status_code == 200
    assert b'src="http' not in page.content
    assert b'href="http' not in page.content
