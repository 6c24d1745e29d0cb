"""Nearest vectors by key, over real FAISS."""

import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from services.errors import IndexMismatch, InvalidInput, NotFound, StorageFailed
from services.search import folder as folders
from services.search.rows import build_rows
from services.search.vector import VectorIndex

DIM = 32
FLAT, CELLS = 1 << 40, 0


def unit(vecs: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vecs / np.linalg.norm(vecs, axis=1, keepdims=True)).astype(np.float32)


def clustered(n: int, seed: int = 0) -> NDArray[np.float32]:
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(max(1, n // 100), DIM))
    return unit(centres[draw.integers(0, len(centres), n)] + 0.5 * draw.normal(size=(n, DIM)))


def brute_force(
    keys: NDArray[np.int64], vecs: NDArray[np.float32], query: NDArray[np.float32], k: int
) -> list[int]:
    scores = vecs @ query
    return keys[np.lexsort((keys, -scores))][:k].tolist()


@pytest.mark.parametrize("flat_below", [FLAT, CELLS])
def test_a_vector_finds_its_own_key(flat_below: int) -> None:
    vecs, keys = clustered(2000), np.arange(2000) * 7 + 1
    index = VectorIndex.build(keys, vecs, "v1", flat_below=flat_below)
    found, scores = index.search(vecs[:50], 1)
    assert found[:, 0].tolist() == keys[:50].tolist()
    assert scores[:, 0] == pytest.approx(1, abs=0.01)


def test_a_flat_search_is_exact_and_keys_may_come_in_any_order() -> None:
    vecs = clustered(500)
    keys = np.random.default_rng(1).permutation(10_000)[:500]
    index = VectorIndex.build(keys, vecs, "v1")
    found, _ = index.search(vecs[:20], 10)
    for row in range(20):
        assert found[row].tolist() == brute_force(keys, vecs, vecs[row], 10)


def test_cells_find_nearly_all_that_a_flat_search_finds() -> None:
    vecs, keys = clustered(5000), np.arange(5000)
    flat = VectorIndex.build(keys, vecs, "v1", flat_below=FLAT)
    cells = VectorIndex.build(keys, vecs, "v1", flat_below=CELLS)
    queries = unit(vecs[::50] + 0.1 * np.random.default_rng(2).normal(size=(100, DIM)))
    exact, near = flat.search(queries, 50)[0], cells.search(queries, 50)[0]
    recall = np.mean([len(set(a) & set(b)) / 50 for a, b in zip(exact, near, strict=True)])
    assert recall >= 0.95


def test_the_number_of_rows_chooses_the_kind() -> None:
    below, above = build_rows(clustered(99), flat_below=100), build_rows(clustered(100), flat_below=100)
    assert type(below) is not type(above)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.9])
def test_a_search_among_allowed_keys_is_exact_on_them(share: float) -> None:
    vecs, keys = clustered(3000), np.arange(3000) * 3
    allowed = np.random.default_rng(3).permutation(keys)[: int(3000 * share)]
    rows = allowed // 3
    index = VectorIndex.build(keys, vecs, "v1")
    index.add([10_000_000], vecs[:1])
    found, _ = index.search(vecs[:10], 5, allowed)
    for row in range(10):
        expected = brute_force(allowed, vecs[rows], vecs[row], 5)
        assert found[row].tolist() == expected + [-1] * (5 - len(expected))


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_cells_lose_nothing_to_a_filter(share: float) -> None:
    vecs, keys = clustered(4000), np.arange(4000)
    allowed = np.random.default_rng(4).permutation(keys)[: int(4000 * share)]
    index = VectorIndex.build(keys, vecs, "v1", flat_below=CELLS)
    found, _ = index.search(vecs[:40], 10, allowed)
    hits = [
        len(set(found[row]) & set(brute_force(allowed, vecs[allowed], vecs[row], 10))) for row in range(40)
    ]
    assert np.mean(hits) >= 9.5  # all but what one byte a dimension confuses
    assert set(found.ravel()) <= set(allowed)


def test_short_lists_are_padded_and_unknown_allowed_keys_passed_over() -> None:
    index = VectorIndex.build([5, 6], clustered(2), "v1")
    keys, scores = index.search(clustered(2)[:1], 4)
    assert keys[0, 2:].tolist() == [-1, -1]
    assert np.isneginf(scores[0, 2:]).all()
    assert index.search(clustered(2)[:1], 2, np.array([99]))[0].tolist() == [[-1, -1]]


