"""Short texts side by side in rows of one width: little padding, few shapes, the same answers.

Each row holds as many texts as fit, the longest first; every token carries which text of its row it belongs
to and where in that text it stands, so that texts in a row do not see one another (block-diagonal attention;
Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination"). Longer texts have rows of their
own, as wide as the longest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.inference.values import Vectors

Ints = NDArray[np.int64]

PACKED_UP_TO = 64
"""Tokens up to which a text shares a row; measured: wider rows cost more attention than they save padding."""
STRIDE = 1 << 16
"""A token's place: the number of its text in the row (from 1; padding is 0) times this, plus its position."""
_STEP_SHORT, _STEP_LONG = 32, 16
"""Measured: a lone question in a shape not seen just before takes a quarter longer."""


@dataclass(frozen=True, slots=True)
class Packed:
    """`ids` and `places` int64 (rows, width); text i is tokens `starts[i]` to `starts[i] + lengths[i]` of the
    rows laid end to end."""

    ids: Ints
    places: Ints
    starts: tuple[int, ...]
    lengths: tuple[int, ...]


def pack(token_ids: Sequence[Sequence[int]], pad_id: int, longest: int) -> Packed:
    """Lay out a batch. No row is wider than `longest` unless a text is."""
    lengths = tuple(map(len, token_ids))
    most = max(lengths)
    width = _width(most, sum(lengths), len(lengths), longest)
    rows, spots = _fit(lengths, width)
    ids = np.full((rows, width), pad_id, np.int64)
    places = np.zeros((rows, width), np.int64)
    for text, (row, at, number) in zip(token_ids, spots, strict=True):
        end = at + len(text)
        ids[row, at:end] = text
        places[row, at:end] = np.arange(number * STRIDE, number * STRIDE + len(text))
    starts = tuple(row * width + at for row, at, _ in spots)
    return Packed(ids, places, starts, lengths)


def pooled(states: Vectors, packed: Packed, how: str) -> Vectors:
    """Tokens' states float32 (rows, width, dim) -> one vector a text, float32 (n, dim), L2-normalised.

    `how` is mean (over the text's tokens) or cls (its first token).
    """
    flat = states.reshape(-1, states.shape[-1])
    if how == "cls":
        vecs = flat[list(packed.starts)].astype(np.float32)
    else:
        vecs = np.empty((len(packed.starts), flat.shape[1]), np.float32)
        for row, (start, length) in enumerate(zip(packed.starts, packed.lengths, strict=True)):
            flat[start : start + length].sum(axis=0, out=vecs[row])
    norms = np.linalg.norm(vecs, axis=1, keepdims=True)
    return np.asarray(vecs / np.maximum(norms, 1e-12), np.float32)


def unpacked(states: Vectors, packed: Packed) -> list[Vectors]:
    """Each text's own tokens, float32 (tokens, dim), L2-normalised."""
    flat = states.reshape(-1, states.shape[-1])
    found = []
    for start, length in zip(packed.starts, packed.lengths, strict=True):
        own = np.array(flat[start : start + length], np.float32)
        found.append(own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12))
    return found


def _width(most: int, total: int, count: int, longest: int) -> int:
    if count == 1 or most > PACKED_UP_TO:
        return _stepped(most, most, longest)
    widest = max(most, min(PACKED_UP_TO, longest))
    return min(_stepped(total, most, longest), widest)


def _stepped(wanted: int, least: int, longest: int) -> int:
    """Rounded up: a shape the runtime has seen before is worth more than the padding it costs."""
    step = _STEP_SHORT if wanted <= PACKED_UP_TO else _STEP_LONG
    return max(least, min(-(-wanted // step) * step, longest))


def _fit(lengths: Sequence[int], width: int) -> tuple[int, list[tuple[int, int, int]]]:
    """How many rows, and for each text its row, its first column and its number in the row."""
    spots: list[tuple[int, int, int]] = [(0, 0, 0)] * len(lengths)
    used: list[int] = []
    numbers: list[int] = []
    for text in sorted(range(len(lengths)), key=lambda text: -lengths[text]):
        need = lengths[text]
        row = next((row for row, filled in enumerate(used) if filled + need <= width), len(used))
        if row == len(used):
            used.append(0)
            numbers.append(0)
        numbers[row] += 1
        spots[text] = (row, used[row], numbers[row])
        used[row] += need
    return len(used), spots
