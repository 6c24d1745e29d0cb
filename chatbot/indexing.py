"""A knowledge version's index: the embedded pieces of the passages in use, written whole into the file store.

The knowledge base's terms are written into it as they are, so a version answers with those it was judged by.

A folder is written under a name of its own and never changed, so a reader has one index or another.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chatbot import terms
from chatbot.answerability import Borders
from chatbot.calibration import Pieces, calibrated
from chatbot.models import KnowledgeBase, Piece
from services.inference.engine import Engine
from services.storage import Storage

if TYPE_CHECKING:
    from services.search.hybrid import HybridIndex

BORDERS = "answerability.json"
"""The file beside an index that says how sure is sure enough."""
FIT_UP_TO = 60_000
"""Pieces up to which the views are weighed anew for each index, on the knowledge base's own variants."""


@dataclass(frozen=True, slots=True)
class Built:
    """An index in the file store: its folder, the passages it holds, the revision it covers."""

    path: str
    passage_ids: tuple[int, ...]
    revision: int


def build(knowledge_base: KnowledgeBase, number: int, engine: Engine, storage: Storage) -> Built:
    """Write the index of version `number`. Raises the file store's and the engine's SuiteErrors."""
    from services.search.fitting import fit_on_variants
    from services.search.hybrid import HybridIndex

    revision = KnowledgeBase.objects.values_list("revision", flat=True).get(pk=knowledge_base.pk)
    content, encoder_version = _content(knowledge_base, engine)
    weights = fit_on_variants(**content) if len(content["piece_ids"]) <= FIT_UP_TO else None
    index = HybridIndex.build(**content, encoder_version=encoder_version, weights=weights)
    path = f"{folder_of(knowledge_base.pk)}/{number}-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        index.save(Path(folder) / "index")
        (Path(folder) / "index" / BORDERS).write_text(_borders(content, index), encoding="utf-8")
        storage.put_folder(Path(folder) / "index", path)
    return Built(path, tuple(index.passage_ids.tolist()), revision)


def _borders(content: dict[str, Any], index: HybridIndex) -> str:
    """From which probability on this knowledge base's passages answer, as JSON."""
    pieces = Pieces(**content)
    within = len(pieces.piece_ids) <= FIT_UP_TO
    return json.dumps((calibrated(pieces, index.weights) if within else Borders()).as_json())


def folder_of(knowledge_base_id: int) -> str:
    """Where a knowledge base's indexes lie; a folder's name begins with its version's number."""
    return f"indexes/{knowledge_base_id}"


def _content(knowledge_base: KnowledgeBase, engine: Engine) -> tuple[dict[str, Any], str]:
    """What HybridIndex.build takes, of the passages in use, and the version of the encoder."""
    from services.search.equivalents import Equivalents

    encoder = engine.encoder()
    pieces = list(
        Piece.objects.filter(
            passage__document__knowledge_base=knowledge_base,
            passage__retired_at=None,
            model_version=encoder.version,
            vec__isnull=False,
        ).values_list("pk", "passage_id", "kind", "text", "vec")
    )
    vecs = np.frombuffer(b"".join(bytes(p[4] or b"") for p in pieces), dtype=np.float32)
    content: dict[str, Any] = {
        "piece_ids": [p[0] for p in pieces],
        "passage_ids": [p[1] for p in pieces],
        "kinds": [p[2] for p in pieces],
        "texts": [p[3] for p in pieces],
        "vecs": vecs.reshape(len(pieces), encoder.dim),
        "equivalents": Equivalents(terms.groups_of(knowledge_base)),
    }
    return content, encoder.version
