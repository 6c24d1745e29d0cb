"""A kernel head: scores of texts by their likeness to examples, in the live encoder's vectors and in words.

A text is compared with every example kept (support) by a Gaussian of the distance of their vectors, and by
the words they share; each example votes with weights that training found (kernel ridge regression). Far from
every example all votes fade, which is how a text that is about none of the labels can be noticed.
The words' part is linear, so it is kept folded: a row of weights for each hashed column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.inference.grams import GramSpace, count, title_of, weigh
from services.inference.values import Vectors

Floats = NDArray[np.float32]

_TITLE_SHARE = 0.35
_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class KernelHead:
    """What the scores are made from.

    `support` float32 (n, width), unit vectors of the examples; `votes` (n, k) of each for each label;
    `rarity` (space.size,); `columns` int32 (m,), the hashed columns in use, and `word_votes` (m, k), theirs;
    `bias` (k,). `sharpness` is the Gaussian's: exp(-sharpness * squared distance). With `title_weight` a
    text's first line is read once more by itself.
    """

    space: GramSpace
    sharpness: float
    title_weight: int
    support: Floats
    votes: Floats
    rarity: Floats
    columns: NDArray[np.int32]
    word_votes: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Scores:
    """`raw` float32 (n, k): near 1 for a label that fits, near 0 for one that does not.

    `likeness` float32 (n, support): cosines with the examples.
    """

    raw: Floats
    likeness: Floats


def wordings(texts: Sequence[str], title_weight: int) -> list[str]:
    """What the encoder is to read: each text, and after all of them each title when titles count."""
    whole = [" ".join(text.split()) for text in texts]
    return [*whole, *map(title_of, texts)] if title_weight else whole


def joined(vecs: Vectors, title_weight: int) -> Floats:
    """Unit vectors (n, width) from those of `wordings`: the text's, and the title's beside it."""
    if not title_weight:
        return unit(vecs)
    half = len(vecs) // 2
    parts = (unit(vecs[:half]) * (1 - _TITLE_SHARE) ** 0.5, unit(vecs[half:]) * _TITLE_SHARE**0.5)
    return np.concatenate(parts, axis=1)


def unit(vecs: Vectors) -> Floats:
    """The rows at length 1; a row of zeros stays."""
    lengths = np.linalg.norm(vecs, axis=1, keepdims=True)
    return np.asarray(vecs / np.where(lengths > 0, lengths, 1), np.float32)


def gaussian(likeness: Floats, sharpness: float) -> Floats:
    """exp(-sharpness * squared distance) of unit vectors with these cosines."""
    return np.exp((-2 * sharpness) * (1 - np.minimum(likeness, 1)), dtype=np.float32)


def scores(head: KernelHead, texts: Sequence[str], vecs: Vectors) -> Scores:
    """Scores of texts; `vecs` float32 are those of `wordings(texts)`."""
    rows = joined(vecs, head.title_weight)
    likeness = np.asarray(rows @ head.support.T, np.float32)
    grams = weigh(count(texts, head.space, title_weight=head.title_weight), head.rarity, head.space)
    raw = (
        gaussian(likeness, head.sharpness) @ head.votes + grams[:, head.columns] @ head.word_votes + head.bias
    )
    return Scores(np.asarray(raw, np.float32), likeness)


def scored(
    head: KernelHead, texts: Sequence[str], vecs: Vectors, finish: Callable[[Scores], Floats]
) -> Floats:
    """`finish` of the scores, some hundred texts at a time: memory does not grow with their number."""
    lines = [slice(at, at + _ROWS_AT_ONCE) for at in range(0, len(texts), _ROWS_AT_ONCE)]
    half = len(texts)
    parts = []
    for line in lines:
        mine = vecs[:half][line]
        if head.title_weight:
            mine = np.concatenate([mine, vecs[half:][line]])
        parts.append(finish(scores(head, texts[line], mine)))
    return np.concatenate(parts)


def kernel_tensors(head: KernelHead) -> dict[str, NDArray[Any]]:
    """What `kernel_of` reads. The big arrays are kept in half precision."""
    used = np.flatnonzero(head.rarity != head.rarity.max()).astype(np.int32)
    return {
        "support": head.support.astype(np.float16),
        "votes": head.votes.astype(np.float16),
        "rarity_columns": used,
        "rarity": head.rarity[used].astype(np.float16),
        "rarity_unseen": np.array([head.rarity.max()], np.float32),
        "columns": head.columns.astype(np.int32),
        "word_votes": head.word_votes.astype(np.float16),
        "bias": head.bias.astype(np.float32),
        "sharpness": np.array([head.sharpness], np.float32),
    }


def kernel_of(tensors: Mapping[str, NDArray[Any]], space: GramSpace, title_weight: int) -> KernelHead:
    """The head kept in tensors. Raises KeyError, IndexError or ValueError when they do not fit together."""
    rarity = np.full(space.size, tensors["rarity_unseen"][0], np.float32)
    rarity[tensors["rarity_columns"]] = tensors["rarity"].astype(np.float32)
    head = KernelHead(
        space=space,
        sharpness=float(tensors["sharpness"][0]),
        title_weight=title_weight,
        support=unit(tensors["support"].astype(np.float32)),
        votes=tensors["votes"].astype(np.float32),
        rarity=rarity,
        columns=tensors["columns"].astype(np.int32),
        word_votes=tensors["word_votes"].astype(np.float32),
        bias=tensors["bias"].astype(np.float32),
    )
    k = len(head.bias)
    fits = head.votes.shape == (len(head.support), k) and head.word_votes.shape == (len(head.columns), k)
    whole = (head.support, head.votes, head.rarity, head.word_votes, head.bias)
    if not fits or not all(np.isfinite(array).all() for array in whole) or head.sharpness <= 0:
        raise ValueError("its arrays are of different sizes or not finite")
    if len(head.columns) and not 0 <= head.columns.min() <= head.columns.max() < space.size:
        raise ValueError("it names columns that do not exist")
    return head