@pytest.mark.parametrize("flat_below", [FLAT, CELLS])
def test_additions_removals_and_replacements_show_in_the_next_search(flat_below: int) -> None:
    vecs = clustered(1000)
    index = VectorIndex.build(np.arange(1000), vecs, "v1", flat_below=flat_below)
    new = unit(np.random.default_rng(5).normal(size=(2, DIM)))
    index.add([5000, 3], new)
    assert index.search(new, 1)[0].tolist() == [[5000], [3]]
    assert len(index) == 1001
    index.remove([5000, 7, 123_456])
    assert index.search(new[:1], 1)[0][0, 0] != 5000
    assert 7 not in index.search(vecs[7:8], 1000)[0]
    assert len(index) == 999
    assert len(index.keys()) == 999
    index.add([7], vecs[7:8])
    assert index.search(vecs[7:8], 1)[0].tolist() == [[7]]
    assert index.stale_share > 0


def test_removed_keys_stay_gone_from_allowed_searches_too() -> None:
    vecs = clustered(100)
    index = VectorIndex.build(np.arange(100), vecs, "v1")
    index.add([200], vecs[:1])
    index.remove([0, 200])
    assert not {0, 200} & set(index.search(vecs[:1], 100, np.array([0, 1, 2, 200]))[0][0])


def test_an_index_may_start_empty() -> None:
    index = VectorIndex.build([], np.zeros((0, DIM), dtype=np.float32), "v1")
    assert index.search(clustered(1), 2)[0].tolist() == [[-1, -1]]
    index.add([4], clustered(1))
    assert index.search(clustered(1), 2)[0].tolist() == [[4, -1]]


def test_a_saved_index_answers_as_before_with_its_delta_and_tombstones(tmp_path: Path) -> None:
    vecs = clustered(600)
    for name, flat_below in (("flat", FLAT), ("cells", CELLS)):
        index = VectorIndex.build(np.arange(600), vecs, "v1", flat_below=flat_below)
        index.add([900, 901], clustered(2, seed=9))
        index.remove([0, 1, 900])
        index.save(tmp_path / name)
        loaded = VectorIndex.load(tmp_path / name, "v1")
        before, after = index.search(vecs[:30], 20), loaded.search(vecs[:30], 20)
        assert after[0].tolist() == before[0].tolist()
        assert after[1] == pytest.approx(before[1])
        assert loaded.keys().tolist() == index.keys().tolist()


def test_another_encoders_index_is_refused_naming_both_and_the_remedy(tmp_path: Path) -> None:
    VectorIndex.build([1], clustered(1), "encoder-1").save(tmp_path)
    with pytest.raises(IndexMismatch, match=r"encoder-1.*encoder-2.*Rebuild"):
        VectorIndex.load(tmp_path, "encoder-2")


def test_vectors_of_another_dimension_are_refused() -> None:
    index = VectorIndex.build([1], clustered(1), "v1")
    with pytest.raises(IndexMismatch):
        index.search(np.ones((1, DIM + 1), dtype=np.float32), 1)
    with pytest.raises(IndexMismatch):
        index.add([2], np.ones((1, DIM + 1), dtype=np.float32))


@pytest.mark.parametrize(
    ("keys", "vecs"),
    [
        ([1, 1], np.ones((2, DIM))),
        ([-1], np.ones((1, DIM))),
        ([1], np.ones((2, DIM))),
        ([1], np.full((1, DIM), np.nan)),
    ],
)
def test_unusable_input_is_refused(keys: list[int], vecs: NDArray[np.float64]) -> None:
    with pytest.raises(InvalidInput):
        VectorIndex.build(keys, vecs.astype(np.float32), "v1")


@pytest.mark.parametrize("pattern", ["rows.*.faiss", "keys.*.npz"])
def test_a_truncated_or_changed_file_is_noticed(tmp_path: Path, pattern: str) -> None:
    index = VectorIndex.build(np.arange(50), clustered(50), "v1")
    index.save(tmp_path)
    file = next(tmp_path.glob(pattern))
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        file.write_bytes(damaged)
        with pytest.raises(StorageFailed, match="Rebuild"):
            VectorIndex.load(tmp_path, "v1")
    file.unlink()
    with pytest.raises(StorageFailed, match="Rebuild"):
        VectorIndex.load(tmp_path, "v1")


def test_a_damaged_manifest_is_noticed_and_a_missing_one_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        VectorIndex.load(tmp_path, "v1")
    VectorIndex.build([1], clustered(1), "v1").save(tmp_path)
    (tmp_path / folders.MANIFEST).write_text('{"format": 1')
    with pytest.raises(StorageFailed, match="Rebuild"):
        VectorIndex.load(tmp_path, "v1")


def test_readers_see_whole_states_while_writers_write() -> None:
    vecs = clustered(500)
    index = VectorIndex.build(np.arange(500), vecs, "v1")
    twins = unit(np.random.default_rng(6).normal(size=(1, DIM)))
    stop, torn = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            found = index.search(twins, 2)[0][0]
            if (found[0] == 1000) != (found[1] == 1001):
                torn.append(found.tolist())

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(150):
        index.add([1000, 1001], np.repeat(twins, 2, axis=0))
        index.remove([1000, 1001])
    stop.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert len(index) == 500
