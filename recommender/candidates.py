"""Named sources of candidates: what each has to say about every item, for one profile.

    text, text_last, text_best         nearness of meaning to the history, the last item, the best interest
    words, words_last, words_best      the same by shared words (tf-idf); as many word indexes as wanted
    together, following                co-visitation with the history, and after its last item
    reach                              co-visitation between look-alikes of the history and of the item
    popular, trending, new             need no profile

A small catalogue is scored whole; of a large one each source names its nearest, and every source then
scores their union, so that no candidate lacks a score because another source found it.
An item nobody has touched gets nothing from `together` and `following`; text, words and `reach`, which
goes through its look-alikes, still find it. What the scores are worth together is the blend's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recommender.covisitation import CoVisitation
from recommender.profiles import Profile
from recommender.words import WordIndex
from services.search.ranking import Keys, Scores, best_first

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Search = Callable[[Floats, int], tuple[Keys, Scores]]
"""Query vectors (q, dim), k -> keys (q, k), padded with -1, and inner products: `VectorIndex.search`."""

HISTORY = 20
"""Items of a history that a source looks at, the heaviest; at .8 a step the rest weighs a hundredth."""
LOOK_ALIKES = 50
TEMPERATURE = 0.2


class Source(Protocol):
    """One way to find items, with one or several scores for each. 0 where it has nothing to say.

    `behaviour`: it knows an item only from what people did with it, so it is silent on a new one.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Of its scores, in the order of their columns."""
        ...

    @property
    def behaviour(self) -> bool:
        """Whether it is silent on items nobody has touched."""
        ...

    def nearest(self, profile: Profile, k: int) -> Keys:
        """At most k keys that it scores above 0, best first."""
        ...

    def score(self, profile: Profile, keys: Keys) -> Floats:
        """(n, len(names)), higher is better, at least 0."""
        ...

    def shares(self, profile: Profile, keys: Keys) -> Floats:
        """(h, n, len(names)): what each of `profile.items` adds to the scores; 0 where none of them does."""
        ...


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items with the scores of every source, and how much is known of each.

    keys: int64 (n,), ascending; scores: float32 (n, len(names)); counts: float32 (n,), the histories an
    item is in.
    """

    keys: Keys
    names: tuple[str, ...]
    scores: Floats
    counts: Scores


def collect(
    profile: Profile,
    sources: Sequence[Source],
    table: CoVisitation,
    keys: Keys | None = None,
    each: int = 200,
) -> Candidates:
    """All of `keys` (a small catalogue; ascending), or the union of each source's nearest, with scores."""
    if keys is None:
        found = [source.nearest(profile, each) for source in sources]
        keys = np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)
    scores = [source.score(profile, keys) for source in sources]
    return Candidates(
        keys=keys,
        names=tuple(name for source in sources for name in source.names),
        scores=np.concatenate(scores, axis=1) if scores else np.zeros((len(keys), 0), dtype=np.float32),
        counts=_at(table.counts, places(table.keys, keys)),
    )


class TextNeighbours:
    """Nearness of meaning. keys: int64 (n,), ascending; vecs: float32 (n, dim), L2-normalised, zero for
    an item without text. `search` (approximate, of a large catalogue) finds; `vecs` always scores.
    """

    behaviour = False

    def __init__(self, keys: Keys, vecs: Floats, search: Search | None = None, name: str = "text") -> None:
        self.names = (name, f"{name}_last", f"{name}_best")
        self._keys, self._vecs, self._search = keys, vecs, search

    def nearest(self, profile: Profile, k: int) -> Keys:
        if profile.mean is None or profile.last is None:
            return self._keys[:0]
        if self._search is None:
            return _top(self._keys, self.score(profile, self._keys), k)
        queries = np.vstack([profile.mean, profile.last, profile.interests])
        found, near = self._search(queries, k)
        keys, scores = found.ravel(), near.ravel()
        keys, scores = keys[keys >= 0], scores[keys >= 0]
        order = np.lexsort((keys, -scores))
        _, first = np.unique(keys[order], return_index=True)
        return keys[order][np.sort(first)][:k]

    def score(self, profile: Profile, keys: Keys) -> Floats:
        if profile.mean is None or profile.last is None:
            return np.zeros((len(keys), 3), dtype=np.float32)
        near = np.vstack([profile.mean, profile.last, profile.interests]) @ self._of(keys).T
        return np.maximum(np.stack([near[0], near[1], near[2:].max(axis=0)], axis=1), 0.0)

    def shares(self, profile: Profile, keys: Keys) -> Floats:
        near = np.maximum(self._of(profile.items) @ self._of(keys).T, 0.0)
        return _views(near, profile.weights)

    def _of(self, keys: Keys) -> Floats:
        if keys is self._keys:
            return self._vecs
        rows = places(self._keys, keys)
        vecs = self._vecs[np.maximum(rows, 0)]
        vecs[rows < 0] = 0.0
        return vecs


