"""A question asked of a text that is not saved yet, beside everything else that is known.

The edited passages are embedded in memory and take the place of those they replace; they are searched with
the live version's weights and judged by its borders. Up to MOST_EXACT pieces the whole knowledge base is
searched as the next version would; beyond, only the live version's nearest passages stand beside the edited
ones, and `exact` says so.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from chatbot import generation, reranking, retrieval, terms, variants
from chatbot.answerability import Judged
from chatbot.conf import ChatbotSettings
from chatbot.entry_preview import Draft, Preview
from chatbot.models import Passage, Piece
from services.errors import InvalidInput
from services.inference.engine import Engine
from services.inference.values import Priority, Vectors
from services.storage import Storage
from services.text.language import detect

MOST_EXACT = 4_000
MOST_EDITED = 600
NEAREST = 100
_KEPT = 4_000
_lock = threading.Lock()
_vecs: OrderedDict[tuple[str, str], bytes] = OrderedDict()
"""Vectors of texts embedded for a trial, for the next question asked of the same text."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What would come of a question. `edited`: the places in `found` of passages that are being written.

    `said`: the sentences that would be quoted; none where it would not answer. `first`: the first edited
    passage's place, from 1, None where none is found.
    """

    question: str
    found: tuple[retrieval.Found, ...]
    edited: tuple[bool, ...]
    judged: Judged
    said: tuple[str, ...]
    exact: bool
    reads: bool

    @property
    def first(self) -> int | None:
        return next((n for n, is_edited in enumerate(self.edited, 1) if is_edited), None)

    @property
    def wins(self) -> bool:
        """Whether an edited passage comes first."""
        return self.first == 1


def ask(
    question: str, draft: Draft, preview: Preview, *, engine: Engine, storage: Storage,
    settings: ChatbotSettings,
) -> Tried:  # fmt: skip
    """Ask a question of the edited text and all else. Raises InvalidInput and the engine's SuiteErrors."""
    question, most = " ".join(question.split()), settings.chatbot_question_chars
    if not question or len(question) > most:
        raise InvalidInput(_("Write a question of at most %(n)d characters.") % {"n": most}, field="question")
    spoken = detect(question, default="en")
    edited, passages = _edited(draft, preview)
    if len(edited) > MOST_EDITED:
        raise InvalidInput(_("The text is too long to be asked unsaved. Save it, then ask it on the bench."))
    beside, exact = _beside(draft, question, spoken, engine, storage)
    index = _index(edited, beside, draft, engine, storage)
    vecs = None
    if retrieval.reads(engine, spoken):
        vecs = engine.embed(retrieval.wordings(index, question), priority=Priority.INTERACTIVE)
    found = _found(index, question, vecs, passages, spoken, reranking.depth(engine, settings))
    borders = retrieval.borders_of(draft.base, storage)
    judged = retrieval.judge(found[: retrieval.TOP_K], borders, draft.base.carefulness)
    found = (
        found[: retrieval.TOP_K]
        if judged.zone == "refuse"
        else reranking.rerank(question, found, engine=engine, settings=settings).found
    )
    said = generation.extract(
        question, found, language=spoken, engine=engine, limit=settings.chatbot_answer_sentences
    )
    return Tried(
        question,
        tuple(found),
        tuple(hit.passage.pk < 0 for hit in found),
        judged,
        tuple(sentence.text for sentence in said) if judged.zone == "answer" else (),
        exact,
        vecs is not None,
    )


def _edited(draft: Draft, preview: Preview) -> tuple[list[Piece], dict[int, Passage]]:
    """The pieces of the passages that are being written, and those by their numbers, all below zero."""
    by_hand = variants.by_heading(draft.document) if draft.document is not None else {}
    pieces: list[Piece] = []
    passages: dict[int, Passage] = {}
    for n, cut in enumerate(preview.cuts, start=1):
        cut.passage.pk = -n
        passages[-n] = cut.passage
        questions = by_hand.pop(draft.replaces if draft.entry else cut.passage.heading, [])
        pieces += cut.pieces
        pieces += [
            Piece(passage=cut.passage, kind=Piece.Kind.VARIANT, text=question, embedded=question)
            for question in questions
        ]
    return pieces, passages


