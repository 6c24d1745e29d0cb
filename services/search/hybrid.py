"""The passages that may answer a question, by meaning and by words at once.

Four views of a passage are compared with the question, each on a scale that means the same for every
question, and their weighted mean is the score:

    question    cosine with the passage's title or nearest question variant
    best_piece  cosine with the nearest stretch of its body
    whole       cosine with the mean of its title and body
    words       BM25 over what no passage could exceed (LexicalIndex.coverage)

Candidates are the 50 best passages by their nearest piece and the 50 best by words; then every view of every
candidate is computed exactly, so that having been found by one list only is never held against a passage.
Built whole, immutable, safe for any number of threads. Knows no encoder: vectors come with the pieces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.search.equivalents import Equivalents
from services.search.folder import (
    FileWriter,
    Opened,
    open_folder,
    publish_folder,
    read_arrays,
    write_arrays,
)
from services.search.fusion import Case
from services.search.lexical import LexicalIndex
from services.search.pieces import BODY, VARIANT
from services.search.ranking import Keys, Scores, best_first
from services.search.rows import Vectors, inner_products
from services.search.vector import NO_KEY, VectorIndex, require_encoder

KIND = "hybrid"
CANDIDATES = 50
CELLS_FROM = 20_000
"""Pieces from which the candidates are looked for in cells: a scan of more would take over 5 ms."""
_MOST_PIECES_READ = 1_000
_WORST = -1.0


@dataclass(frozen=True, slots=True)
class ViewWeights:
    """What each view counts; made to sum to one. The defaults: docs/decisions/0003-fusion-weights.md."""

    question: float = 0.20
    best_piece: float = 0.35
    whole: float = 0.20
    words: float = 0.25

    def shares(self) -> NDArray[np.float32]:
        """float32 (4,), summing to one. Raises InvalidInput when none is above zero or one is below."""
        values = np.asarray(astuple(self), dtype=np.float32)
        if not np.isfinite(values).all() or (values < 0).any() or values.sum() <= 0:
            raise InvalidInput("Weights must not be negative, nor all zero.", field="weights")
        shares: NDArray[np.float32] = values / values.sum()
        return shares


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found. `dense`: its nearest piece's cosine; `lexical`: its coverage, 0 to 1.

    `views`: how it compares in each view, in the order of ViewWeights; `score` is their mean by `shares`.
    """

    passage_id: int
    score: float
    dense: float
    lexical: float
    best_piece_id: int
    views: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class _Layout:
    """Pieces in the order of their passages: passage i owns the rows starts[i] up to starts[i + 1].

    `asked`: uint64 (pieces,), a number that stands for a question variant's words; 0 for other pieces.
    """

    passage_ids: Keys
    starts: NDArray[np.int64]
    piece_ids: Keys
    is_body: NDArray[np.bool_]
    asked: NDArray[np.uint64] | None = None


@dataclass(frozen=True, slots=True)
class Views:
    """The candidates of one question, all arrays in the same order.

    `places`: of passages in the index, ascending; `features`: float32 (n, 4), in the order of ViewWeights;
    `nearest`: the row of each one's nearest piece; `dense`: its cosine.
    """

    places: NDArray[np.int64]
    features: NDArray[np.float32]
    nearest: NDArray[np.int64]
    dense: Scores