class WordNeighbours:
    """Shared words, weighed by tf-idf."""

    behaviour = False

    def __init__(self, index: WordIndex, name: str = "words") -> None:
        self.names = (name, f"{name}_last", f"{name}_best")
        self._index = index

    def nearest(self, profile: Profile, k: int) -> Keys:
        return _top(self._index.keys, self.score(profile, self._index.keys), k)

    def score(self, profile: Profile, keys: Keys) -> Floats:
        items, weights, last = _heaviest(profile)
        if len(items) == 0:
            return np.zeros((len(keys), 3), dtype=np.float32)
        near = self._index.cosines(places(self._index.keys, items))
        rows = None if keys is self._index.keys else places(self._index.keys, keys)
        views = (weights @ near, near[last], near.max(axis=0))
        return np.stack([view if rows is None else _at(view, rows) for view in views], axis=1)

    def shares(self, profile: Profile, keys: Keys) -> Floats:
        near = self._index.cosines(places(self._index.keys, profile.items))
        rows = places(self._index.keys, keys)
        return _views(np.where(rows >= 0, near[:, rows], 0.0), profile.weights)


class BoughtTogether:
    """Co-visitation as counted: with the whole history, and what follows its last item."""

    names = ("together", "following")
    behaviour = True

    def __init__(self, table: CoVisitation) -> None:
        self._table = table

    def nearest(self, profile: Profile, k: int) -> Keys:
        return _top(self._table.keys, self.score(profile, self._table.keys), k)

    def score(self, profile: Profile, keys: Keys) -> Floats:
        items, weights, last = _heaviest(profile)
        known = places(self._table.keys, items)
        at = None if keys is self._table.keys else places(self._table.keys, keys)
        both = np.zeros((2, len(self._table.keys)), dtype=np.float32)
        if (known >= 0).any():
            both[0] = _sum_rows(self._table.together, known, weights)
        if len(items) and known[last] >= 0:
            both[1] = _sum_rows(self._table.following, known[last : last + 1], np.ones(1, dtype=np.float32))
        return np.stack([row if at is None else _at(row, at) for row in both], axis=1)

    def shares(self, profile: Profile, keys: Keys) -> Floats:
        rows, columns = places(self._table.keys, profile.items), places(self._table.keys, keys)
        shares = np.zeros((len(rows), len(columns), 2), dtype=np.float32)
        inside = np.ix_(rows[rows >= 0], columns[columns >= 0])
        held = np.ix_(np.flatnonzero(rows >= 0), np.flatnonzero(columns >= 0), np.zeros(1, dtype=np.int64))
        shares[held] = self._table.together[inside].toarray()[:, :, None]
        shares[:, :, 0] *= profile.weights[:, None]
        if len(rows) and rows[-1] >= 0:
            found = self._table.following[[rows[-1]]][:, columns[columns >= 0]].toarray()[0]
            shares[-1, np.flatnonzero(columns >= 0), 1] = found
        return shares


class Reach:
    """Co-visitation carried over to look-alikes on both sides: weights · K · together · Kᵀ.

    K, CSR (n, n), is `look_alikes`, over the whole catalogue: so an item nobody has touched is reached
    through items like it, and a history of rare items speaks through items like them.
    """

    names = ("reach",)
    behaviour = False

    def __init__(self, table: CoVisitation, keys: Keys, alike: sparse.csr_matrix) -> None:
        rows = places(keys, table.keys)
        held = np.flatnonzero(rows >= 0)
        carry = sparse.csr_matrix((np.ones(len(held)), (rows[held], held)), (len(keys), len(table.keys)))
        self._keys = keys
        self._from = (alike @ carry.astype(np.float32)).tocsr()
        self._together = table.together
        self._to = self._from.T.tocsr()

    def nearest(self, profile: Profile, k: int) -> Keys:
        return _top(self._keys, self.score(profile, self._keys), k)

    def score(self, profile: Profile, keys: Keys) -> Floats:
        items, weights, _ = _heaviest(profile)
        reached = self._carried(places(self._keys, items), weights)
        found = np.asarray(reached.todense(), dtype=np.float32).ravel()
        return (found if keys is self._keys else _at(found, places(self._keys, keys)))[:, None]

    def shares(self, profile: Profile, keys: Keys) -> Floats:
        rows = places(self._keys, keys)
        shares = np.zeros((len(profile.items), len(keys), 1), dtype=np.float32)
        for h, row in enumerate(places(self._keys, profile.items)):
            found = np.asarray(self._carried(row[None], profile.weights[h : h + 1]).todense()).ravel()
            shares[h, :, 0] = _at(found, rows)
        return shares

    def _carried(self, rows: Ints, weights: Scores) -> sparse.csr_matrix:
        """Weights of history rows (h,), carried over to every item: (1, n)."""
        known = rows >= 0
        query = sparse.csr_matrix(weights[known][None, :]) @ self._from[rows[known]]
        return query @ self._together @ self._to


