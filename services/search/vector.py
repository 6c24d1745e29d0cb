"""Nearest vectors by key, exact or nearly so, with additions and removals that show at once.

Three parts make one index: immutable rows (see rows.py), a small flat delta of what was added since, and
tombstones over both. An addition or a removal costs nothing but itself; when the delta has grown
(`stale_share`), the owner builds a new index and swaps it in.

Readers take one immutable state and never lock; writers replace it, one at a time. Vectors are compared
by inner product, so L2-normalised vectors give cosines. Which encoder made them is remembered, and an
index refuses to be loaded for another.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.errors import IndexMismatch, InvalidInput
from services.search.folder import (
    FileWriter,
    Opened,
    open_folder,
    publish_folder,
    read_arrays,
    write_arrays,
)
from services.search.ranking import Keys, Scores, best_first
from services.search.rows import (
    FLAT_BELOW,
    RowNumbers,
    Rows,
    Vectors,
    bitmap,
    build_rows,
    inner_products,
    read_rows,
)

KIND = "vector"
NO_KEY = -1


@dataclass(frozen=True, slots=True)
class _State:
    """What a search sees: never changed once published."""

    rows: Rows
    keys: Keys  # of the rows, ascending: row number = place
    dead: NDArray[np.bool_]
    live_bits: NDArray[np.uint8] | None  # None: nothing is dead
    added_keys: Keys
    added_vecs: Vectors
    added_live: NDArray[np.bool_]


class VectorIndex:
    """Built with `build` or `load`. Safe for any number of reading threads beside one another's writes."""

    def __init__(self, state: _State, encoder_version: str) -> None:
        self.encoder_version = encoder_version
        self.dim = state.rows.dim
        self._state = state
        self._writing = threading.Lock()
        self._key_room, self._vec_room = state.added_keys, state.added_vecs

    @classmethod
    def build(
        cls,
        keys: Sequence[int] | Keys,
        vecs: Vectors,
        encoder_version: str,
        *,
        flat_below: int = FLAT_BELOW,
        seed: int = 0,
    ) -> VectorIndex:
        """Index vecs (n, dim) under int64 keys >= 0, all different; `flat_below` rows: exact, else cells.

        Raises InvalidInput (shapes, keys or values that are not finite).
        """
        key_array, vecs = _checked(keys, vecs)
        order = np.argsort(key_array)
        rows = build_rows(vecs[order], flat_below=flat_below, seed=seed)
        return cls(_fresh(rows, key_array[order]), encoder_version)

    def __len__(self) -> int:
        state = self._state
        return int(len(state.keys) - state.dead.sum() + state.added_live.sum())

    @property
    def stale_share(self) -> float:
        """Additions and tombstones as a share of the rows: past about 0.1 a rebuild pays."""
        state = self._state
        return float((len(state.added_keys) + state.dead.sum()) / max(len(state.keys), 1))

    def keys(self) -> Keys:
        """The keys that a search can return, ascending."""
        state = self._state
        return np.sort(np.concatenate([state.keys[~state.dead], state.added_keys[state.added_live]]))

    def search(self, query_vecs: Vectors, k: int, allowed: Keys | None = None) -> tuple[Keys, Scores]:
        """The k nearest of each query, best first: keys (q, k), padded with -1, and inner products (q, k).

        `query_vecs`: float32 (q, dim). `allowed`: only these keys (unknown ones are passed over); among
        up to EXACT_AMONG of them the search is exact. Scores of the padding are -inf.
        Raises IndexMismatch when the queries have another dimension than the index.
        """
        query_vecs = np.ascontiguousarray(np.atleast_2d(query_vecs), dtype=np.float32)
        if query_vecs.shape[1] != self.dim:
            raise IndexMismatch("The query comes from another encoder than the index. Rebuild the index.")
        state = self._state
        allowed = None if allowed is None else _ascending(np.asarray(allowed, dtype=np.int64))
        row_keys, row_scores = _search_rows(state, query_vecs, k, allowed)
        added_keys, added_scores = _search_added(state, query_vecs, allowed)
        keys = np.full((len(query_vecs), k), NO_KEY, dtype=np.int64)
        scores = np.full((len(query_vecs), k), -np.inf, dtype=np.float32)
        for place in range(len(query_vecs)):
            known = row_keys[place] != NO_KEY
            best_keys, best_scores = best_first(
                np.concatenate([row_keys[place][known], added_keys]),
                np.concatenate([row_scores[place][known], added_scores[place]]),
                k,
            )
            keys[place, : len(best_keys)], scores[place, : len(best_keys)] = best_keys, best_scores
        return keys, scores

    def add(self, keys: Sequence[int] | Keys, vecs: Vectors) -> None:
        """Add vectors, in place of those of the same keys; the next search sees them.

        Raises InvalidInput as `build` does, IndexMismatch for another dimension; then nothing changed.
        """
        key_array, vecs = _checked(keys, vecs)
        if vecs.shape[1] != self.dim:
            raise IndexMismatch("The vectors come from another encoder than the index. Rebuild the index.")
        with self._writing:
            state = _without(self._state, key_array)
            start = len(state.added_keys)
            end = start + len(key_array)
            self._make_room(start, end)
            self._key_room[start:end], self._vec_room[start:end] = key_array, vecs
            self._state = replace(
                state,
                added_keys=self._key_room[:end],
                added_vecs=self._vec_room[:end],
                added_live=np.concatenate([state.added_live, np.ones(len(key_array), dtype=bool)]),
            )

    def remove(self, keys: Sequence[int] | Keys) -> None:
        """Take keys out; the next search does not return them. Unknown keys are passed over."""
        with self._writing:
            self._state = _without(self._state, np.asarray(keys, dtype=np.int64))

    def save(self, folder: Path) -> None:
        """Write to a folder, replacing an index there in one step. Raises StorageFailed."""
        publish_folder(folder, KIND, self.files(), self.facts())

    @classmethod
    def load(cls, folder: Path, encoder_version: str) -> VectorIndex:
        """Read a saved index.

        Raises NotFound (none there), IndexMismatch (made by another encoder version, or another format),
        StorageFailed (damaged).
        """
        return open_folder(folder, KIND, lambda opened: cls.read(opened, encoder_version))

    def facts(self) -> dict[str, object]:
        """What the manifest says of this index."""
        return {"encoder_version": self.encoder_version, "dim": self.dim, "vectors": len(self)}

    def files(self) -> dict[str, FileWriter]:
        """The files to write, for this index alone or as part of another."""
        state = self._state
        arrays = {
            "keys": state.keys,
            "dead": state.dead,
            "added_keys": state.added_keys[state.added_live],
            "added_vecs": state.added_vecs[state.added_live],
        }
        return {"rows.faiss": state.rows.write, "keys.npz": lambda path: write_arrays(path, arrays)}

    @classmethod
    def read(cls, opened: Opened, encoder_version: str) -> VectorIndex:
        """The index out of an opened folder: its own, or another index's that it is part of."""
        require_encoder(opened, encoder_version)
        arrays = read_arrays(opened.files["keys.npz"])
        state = _fresh(read_rows(opened.files["rows.faiss"]), arrays["keys"])
        index = cls(_without(state, state.keys[arrays["dead"]]), encoder_version)
        if len(arrays["added_keys"]):
            index.add(arrays["added_keys"], arrays["added_vecs"])
        return index

    def _make_room(self, used: int, wanted: int) -> None:
        """Grow by doubling into new arrays; readers keep the old ones, whose rows never change."""
        if wanted <= len(self._key_room):
            return
        size = max(wanted, 2 * len(self._key_room), 64)
        key_room, vec_room = np.zeros(size, dtype=np.int64), np.zeros((size, self.dim), dtype=np.float32)
        key_room[:used], vec_room[:used] = self._key_room[:used], self._vec_room[:used]
        self._key_room, self._vec_room = key_room, vec_room


