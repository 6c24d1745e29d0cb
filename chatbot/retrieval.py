"""Retrieval: the passages that may answer a question, best first, with every score that led there.

One function for the live bot and for whatever measures it. The index is read from the file store once
per version and kept in memory; the database has the last word on what still exists.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatbot.models import Document, KnowledgeBase, Passage
from services.errors import NotFound, Unavailable
from services.inference.engine import Engine
from services.inference.values import Priority
from services.storage import Storage

if TYPE_CHECKING:
    from services.search.hybrid import HybridIndex

TOP_K = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A passage with its fused score, its best cosine, and its share of the question's words, 0 to 1."""

    passage: Passage
    score: float
    dense: float
    lexical: float

    def trace(self) -> dict[str, Any]:
        """As it is kept with the turn: ids and scores, nobody's words."""
        return {
            "passage": self.passage.pk,
            "score": round(self.score, 5),
            "dense": round(self.dense, 5),
            "lexical": round(self.lexical, 4),
        }


_lock = threading.Lock()
_loaded: dict[int, tuple[str, HybridIndex]] = {}


def search(
    knowledge_base: KnowledgeBase,
    question: str,
    *,
    language: str,
    engine: Engine,
    storage: Storage,
    k: int = TOP_K,
) -> list[Found]:
    """The k best passages for a question; none when the knowledge base has no index yet.

    A question in a language the encoder does not read is searched by words alone; `dense` is then 0.
    Where there are passages in the question's language, only those are given.
    Raises IndexMismatch when the index was made by another encoder version (it is being rebuilt).
    """
    index = _index_of(knowledge_base, engine, storage)
    if index is None:
        waiting = knowledge_base.documents.filter(state__in=[Document.State.QUEUED, Document.State.RUNNING])
        if knowledge_base.revision > knowledge_base.indexed_revision or waiting.exists():
            raise Unavailable("The knowledge base is still being read; try again in a moment.")
        return []
    query_vec = None
    if reads(engine, language):
        query_vec = engine.embed([question], priority=Priority.INTERACTIVE, deadline_s=10.0)[0]
    hits = index.search(question, query_vec, k=4 * k)
    rows = Passage.objects.select_related("document").in_bulk([hit.passage_id for hit in hits])
    found = [
        Found(rows[hit.passage_id], hit.score, hit.dense, hit.lexical)
        for hit in hits
        if hit.passage_id in rows
    ]
    spoken = [hit for hit in found if hit.passage.language == language]
    return (spoken or found)[:k]


def reads(engine: Engine, language: str) -> bool:
    """Whether the live encoder can compare texts of a language: as it is said to, and as it proves."""
    from services.search.understanding import understands

    info = engine.encoder()
    return info.reads(language) and understands(engine.embed, info.version, language)


def _index_of(knowledge_base: KnowledgeBase, engine: Engine, storage: Storage) -> HybridIndex | None:
    path = knowledge_base.index_path
    if not path:
        return None
    with _lock:
        kept = _loaded.get(knowledge_base.pk)
    if kept is not None and kept[0] == path:
        return kept[1]
    from services.search.hybrid import HybridIndex

    try:
        index = HybridIndex.load(storage.local_folder(path), engine.encoder().version)
    except NotFound as error:  # replaced a moment ago, or lost: the sweep builds it anew
        if kept is not None:
            return kept[1]
        raise Unavailable("The search index is being rebuilt; try again in a moment.") from error
    with _lock:
        _loaded[knowledge_base.pk] = (path, index)
    return index
