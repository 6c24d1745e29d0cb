"""A user's last events folded into a few interests: a pure function of the tail, so never stale.

What fades an event is time (it halves every `half_life_d` days) and what the user did since (every
later event fades it by `step` to the power of that event's weight): a burst of views moves an anonymous
session within seconds, and a purchase is not forgotten over ten glances.
Items the user came to dislike are no interest; they are taken out of the vectors of the others.

Nothing here knows rows, caches or the catalogue: keys are the catalogue's integer keys and vectors
come from whatever mapping is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.search.ranking import Keys, Scores

Vectors = NDArray[np.float32]
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a user did. `weight`: of its type, below zero for a dislike; `value` scales it.

    `at_s`: seconds since the epoch. `type`: the word for it in a reason ("because you bought ...").
    """

    item: int
    weight: float
    at_s: float
    value: float = 1.0
    type: str = ""


@dataclass(frozen=True, slots=True)
class ProfileSettings:
    """How a tail is folded. Cosines are between L2-normalised item vectors."""

    max_events: int = 100
    half_life_d: float = 30.0
    step: float = 0.8
    """What is left of an event after a later one of weight 1."""
    max_interests: int = 4
    same_interest: float = 0.55
    """Clusters whose centres are at least this near are one interest."""
    dislike: float = 0.7
    """How much of a disliked direction is taken out of an interest, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a user at this moment.

    items: int64 (h,), the liked items, most recent last, each once; weights: float32 (h,), sum 1.
    mean: float32 (dim,), the weighted history, L2-normalised; None without a vector to fold.
    interests: float32 (k, dim), L2-normalised, heaviest first; shares: float32 (k,), sum 1.
    disliked: the items whose last word was a dislike. seen: every item of the tail.
    types: for each liked item the type of its heaviest event.
    """

    items: Keys
    weights: Scores
    mean: Vectors | None
    last: Vectors | None
    interests: Vectors
    shares: Scores
    disliked: frozenset[int] = frozenset()
    seen: frozenset[int] = frozenset()
    types: Mapping[int, str] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is known that could steer an answer."""
        return len(self.items) == 0


def fold(
    events: Sequence[Event], item_vecs: Mapping[int, Vectors], now: float, settings: ProfileSettings
) -> Profile:
    """Fold a tail of events, in any order, into a profile as of `now` (seconds since the epoch).

    `item_vecs`: float32 (dim,), L2-normalised; an item without one still counts in `items`.
    Events of one moment keep the order given. Later than `now` counts as now.
    """
    tail = sorted(events, key=lambda e: e.at_s)[-settings.max_events :]
    liked, disliked, types = _weigh(tail, now, settings)
    items = np.fromiter(liked, dtype=np.int64, count=len(liked))
    weights = np.fromiter(liked.values(), dtype=np.float32, count=len(liked))
    if len(items):
        weights /= weights.sum()
    away = _stack([item_vecs[item] for item in sorted(disliked) if item in item_vecs])
    have = [row for row, item in enumerate(items.tolist()) if item in item_vecs]
    vecs = _stack([item_vecs[int(items[row])] for row in have])
    mean = last = None
    interests, shares = vecs, weights[:0]
    if have:
        held = weights[have]
        mean = _without(_unit((held @ vecs)[None, :]), away, settings.dislike)[0]
        last = _without(vecs[-1:], away, settings.dislike)[0]
        interests, shares = gather(vecs, held, settings.max_interests, settings.same_interest)
        interests = _without(interests, away, settings.dislike)
    return Profile(
        items=items,
        weights=weights,
        mean=mean,
        last=last,
        interests=interests,
        shares=shares,
        disliked=frozenset(disliked),
        seen=frozenset(event.item for event in tail),
        types=types,
    )


def gather(vecs: Vectors, weights: Scores, most: int, same: float) -> tuple[Vectors, Scores]:
    """Agglomerate L2-normalised vecs (n, dim) into at most `most` centres on the sphere, heaviest first.

    The two nearest centres are joined, weighted, while there are too many or they are nearer than
    `same`; ties go to the earlier pair, so the same tail always gives the same interests.
    """
    sums = (vecs * weights[:, None]).astype(np.float64)
    mass = weights.astype(np.float64).copy()
    centres = _unit(sums)
    near = centres @ centres.T
    np.fill_diagonal(near, -2.0)
    alive = len(vecs)
    while alive > 1:
        a, b = divmod(int(near.argmax()), len(vecs))
        if alive <= most and near[a, b] < same:
            break
        sums[a] += sums[b]
        mass[a] += mass[b]
        centres[a] = _unit(sums[a : a + 1])[0]
        mass[b] = 0.0
        near[b, :] = near[:, b] = -2.0
        fresh = centres @ centres[a]
        fresh[(mass == 0.0)] = -2.0
        fresh[a] = -2.0
        near[a, :] = near[:, a] = fresh
        alive -= 1
    order = np.flatnonzero(mass > 0.0)
    order = order[np.lexsort((order, -mass[order]))]
    shares = mass[order] / mass.sum() if len(order) else mass[order]
    return centres[order].astype(np.float32), shares.astype(np.float32)


def _weigh(
    tail: Sequence[Event], now: float, settings: ProfileSettings
) -> tuple[dict[int, float], set[int], dict[int, str]]:
    """The faded weight of each liked item (most recent last), the disliked ones, the heaviest types."""
    liked: dict[int, float] = {}
    types: dict[int, tuple[float, str]] = {}
    since = 0.0
    verdict: dict[int, bool] = {}
    for event in reversed(tail):
        weight = event.weight * max(event.value, 0.0)
        verdict.setdefault(event.item, weight < 0)
        faded = weight * 0.5 ** (max(0.0, now - event.at_s) / DAY_S / settings.half_life_d)
        faded *= settings.step**since
        since += abs(weight)
        if weight > 0:
            liked[event.item] = liked.get(event.item, 0.0) + faded
            types[event.item] = max(types.get(event.item, (0.0, "")), (weight, event.type))
    disliked = {item for item, bad in verdict.items() if bad}
    kept = {item: liked[item] for item in reversed(liked) if item not in disliked and liked[item] > 0.0}
    return kept, disliked, {item: types[item][1] for item in kept}


def _without(vecs: Vectors, away: Vectors, share: float) -> Vectors:
    """Vecs (n, dim) with a share of each disliked direction they lean to taken out, normalised again."""
    for direction in away:
        lean = np.maximum(vecs @ direction, 0.0)
        vecs = _unit(vecs - share * lean[:, None] * direction)
    return vecs


def _stack(vecs: Sequence[Vectors]) -> Vectors:
    return np.stack(vecs).astype(np.float32) if vecs else np.zeros((0, 0), dtype=np.float32)


def _unit(vecs: NDArray) -> NDArray:
    norms = np.linalg.norm(vecs, axis=1, keepdims=True)
    return vecs / np.where(norms > 0, norms, 1.0)
