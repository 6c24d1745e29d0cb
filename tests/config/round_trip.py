"""One visitor's round trip on whatever the environment names, as a program of its own.

Uploads a document, leaves a second one as a killed worker would have left it, waits until a real
worker has read both, then asks through the API. Prints what came of it as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any


def main() -> int:
    """Run the trip; the environment says on which database, broker and file store."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    document, orphan = _upload()
    answer = _ask()
    print(json.dumps({**_backends(), "document": document, "orphan": orphan, "answer": answer}))
    return 0


def _upload() -> tuple[str, str]:
    """The two documents' states when the worker has had its time."""
    from django.utils import timezone

    from chatbot import knowledge
    from chatbot.models import Document, KnowledgeBase
    from chatbot.tasks import ingest_soon, resume_ingest
    from services.console.storage import storage
    from tests.builders import RETURNS_MD, make_inbox

    base = KnowledgeBase.objects.create(name="Help")
    make_inbox(base)
    names = "returns.md", "orphan.md"
    made = [knowledge.receive(base, n, RETURNS_MD, storage=storage(), max_bytes=2**20) for n in names]
    Document.objects.filter(pk=made[1].pk).update(
        state=Document.State.RUNNING, claimed_at=timezone.now() - timedelta(hours=1), attempts=1
    )
    ingest_soon(made[0].pk)
    resume_ingest.delay()
    _until(lambda: Document.objects.filter(state=Document.State.DONE).count() == len(made), "ingest")
    _until(lambda: _index_is_current(base.pk), "index")
    states = dict(Document.objects.values_list("filename", "state"))
    return states["returns.md"], states["orphan.md"]


def _ask() -> dict[str, Any]:
    """The event that answers a question asked through the API."""
    from django.test import Client

    from tests.builders import post_json

    client, api = Client(), "/api/v1/chatbot"
    opened = post_json(client, f"{api}/conversations", {"inbox": "shop"}).json()
    messages = f"{api}/conversations/{opened['id']}/messages"
    key = {"authorization": f"Bearer {opened['token']}"}
    asked = "Do you pay refunds within 5 business days after the parcel reaches us? Bank may take 2 more days"
    question = {"text": asked, "idempotency_key": "one"}
    seq = post_json(client, messages, question, **key).json()["seq"]
    events: list[dict[str, Any]] = []

    def answered() -> bool:
        events[:] = client.get(f"{messages}?after={seq}", headers=key).json()["events"]
        return bool(events)

    _until(answered, "answer")
    return events[0]


def _index_is_current(knowledge_base_id: int) -> bool:
    from chatbot.models import KnowledgeBase

    base = KnowledgeBase.objects.get(pk=knowledge_base_id)
    return base.revision == base.indexed_revision


def _backends() -> dict[str, str]:
    from django.conf import settings
    from django.db import connection

    from config.celery import app

    return {
        "database": connection.vendor,
        "broker": str(app.conf.broker_url).split(":")[0],
        "cache": settings.CACHES["default"]["BACKEND"].rsplit(".", 1)[-1],
    }


def _until(reached: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
    ends = time.monotonic() + timeout_s
    while not reached():
        if time.monotonic() > ends:
            raise TimeoutError(f"no {what} within {timeout_s:.0f} s")
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
