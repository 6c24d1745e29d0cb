"""Kernel ridge regression, and what it says of each example when that example is left out.

The second comes for nothing once the system is solved (Rasmussen & Williams, "Gaussian Processes for Machine
Learning", 2006, section 5.4.2), so widths, shares and strength are chosen, probabilities calibrated and
thresholds set on all examples at once, and none of them is judged by a model that saw it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.errors import InvalidInput
from services.inference.grams import GramSpace, rarity, weigh
from services.inference.kernel_head import KernelHead, gaussian

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = NDArray[np.float32]

_ROWS_AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Material:
    """Examples as numbers: `rows` float32 (n, width), unit vectors; `counts` sparse (n, space.size);
    `wanted` float32 (n, k), 0 or 1; `noise` float32 (n,), how little each is to be believed, 1 as usual."""

    rows: Floats
    counts: csr_matrix
    wanted: Floats
    noise: Floats

    def some(self, which: NDArray[np.int64]) -> Material:
        """These examples, in this order."""
        return Material(self.rows[which], self.counts[which], self.wanted[which], self.noise[which])

    def with_names(self, names: Material | None) -> Material:
        """These examples and, after them, the labels' names as examples."""
        from scipy.sparse import vstack

        if names is None:
            return self
        return Material(
            np.concatenate([self.rows, names.rows]),
            vstack([self.counts, names.counts], format="csr"),
            np.concatenate([self.wanted, names.wanted]),
            np.concatenate([self.noise, names.noise]),
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """How examples are compared. `word_share` is the words' part beside the vectors' 1; `noise` the ridge."""

    sharpness: float
    word_share: float
    noise: float


@dataclass(frozen=True, slots=True)
class Solved:
    """`votes` (n, k) of the examples and `left_out` (n, k), each example's scores without its own vote."""

    votes: Floats
    left_out: Floats
    bias: Floats


def grid(
    sharpness: Sequence[float], word_share: Sequence[float], noise: Sequence[float]
) -> tuple[Setting, ...]:
    """Every combination."""
    return tuple(Setting(*values) for values in product(sharpness, word_share, noise))


def choose(
    material: Material,
    settings: Sequence[Setting],
    space: GramSpace,
    loss: Callable[[Floats, Floats], float],
    going_on: Callable[[], None],
) -> Setting:
    """The setting whose left-out scores lose least; `loss` gets (left_out, wanted). The first of equals."""
    likeness, words = _parts(material, space)
    found: list[float] = []
    for setting in settings:
        going_on()
        solved = _solve(_kernel(likeness, words, setting), material, setting.noise)
        found.append(loss(solved.left_out, material.wanted))
    return settings[int(np.argmin(found))]


def solve(material: Material, setting: Setting, space: GramSpace) -> Solved:
    """The votes under one setting. Raises InvalidInput when the examples cannot be solved for."""
    likeness, words = _parts(material, space)
    kernel = gaussian(likeness, setting.sharpness)
    del likeness
    kernel += setting.word_share * words
    del words
    return _solve(kernel, material, setting.noise)


def head_of(
    material: Material, solved: Solved, setting: Setting, space: GramSpace, title_weight: int
) -> KernelHead:
    """The votes with all that scoring needs; the words' part folded."""
    weights = rarity(material.counts)
    grams = weigh(material.counts, weights, space)
    columns = np.unique(grams.indices).astype(np.int32)
    word_votes = setting.word_share * (grams[:, columns].T @ solved.votes)
    return KernelHead(
        space=space,
        sharpness=setting.sharpness,
        title_weight=title_weight,
        support=material.rows,
        votes=solved.votes,
        rarity=weights,
        columns=columns,
        word_votes=np.asarray(word_votes, np.float32),
        bias=solved.bias,
    )


def spread(classes: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """At most `most` rows, drawn so that every class keeps its share and at least one row; sorted."""
    n = len(classes)
    if n <= most:
        return np.arange(n)
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    place = np.empty(n)
    for cls in np.unique(classes):
        mine = order[classes[order] == cls]
        place[mine] = (np.arange(len(mine)) + rng.random() * 0.5) / len(mine)
    return np.sort(np.argsort(place, kind="stable")[:most])


def folds(n: int, count: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """`count` parts of n things, drawn by the seed."""
    yield from np.array_split(np.random.default_rng(seed).permutation(n), min(count, n))


def _parts(material: Material, space: GramSpace) -> tuple[Floats, Floats]:
    grams = weigh(material.counts, rarity(material.counts), space)
    likeness = np.asarray(material.rows @ material.rows.T, np.float32)
    words, turned = np.empty_like(likeness), grams.T.tocsr()
    for at in range(0, len(words), _ROWS_AT_ONCE):  # nearly all pairs share a word: dense at once
        words[at : at + _ROWS_AT_ONCE] = (grams[at : at + _ROWS_AT_ONCE] @ turned).toarray()
    return likeness, words


def _kernel(likeness: Floats, words: Floats, setting: Setting) -> Floats:
    return np.asarray(gaussian(likeness, setting.sharpness) + setting.word_share * words, np.float32)


def _solve(kernel: Floats, material: Material, noise: float) -> Solved:
    """Overwrites the kernel."""
    from scipy.linalg.lapack import spotrf, spotri

    n = len(kernel)
    kernel[np.diag_indices(n)] += noise * material.noise
    factor, failed = spotrf(kernel.T, lower=1, clean=1, overwrite_a=1)
    if failed:
        raise InvalidInput("The examples cannot be told apart: remove texts that repeat.", field="file")
    inverse, failed = spotri(factor, lower=1, overwrite_c=1)
    bias = material.wanted.mean(axis=0)
    rest = material.wanted - bias
    diagonal = inverse.diagonal().copy()
    votes = inverse @ rest + inverse.T @ rest - diagonal[:, None] * rest
    left_out = material.wanted - votes / diagonal[:, None]
    return Solved(np.asarray(votes, np.float32), np.asarray(left_out, np.float32), bias.astype(np.float32))
