"""Retrieval: the passages that may answer a question, best first, with every score that led there.

One function for the live bot and for whatever measures it. The index is read from the file store once
per version and kept in memory; the database has the last word on what still exists.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chatbot import answerability
from chatbot.answerability import Borders, Judged
from chatbot.indexing import BORDERS
from chatbot.models import Document, KnowledgeBase, Passage
from services.errors import NotFound, SuiteError, Unavailable
from services.inference.engine import Engine
from services.inference.values import Priority, Vectors
from services.storage import Storage

if TYPE_CHECKING:
    from services.search.hybrid import HybridIndex

TOP_K = 8


@dataclass(frozen=True, slots=True)
class Found:
    """A passage with its fused score, its best cosine, and its share of the question's words, 0 to 1.

    `views` as in the index's Hit; `piece_id`: its nearest piece. `rerank`: what a reranker made of it,
    0 to 1; None where none read it.
    """

    passage: Passage
    score: float
    dense: float
    lexical: float
    views: tuple[float, ...] = ()
    piece_id: int = 0
    rerank: float | None = None

    @property
    def worth(self) -> float:
        """What passages are put in order by: the reranker's score, or the fused one where none read it."""
        return self.score if self.rerank is None else self.rerank

    def trace(self) -> dict[str, Any]:
        """As it is kept with the turn: ids and scores, nobody's words."""
        told = {
            "passage": self.passage.pk,
            "score": round(self.score, 5),
            "dense": round(self.dense, 5),
            "lexical": round(self.lexical, 4),
        }
        return told if self.rerank is None else {**told, "rerank": round(self.rerank, 5)}


_lock = threading.Lock()
_loaded: dict[int, tuple[str, HybridIndex]] = {}
_borders: dict[int, tuple[str, Borders]] = {}


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
    query_vecs = None
    if reads(engine, language):
        asked = wordings(index, question)
        query_vecs = engine.embed(asked, priority=Priority.INTERACTIVE, deadline_s=10.0)
    return found_in(index, question, query_vecs, language=language, k=k)


def wordings(index: HybridIndex, question: str) -> list[str]:
    """What is embedded of a question: itself and, where it has a term, once with another word for it."""
    return list(filter(None, [question, index.reworded(question)]))


def picked(knowledge_base: KnowledgeBase, passage_id: int) -> list[Found]:
    """The passage a visitor chose from those offered; none when the live version has it no more."""
    live = knowledge_base.live_version
    if live is not None and passage_id not in live.passage_ids:
        return []
    rows = Passage.objects.select_related("document").filter(
        pk=passage_id, document__knowledge_base=knowledge_base
    )
    return [Found(passage, 1.0, 1.0, 1.0) for passage in rows]


def found_in(
    index: HybridIndex,
    question: str,
    query_vec: Vectors | None,
    *,
    language: str,
    k: int = TOP_K,
    held_out: bool = False,
) -> list[Found]:
    """The k best passages of one index, live or not; `query_vec` and `held_out` as in HybridIndex.search.

    The vector, or vectors, are of the question's `wordings`.
    """
    hits = index.search(question, query_vec, k=4 * k, held_out=held_out)
    ids = [hit.passage_id for hit in hits]
    languages = dict(Passage.objects.filter(pk__in=ids).values_list("pk", "language"))
    there = [hit for hit in hits if hit.passage_id in languages]
    spoken = [hit for hit in there if languages[hit.passage_id] == language]
    best = (spoken or there)[:k]
    rows = Passage.objects.select_related("document").in_bulk([hit.passage_id for hit in best])
    return [
        Found(rows[hit.passage_id], hit.score, hit.dense, hit.lexical, hit.views, hit.best_piece_id)
        for hit in best
        if hit.passage_id in rows
    ]


def judge(found: Sequence[Found], borders: Borders, carefulness: float) -> Judged:
    """What to do about a question that found these passages: the one way for the bot and what measures it."""
    first = found[0].passage if found else None
    rivals = answerability.one_each(found, lambda hit: (hit.passage.document_id, hit.passage.heading))
    return answerability.judge(
        rivals,
        is_faq=first is not None and answerability.is_entry(first.heading, first.variants),
        borders=borders,
        carefulness=carefulness,
    )


def view_shares(
    knowledge_base: KnowledgeBase, engine: Engine, storage: Storage, *, by_meaning: bool
) -> tuple[float, ...]:
    """What each view counts in the scores of the live index, summing to one; none when there is no index."""
    index = _index_of(knowledge_base, engine, storage)
    return tuple(index.shares(by_meaning=by_meaning).tolist()) if index is not None else ()


def reads(engine: Engine, language: str) -> bool:
    """Whether the live encoder can compare texts of a language: as it is said to, and as it proves."""
    from services.search.understanding import understands

    info = engine.encoder()
    return info.reads(language) and understands(engine.embed, info.version, language)


def live_index(knowledge_base: KnowledgeBase, engine: Engine, storage: Storage) -> HybridIndex | None:
    """The index visitors are answered from; None when there is none yet. Raises as `search`."""
    return _index_of(knowledge_base, engine, storage)


def warm(engine: Engine, storage: Storage) -> None:
    """Read every live index, and the Chinese dictionary where it is needed, before the first visitor asks.

    Raises the engine's and the index's SuiteErrors; the first question then tries again.
    """
    from services.search.tokens import tokenize

    for knowledge_base in KnowledgeBase.objects.exclude(index_path=""):
        _index_of(knowledge_base, engine, storage)
        borders_of(knowledge_base, storage)
    if Passage.objects.filter(language__startswith="zh").exists():
        tokenize("你好")


def open_index(path: str, engine: Engine, storage: Storage) -> HybridIndex:
    """The index kept under a path. Raises NotFound, StorageFailed, IndexMismatch (another encoder's)."""
    from services.search.hybrid import HybridIndex

    return HybridIndex.load(storage.local_folder(path), engine.encoder().version)


def borders_of(knowledge_base: KnowledgeBase, storage: Storage) -> Borders:
    """How sure is sure enough for the live version; as the product has it for an index without."""
    path = knowledge_base.index_path
    with _lock:
        kept = _borders.get(knowledge_base.pk)
    if kept is not None and kept[0] == path:
        return kept[1]
    borders = read_borders(path, storage)
    with _lock:
        _borders[knowledge_base.pk] = (path, borders)
    return borders


def read_borders(path: str, storage: Storage) -> Borders:
    """The borders kept beside the index under a path; the product's where there are none."""
    with suppress(SuiteError, OSError, ValueError):
        told = (storage.local_folder(path) / BORDERS).read_text(encoding="utf-8") if path else "{}"
        return Borders.from_json(json.loads(told))
    return Borders()


def _index_of(knowledge_base: KnowledgeBase, engine: Engine, storage: Storage) -> HybridIndex | None:
    path = knowledge_base.index_path
    if not path:
        return None
    with _lock:
        kept = _loaded.get(knowledge_base.pk)
    if kept is not None and kept[0] == path:
        return kept[1]
    try:
        index = open_index(path, engine, storage)
    except NotFound as error:  # replaced a moment ago, or lost: the sweep builds it anew
        if kept is not None:
            return kept[1]
        raise Unavailable("The search index is being rebuilt; try again in a moment.") from error
    with _lock:
        _loaded[knowledge_base.pk] = (path, index)
    return index
