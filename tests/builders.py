"""Short ways to make the rows a test starts from."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.utils import timezone

from chatbot import knowledge
from chatbot.models import Document, Inbox, KnowledgeBase
from services.console.storage import storage
from services.inference.engine import get_engine

SAMPLE = Path(__file__).parent.parent / "sample"
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
RETURNS_MD = b"""# Returns

## Refunds

We pay refunds within 5 business days after the parcel reaches us. The bank may take 2 more days.

## Size exchange

You can exchange boots for another size once, free of charge.

| Country | Label |
|---|---|
| Norway | 6.90 EUR |
| Germany | free |
"""


def make_knowledge_base(name: str = "Help", **files: bytes) -> KnowledgeBase:
    """A knowledge base with its files read and indexed, as a worker would have left it.

    Files are given as name_ending=bytes: `returns_md=b"# ..."`.
    """
    base = KnowledgeBase.objects.create(name=name)
    for keyword, data in files.items():
        stem, _, ending = keyword.rpartition("_")
        add_document(base, f"{stem}.{ending}", data)
    base.refresh_from_db()
    if files:
        knowledge.build_index(base, get_engine(), storage(), timezone.now())
        base.refresh_from_db()
    return base


def add_document(base: KnowledgeBase, filename: str, data: bytes) -> Document:
    """Upload and read one file."""
    document = knowledge.receive(base, filename, data, storage=storage(), max_bytes=2**20)
    claimed = knowledge.claim(document.pk, timezone.now(), knowledge_lease())
    assert claimed is not None
    knowledge.ingest(claimed, get_engine(), storage(), timezone.now)
    document.refresh_from_db()
    return document


def make_inbox(base: KnowledgeBase, key: str = "shop", **fields: Any) -> Inbox:
    """An inbox on a knowledge base."""
    return Inbox.objects.create(name="Shop", key=key, knowledge_base=base, **fields)


def knowledge_lease() -> Any:
    """The lease a worker's claim lasts, as by default."""
    from datetime import timedelta

    return timedelta(seconds=60)


def post_json(client: Any, path: str, body: Any, **headers: str) -> Any:
    """POST JSON through the Django test client; headers by name, e.g. authorization="Bearer …"."""
    return client.post(path, json.dumps(body), content_type="application/json", headers=headers)