def _beside(
    draft: Draft, question: str, spoken: str, engine: Engine, storage: Storage
) -> tuple[list[tuple[Any, ...]], bool]:
    """The pieces of all other passages in use, or of the nearest; and whether those are all."""
    version = engine.encoder().version
    pieces = Piece.objects.filter(
        passage__document__knowledge_base=draft.base,
        passage__retired_at=None,
        model_version=version,
        vec__isnull=False,
    )
    if draft.document is not None:
        replaced = Passage.objects.filter(document=draft.document)
        if draft.entry is not None:
            replaced = replaced.filter(heading=draft.replaces)
        pieces = pieces.exclude(passage__in=replaced)
    exact = pieces.count() <= MOST_EXACT
    if not exact:
        near = retrieval.search(
            draft.base, question, language=spoken, engine=engine, storage=storage, k=NEAREST
        )
        pieces = pieces.filter(passage__in=[hit.passage.pk for hit in near])
    return list(pieces.values_list("pk", "passage_id", "kind", "text", "vec")), exact


def _index(
    edited: Sequence[Piece], beside: list[tuple[Any, ...]], draft: Draft, engine: Engine, storage: Storage
) -> Any:
    from services.search.equivalents import Equivalents
    from services.search.hybrid import HybridIndex

    live = retrieval.live_index(draft.base, engine, storage)
    encoder = engine.encoder()
    there = np.frombuffer(b"".join(bytes(row[4]) for row in beside), dtype=np.float32)
    vecs = np.concatenate([there.reshape(len(beside), encoder.dim), _embedded(edited, draft, engine)])
    return HybridIndex.build(
        piece_ids=[row[0] for row in beside] + [-n for n in range(1, len(edited) + 1)],
        passage_ids=[row[1] for row in beside] + [piece.passage.pk for piece in edited],
        kinds=[row[2] for row in beside] + [str(piece.kind) for piece in edited],
        texts=[row[3] for row in beside] + [piece.text for piece in edited],
        vecs=vecs,
        encoder_version=encoder.version,
        weights=live.weights if live is not None else None,
        cells_from=1 << 62,
        equivalents=Equivalents(terms.groups_of(draft.base)),
    )


def _embedded(pieces: Sequence[Piece], draft: Draft, engine: Engine) -> Vectors:
    """float32 (pieces, dim): what is known of the document's pieces, or was embedded before; else anew."""
    encoder = engine.encoder()
    known: dict[str, bytes] = {}
    if draft.document is not None:
        rows = Piece.objects.filter(
            passage__document=draft.document, model_version=encoder.version, vec__isnull=False
        )
        known = {text: bytes(vec or b"") for text, vec in rows.values_list("embedded", "vec")}
    with _lock:
        for piece in pieces:
            if (kept := _vecs.get((encoder.version, piece.embedded))) is not None:
                known.setdefault(piece.embedded, kept)
    todo = list(dict.fromkeys(piece.embedded for piece in pieces if piece.embedded not in known))
    if todo:
        made = engine.embed(todo, priority=Priority.INTERACTIVE)
        fresh = {text: vec.astype(np.float32).tobytes() for text, vec in zip(todo, made, strict=True)}
        known |= fresh
        with _lock:
            _vecs.update({(encoder.version, text): vec for text, vec in fresh.items()})
            while len(_vecs) > _KEPT:
                _vecs.popitem(last=False)
    joined = np.frombuffer(b"".join(known[piece.embedded] for piece in pieces), dtype=np.float32)
    vecs: Vectors = joined.reshape(len(pieces), encoder.dim)
    return vecs


def _found(
    index: Any, question: str, vecs: Vectors | None, edited: dict[int, Passage], spoken: str, k: int
) -> list[retrieval.Found]:
    """As `retrieval.found_in`, with passages that have no rows."""
    hits = index.search(question, vecs, k=4 * k)
    ids = [hit.passage_id for hit in hits if hit.passage_id > 0]
    rows = {**Passage.objects.select_related("document").in_bulk(ids), **edited}
    found = [
        retrieval.Found(rows[hit.passage_id], hit.score, hit.dense, hit.lexical, hit.views, hit.best_piece_id)
        for hit in hits
        if hit.passage_id in rows
    ]
    spoken_ones = [hit for hit in found if hit.passage.language == spoken]
    return (spoken_ones or found)[:k]
