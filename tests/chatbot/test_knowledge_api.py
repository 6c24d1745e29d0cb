"""Documents by API: put in, followed until they are read, listed, replaced, taken out; bad input is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from chatbot import tasks
from chatbot.models import Document, KnowledgeBase, Passage
from services.conf import CoreSettings, load
from services.console import api_keys
from tests.builders import RETURNS_MD, make_knowledge_base

pytestmark = pytest.mark.django_db
TEXT = RETURNS_MD.decode()


@pytest.fixture(autouse=True)
def nudges(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What would have been sent to a worker."""
    sent: list[tuple[str, int]] = []
    for task in (tasks.index_knowledge_base, tasks.ingest_document):
        monkeypatch.setattr(task, "delay", lambda row, name=task.name: sent.append((name, row)))
    return sent


@pytest.fixture
def base() -> KnowledgeBase:
    return make_knowledge_base()


def key(*scopes: str) -> dict[str, str]:
    return {"authorization": f"Bearer {api_keys.make('sync', scopes)[1]}"}


@pytest.fixture
def both() -> dict[str, str]:
    return key("knowledge:read", "knowledge:write")


def send(client: Client, base: KnowledgeBase, body: Any, headers: dict[str, str]) -> Any:
    """POST a form's fields, JSON, or a body as it is."""
    address = f"/api/v1/knowledge/{base.pk}/documents"
    if isinstance(body, dict) and "file" in body:
        return client.post(address, body, headers=headers)
    data = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(address, data, content_type="application/json", headers=headers)


