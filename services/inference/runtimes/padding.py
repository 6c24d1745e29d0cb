"""Token ids of unlike lengths into one rectangle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def pad(token_ids: Sequence[Sequence[int]], pad_id: int, step: int, longest: int) -> tuple[Ints, Ints]:
    """(ids, mask), both int64 (n, width): width is the longest rounded up to `step`, `longest` at most.

    Few distinct widths keep the kernels that a runtime builds for each shape in use.
    """
    lengths = np.fromiter(map(len, token_ids), np.int64, len(token_ids))
    width = max(int(lengths.max()), min(-(-int(lengths.max()) // step) * step, longest))
    mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
    ids = np.full((len(token_ids), width), pad_id, np.int64)
    ids[mask.astype(bool)] = np.concatenate([np.asarray(row, np.int64) for row in token_ids])
    return ids, mask
