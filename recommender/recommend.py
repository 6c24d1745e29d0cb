"""★ One request, start to finish: read this file to know how an answer comes about.

profiles -> candidates -> ranking -> what may be shown -> diversity -> reasons.
The profile is folded from the last events at request time, so the last click counts in this answer.
What may be shown is asked of the database last, whatever any cache holds.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from recommender import catalogue, learning, profiles, sources
from recommender.candidates import Candidates, collect
from recommender.conf import RecommenderSettings
from recommender.models import Event, Item
from recommender.ranking import chances, diversify, eligible, reasons
from services.inference.engine import Engine
from services.storage import Storage

POOL = 200
"""Candidates whose rows are read at a time; more are read until the answer is full."""
SCORE_ALL = 20_000
"""Items up to which every item is scored, and none is missed by a source's shortlist."""
OTHER_TYPES = 0.2


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller wants. Prices in the shop's currency, diversity 0 to 1."""

    n: int = 10
    exclude: frozenset[str] = frozenset()
    category: str = ""
    min_price: float | None = None
    max_price: float | None = None
    diversity: float = 0.3
    seen: bool = False


@dataclass(frozen=True, slots=True)
class Pick:
    """An item of the answer: its score 0 to 1, the source that says most for it, and why in words."""

    item: Item
    score: float
    source: str
    reason: str
    because: str | None = None
    parts: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Slate:
    """The answer, best first, under an id that events may name."""

    picks: tuple[Pick, ...]
    slate_id: str
    profile: profiles.Profile
    left_out: dict[str, int]


def recommend(
    tail: Sequence[Event],
    asked: Asked,
    *,
    visited: Sequence[str] = (),
    engine: Engine,
    storage: Storage,
    settings: RecommenderSettings,
    now: datetime,
) -> Slate:
    """The best items for whoever did these events (newest first) and visited these items (oldest first)."""
    shelf = catalogue.shelf(engine)
    profile = profiles.fold(
        _events(tail, visited, shelf, settings, now),
        _vectors(shelf),
        now.timestamp(),
        profiles.ProfileSettings(half_life_d=settings.recommender_half_life_d),
    )
    return _answer(profile, asked, shelf, storage, now, hide=set() if asked.seen else set(profile.seen))


def similar(
    item: Item,
    asked: Asked,
    *,
    engine: Engine,
    storage: Storage,
    settings: RecommenderSettings,
    now: datetime,
) -> Slate:
    """Items like an item, by its words and by what goes with it."""
    shelf = catalogue.shelf(engine)
    event = profiles.Event(item.pk, 1.0, now.timestamp(), type="like")
    profile = profiles.fold([event], _vectors(shelf), now.timestamp(), profiles.ProfileSettings())
    return _answer(profile, asked, shelf, storage, now, hide={item.pk})


def popular(asked: Asked, *, engine: Engine, storage: Storage, now: datetime, **_rest: Any) -> Slate:
    """What most people met, of what may be shown."""
    return _standing("popular", asked, engine, storage, now)


def latest(asked: Asked, *, engine: Engine, storage: Storage, now: datetime, **_rest: Any) -> Slate:
    """The newest, of what may be shown."""
    return _standing("new", asked, engine, storage, now)


def _answer(
    profile: profiles.Profile,
    asked: Asked,
    shelf: catalogue.Shelf,
    storage: Storage,
    now: datetime,
    hide: set[int],
) -> Slate:
    table, blend = learning.live(storage)
    found = sources.assemble(shelf, table, now.timestamp())
    everything = shelf.keys if len(shelf.keys) <= SCORE_ALL else None
    candidates = collect(profile, found, table, everything)
    scores = blend.score(candidates) if not profile.empty else _for_strangers(candidates)
    rows, items, left_out = _showable(candidates, scores, asked, hide | set(profile.disliked), now)
    vecs = shelf.vecs[[shelf.row_of[int(k)] for k in candidates.keys[rows]]]
    chosen = rows[diversify(scores[rows], vecs, asked.n, asked.diversity)] if len(rows) else rows
    told = reasons(candidates, chosen, blend, profile, found)
    likely = chances(scores)
    top = float(likely[chosen].max()) if len(chosen) else 1.0
    parts = blend.parts(candidates)
    picks = []
    for row, why in zip(chosen, told, strict=True):
        item = items[int(candidates.keys[row])]
        source = why.source.split("_")[0] if not profile.empty else _strangers_source(candidates, int(row))
        because = items.get(why.because) if why.because is not None else None
        if because is None and why.because is not None:
            because = Item.objects.filter(pk=why.because).first()
        picks.append(
            Pick(
                item=item,
                score=float(likely[row]) / top,
                source=source,
                reason=_in_words(source, because, why.type),
                because=because.item_id if because else None,
                parts=_grouped(candidates.names, parts[row]),
            )
        )
    return Slate(tuple(picks), uuid.uuid4().hex, profile, left_out)


