"""Items as weighted words (tf-idf), so that items sharing rare words are near one another.

    weight(item, word) = (1 + ln tf) · (1 + ln((1 + N) / (1 + n_word))), rows L2-normalised

Salton and Buckley, "Term-weighting approaches in automatic text retrieval" (1988). Product codes,
sizes and brands, which an encoder blurs, are kept whole by the tokenizer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from services.search.ranking import Keys
from services.search.tokens import tokenize


class WordIndex:
    """Immutable. keys: int64 (n,), ascending."""

    def __init__(self, keys: Keys, weights: sparse.csr_matrix) -> None:
        self.keys = keys
        self._weights = weights
        self._items_of = weights.T.tocsr()

    @classmethod
    def build(cls, keys: Keys, texts: Sequence[str], language: str | None = None) -> WordIndex:
        """Index texts under ascending keys; an item without words is near nothing."""
        vocabulary: dict[str, int] = {}
        rows: list[int] = []
        columns: list[int] = []
        values: list[float] = []
        for row, text in enumerate(texts):
            for term, count in Counter(tokenize(text, language)).items():
                rows.append(row)
                columns.append(vocabulary.setdefault(term, len(vocabulary)))
                values.append(1.0 + np.log(count))
        shape = (len(keys), len(vocabulary))
        counts = sparse.csr_matrix((values, (rows, columns)), shape=shape, dtype=np.float64)
        idf = 1.0 + np.log((1.0 + len(keys)) / (1.0 + np.bincount(columns, minlength=len(vocabulary))))
        weights = (counts @ sparse.diags(idf)).tocsr() if vocabulary else counts
        norms = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        scale = sparse.diags(1.0 / np.where(norms > 0, norms, 1.0))
        return cls(keys, (scale @ weights).tocsr().astype(np.float32))

    def cosines(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosines of the items at rows (h,) with every item: float32 (h, n); zeros for a row of -1."""
        near = np.zeros((len(rows), len(self.keys)), dtype=np.float32)
        known = rows >= 0
        near[known] = (self._weights[rows[known]] @ self._items_of).toarray()
        return near
