"""BM25 over words: every weight is computed when the index is built, a query only adds columns up.

    weight(d, t) = idf(t) · tf / (tf + k1 · (1 - b + b · |d| / avg|d|))
    idf(t)       = ln(1 + (N - n_t + 0.5) / (n_t + 0.5))

Lucene's form of Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond"
(2009): no weight is negative, and a term adds less than its idf. So the idfs of a query's terms add up
to a bound no text reaches, and score / bound is a number in [0, 1) that can be compared between queries.

Words that mean the same (`equivalents.py`) are one more term of every text that has one of them. A question
with such a word then weighs the group once, at the group's own idf: a text's share of it is what it has of
the question's own word, or ALIKE of what it has of the group, whichever is more. So a text with the very
word comes before one with another of its group.

Rebuilt, not updated: ten thousand texts take about a second.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

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
from services.search.ranking import Keys, Scores, best_first
from services.search.tokens import tokenize

K1 = 1.2
B = 0.75
KIND = "lexical"
ALIKE = 0.85
"""What a word's equivalent counts beside the word itself."""
APART = 0.6
"""What the words of a phrase count in a text that has them apart."""


@dataclass(frozen=True, slots=True)
class _Without:
    """Texts to be scored as if they did not hold a query, and how often it has each term."""

    holders: NDArray[np.int64]
    own: Counter[str]
    length: int


