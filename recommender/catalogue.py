"""Items: written by the shop, embedded by a worker, kept in memory for the requests.

An item's words, price and visibility change at once for every answer; its vector follows within
seconds, when a worker has embedded it. Only changed words are embedded again.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F
from numpy.typing import NDArray

from recommender.models import Catalogue, Item
from services.inference.engine import Engine
from services.inference.values import Priority

BATCH = 128
FIELDS = (
    "title", "description", "brand", "categories", "tags", "price", "stock", "hidden", "published_at",
    "expires_at", "attributes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shelf:
    """The catalogue as requests read it: row i of every array is the item `keys[i]`.

    vecs: float32 (n, dim), L2-normalised, zero where the item is not embedded yet.
    """

    revision: int
    model_version: str
    keys: NDArray[np.int64]
    row_of: dict[int, int]
    id_of: dict[str, int]
    vecs: NDArray[np.float32]
    embedded: NDArray[np.bool_]
    categories: tuple[str, ...]
    published: NDArray[np.float64]
    titles: tuple[str, ...]
    texts: tuple[str, ...]


def put(rows: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Write items, each {"item_id", ...FIELDS}; the numbers made and changed. All or none."""
    made = changed = 0
    with transaction.atomic():
        known = {i.item_id: i for i in Item.objects.filter(item_id__in=[r["item_id"] for r in rows])}
        for row in rows:
            item = known.get(row["item_id"])
            if item is None:
                item = Item(item_id=row["item_id"])
                made += 1
            else:
                changed += 1
            apply(item, {name: row[name] for name in FIELDS if name in row})
            item.save()
            known[item.item_id] = item
        if rows:
            touch()
    return made, changed


def apply(item: Item, values: dict[str, Any]) -> None:
    """Set fields; an item whose words changed loses its vector and is embedded again."""
    for name, value in values.items():
        setattr(item, name, value)
    digest = hashlib.sha256(item.text.encode()).hexdigest()
    if digest != item.text_hash:
        item.text_hash, item.vec, item.model_version = digest, None, ""


def remove(item: Item) -> None:
    """Delete an item with its events."""
    with transaction.atomic():
        item.delete()
        touch()


def touch() -> None:
    """Say that items changed: every process reads its shelf again at the next request."""
    if not Catalogue.objects.filter(pk=1).update(revision=F("revision") + 1):
        Catalogue.objects.get_or_create(pk=1, defaults={"revision": 1})


def revision() -> int:
    """The number of the last change; 0 when there never was one."""
    return Catalogue.objects.filter(pk=1).values_list("revision", flat=True).first() or 0


def embed_waiting(engine: Engine, limit: int = 100_000) -> int:
    """Embed the items that lack a vector of the live encoder; the number done."""
    version = engine.encoder().version
    done = 0
    while done < limit:
        batch = list(Item.objects.exclude(model_version=version).order_by("pk")[:BATCH])
        if not batch:
            break
        vecs = engine.embed([item.text for item in batch], priority=Priority.BATCH)
        with transaction.atomic():
            for item, vec in zip(batch, vecs, strict=True):
                # Words that changed while the model worked keep the item waiting.
                Item.objects.filter(pk=item.pk, text_hash=item.text_hash).update(
                    vec=vec.astype(np.float32).tobytes(), model_version=version
                )
            touch()
        done += len(batch)
    return done


_lock = threading.Lock()
_shelf: Shelf | None = None


def shelf(engine: Engine) -> Shelf:
    """The catalogue in memory, read again when its revision has changed."""
    global _shelf
    now, version = revision(), engine.encoder().version
    kept = _shelf
    if kept is not None and kept.revision == now and kept.model_version == version:
        return kept
    with _lock:
        if _shelf is None or _shelf.revision != now or _shelf.model_version != version:
            _shelf = _read(now, version, engine.encoder().dim)
        return _shelf


def forget_shelf() -> None:
    """Drop what is kept in memory (tests)."""
    global _shelf
    with _lock:
        _shelf = None


def never_shown(items: Sequence[Item], now: datetime) -> set[int]:
    """The keys of items that may not be in any answer: hidden, expired, not published, out of stock."""
    return {
        item.pk
        for item in items
        if item.hidden
        or (item.expires_at is not None and item.expires_at <= now)
        or (item.published_at is not None and item.published_at > now)
        or (item.stock is not None and item.stock <= 0)
    }


def _read(now: int, version: str, dim: int) -> Shelf:
    rows = list(Item.objects.order_by("pk"))
    vecs = np.zeros((len(rows), dim), dtype=np.float32)
    embedded = np.zeros(len(rows), dtype=np.bool_)
    for i, item in enumerate(rows):
        if item.vec is not None and item.model_version == version:
            vecs[i] = np.frombuffer(bytes(item.vec), dtype=np.float32)
            embedded[i] = True
    return Shelf(
        revision=now,
        model_version=version,
        keys=np.array([item.pk for item in rows], dtype=np.int64),
        row_of={item.pk: i for i, item in enumerate(rows)},
        id_of={item.item_id: item.pk for item in rows},
        vecs=vecs,
        embedded=embedded,
        categories=tuple("/".join(item.categories) for item in rows),
        published=np.array(
            [(item.published_at or item.created_at).timestamp() for item in rows], dtype=np.float64
        ),
        titles=tuple(f"{item.title}. {item.brand}" for item in rows),
        texts=tuple(item.text for item in rows),
    )
