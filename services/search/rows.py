"""Immutable vectors addressed by row, in FAISS: a flat matrix for few, an inverted file for many.

Below FLAT_BELOW rows every search is exact. From there on the vectors are grouped into cells around
k-means centres and kept as one byte a dimension (IVF, SQ8): a search looks into the nearest cells only.
Scores are inner products. Knows nothing of keys, removals or files beyond its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
RowNumbers = NDArray[np.int64]
Found = tuple[RowNumbers, NDArray[np.float32]]

FLAT_BELOW = 50_000
EXACT_AMONG = 50_000
"""A search among at most so many rows is exact over them, whatever the index."""
_GATHER_AMONG = 512
_FEW_QUERIES = 8
_POINTS_PER_CELL = 64
_KMEANS_ROUNDS = 10


class Rows(Protocol):
    """What an index needs of its immutable part."""

    count: int
    dim: int

    def search(
        self,
        query_vecs: Vectors,
        k: int,
        among: RowNumbers | None = None,
        live: NDArray[np.uint8] | None = None,
    ) -> Found:
        """Up to k best rows a query: row numbers (q, k'), -1 where there are fewer, and inner products.

        `among`: only these rows. `live`: a bitmap (little-endian bits) of the rows that may be returned;
        it is not looked at when `among` is given.
        """
        ...

    def vectors(self, rows: RowNumbers) -> Vectors:
        """The vectors of some rows, float32 (n, dim): as given, or as its one byte a dimension says."""
        ...

    def write(self, path: Path) -> None:
        """Write to one file that `read_rows` reads."""
        ...


def build_rows(vecs: Vectors, *, flat_below: int = FLAT_BELOW, seed: int = 0) -> Rows:
    """Rows 0..n-1 of float32 (n, dim), flat or in cells by their number."""
    import faiss

    vecs = np.ascontiguousarray(vecs, dtype=np.float32)
    count, dim = vecs.shape
    if count < max(flat_below, 2):
        flat = faiss.IndexFlatIP(dim)
        flat.add(vecs)
        return _FlatRows(flat)
    cells = _cells(count)
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    metric, one_byte = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_8bit
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dim), dim, cells, one_byte, metric)
    index.cp.seed, index.cp.niter, index.cp.spherical = seed, _KMEANS_ROUNDS, True
    index.cp.max_points_per_centroid, index.cp.min_points_per_centroid = _POINTS_PER_CELL, 1
    index.train(vecs)
    index.add(vecs)
    return _CellRows(index)


def read_rows(path: Path) -> Rows:
    """The rows that `write` wrote. Raises RuntimeError when FAISS cannot read the file."""
    import faiss

    index = faiss.read_index(str(path))  # of its own class already; downcast_index would not own it
    return _CellRows(index) if isinstance(index, faiss.IndexIVF) else _FlatRows(index)


def bitmap(rows: RowNumbers, count: int) -> NDArray[np.uint8]:
    """Row numbers as a bitmap over `count` rows."""
    chosen = np.zeros(count, dtype=bool)
    chosen[rows] = True
    return np.packbits(chosen, bitorder="little")


def inner_products(query_vecs: Vectors, vecs: Vectors) -> NDArray[np.float32]:
    """(q, dim) by (n, dim) -> (q, n); a single query stays on its own thread, out of BLAS's pool."""
    if len(query_vecs) == 1:
        alone: NDArray[np.float32] = np.vecdot(vecs, query_vecs[0])[None, :]
        return alone
    return query_vecs @ vecs.T


class _FlatRows:
    def __init__(self, index: Any) -> None:
        import faiss

        self._index = index
        self.count, self.dim = int(index.ntotal), int(index.d)
        stored = faiss.rev_swig_ptr(index.get_xb(), self.count * self.dim)
        self._matrix: Vectors = stored.reshape(self.count, self.dim)  # FAISS's own memory, not a copy

    def search(
        self,
        query_vecs: Vectors,
        k: int,
        among: RowNumbers | None = None,
        live: NDArray[np.uint8] | None = None,
    ) -> Found:
        if among is not None and len(among) <= _GATHER_AMONG:
            return _best_among(query_vecs, k, among, self._matrix[among])
        return _search(self._index, query_vecs, k, live if among is None else bitmap(among, self.count))

    def vectors(self, rows: RowNumbers) -> Vectors:
        return self._matrix[rows]

    def write(self, path: Path) -> None:
        _write(self._index, path)


class _CellRows:
    def __init__(self, index: Any) -> None:
        self._index = index
        self.count, self.dim = int(index.ntotal), int(index.d)
        self._probes = int(np.clip(index.nlist // 16, 32, 128))
        index.make_direct_map()

    def search(
        self,
        query_vecs: Vectors,
        k: int,
        among: RowNumbers | None = None,
        live: NDArray[np.uint8] | None = None,
    ) -> Found:
        if among is None:
            return _search(self._index, query_vecs, k, live, self._probes)
        if len(among) <= _GATHER_AMONG:
            return _best_among(query_vecs, k, among, self.vectors(among))
        share = 0.0 if len(among) <= EXACT_AMONG else len(among) / self.count
        probes = self._index.nlist if share == 0 else min(self._index.nlist, int(self._probes / share) + 1)
        return _search(self._index, query_vecs, k, bitmap(among, self.count), probes)

    def vectors(self, rows: RowNumbers) -> Vectors:
        decoded: Vectors = self._index.reconstruct_batch(np.ascontiguousarray(rows, dtype=np.int64))
        return decoded

    def write(self, path: Path) -> None:
        _write(self._index, path)


def _cells(count: int) -> int:
    """4·sqrt(n) cells, up to a power of two, with enough points in each to place its centre."""
    wanted = 4 * count**0.5
    return int(min(2 ** np.ceil(np.log2(wanted)), max(1, count // 16)))


def _search(
    index: Any, query_vecs: Vectors, k: int, live: NDArray[np.uint8] | None, probes: int | None = None
) -> Found:
    """FAISS's own search: one thread for a few queries, where waiting for a second costs more than it saves.

    The thread count belongs to the calling thread, so it is set each time.
    """
    import faiss

    faiss.omp_set_num_threads(1 if len(query_vecs) < _FEW_QUERIES else os.cpu_count() or 1)
    options: dict[str, Any] = {} if live is None else {"sel": faiss.IDSelectorBitmap(live)}  # type: ignore[call-arg,arg-type]
    params: Any = None
    if probes is not None:
        params = faiss.SearchParametersIVF(**options, nprobe=probes)  # type: ignore[call-arg]
    elif options:
        params = faiss.SearchParameters(**options)
    scores, rows = index.search(query_vecs, min(k, max(index.ntotal, 1)), params=params)
    return rows, scores


def _best_among(query_vecs: Vectors, k: int, among: RowNumbers, vecs: Vectors) -> Found:
    scores = inner_products(query_vecs, vecs)
    if k < len(among):
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        return among[best], np.take_along_axis(scores, best, axis=1)
    return np.broadcast_to(among, scores.shape), scores


def _write(index: Any, path: Path) -> None:
    import faiss

    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:  # FAISS's word for a full disk or a folder that may not be written
        raise OSError("the vectors could not be written") from error