class LexicalIndex:
    """Immutable once built, so any number of threads may search it."""

    def __init__(
        self,
        keys: Keys,
        weights: sparse.csc_matrix,
        idf: NDArray[np.float32],
        vocabulary: Sequence[str],
        language: str | None,
        norms: Scores | None = None,
        norm_of_a_token: float = 0.0,
        equivalents: Equivalents | None = None,
        word_texts: Sequence[Sequence[int]] = (),
    ) -> None:
        self.keys = keys
        self.equivalents = equivalents or Equivalents((), language)
        self._word_texts = [list(counts) for counts in word_texts]
        self._norms, self._norm_of_a_token = norms, norm_of_a_token
        self.language = language
        self._indptr, self._rows, self._weights = weights.indptr, weights.indices, weights.data
        self._idf = idf
        self._terms = {term: column for column, term in enumerate(vocabulary)}
        self._unknown_idf = float(np.log(1 + (len(keys) + 0.5) / 0.5))

    @classmethod
    def build(
        cls,
        keys: Sequence[int] | Keys,
        texts: Sequence[str],
        *,
        language: str | None = None,
        k1: float = K1,
        b: float = B,
        equivalents: Equivalents | None = None,
    ) -> LexicalIndex:
        """Index texts under int64 keys, which must differ. `language`: as in `tokenize`.

        `equivalents`: words that find each other.

        Raises InvalidInput when keys repeat or do not match the texts in number.
        """
        key_array = np.asarray(keys, dtype=np.int64)
        if len(key_array) != len(texts) or len(np.unique(key_array)) != len(key_array):
            raise InvalidInput("Give one key for each text, all different.", field="keys")
        vocabulary: dict[str, int] = {}
        rows: list[int] = []
        columns: list[int] = []
        counts: list[int] = []
        lengths = np.zeros(len(texts), dtype=np.float64)
        word_texts = [[0] * len(words) for words in equivalents.groups] if equivalents else []
        for row, text in enumerate(texts):
            terms = Counter(tokenize(text, language))
            lengths[row] = terms.total()
            if equivalents:
                matches = equivalents.matches(text)
                terms.update(_group_term(one.group) for one in matches)
                for group, word in {(one.group, one.word) for one in matches}:
                    word_texts[group][word] += 1
            columns.extend(vocabulary.setdefault(term, len(vocabulary)) for term in terms)
            counts.extend(terms.values())
            rows.extend([row] * len(terms))
        column_array = np.asarray(columns, dtype=np.int64)
        row_array = np.asarray(rows, dtype=np.int64)
        tf = np.asarray(counts, dtype=np.float64)
        holders = np.bincount(column_array, minlength=len(vocabulary))
        idf = np.log(1 + (len(texts) - holders + 0.5) / (holders + 0.5))
        mean_length = max(lengths.mean() if len(texts) else 1.0, 1e-9)
        norm = k1 * (1 - b + b * lengths / mean_length)
        weights = idf[column_array] * tf / (tf + norm[row_array])
        shape = (len(texts), len(vocabulary))
        matrix = sparse.csc_matrix((weights.astype(np.float32), (row_array, column_array)), shape=shape)
        return cls(
            key_array,
            matrix,
            idf.astype(np.float32),
            list(vocabulary),
            language,
            norm.astype(np.float32),
            float(k1 * b / mean_length),
            equivalents,
            word_texts,
        )

    def __len__(self) -> int:
        return len(self.keys)

    def scores(self, query: str) -> Scores:
        """The BM25 of every text, float32 (n,), in the order of `keys`. Repeated terms count once."""
        return self._scored(query)[0]

    def coverage(self, query: str, holders: NDArray[np.int64] | None = None) -> Scores:
        """Every text's score over the bound: 0 shares nothing, near 1 is full of every term.

        Terms that no text holds count in the bound, so a half-understood query covers nothing fully.
        `holders`: places of texts that hold the query itself; each is scored as if it did not, once.
        """
        totals, bound = self._scored(query, holders)
        return totals / np.float32(bound) if bound > 0 else totals

    def reworded(self, query: str) -> str | None:
        """The query with another word of each group that it has a word of; None where no text has one."""
        known = {
            (group, word): count
            for group, counts in enumerate(self._word_texts)
            for word, count in enumerate(counts)
        }
        return self.equivalents.reworded(query, known) if known else None

    def search(
        self, queries: Sequence[str], k: int, allowed: Keys | None = None
    ) -> tuple[NDArray[np.int64], Scores]:
        """The k best texts for each query, best first: keys (q, k), padded with -1, and scores (q, k).

        Texts that share no term with the query are not returned. `allowed`: only these keys.
        """
        kept = None if allowed is None else np.isin(self.keys, allowed)
        found_keys = np.full((len(queries), k), -1, dtype=np.int64)
        found_scores = np.zeros((len(queries), k), dtype=np.float32)
        for row, query in enumerate(queries):
            totals = self.scores(query)
            candidates = np.flatnonzero(totals > 0 if kept is None else (totals > 0) & kept)
            keys, scores = best_first(self.keys[candidates], totals[candidates], k)
            found_keys[row, : len(keys)], found_scores[row, : len(keys)] = keys, scores
        return found_keys, found_scores

    def save(self, folder: Path) -> None:
        """Write to a folder, replacing an index there in one step. Raises StorageFailed."""
        publish_folder(folder, KIND, self.files(), self.facts())

    @classmethod
    def load(cls, folder: Path) -> LexicalIndex:
        """Read a saved index. Raises NotFound, IndexMismatch (other format) or StorageFailed (damaged)."""
        return open_folder(folder, KIND, cls.read)

    def facts(self) -> dict[str, object]:
        """What the manifest says of this index, for a person to read."""
        return {"texts": len(self.keys), "terms": len(self._terms), "language": self.language}

    def files(self) -> dict[str, FileWriter]:
        """The files to write, for this index alone or as part of another."""
        told: dict[str, Any] = {"language": self.language, "terms": list(self._terms)}
        if self.equivalents:
            told |= {"groups": self.equivalents.groups, "word_texts": self._word_texts}
        words = json.dumps(told, ensure_ascii=False)
        arrays = {
            "keys": self.keys,
            "idf": self._idf,
            "indptr": self._indptr,
            "rows": self._rows,
            "weights": self._weights,
        }
        if self._norms is not None:
            arrays |= {"norms": self._norms, "norm_of_a_token": np.asarray(self._norm_of_a_token)}
        return {
            "lexical.npz": lambda path: write_arrays(path, arrays),
            "terms.json": lambda path: path.write_text(words, encoding="utf-8"),
        }

    @classmethod
    def read(cls, opened: Opened) -> LexicalIndex:
        """The index out of an opened folder: its own, or another index's that it is part of."""
        arrays = read_arrays(opened.files["lexical.npz"])
        words = json.loads(opened.files["terms.json"].read_bytes())
        keys, vocabulary = arrays["keys"], list(words["terms"])
        parts = (arrays["weights"], arrays["rows"], arrays["indptr"])
        weights = sparse.csc_matrix(parts, shape=(len(keys), len(vocabulary)))
        norms, of_a_token = arrays.get("norms"), float(arrays.get("norm_of_a_token", 0.0))
        language = words["language"]
        groups = Equivalents(words.get("groups", ()), language)
        counts = words.get("word_texts", ())
        return cls(keys, weights, arrays["idf"], vocabulary, language, norms, of_a_token, groups, counts)

    def _scored(self, query: str, holders: NDArray[np.int64] | None = None) -> tuple[Scores, float]:
        without = self._without(query, holders)
        terms = set(tokenize(query, self.language, query=True))
        groups = self._groups_of(query, terms)
        totals, bound = self._summed(terms - set().union(*groups.values()), without)
        for group, own in groups.items():
            part, weight = self._of_group(group, own, without)
            totals += part
            bound += weight
        return totals, bound

    def _groups_of(self, query: str, terms: set[str]) -> dict[int, set[str]]:
        """The groups of the query that texts have, each with the query's terms that stand for it."""
        groups: dict[int, set[str]] = {}
        taken: set[str] = set()
        for match in self.equivalents.matches(query):
            if _group_term(match.group) in self._terms:
                groups.setdefault(match.group, set()).update((set(match.terms) & terms) - taken)
                taken |= set(match.terms)
        return groups

    def _of_group(self, group: int, own: set[str], without: _Without | None) -> tuple[Scores, float]:
        """A group's part in every text's score, and the most it could be: the group's idf."""
        rows, weights, idf = self._postings(_group_term(group), without)
        scores, bound = self._summed(own, without)
        scores *= np.float32((idf if len(own) == 1 else APART * idf) / bound if own else 0.0)
        scores[rows] = np.maximum(scores[rows], np.float32(ALIKE) * weights)
        return scores, idf

    def _summed(self, terms: set[str], without: _Without | None) -> tuple[Scores, float]:
        """Every text's sum of the terms' weights, and the sum of their idfs."""
        totals, bound = np.zeros(len(self.keys), dtype=np.float32), 0.0
        for term in sorted(terms):
            rows, weights, idf = self._postings(term, without)
            totals[rows] += weights
            bound += idf
        return totals, bound

    def _postings(self, term: str, without: _Without | None) -> tuple[Any, Scores, float]:
        """Places of the texts that have a term, its weights there, and its idf."""
        column = self._terms.get(term)
        if column is None:
            return slice(0, 0), np.zeros(0, dtype=np.float32), self._unknown_idf
        idf, held = float(self._idf[column]), slice(self._indptr[column], self._indptr[column + 1])
        rows, weights = self._rows[held], self._weights[held]
        if without is None:
            return rows, weights, idf
        return self._reduced(rows, weights, idf, without.holders, without.own[term], without.length)

    def _without(self, query: str, holders: NDArray[np.int64] | None) -> _Without | None:
        if holders is None or not len(holders) or self._norms is None:
            return None
        own = Counter(tokenize(query, self.language))
        length = own.total()
        own.update(_group_term(one.group) for one in self.equivalents.matches(query))
        return _Without(holders, own, length)

    def _reduced(
        self, rows: Any, weights: Scores, idf: float, holders: NDArray[np.int64], count: int, length: int
    ) -> tuple[Any, Scores, float]:
        """A term's texts, weights and idf, each of `holders` having it `count` times less in `length` tokens.

        How often a text has the term is told by its weight.
        """
        assert self._norms is not None
        shares, norms = np.minimum(weights.astype(np.float64) / idf, 1 - 1e-6), self._norms[rows]
        counts = np.round(shares * norms / (1 - shares))
        at = np.isin(rows, holders)
        counts = np.where(at, counts - count, counts)
        norms = np.where(at, norms - self._norm_of_a_token * length, norms)
        kept = counts > 0
        n = int(kept.sum())
        idf = float(np.log(1 + (len(self.keys) - n + 0.5) / (n + 0.5)))
        shares = np.where(at, counts / (counts + norms), shares)
        return rows[kept], (idf * shares[kept]).astype(np.float32), idf


def _group_term(group: int) -> str:
    """The term that stands for a group of equivalents: no text's own term has such a character."""
    return f"\x1f{group}"
