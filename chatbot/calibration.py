"""A knowledge base's own border, learned from its question variants.

A variant is a question whose entry is known. Held out of the index it is asked as a visitor would ask it;
with its entry taken away as well, it is a question that cannot be answered though others like it can. Both
move the borders of entries under a question; what the fit says of questions it did not see gives the
reliability curve. Without variants the border that came with the product stays. Knows no rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chatbot.answerability import FAQ, OFFERS, Border, Borders, Floats, fit, reliability, signs
from services.search.equivalents import Equivalents
from services.search.rows import Vectors

if TYPE_CHECKING:
    from services.search.hybrid import HybridIndex, ViewWeights

MOST_CASES = 300
_FOLDS = 5
_LOOKED_AT = 10


@dataclass(frozen=True, slots=True)
class Pieces:
    """What an index is built from, as `HybridIndex.build` takes it."""

    piece_ids: Sequence[int]
    passage_ids: Sequence[int]
    kinds: Sequence[str]
    texts: Sequence[str]
    vecs: Vectors
    equivalents: Equivalents | None = None

    def some(self, rows: NDArray[np.int64]) -> Pieces:
        """These rows, in this order."""
        return Pieces(
            [self.piece_ids[i] for i in rows],
            [self.passage_ids[i] for i in rows],
            [self.kinds[i] for i in rows],
            [self.texts[i] for i in rows],
            self.vecs[rows],
            self.equivalents,
        )


@dataclass(frozen=True, slots=True)
class _Hit:
    score: float
    dense: float
    lexical: float


def calibrated(
    pieces: Pieces, weights: ViewWeights | None, *, going_on: Callable[[], None] = lambda: None
) -> Borders:
    """The borders for an index of these pieces, searched with these weights. Deterministic."""
    from services.search.fitting import held_out_variants

    seen: list[Floats] = []
    right: list[bool] = []
    among: list[bool] = []
    owners: list[int] = []
    groups = held_out_variants(pieces.kinds, np.asarray(pieces.passage_ids, np.int64))
    for group in groups:
        kept = np.setdiff1d(np.arange(len(pieces.kinds)), group)
        index = _index(pieces.some(kept), weights)
        for row in group[:: -(-len(group) * len(groups) // MOST_CASES)]:
            going_on()
            owner = int(pieces.passage_ids[row])
            found, ids = _found(index, pieces.texts[row], pieces.vecs[row])
            seen.append(signs(found[:_LOOKED_AT]))
            right.append(bool(ids) and ids[0] == owner)
            among.append(owner in ids[:3])
            without = [hit for hit, passage in zip(found, ids, strict=True) if passage != owner]
            seen.append(signs(without[:_LOOKED_AT]))
            right.append(False)
            among.append(False)
            owners += [owner, owner]
    if not seen:
        return Borders()
    cases, truth = np.stack(seen), np.array(right)
    border = fit(cases, truth, FAQ)
    offers = fit(cases, np.array(among), OFFERS)
    return Borders(faq=replace(border, curve=_curve(cases, truth, np.array(owners))), offers=offers)


def _curve(
    cases: Floats, right: NDArray[np.bool_], owners: NDArray[np.int64]
) -> tuple[tuple[float, float, int], ...]:
    """The reliability of borders fitted without the entries they are asked about."""
    told = np.zeros(len(right), np.float32)
    for part in range(_FOLDS):
        out = owners % _FOLDS == part
        if out.any():
            border: Border = fit(cases[~out], right[~out], FAQ) if (~out).any() else FAQ
            told[out] = border.probability(cases[out])
    return reliability(told, right)


def _found(index: HybridIndex, question: str, vec: Vectors) -> tuple[list[_Hit], list[int]]:
    hits = index.search(question, vec, k=_LOOKED_AT + 1)
    return [_Hit(hit.score, hit.dense, hit.lexical) for hit in hits], [hit.passage_id for hit in hits]


def _index(pieces: Pieces, weights: ViewWeights | None) -> HybridIndex:
    from services.search.hybrid import HybridIndex

    return HybridIndex.build(
        piece_ids=pieces.piece_ids,
        passage_ids=pieces.passage_ids,
        kinds=pieces.kinds,
        texts=pieces.texts,
        vecs=pieces.vecs,
        encoder_version="",
        weights=weights,
        cells_from=1 << 62,
        equivalents=pieces.equivalents,
    )
