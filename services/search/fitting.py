"""The weights of the four views, fitted to one knowledge base.

Question variants are questions with known answers, so a knowledge base that has some can be fitted without
anyone labelling anything. A variant must not find itself, so it is searched in an index without it; and its
passage must not be the only one there without variants, or the fit would learn to distrust them all.
So where passages have two or more, half of each one's are held out, then the other half; where most have
one, all are held out at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
from numpy.typing import NDArray

from services.search.equivalents import Equivalents
from services.search.fusion import Case, fit_weights
from services.search.hybrid import HybridIndex, ViewWeights
from services.search.pieces import VARIANT
from services.search.ranking import Keys
from services.search.rows import Vectors

MOST_CASES = 300
"""Variants searched in one index for a fit; of more, evenly spread ones are taken."""
_ALWAYS_FLAT = 1 << 62


def fit_on_questions(
    index: HybridIndex, queries: Sequence[str], query_vecs: Vectors, gold: Sequence[int] | Keys
) -> ViewWeights:
    """Weights that rank the gold passages of these questions best, starting from the default.

    query_vecs: float32 (queries, dim), L2-normalised; gold: a passage id for each. The questions must not
    be variants of the index itself. Few questions move the weights little; none, not at all.
    """
    found = (index.case(*asked) for asked in zip(queries, query_vecs, map(int, gold), strict=True))
    return _fitted([case for case in found if case is not None])


def fit_on_variants(
    *,
    piece_ids: Sequence[int] | Keys,
    passage_ids: Sequence[int] | Keys,
    kinds: Sequence[str],
    texts: Sequence[str],
    vecs: Vectors,
    language: str | None = None,
    equivalents: Equivalents | None = None,
) -> ViewWeights:
    """Weights fitted on the variants among these pieces (arguments as in HybridIndex.build).

    A knowledge base without variants gets the default.
    """
    owners, ids = np.asarray(passage_ids, dtype=np.int64), np.asarray(piece_ids, dtype=np.int64)
    vecs = np.asarray(vecs, dtype=np.float32)
    cases: list[Case] = []
    for held_out in held_out_variants(kinds, owners):
        kept = np.setdiff1d(np.arange(len(owners)), held_out)
        index = HybridIndex.build(
            piece_ids=ids[kept],
            passage_ids=owners[kept],
            kinds=[kinds[i] for i in kept],
            texts=[texts[i] for i in kept],
            vecs=vecs[kept],
            encoder_version="",
            language=language,
            cells_from=_ALWAYS_FLAT,
            equivalents=equivalents,
        )
        asked = held_out[:: -(-len(held_out) // MOST_CASES)]
        found = (index.case(texts[i], vecs[i], int(owners[i])) for i in asked)
        cases += [case for case in found if case is not None]
    return _fitted(cases)


def held_out_variants(kinds: Sequence[str], owners: Keys) -> list[NDArray[np.int64]]:
    """The rows of the variants to search with, in the groups that leave the index together."""
    variants = np.asarray([row for row, kind in enumerate(kinds) if kind == VARIANT], dtype=np.int64)
    if not len(variants):
        return []
    variants = variants[np.argsort(owners[variants], kind="stable")]
    _, first, counts = np.unique(owners[variants], return_index=True, return_counts=True)
    several = np.repeat(counts > 1, counts)
    if several.mean() < 0.5:
        return [variants]
    odd = (np.arange(len(variants)) - np.repeat(first, counts)) % 2 == 1
    return [variants[several & ~odd], variants[several & odd]]


def _fitted(cases: Sequence[Case]) -> ViewWeights:
    return ViewWeights(*(float(share) for share in fit_weights(cases, astuple(ViewWeights()))))