def require_encoder(opened: Opened, encoder_version: str) -> None:
    """Raise IndexMismatch unless the opened index was made by this encoder version."""
    made_by = opened.facts.get("encoder_version")
    if made_by != encoder_version:
        raise IndexMismatch(
            f"The search index was made by encoder version {made_by}, and {encoder_version} is serving. "
            "Rebuild the index, or serve the version that made it.",
            index_version=made_by,
            serving_version=encoder_version,
        )


def _checked(keys: Sequence[int] | Keys, vecs: Vectors) -> tuple[Keys, Vectors]:
    key_array, vecs = np.asarray(keys, dtype=np.int64), np.asarray(vecs, dtype=np.float32)
    if vecs.ndim != 2 or key_array.shape != vecs.shape[:1]:
        raise InvalidInput("Give one key for each vector.", field="keys")
    if len(_ascending(key_array)) != len(key_array) or (key_array < 0).any():
        raise InvalidInput("Keys must be different and not negative.", field="keys")
    if not np.isfinite(vecs).all():
        raise InvalidInput("A vector has a value that is not finite.", field="vecs")
    return key_array, vecs


def _ascending(keys: Keys) -> Keys:
    """Keys in order, each once; several times faster than np.unique on many, and free when they are so."""
    if (keys[1:] > keys[:-1]).all():
        return keys
    ordered = np.sort(keys)
    return ordered[np.concatenate([[True], ordered[1:] > ordered[:-1]])] if len(ordered) else ordered


