"""The usual recommenders, trained on the same histories: what anyone would try first.

Each takes the training histories and the queries, as lists of catalogue rows, and returns a score for
every item: float32 (queries, n). Histories count as sets, as these methods are published; settings are the
best of a few tried on a split of the training histories of the Amazon Industrial set.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float32]
Histories = Sequence[Sequence[int]]

EASE_RIDGE = 100.0
ALS_FACTORS, ALS_RIDGE, ALS_ALPHA = 128, 0.01, 4.0


def pop(train: Histories, queries: Histories, n: int) -> Floats:
    """How many users have the item."""
    counts = np.asarray(interactions(train, n).sum(axis=0), dtype=np.float32).ravel()
    return np.tile(counts, (len(queries), 1))


def itemknn(train: Histories, queries: Histories, n: int) -> Floats:
    """Sum over the history of the cosine between items' sets of users."""
    seen = interactions(train, n)
    norms = np.sqrt(np.maximum(np.asarray(seen.sum(axis=0)).ravel(), 1.0))
    near = (sparse.diags(1.0 / norms) @ (seen.T @ seen) @ sparse.diags(1.0 / norms)).tocsr()
    near.setdiag(0)
    return (interactions(queries, n) @ near).toarray().astype(np.float32)


def ease(train: Histories, queries: Histories, n: int) -> Floats:
    """Steck, "Embarrassingly shallow autoencoders for sparse data" (2019)."""
    seen = interactions(train, n)
    gram = (seen.T @ seen).toarray().astype(np.float64)
    gram[np.diag_indices(n)] += EASE_RIDGE
    inverse = np.linalg.inv(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(interactions(queries, n) @ weights, dtype=np.float32)


def als(train: Histories, queries: Histories, n: int, seed: int = 0) -> Floats:
    """Hu, Koren and Volinsky (2008) as in the `implicit` library; queries are folded in as new users."""
    from implicit.cpu.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=ALS_FACTORS, regularization=ALS_RIDGE, alpha=ALS_ALPHA, iterations=15, random_state=seed
        )
        model.fit(interactions(train, n), show_progress=False)
        users = model.recalculate_user(np.arange(len(queries)), interactions(queries, n))
    return np.asarray(users @ model.item_factors.T, dtype=np.float32)


def tfidf(texts: Sequence[str], queries: Histories) -> Floats:
    """Mean cosine with the history over words weighted by tf-idf, scikit-learn's."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(text.strip() for text in texts):
        return np.zeros((len(queries), len(texts)), dtype=np.float32)
    words = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w+\b").fit_transform(texts)
    return (mean(queries, len(texts)) @ words @ words.T).toarray().astype(np.float32)


def nearest(vecs: Floats, queries: Histories) -> Floats:
    """Mean cosine with the history over L2-normalised vectors (n, dim)."""
    return np.asarray((mean(queries, len(vecs)) @ vecs) @ vecs.T, dtype=np.float32)


def interactions(histories: Histories, n: int) -> sparse.csr_matrix:
    """CSR (histories, n) of ones."""
    pairs = [(row, item) for row, items in enumerate(histories) for item in sorted(set(items))]
    rows, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), (rows, items)), shape=(len(histories), n))


def mean(histories: Histories, n: int) -> sparse.csr_matrix:
    """CSR (histories, n), each row an even share of its items."""
    held = interactions(histories, n)
    return sparse.diags(1.0 / np.maximum(np.asarray(held.sum(axis=1)).ravel(), 1.0)) @ held
