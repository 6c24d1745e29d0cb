"""Simulated finance news with known surges, for `benchmarks.surge`.

Each company has its own daily and weekly rhythm, volume that drifts (log sd 0.35 over two days), a
negative share of 22 % that drifts (logit sd 0.3 over five days) and eight earnings days a year on
which volume rises three- to eightfold and the share does not.
Labels are wrong for 12 % of stories, evenly to the two other classes. A story brings two copies on
average (half bring none, some twenty) over the next hours with its label; one copy in ten is not
recognised and counts as a story. Sources are down 10 % of the hours, half of it wholly and half to
40 %; what comes in an outage is lost.
Once a month, at any hour, the company's negative rate becomes eight times what is usual at that hour
of its week, for 24 hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from sentiment_monitor.baseline import DAY_H, WEEK_H, Floats, History

Bools = NDArray[np.bool_]
WARM_H, YEAR_H = 8 * WEEK_H, 8760
NEGATIVE, FACTOR, NOISE, UNMERGED = 0.22, 8.0, 0.12, 0.1
SURGE_H, AFTERMATH_H = 24, 48


@dataclass(frozen=True, slots=True)
class News:
    """Arrays (entity, hour)."""

    base: Floats  # (entity,)
    stories: History
    articles: History
    surges: Bools  # true in the hour one starts
    bursts: Bools  # in the hour an earnings day starts


def news(rng: np.random.Generator, base: Floats, negative_per_h: Floats, hours: int) -> News:
    """base: the name of each entity's group; negative_per_h: its true rate of negative stories."""
    n, shape = len(base), (len(base), hours)
    rhythm = _rhythm(rng, n)[:, np.arange(hours) % WEEK_H]
    pace = rhythm * np.exp(_drift(rng, shape, 0.35, 48.0) - 0.35**2 / 2)
    bursts = rng.random(shape) < 8 / YEAR_H
    fade = rng.uniform(2, 7, shape) * bursts
    pace *= 1 + lfilter([1.0], [1.0, -np.exp(-0.1)], fade, axis=1)
    share = 1 / (1 + np.exp(-np.log(NEGATIVE / (1 - NEGATIVE)) - _drift(rng, shape, 0.3, 120.0)))
    rate = negative_per_h[:, None] / NEGATIVE
    surges = _surge_starts(rng, n, hours)
    surging = recent(surges, SURGE_H)
    negative = rng.poisson(rate * pace * share + (FACTOR - 1) * negative_per_h[:, None] * rhythm * surging)
    other = rng.poisson(rate * pace * (1 - share))
    lost, gained = rng.binomial(negative, NOISE), rng.binomial(other, NOISE / 2)
    up = _coverage(rng, shape)
    stories, articles = [], []
    for labelled in (negative - lost + gained, other - gained + lost):
        copies = _copies(rng, labelled)
        unmerged = rng.binomial(copies, UNMERGED)
        counted = rng.binomial(labelled + unmerged, up)
        stories.append(counted.astype(float))
        articles.append((counted + rng.binomial(copies - unmerged, up)).astype(float))
    by_story, by_article = (History(0, neg, neg + oth, up) for neg, oth in (stories, articles))
    return News(base, by_story, by_article, surges, bursts)


def _rhythm(rng: np.random.Generator, n: int) -> Floats:
    """(n, 168) mean 1: a daily peak, quiet weekends, and a company's own habits."""
    hour, day = np.arange(WEEK_H) % DAY_H, np.arange(WEEK_H) // DAY_H
    peak, depth = rng.normal(14, 2, (n, 1)), rng.normal(0.9, 0.15, (n, 1)).clip(0.4, 1.3)
    weekend = rng.normal(0.4, 0.08, (n, 1)).clip(0.15, 0.7)
    rhythm = np.exp(depth * np.cos(2 * np.pi * (hour - peak) / DAY_H) + rng.normal(0, 0.15, (n, WEEK_H)))
    rhythm *= np.where((day == 2) | (day == 3), weekend, 1.0)  # hour 0 is a Thursday
    return rhythm / rhythm.mean(axis=1, keepdims=True)


def _drift(rng: np.random.Generator, shape: tuple[int, int], sd: float, tau_h: float) -> Floats:
    """An Ornstein-Uhlenbeck path an entity, standard deviation sd, correlation time tau_h."""
    keep = np.exp(-1 / tau_h)
    steps = rng.normal(0, sd * np.sqrt(1 - keep**2), shape)
    steps[:, 0] = rng.normal(0, sd, shape[0])
    return lfilter([1.0], [1.0, -keep], steps, axis=1)


def _surge_starts(rng: np.random.Generator, n: int, hours: int) -> Bools:
    starts = np.zeros((n, hours), bool)
    for entity in range(n):
        at = WARM_H + int(rng.integers(720))
        while at + AFTERMATH_H < hours:
            starts[entity, at] = True
            at += int(720 * rng.uniform(0.7, 1.3))
    return starts


def _copies(rng: np.random.Generator, stories: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two a story on average, variance ten, each geometrically later (mean three hours)."""
    left = rng.negative_binomial(np.maximum(0.5 * stories, 1e-9), 0.2)
    out = np.zeros_like(left)
    for delay in range(DAY_H):
        now = rng.binomial(left, 0.25)
        out[:, delay:] += now[:, : left.shape[1] - delay]
        left = left - now
    return out


def _coverage(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Exposure: outages of eight hours on average, 10 % of the time, half of them partial."""
    up = np.ones(shape)
    for row in up:
        at = int(rng.exponential(72))
        while at < len(row):
            length = int(rng.geometric(1 / 8))
            row[at : at + length] = rng.choice([0.0, 0.4])
            at += length + 1 + int(rng.exponential(72))
    return up


def aftermath(world: News) -> Bools:
    """The hours from a surge's first to two days after it, in which no alarm is false."""
    return recent(world.surges, AFTERMATH_H) > 0


def recent(x: Floats | Bools, window: int) -> Floats:
    """Sum of the last `window` columns up to each."""
    sums = np.cumsum(x, axis=1, dtype=float)
    sums[:, window:] = sums[:, window:] - sums[:, :-window]
    return sums
