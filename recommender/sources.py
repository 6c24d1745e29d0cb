"""The candidate sources of a catalogue, made once for its words and behaviour and kept in memory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recommender.candidates import (
    BoughtTogether,
    Reach,
    Source,
    Standing,
    TextNeighbours,
    WordNeighbours,
    look_alikes,
)
from recommender.catalogue import Shelf
from recommender.covisitation import CoVisitation
from recommender.words import WordIndex

NEW_HALF_LIFE_D = 14.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Content:
    """What depends on the items' words alone; the costly part."""

    digest: str
    text: TextNeighbours
    titles: WordNeighbours
    words: WordNeighbours
    alike: object


_lock = threading.Lock()
_content: Content | None = None


def assemble(shelf: Shelf, table: CoVisitation, now_s: float) -> list[Source]:
    """Every source: text, words of the title, all words, bought together, its reach, popular, new.

    now_s: seconds since the epoch, for how new an item is.
    """
    content = _content_of(shelf)
    age_d = np.maximum(0.0, (now_s - shelf.published) / DAY_S)
    fresh = 0.5 ** (age_d / NEW_HALF_LIFE_D)
    return [
        content.text,
        content.titles,
        content.words,
        BoughtTogether(table),
        Reach(table, shelf.keys, content.alike),  # type: ignore[arg-type]
        Standing("popular", table.keys, table.counts),
        Standing("new", shelf.keys, fresh.astype(np.float32), behaviour=False),
    ]


def names(sources: Sequence[Source]) -> list[str]:
    """The names of the sources' scores, in the order of their columns."""
    return [name for source in sources for name in source.names]


def _content_of(shelf: Shelf) -> Content:
    """Made again only when some item's words or vector changed."""
    global _content
    digest = hashlib.sha256(
        b"".join((shelf.keys.tobytes(), shelf.embedded.tobytes(), shelf.model_version.encode()))
    )
    for text in shelf.texts:
        digest.update(text.encode())
    name = digest.hexdigest()
    with _lock:
        if _content is None or _content.digest != name:
            _content = Content(
                digest=name,
                text=TextNeighbours(shelf.keys, shelf.vecs),
                titles=WordNeighbours(WordIndex.build(shelf.keys, shelf.titles), "titles"),
                words=WordNeighbours(WordIndex.build(shelf.keys, shelf.texts), "words"),
                alike=look_alikes(shelf.keys, shelf.vecs),
            )
        return _content