def _showable(
    candidates: Candidates, scores: np.ndarray, asked: Asked, hide: set[int], now: datetime
) -> tuple[np.ndarray, dict[int, Item], dict[str, int]]:
    """The best rows that may be shown, as many as diversity chooses from, and their items."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    items: dict[int, Item] = {}
    left_out: dict[str, int] = {}
    for at in range(0, len(order), POOL):
        part = order[at : at + POOL]
        rows = Item.objects.in_bulk([int(k) for k in candidates.keys[part]])
        never = catalogue.never_shown(list(rows.values()), now)
        excluded = {i.pk for i in rows.values() if i.item_id in asked.exclude}
        unfit = {i.pk for i in rows.values() if not _fits(i, asked)}
        open_ = eligible(
            candidates.keys[part],
            hidden=never,
            excluded=excluded,
            blocked=unfit,
            seen=hide,
            allowed=set(rows),
        )
        for name, keys in (("never", never), ("excluded", excluded), ("filter", unfit), ("seen", hide)):
            left_out[name] = left_out.get(name, 0) + len(keys & {int(k) for k in candidates.keys[part]})
        kept += [int(row) for row, is_open in zip(part, open_, strict=True) if is_open]
        items |= rows
        if len(kept) >= max(asked.n, min(POOL, 4 * asked.n)):
            break
    return np.array(kept, dtype=np.int64), items, left_out


def _fits(item: Item, asked: Asked) -> bool:
    if asked.category and asked.category not in item.categories:
        return False
    if asked.min_price is not None and (item.price is None or item.price < asked.min_price):
        return False
    return not (asked.max_price is not None and (item.price is None or item.price > asked.max_price))


def _standing(name: str, asked: Asked, engine: Engine, storage: Storage, now: datetime) -> Slate:
    shelf = catalogue.shelf(engine)
    table, _blend = learning.live(storage)
    empty = profiles.fold([], {}, now.timestamp(), profiles.ProfileSettings())
    candidates = collect(empty, sources.assemble(shelf, table, now.timestamp()), table, shelf.keys)
    scores = candidates.scores[:, candidates.names.index(name)]
    rows, items, left_out = _showable(candidates, scores, asked, set(), now)
    top = float(scores[rows[0]]) or 1.0 if len(rows) else 1.0
    picks = tuple(
        Pick(items[int(candidates.keys[row])], float(scores[row]) / top, name, _in_words(name, None, ""))
        for row in rows[: asked.n]
    )
    return Slate(picks, uuid.uuid4().hex, empty, left_out)


def _for_strangers(candidates: Candidates) -> np.ndarray:
    """For somebody nothing is known of: popular, and now and then something new."""
    columns = candidates.scores
    liked = np.log1p(columns[:, candidates.names.index("popular")])
    fresh = columns[:, candidates.names.index("new")]
    mixed: np.ndarray = liked / max(float(liked.max(initial=0.0)), 1e-9) + 0.6 * fresh
    return mixed.astype(np.float32)


def _strangers_source(candidates: Candidates, row: int) -> str:
    fresh = candidates.scores[row, candidates.names.index("new")]
    return "new" if fresh > 0.5 else "popular"


def _events(
    tail: Sequence[Event],
    visited: Sequence[str],
    shelf: catalogue.Shelf,
    settings: RecommenderSettings,
    now: datetime,
) -> list[profiles.Event]:
    """The tail and the visit as the profile reads them; items that are not there are left out."""
    weights = settings.weights
    found = [
        profiles.Event(e.item_id, weights.get(e.type, OTHER_TYPES), e.time.timestamp(), type=e.type)
        for e in reversed(tail)
        if e.item_id in shelf.row_of
    ]
    ids = [shelf.id_of[item_id] for item_id in visited if item_id in shelf.id_of]
    seconds = now.timestamp()
    found += [
        profiles.Event(key, weights.get("view", OTHER_TYPES), seconds - len(ids) + i, type="view")
        for i, key in enumerate(ids)
    ]
    return found


class _Vectors(dict[int, np.ndarray]):
    """Item key to vector, read off the shelf as it is asked for."""

    def __init__(self, shelf: catalogue.Shelf) -> None:
        super().__init__()
        self._shelf = shelf

    def __contains__(self, key: object) -> bool:
        row = self._shelf.row_of.get(key)  # type: ignore[call-overload]
        return row is not None and bool(self._shelf.embedded[row])

    def __getitem__(self, key: int) -> np.ndarray:
        vec: np.ndarray = self._shelf.vecs[self._shelf.row_of[key]]
        return vec


def _vectors(shelf: catalogue.Shelf) -> _Vectors:
    return _Vectors(shelf)


def _grouped(names: Sequence[str], parts: np.ndarray) -> tuple[tuple[str, float], ...]:
    """What each kind of source adds to a score, largest first."""
    sums: dict[str, float] = {}
    for name, part in zip(names, parts, strict=True):
        kind = name.split("_")[0]
        sums[kind] = sums.get(kind, 0.0) + float(part)
    return tuple(sorted(((k, v) for k, v in sums.items() if v > 0), key=lambda kv: -kv[1]))


def _in_words(source: str, because: Item | None, event_type: str) -> str:
    """A reason a shopper understands."""
    if because is None:
        return {"new": _("New in the shop"), "popular": _("Popular right now")}.get(
            source, _("Picked for you")
        )
    known = {
        "purchase": _("Because you bought %(item)s"),
        "cart": _("Because %(item)s is in your basket"),
        "share": _("Because you shared %(item)s"),
        "comment": _("Because you wrote about %(item)s"),
        "like": _("Goes with %(item)s") if source in {"together", "following"} else _("Like %(item)s"),
    }
    return known.get(event_type, _("Because you looked at %(item)s")) % {"item": because.title}
