"""/live says that the process answers; /ready that everything an answer needs works now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from services.console.storage import storage
from services.errors import ModelUnavailable
from services.inference.fake import FakeEngine


def test_live_answers_without_touching_the_database(client: Client) -> None:
    answer = client.get("/live")
    assert answer.status_code == 200
    assert answer.json() == {"status": "live"}


@pytest.mark.django_db
def test_ready_runs_a_query_an_embedding_and_a_write(client: Client, engine: FakeEngine) -> None:
    answer = client.get("/ready")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "ready"
    assert set(body["checks"]) == {"database", "inference", "storage"}
    assert all(check["ok"] and check["ms"] >= 0 for check in body["checks"].values())
    assert engine.calls == 1


@pytest.mark.django_db
def test_ready_names_the_engine_when_the_model_is_missing(client: Client, engine: FakeEngine) -> None:
    engine.fail_with = ModelUnavailable("The encoder is not installed. Run make setup.")
    body = _not_ready(client)
    assert body["inference"] == {
        "ok": False,
        "error": "model_unavailable",
        "detail": "The encoder is not installed. Run make setup.",
    }
    assert body["database"]["ok"]
    assert body["storage"]["ok"]


@pytest.mark.django_db
def test_ready_keeps_the_words_of_a_bug_to_itself(client: Client, engine: FakeEngine) -> None:
    engine.fail_with = RuntimeError("password is hunter2")
    body = _not_ready(client)
    assert body["inference"] == {"ok": False, "error": "RuntimeError"}


@pytest.mark.django_db
def test_ready_names_the_file_store_when_it_cannot_be_written(
    client: Client, tmp_path: Path, settings: Any
) -> None:
    (tmp_path / "file").write_text("")
    settings.STORAGE_URL = str(tmp_path / "file" / "store")
    storage.cache_clear()
    body = _not_ready(client)
    assert body["storage"]["error"] == "storage_failed"
    assert str(tmp_path) not in body["storage"]["detail"]
    assert body["inference"]["ok"]


def _not_ready(client: Client) -> dict[str, Any]:
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    checks: dict[str, Any] = answer.json()["checks"]
    return checks