def test_a_document_goes_in_is_followed_replaced_listed_and_taken_out(
    client: Client, base: KnowledgeBase, both: dict[str, str], nudges: list[Any],
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    with django_capture_on_commit_callbacks(execute=True):
        made = send(client, base, {"filename": "returns.md", "text": TEXT}, both)
    assert (made.status_code, made.json()["state"], made.json()["pieces_total"]) == (201, "queued", 0)
    number = made.json()["id"]
    assert nudges == [(tasks.ingest_document.name, number)]
    tasks.ingest_document(number)
    one = f"/api/v1/knowledge/{base.pk}/documents/{number}"
    told = client.get(one, headers=both).json()
    assert (told["state"], told["title"], told["language"]) == ("done", "Returns", "en")
    assert told["pieces_done"] == told["pieces_total"] > 0
    assert told["ingested_at"]

    upload = SimpleUploadedFile("returns.md", RETURNS_MD.replace(b"5 business", b"7 business"))
    again = send(client, base, {"file": upload, "title": "Sending back"}, both)
    assert (again.status_code, again.json()["id"], again.json()["title"]) == (200, number, "Sending back")
    tasks.ingest_document(number)
    assert Passage.objects.filter(retired_at=None, text__contains="7 business").exists()

    for name in "ab":
        send(client, base, {"filename": f"{name}.txt", "text": f"About {name}."}, both)
    Document.objects.filter(filename="a.txt").update(state="failed", failure="Broken.")
    page = client.get(f"/api/v1/knowledge/{base.pk}/documents?limit=2", headers=both).json()
    assert [row["filename"] for row in page["documents"]] == ["returns.md", "a.txt"]
    after = f"/api/v1/knowledge/{base.pk}/documents?after={page['next']}"
    rest = client.get(after, headers=both).json()
    assert ([row["filename"] for row in rest["documents"]], rest["next"]) == (["b.txt"], None)
    for query, names in (("state=failed", ["a.txt"]), ("filename=b.txt", ["b.txt"]), ("filename=c", [])):
        found = client.get(f"/api/v1/knowledge/{base.pk}/documents?{query}", headers=both).json()
        assert [row["filename"] for row in found["documents"]] == names
    listed = client.get("/api/v1/knowledge", headers=both).json()
    assert listed == {"knowledge_bases": [{"id": base.pk, "name": "Help", "documents": 3, "live_version": 2}]}

    nudges.clear()
    with django_capture_on_commit_callbacks(execute=True):
        assert client.delete(one, headers=both).status_code == 204
    assert nudges == [(tasks.index_knowledge_base.name, base.pk)]
    for gone in (client.get(one, headers=both), client.delete(one, headers=both)):
        assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    assert send(client, base, {"filename": "returns.md", "text": TEXT}, both).status_code == 201


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"filename": "a.exe", "text": "x"}, "unsupported_media_type", "file"),
        ({"filename": "a.md", "text": "   "}, "invalid_input", "file"),
        ({"filename": "a.md"}, "invalid_input", "text"),
        ({"filename": "", "text": "x"}, "invalid_input", "filename"),
        ({"filename": "../", "text": "x"}, "invalid_input", "filename"),
        ({"filename": "a\u0000.md", "text": "x"}, "invalid_input", "filename"),
        ({"filename": "x" * 201, "text": "x"}, "invalid_input", "filename"),
        ({"filename": "a.csv", "text": "one,two\n1,2\n\n\n,,,,\n"}, None, None),
        ({"filename": "a.pdf", "text": "not one"}, "unsupported_media_type", "file"),
        ({"filename": 7, "text": "x"}, "invalid_input", "filename"),
        (["a"], "invalid_input", "filename"),
        ("{", "malformed_request", None),
        (b'{"filename": "a.md", "text": "\xff"}', "malformed_request", None),
        ('{"filename": "a.md", "text": "\\ud800"}', "malformed_request", None),
        ({"file": "no file"}, "invalid_input", "file"),
        ({"file": SimpleUploadedFile("a.md", b"")}, "invalid_input", "file"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_and_nothing_is_kept(
    client: Client, base: KnowledgeBase, both: dict[str, str], body: Any, code: str | None, field: str | None
) -> None:
    answer = send(client, base, body, both)
    if code is None:
        assert answer.status_code == 201
        return
    told = answer.json()
    assert (told["code"], told.get("field")) == (code, field)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert not Document.objects.exists()


def test_a_key_does_what_its_scope_says_and_addresses_lead_where_they_say(
    client: Client, base: KnowledgeBase, both: dict[str, str]
) -> None:
    made = send(client, base, {"filename": "a.txt", "text": "About a."}, both).json()
    other = make_knowledge_base("Other")
    one = f"/api/v1/knowledge/{base.pk}/documents/{made['id']}"
    reads, writes = key("knowledge:read"), key("knowledge:write")
    answers = {
        "no key": (client.get(one), 401),
        "only writes": (client.get(one, headers=writes), 403),
        "only reads": (client.delete(one, headers=reads), 403),
        "only reads, sends": (send(client, base, {"filename": "b.txt", "text": "b"}, reads), 403),
        "another scope": (client.get(one, headers=key("monitor:write")), 403),
        "another base": (client.get(one.replace(f"/{base.pk}/", f"/{other.pk}/"), headers=reads), 404),
        "no base": (client.get("/api/v1/knowledge/99/documents", headers=reads), 404),
        "no number": (client.get(f"/api/v1/knowledge/{10**30}/documents", headers=reads), 422),
        "no state": (client.get(f"/api/v1/knowledge/{base.pk}/documents?state=lost", headers=reads), 422),
        "text": (
            client.post(one.rpartition("/")[0], "x", "text/plain", headers=writes),
            415,
        ),
    }
    for name, (answer, status) in answers.items():
        assert answer.status_code == status, name
        assert answer.json()["detail"], name
    assert Document.objects.count() == 1


def test_what_is_too_large_is_refused_before_it_is_read(
    client: Client, base: KnowledgeBase, both: dict[str, str]
) -> None:
    limit = load(CoreSettings).max_upload_mib * 2**20
    address = f"/api/v1/knowledge/{base.pk}/documents"
    form = "multipart/form-data; boundary=x"
    answer = client.post(address, b"--x--", content_type=form, headers=both, CONTENT_LENGTH=str(limit * 2))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    broken = client.post(address, b"nothing", content_type="multipart/form-data", headers=both)
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_request")
    assert not Document.objects.exists()
