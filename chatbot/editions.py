"""The files a document had before, latest first, so that people can compare them and go back.

A document's row keeps the list as {"path", "hash", "type", "at", "by"}: `at` and `by` say when it gave way
and to whom. Files are named by their content, so one file may be the edition of several documents.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from chatbot.models import Document, KnowledgeBase

MOST = 20


def after(document: Document, digest: str, by: str, now: datetime) -> list[dict[str, Any]]:
    """The editions of a document whose present file gives way to the one with that content hash."""
    if digest == document.content_hash:
        return list(document.editions)
    present = {
        "path": document.file_path,
        "hash": document.content_hash,
        "type": document.media_type,
        "at": now.isoformat(),
        "by": by,
    }
    before = [one for one in document.editions if one["hash"] not in (digest, document.content_hash)]
    return [present, *before][:MOST]


def paths(knowledge_base: KnowledgeBase) -> set[str]:
    """Every file that a document of the knowledge base has or had."""
    found: set[str] = set()
    rows = Document.objects.filter(knowledge_base=knowledge_base).values_list("file_path", "editions")
    for path, before in rows.iterator(chunk_size=500):
        found.update((path, *(one["path"] for one in before)))
    return found


def of(document: Document) -> Iterator[str]:
    """The document's own file and those it had before."""
    yield document.file_path
    yield from (one["path"] for one in document.editions)