def _fresh(rows: Rows, keys: Keys) -> _State:
    return _State(
        rows=rows,
        keys=keys,
        dead=np.zeros(len(keys), dtype=bool),
        live_bits=None,
        added_keys=np.zeros(0, dtype=np.int64),
        added_vecs=np.zeros((0, rows.dim), dtype=np.float32),
        added_live=np.zeros(0, dtype=bool),
    )


def _without(state: _State, keys: Keys) -> _State:
    """The state with these keys dead wherever they stand."""
    rows = _rows_of(state, keys)
    rows = rows[~state.dead[rows]]
    gone = state.added_live & np.isin(state.added_keys, keys)
    if len(rows):
        dead = state.dead.copy()
        dead[rows] = True
        state = replace(state, dead=dead, live_bits=bitmap(np.flatnonzero(~dead), len(dead)))
    return replace(state, added_live=state.added_live & ~gone) if gone.any() else state


def _rows_of(state: _State, keys: Keys) -> RowNumbers:
    """The row numbers of those keys that are there."""
    if not len(state.keys):
        return np.zeros(0, dtype=np.int64)
    places = np.minimum(np.searchsorted(state.keys, keys), len(state.keys) - 1)
    found: RowNumbers = places[state.keys[places] == keys]
    return found


def _search_rows(state: _State, query_vecs: Vectors, k: int, allowed: Keys | None) -> tuple[Keys, Scores]:
    among = None
    if allowed is not None:
        among = _rows_of(state, allowed)
        among = among[~state.dead[among]]
    if not len(state.keys) or k <= 0 or (among is not None and not len(among)):
        nothing = np.zeros((len(query_vecs), 0))
        return nothing.astype(np.int64), nothing.astype(np.float32)
    rows, scores = state.rows.search(query_vecs, k, among, state.live_bits)
    keys: Keys = np.where(rows >= 0, state.keys[rows], NO_KEY)
    return keys, scores


def _search_added(state: _State, query_vecs: Vectors, allowed: Keys | None) -> tuple[Keys, Scores]:
    """Every live addition with its scores (q, n)."""
    chosen = state.added_live
    if allowed is not None and chosen.any():
        chosen = chosen & np.isin(state.added_keys, allowed)
    places = np.flatnonzero(chosen)
    if not len(places):
        return state.added_keys[:0], np.zeros((len(query_vecs), 0), dtype=np.float32)
    return state.added_keys[places], inner_products(query_vecs, state.added_vecs)[:, places]