class HybridIndex:
    """Built with `build` or `load`."""

    def __init__(
        self,
        layout: _Layout,
        piece_vecs: Vectors,
        whole_vecs: Vectors,
        vectors: VectorIndex,
        words: LexicalIndex,
        weights: ViewWeights,
    ) -> None:
        self.weights = weights
        self.encoder_version = vectors.encoder_version
        self._layout, self._piece_vecs, self._whole_vecs = layout, piece_vecs, whole_vecs
        self._vectors, self._words = vectors, words
        self._passage_of_row = np.repeat(np.arange(len(layout.passage_ids)), np.diff(layout.starts))

    @classmethod
    def build(
        cls,
        *,
        piece_ids: Sequence[int] | Keys,
        passage_ids: Sequence[int] | Keys,
        kinds: Sequence[str],
        texts: Sequence[str],
        vecs: Vectors,
        encoder_version: str,
        weights: ViewWeights | None = None,
        language: str | None = None,
        cells_from: int = CELLS_FROM,
        equivalents: Equivalents | None = None,
    ) -> HybridIndex:
        """Index pieces, one entry of each argument a piece; `kinds` as in pieces.py ("body" or a question).

        vecs: float32 (pieces, dim), L2-normalised. A passage's words are the texts of its pieces, in the
        order given. `language`: as in `tokenize`; `equivalents`: words that find each other.
        Raises InvalidInput when the arguments do not fit.
        """
        if not len(piece_ids) == len(passage_ids) == len(kinds) == len(texts) == len(vecs):
            raise InvalidInput("Give an id, a passage, a kind, a text and a vector for each piece.")
        passages = np.asarray(passage_ids, dtype=np.int64)
        order = np.argsort(passages, kind="stable")
        piece_vecs = np.ascontiguousarray(np.asarray(vecs, dtype=np.float32)[order])
        owners, starts = np.unique(passages[order], return_index=True)
        layout = _Layout(
            passage_ids=owners,
            starts=np.append(starts, len(order)).astype(np.int64),
            piece_ids=np.asarray(piece_ids, dtype=np.int64)[order],
            is_body=np.asarray([kinds[i] == BODY for i in order], dtype=bool),
            asked=np.asarray([_asked(texts[i]) if kinds[i] == VARIANT else 0 for i in order], np.uint64),
        )
        own = np.asarray([kinds[i] != VARIANT for i in order], dtype=bool)
        spans = zip(layout.starts[:-1], layout.starts[1:], strict=True)
        words = ["\n".join(texts[i] for i in order[start:end]) for start, end in spans]
        return cls(
            layout,
            piece_vecs,
            _means(piece_vecs, own, layout.starts),
            VectorIndex.build(np.arange(len(order)), piece_vecs, encoder_version, flat_below=cells_from),
            LexicalIndex.build(owners, words, language=language, equivalents=equivalents),
            weights or ViewWeights(),
        )

    def __len__(self) -> int:
        """The number of passages."""
        return len(self._layout.passage_ids)

    @property
    def passage_ids(self) -> Keys:
        """The passages it holds, int64 (n,), ascending."""
        return self._layout.passage_ids

    def search(
        self, query: str, query_vec: Vectors | None, k: int = 10, *, held_out: bool = False
    ) -> list[Hit]:
        """The k best passages, best first; equal scores by the smaller id. An empty index finds nothing.

        query_vec: float32 (dim,), L2-normalised, or None to search by words alone (no encoder, or none for
        the query's language); then only passages that share a word are found. Or (n, dim): wordings of the
        query, of which the nearest to a passage counts.
        `held_out`: as if no passage had the query itself among its question variants.
        Raises IndexMismatch when the vector has another dimension than the index.
        """
        views = self.views(query, query_vec, held_out=held_out)
        features, layout = views.features, self._layout
        scores = features @ self.shares(by_meaning=query_vec is not None)
        order, best = best_first(np.arange(len(scores)), scores, k)
        return [
            Hit(
                int(layout.passage_ids[views.places[at]]),
                float(score),
                float(views.dense[at]),
                float(features[at, -1]),
                int(layout.piece_ids[views.nearest[at]]),
                tuple(features[at].tolist()),
            )
            for at, score in zip(order, best, strict=True)
        ]

    def shares(self, *, by_meaning: bool) -> NDArray[np.float32]:
        """float32 (4,): what each view counts in a score; without a vector to compare, words alone."""
        return self.weights.shares() if by_meaning else np.asarray([0, 0, 0, 1], np.float32)

    def case(self, query: str, query_vec: Vectors, gold: int) -> Case | None:
        """The candidates' views (candidates, 4) for `fit_weights`, the gold passage among them.

        None when the index has no such passage.
        """
        place = int(np.searchsorted(self._layout.passage_ids, gold))
        if place == len(self) or self._layout.passage_ids[place] != gold:
            return None
        views = self.views(query, query_vec, also=place)
        return Case(views.features, int(np.searchsorted(views.places, place)))

    def views(
        self, query: str, query_vec: Vectors | None, also: int | None = None, *, held_out: bool = False
    ) -> Views:
        """The candidates and how each compares; `also`: the place of a passage to be among them anyway.

        Without a vector the nearest piece is a passage's first, and every cosine is zero.
        `held_out`: the variants that are the query itself are left out, of meaning and of words.
        """
        out = self._held_out(query) if held_out else np.zeros(0, dtype=np.int64)
        covered = self._words.coverage(query, np.unique(self._passage_of_row[out]))
        by_words = np.flatnonzero(covered > 0)
        by_words, _ = best_first(by_words, covered[by_words], CANDIDATES)
        found = [by_words, np.zeros(0, dtype=np.int64) if also is None else np.asarray([also])]
        if query_vec is not None:
            query_vec = np.atleast_2d(np.asarray(query_vec, dtype=np.float32))
            found += self._near(query_vec, out)
        places = np.unique(np.concatenate(found))
        features = np.zeros((len(places), 4), dtype=np.float32)
        features[:, 3] = covered[places]
        nearest, dense = self._layout.starts[places], np.zeros(len(places), dtype=np.float32)
        if query_vec is not None and len(places):
            nearest, dense = self._compare(query_vec, places, features, out)
        return Views(places, features, nearest, dense)

    def save(self, folder: Path) -> None:
        """Write to a folder, replacing an index there in one step. Raises StorageFailed."""
        layout = self._layout
        arrays = {
            "passage_ids": layout.passage_ids,
            "starts": layout.starts,
            "piece_ids": layout.piece_ids,
            "is_body": layout.is_body,
        }
        if layout.asked is not None:
            arrays["asked"] = layout.asked
        files: dict[str, FileWriter] = {
            "layout.npz": lambda path: write_arrays(path, arrays),
            "pieces.npy": lambda path: _write_array(path, self._piece_vecs),
            "whole.npy": lambda path: _write_array(path, self._whole_vecs),
        }
        facts = {
            "passages": len(self),
            "pieces": len(layout.piece_ids),
            "weights": asdict(self.weights),
            **self._words.facts(),
            **self._vectors.facts(),
        }
        publish_folder(folder, KIND, files | self._vectors.files() | self._words.files(), facts)

    @classmethod
    def load(cls, folder: Path, encoder_version: str) -> HybridIndex:
        """Read a saved index; vectors stay in the file and are paged in as they are needed.

        Raises NotFound (none there), IndexMismatch (made by another encoder version, or another format),
        StorageFailed (damaged).
        """

        def read(opened: Opened) -> HybridIndex:
            require_encoder(opened, encoder_version)
            return cls(
                _Layout(**read_arrays(opened.files["layout.npz"])),
                _read_array(opened.files["pieces.npy"], opened.facts["pieces"]),
                _read_array(opened.files["whole.npy"], opened.facts["passages"]),
                VectorIndex.read(opened, encoder_version),
                LexicalIndex.read(opened),
                ViewWeights(**opened.facts["weights"]),
            )

        return open_folder(folder, KIND, read)

    def _held_out(self, query: str) -> NDArray[np.int64]:
        """The rows of the variants that are the query itself."""
        asked = self._layout.asked
        return np.flatnonzero(asked == np.uint64(_asked(query))) if asked is not None else np.zeros(0, int)

    def reworded(self, query: str) -> str | None:
        """The query with another word of each group that it has a word of; None where there is none."""
        return self._words.reworded(query)

    def _near(self, wordings: Vectors, out: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """For each wording the places of the passages with the nearest pieces but `out`, up to CANDIDATES."""
        rows = len(self._layout.piece_ids)
        wanted = min(CANDIDATES * -(-rows // max(len(self), 1)), _MOST_PIECES_READ)
        nearest: list[NDArray[np.int64]] = []
        for found in self._vectors.search(wordings, wanted)[0]:
            owners = self._passage_of_row[found[(found != NO_KEY) & ~np.isin(found, out)]]
            _, first = np.unique(owners, return_index=True)
            nearest.append(owners[np.sort(first)[:CANDIDATES]])
        return nearest

    def _compare(
        self,
        wordings: Vectors,
        places: NDArray[np.int64],
        features: NDArray[np.float32],
        out: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], Scores]:
        """Fill in the three views by meaning without the rows `out`; the nearest pieces' rows and cosines."""
        layout = self._layout
        sizes = layout.starts[places + 1] - layout.starts[places]
        begins = np.cumsum(sizes) - sizes
        rows = np.arange(sizes.sum()) + np.repeat(layout.starts[places] - begins, sizes)
        cosines = inner_products(wordings, self._piece_vecs[rows]).max(axis=0)
        if len(out):
            cosines[np.isin(rows, out)] = _WORST
        body = layout.is_body[rows]
        question = np.maximum.reduceat(np.where(body, -np.inf, cosines), begins)
        piece = np.maximum.reduceat(np.where(body, cosines, -np.inf), begins)
        features[:, 0] = np.where(np.isfinite(question), question, piece)  # a passage without a title
        features[:, 1] = np.where(np.isfinite(piece), piece, question)  # and one of nothing else
        features[:, 2] = inner_products(wordings, self._whole_vecs[places]).max(axis=0)
        dense = np.maximum(features[:, 0], features[:, 1])
        at_best = np.flatnonzero(cosines == np.repeat(dense, sizes))
        _, first = np.unique(np.repeat(np.arange(len(places)), sizes)[at_best], return_index=True)
        return rows[at_best[first]], dense


def _means(piece_vecs: Vectors, own: NDArray[np.bool_], starts: NDArray[np.int64]) -> Vectors:
    """The L2-normalised mean of each passage's own pieces (variants are others' words), or of all of them."""
    if len(starts) < 2:
        return np.zeros((0, piece_vecs.shape[1] if piece_vecs.ndim == 2 else 0), dtype=np.float32)
    counted = own | ~np.repeat(np.logical_or.reduceat(own, starts[:-1]), np.diff(starts))
    sums = np.add.reduceat(np.where(counted[:, None], piece_vecs, 0), starts[:-1], axis=0)
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    means: Vectors = (sums / np.where(norms > 0, norms, 1)).astype(np.float32)
    return means


def _asked(text: str) -> int:
    """The words of a question as one number above zero, whatever their case and spacing."""
    words = " ".join(text.casefold().split()).encode()
    return int.from_bytes(hashlib.blake2b(words, digest_size=8).digest()) | 1


def _write_array(path: Path, array: Vectors) -> None:
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def _read_array(path: Path, count: int) -> Vectors:
    """Mapped, not read, so that processes share its pages; an empty one cannot be mapped."""
    array: Vectors = np.load(path, mmap_mode="r" if count else None, allow_pickle=False)
    return array
