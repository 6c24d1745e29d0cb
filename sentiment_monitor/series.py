"""Sentiment over time: hourly buckets, and an index that forgets.

Scored stories fall into hourly buckets (how many of each class, sum of weights, weighted sum of
polarity); the index at an hour is their average with weights that halve every half-life, whatever
the spacing of the stories (an irregular exponentially weighted mean: Eckner 2012, *Algorithms for
unevenly spaced time series*). Its band is Wilson's interval for the stories it still remembers, each
taken to vary as much as a polarity can: 95 % or more, never beyond -1..1, wider as news grows old.
Where nothing is remembered, or no source was read, the index is NaN: a gap is shown as a gap.

Pure numpy: rows and clocks are elsewhere. One entity and one model version at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
HALF_LIVES_H = (24.0, 168.0)
LEAST_MEMORY = 0.25  # stories; one story alone is forgotten after two half-lives


@dataclass(frozen=True, slots=True)
class HourlySeries:
    """One entry an hour from start_h, hours since 1970 UTC; hours without a story hold zeros."""

    start_h: int
    n_positive: Floats
    n_neutral: Floats
    n_negative: Floats
    sum_weight: Floats
    sum_weighted_polarity: Floats

    @property
    def times_h(self) -> Floats:
        """The end of each hour: what it holds is known then."""
        return self.start_h + 1.0 + np.arange(len(self.sum_weight), dtype=np.float64)

    @property
    def n_stories(self) -> Floats:
        return self.n_positive + self.n_neutral + self.n_negative


@dataclass(frozen=True, slots=True)
class Index:
    """polarity, low and high in -1..1 and stories remembered, one entry a time; NaN in gaps."""

    polarity: Floats
    low: Floats
    high: Floats
    memory: Floats


def hourly(
    times_s: ArrayLike,
    labels: ArrayLike,
    polarity: ArrayLike,
    start_h: int,
    hours: int,
    weight: ArrayLike | None = None,
) -> HourlySeries:
    """Count stories into hours start_h .. start_h + hours - 1; those outside are left out.

    times_s: Unix seconds; labels: -1, 0 or 1; polarity: P(positive) - P(negative), -1..1;
    weight: >= 0, for example relevance, 1 when not given. All of one length.
    Raises ValueError when the lengths differ.
    """
    times, label, value = (np.asarray(x, dtype=float).ravel() for x in (times_s, labels, polarity))
    w = np.ones_like(value) if weight is None else np.asarray(weight, dtype=float).ravel()
    if len({len(times), len(label), len(value), len(w)}) > 1:
        raise ValueError(
            f"{len(times)} times, {len(label)} labels, {len(value)} polarities, {len(w)} weights"
        )
    hour = np.floor(times / 3600.0).astype(np.int64) - start_h
    inside = (hour >= 0) & (hour < hours)
    hour, label, value, w = hour[inside], label[inside], value[inside], w[inside]

    def total(of: Floats) -> Floats:
        return np.bincount(hour, of, hours).astype(float)

    positive, neutral, negative = (total((np.sign(label) == sign).astype(float)) for sign in (1, 0, -1))
    return HourlySeries(start_h, positive, neutral, negative, total(w), total(w * value))


def ewma_index(
    times_h: ArrayLike,
    sum_weight: ArrayLike,
    sum_weighted_polarity: ArrayLike,
    half_life_h: float,
    *,
    n_stories: ArrayLike | None = None,
    exposure: ArrayLike | None = None,
    z: float = 1.96,
) -> Index:
    """The index right after each time, from the buckets up to and including it.

    times_h: rising, not necessarily evenly; the sums are those of the bucket that ends there.
    n_stories: stories in each bucket (1 where there is weight, when not given), for the band.
    exposure: 0..1, source coverage; NaN where it is 0, though what is remembered carries on.
    z: width of the band, 1.96 for 95 %. Raises ValueError when times fall or half_life_h <= 0.
    """
    times, w, wv = (np.asarray(x, dtype=float) for x in (times_h, sum_weight, sum_weighted_polarity))
    if half_life_h <= 0 or np.any(np.diff(times) < 0):
        raise ValueError("half_life_h must be positive and times_h must not fall")
    n = (w > 0).astype(float) if n_stories is None else np.asarray(n_stories, dtype=float)
    # weights are taken as equal within a bucket: their squares sum to w^2 / n
    arriving = np.stack([w, wv, np.divide(w**2, n, out=np.zeros_like(w), where=n > 0)], axis=1)
    fade = 0.5 ** (np.diff(times, prepend=times[:1]) / half_life_h)
    kept = np.empty_like(arriving)
    now = np.zeros(3)
    for i, (f, new) in enumerate(zip(fade, arriving, strict=True)):
        now = now * f + new
        kept[i] = now
    mass, moment, squares = kept.T
    memory = np.divide(mass**2, squares, out=np.zeros_like(mass), where=squares > 0)
    hidden = memory < LEAST_MEMORY
    if exposure is not None:
        hidden |= np.asarray(exposure, dtype=float) <= 0
    polarity = np.where(hidden, np.nan, moment / np.where(mass > 0, mass, 1.0)).clip(-1.0, 1.0)
    low, high = _wilson((polarity + 1) / 2, np.maximum(memory, LEAST_MEMORY), z)
    return Index(polarity, 2 * low - 1, 2 * high - 1, memory)


def _wilson(share: Floats, n: Floats, z: float) -> tuple[Floats, Floats]:
    """Score interval of a proportion (Wilson 1927); the widest a mean on 0..1 can need."""
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - reach, middle + reach
