"""Which items go together and which come next, counted from histories.

For items i and j of one history, d steps apart: `together` counts decay^(d-1) both ways, `following`
counts next_decay^(d-1) from the earlier to the later and `backward` of that the other way round; each
pair fades with the age of its later event. Both are divided by sqrt((n_i + shrinkage)(n_j + shrinkage)),
n being the faded number of histories: the cosine of Linden, Smith and York, "Amazon.com
Recommendations" (2003), shrunk so that one chance meeting of two rare items stays weak evidence.

`counts` (histories an item is in, not faded) say how much is known of an item at all; the blend trusts
the table no further than that. An item that is not in the table is one nobody has touched yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from services.search.folder import Opened, open_folder, publish_folder, read_arrays, write_arrays
from services.search.ranking import Keys, Scores

KIND = "covisitation"
DAY_S = 86_400.0
_MATRICES = ("together", "following")

History = Sequence[tuple[int, float]]
"""One user's (or session's) item keys with their times in seconds, oldest first."""
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CoVisitSettings:
    """How pairs are counted."""

    window: int = 12
    """Steps between two events of a history that still make a pair."""
    decay: float = 0.8
    next_decay: float = 0.6
    backward: float = 0.5
    shrinkage: float = 2.0
    half_life_d: float = 180.0
    most_events: int = 500
    """The latest events of a history that are counted."""
    neighbours: int = 400
    """The strongest pairs kept of an item."""


@dataclass(frozen=True, slots=True)
class CoVisitation:
    """keys: int64 (m,), ascending; counts: float32 (m,); together, following: CSR float32 (m, m)."""

    keys: Keys
    counts: Scores
    together: sparse.csr_matrix
    following: sparse.csr_matrix

    @classmethod
    def fit(cls, histories: Sequence[History], settings: CoVisitSettings | None = None) -> CoVisitation:
        """Count histories; none at all give an empty table."""
        settings = settings or CoVisitSettings()
        tails = [history[-settings.most_events :] for history in histories]
        owners = np.repeat(np.arange(len(tails)), [len(tail) for tail in tails])
        events = np.array([event for tail in tails for event in tail], dtype=np.float64).reshape(-1, 2)
        keys, rows = np.unique(_whole(tails), return_inverse=True)
        fresh = 0.5 ** ((events[:, 1].max(initial=0.0) - events[:, 1]) / DAY_S / settings.half_life_d)
        latest = _latest_of_each(owners, rows, len(keys))
        counts = np.bincount(rows[latest], minlength=len(keys)).astype(np.float32)
        faded = np.bincount(rows[latest], weights=fresh[latest], minlength=len(keys))
        scale = sparse.diags(1.0 / np.sqrt(faded + settings.shrinkage))
        pairs = _pairs(owners, rows, fresh, len(keys), settings)
        kept = (_strongest((scale @ pair @ scale).tocsr(), settings.neighbours) for pair in pairs)
        return cls(keys, counts, *kept)

    def save(self, folder: Path) -> None:
        """Write to a folder. Raises StorageFailed; what was there before stands."""
        arrays: dict[str, NDArray] = {"keys": self.keys, "counts": self.counts}
        for name in _MATRICES:
            matrix = getattr(self, name)
            arrays |= {f"{name}_{part}": getattr(matrix, part) for part in ("data", "indices", "indptr")}
        publish_folder(folder, KIND, {"table.npz": lambda path: write_arrays(path, arrays)}, {})

    @classmethod
    def load(cls, folder: Path) -> CoVisitation:
        """Read what `save` wrote. Raises NotFound, IndexMismatch, StorageFailed."""
        return open_folder(folder, KIND, _read)


def _whole(tails: Sequence[History]) -> Ints:
    """The keys alone: a double would not hold every 64-bit key."""
    return np.array([item for tail in tails for item, _ in tail], dtype=np.int64)


def _latest_of_each(owners: Ints, rows: Ints, m: int) -> Ints:
    """Places of the last event of each item in each history."""
    _, place = np.unique((owners * m + rows)[::-1], return_index=True)
    return len(rows) - 1 - place


def _pairs(
    owners: Ints, rows: Ints, fresh: Floats, m: int, settings: CoVisitSettings
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """The weights of all pairs, together and following, summed, not yet scaled."""
    earlier, later, near, nearer = [], [], [], []
    for gap in range(1, min(settings.window, len(rows) - 1) + 1):
        pair = np.flatnonzero((owners[:-gap] == owners[gap:]) & (rows[:-gap] != rows[gap:]))
        earlier.append(rows[pair])
        later.append(rows[pair + gap])
        near.append(fresh[pair + gap] * settings.decay ** (gap - 1))
        nearer.append(fresh[pair + gap] * settings.next_decay ** (gap - 1))
    a, b, near_w, next_w = (
        np.concatenate(part) if part else rows[:0] for part in (earlier, later, near, nearer)
    )
    together = sparse.coo_matrix((near_w, (a, b)), shape=(m, m)).tocsr()
    following = sparse.coo_matrix((next_w, (a, b)), shape=(m, m)).tocsr()
    return together + together.T, following + settings.backward * following.T


def _strongest(matrix: sparse.csr_matrix, most: int) -> sparse.csr_matrix:
    """The `most` largest values of each row; ties go to the lower column."""
    matrix.sort_indices()
    lengths = np.diff(matrix.indptr)
    if lengths.max(initial=0) > most:
        owner = np.repeat(np.arange(len(lengths)), lengths)
        order = np.lexsort((matrix.indices, -matrix.data, owner))
        place = np.arange(len(order)) - np.repeat(matrix.indptr[:-1], lengths)
        kept = np.sort(order[place < most])
        indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, most))])
        matrix = sparse.csr_matrix((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)
    return matrix.astype(np.float32)


def _read(opened: Opened) -> CoVisitation:
    arrays = read_arrays(opened.files["table.npz"])
    m = len(arrays["keys"])
    matrices = (
        sparse.csr_matrix(
            (arrays[f"{name}_data"], arrays[f"{name}_indices"], arrays[f"{name}_indptr"]), shape=(m, m)
        )
        for name in _MATRICES
    )
    return CoVisitation(arrays["keys"], arrays["counts"], *matrices)