class Standing:
    """A score that an item has for everyone: popular, trending, new. keys: int64 (n,), ascending."""

    def __init__(self, name: str, keys: Keys, scores: Scores, behaviour: bool = True) -> None:
        self.names = (name,)
        self.behaviour = behaviour
        self._keys, self._scores = keys, np.maximum(scores, 0.0).astype(np.float32)

    def nearest(self, profile: Profile, k: int) -> Keys:
        return _top(self._keys, self._scores[:, None], k)

    def score(self, profile: Profile, keys: Keys) -> Floats:
        return _at(self._scores, places(self._keys, keys))[:, None]

    def shares(self, profile: Profile, keys: Keys) -> Floats:
        return np.zeros((len(profile.items), len(keys), 1), dtype=np.float32)


def look_alikes(
    keys: Keys,
    vecs: Floats,
    search: Search | None = None,
    k: int = LOOK_ALIKES,
    temperature: float = TEMPERATURE,
) -> sparse.csr_matrix:
    """CSR (n, n), rows summing to one: an item (weight 1) and its k nearest, exp((cosine - 1) / temperature).

    vecs: float32 (n, dim), L2-normalised; an item without a vector (all zero) is only like itself.
    """
    n = len(keys)
    owners, columns, weights = [np.arange(n)], [np.arange(n)], [np.ones(n)]
    known = np.flatnonzero(vecs.any(axis=1))
    for start in range(0, len(known), 512):
        rows = known[start : start + 512]
        if search is None:
            near = vecs[rows] @ vecs.T
            found = np.argpartition(-near, min(k, n - 1), axis=1)[:, : k + 1]
            cosines = np.take_along_axis(near, found, axis=1)
        else:
            found_keys, cosines = search(vecs[rows], k + 1)
            found = places(keys, found_keys.ravel()).reshape(found_keys.shape)
        owner = np.repeat(rows, found.shape[1])
        other, cosine = found.ravel(), cosines.ravel()
        held = (other >= 0) & (other != owner) & (cosine > 0)
        owners.append(owner[held])
        columns.append(other[held])
        weights.append(np.exp((cosine[held] - 1.0) / temperature))
    alike = sparse.csr_matrix(
        (np.concatenate(weights), (np.concatenate(owners), np.concatenate(columns))), shape=(n, n)
    )
    return (sparse.diags(1.0 / np.asarray(alike.sum(axis=1)).ravel()) @ alike).tocsr().astype(np.float32)


def places(keys: Keys, wanted: Keys) -> Ints:
    """Where each wanted key stands in `keys` (ascending); -1 where it does not."""
    if len(keys) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, at, -1)


def _heaviest(profile: Profile) -> tuple[Keys, Scores, int]:
    """At most HISTORY items, the last one always among them, their weights, and the place of the last."""
    h = len(profile.items)
    if h <= HISTORY:
        return profile.items, profile.weights, h - 1
    order = np.argsort(-profile.weights[:-1], kind="stable")[: HISTORY - 1]
    chosen = np.append(np.sort(order), h - 1)
    return profile.items[chosen], profile.weights[chosen], HISTORY - 1


def _views(near: Floats, weights: Scores) -> Floats:
    """Nearness of each history item (h, n) as its share in the scores of history, last and best."""
    shares = np.zeros((*near.shape, 3), dtype=np.float32)
    if len(near):
        shares[:, :, 0] = near * weights[:, None]
        shares[-1, :, 1] = near[-1]
        best = near.argmax(axis=0)
        columns = np.arange(near.shape[1])
        shares[best, columns, 2] = near[best, columns]
    return shares


def _sum_rows(matrix: sparse.csr_matrix, rows: Ints, weights: Scores) -> Scores:
    known = rows >= 0
    summed = sparse.csr_matrix(weights[known][None, :]) @ matrix[rows[known]]
    return np.asarray(summed.todense(), dtype=np.float32).ravel()


def _at(values: Scores, rows: Ints) -> Scores:
    """Values at rows; 0 where a row is -1."""
    if len(values) == 0:
        return np.zeros(len(rows), dtype=np.float32)
    return np.where(rows >= 0, values[rows], 0.0).astype(np.float32)


def _top(keys: Keys, scores: Floats, k: int) -> Keys:
    """The keys of the k best by any of the scores, taking turns from each."""
    best = [best_first(keys, column, k) for column in scores.T]
    ranked = [found[values > 0] for found, values in best]
    turns = [(place, source, key) for source, found in enumerate(ranked) for place, key in enumerate(found)]
    chosen = list(dict.fromkeys(int(key) for _, _, key in sorted(turns)))
    return np.array(chosen[:k], dtype=np.int64)
