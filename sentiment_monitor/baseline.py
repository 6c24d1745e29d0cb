"""What is usual for each company: how many stories, how many of them negative, and when.

A decayed Gamma-Poisson per entity: stories an hour, with exposure scaled by its hour-of-week profile
(shrunk to one the whole watch-list shares) and by source coverage, and how much more its days vary
than chance would have them (the spreads of a negative binomial, with a floor).
It is learnt a UTC day at a time, so one row of sums stands for all the history there was.

A surge must not become usual: hours spent firing are left out, and days far above expectation are
scaled down first, as past outbreaks are in Farrington et al. 1996 (J. R. Statist. Soc. A 159, 547-563).
A young entity stands on the prior, which is wide. Shapes: e entities, h hours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DAY_H, WEEK_H = 24, 168
MONDAY_H = 72  # hour 0 of the Unix epoch is a Thursday, 72 hours into its week


@dataclass(frozen=True, slots=True)
class SurgeSettings:
    """The budget is the one knob; the rest says what news is like and rarely needs touching."""

    alarms_per_year: float = 52.0  # false alarms the whole watch-list may raise in a year
    watched: int = 50  # entities on the watch-list
    windows_h: tuple[int, ...] = (3, 12, 24)  # rising divisors of a day
    half_life_d: float = 28.0  # of the baseline
    prior_stories: float = 2.0  # weight of the prior, in stories
    prior_rate_per_h: float = 0.3  # all stories
    prior_share: float = 0.25  # negative among all stories
    profile_stories: float = 10.0  # weight of the shared profile, in stories per hour-of-week
    clumping: float = 0.6  # excess variance over Poisson of the counts: copies left unmerged
    volume_spread: float = 0.3  # squared coefficient of variation of volume beyond chance, a priori
    share_spread: float = 0.1  # the same of the negative share
    spread_days: float = 14.0  # weight of those two, in days
    spread_floor: float = 0.05  # neither spread is ever believed smaller
    share_lift: float = 1.3  # the window's share must exceed the entity's own this many times
    share_certainty: float = 0.9  # with this probability
    least_ratio: float = 2.0  # observed over expected, below which nothing is a surge
    least_stories: int = 3
    least_history_d: float = 7.0  # covered; until then volume is not judged nor its spread learnt
    least_coverage: float = 0.25  # of the shortest window, below which there is no data
    clear_p: float = 0.05  # a firing surge calms only above this p-value
    recovery_h: int = 12  # calm hours until it is over
    longest_freeze_h: int = 96  # then a lasting change is learnt as the new normal
    calibration: tuple[tuple[float, float], ...] = (
        (0.05, 7.8e-5),
        (0.25, 6.1e-4),
        (0.5, 1.3e-3),
        (1.5, 4.2e-3),
        (5.0, 1.5e-2),
    )
    """(alarms per entity and year, p-value) pairs, both rising; see `calibrated`."""


@dataclass(frozen=True, slots=True)
class History:
    """Hourly story counts. start_h: hours since 1970 UTC of column 0; the arrays are (e, h).

    exposure is 0..1, the part of each hour in which sources were read; at 0 the counts are ignored.
    """

    start_h: int
    negative: Floats
    total: Floats
    exposure: Floats


@dataclass(frozen=True, slots=True)
class Baseline:
    """What each entity is used to: decayed sums of its days, and what they amount to."""

    shared: Floats  # (168,) profile of the watch-list, mean 1
    slot_stories: Floats  # (e, 168) decayed stories by hour of week
    slot_hours: Floats  # (e, 168) decayed covered hours
    negative_sum: Floats  # (e,) decayed negative stories
    volume_sums: Floats  # (e, w, 2) decayed excess variance and squared mean, by window
    share_sums: Floats  # (e, w, 2)
    profile: Floats  # (e, 168) mean 1
    negative: Floats  # (e,) Gamma shape of the negative rate
    total: Floats  # (e,) Gamma shape of the rate of all stories
    hours: Floats  # (e,) Gamma rate of both, in seasonal hours
    volume_spread: Floats  # (e, w) how much windows of each length vary beyond chance
    share_spread: Floats  # (e, w)


def hour_of_week(start_h: int, hours: int) -> NDArray[np.int64]:
    """0..167 from Monday 00:00 UTC, for `hours` hours from start_h."""
    return (start_h + MONDAY_H + np.arange(hours)) % WEEK_H


def shared_profile(past: History, flat_stories: float = 50.0) -> Floats:
    """(168,) mean 1: when the whole watch-list's stories come; flat_stories: weight of no pattern."""
    slots = hour_of_week(past.start_h, past.total.shape[1])
    rate = past.total.sum(axis=1) / np.maximum(past.exposure.sum(axis=1), 1.0)
    stories = np.bincount(slots, past.total.sum(axis=0), WEEK_H)
    due = np.bincount(slots, rate @ past.exposure, WEEK_H)
    profile = (stories + flat_stories) / (due + flat_stories)
    return profile / profile.mean()


def fresh(entities: int, s: SurgeSettings, shared: Floats | None = None) -> Baseline:
    """The prior alone: an entity that has been watched for no time at all."""
    shared = np.ones(WEEK_H) if shared is None else shared
    slots, each = np.zeros((entities, WEEK_H)), np.zeros(entities)
    sums = np.zeros((entities, len(s.windows_h), 2))
    volume, share = (_mixed(sums, 0.0, 0.0, prior, s) for prior in (s.volume_spread, s.share_spread))
    empty = Baseline(shared, slots, slots, each, volume, share, slots, each, each, each, sums, sums)
    return _settled(empty, s)


def baseline(
    past: History,
    now_index: int,
    s: SurgeSettings,
    shared: Floats | None = None,
    frozen: NDArray[np.bool_] | None = None,
) -> Baseline:
    """Fold whole UTC days up to the day before yesterday of column now_index.

    frozen: (e, h), True in hours to leave out because a surge was firing (`freezes`).
    """
    b = fresh(len(past.total), s, shared)
    last = (past.start_h + now_index) // DAY_H * DAY_H - DAY_H - past.start_h
    for i in range(-past.start_h % DAY_H, last - DAY_H + 1, DAY_H):
        day = slice(i, i + DAY_H)
        open_h = past.exposure[:, day] if frozen is None else past.exposure[:, day] * ~frozen[:, day]
        b = learn(b, History(past.start_h + i, past.negative[:, day], past.total[:, day], open_h), s)
    return b


def learn(b: Baseline, day: History, s: SurgeSettings) -> Baseline:
    """The baseline one day later. Days far above expectation are scaled down to what was plausible."""
    keep, slots = 0.5 ** (1.0 / s.half_life_d), hour_of_week(day.start_h, day.total.shape[1])
    seen, known = day.exposure > 0, mature(b, s)[:, None]
    mean = (b.total / b.hours)[:, None] * b.profile[:, slots] * day.exposure
    q = (b.negative / b.total)[:, None]
    spread = 1.0 / b.total + b.volume_spread[:, -1]
    stories = _clipped(day.total * seen, mean, spread, known, s)
    spread = 1.0 / b.negative + b.volume_spread[:, -1] + b.share_spread[:, -1]
    negative = np.minimum(_clipped(day.negative * seen, q * mean, spread, known, s), stories)
    slot_stories, slot_hours = b.slot_stories * keep, b.slot_hours * keep
    slot_stories[:, slots] += stories
    slot_hours[:, slots] += day.exposure
    volume, share = np.zeros_like(b.volume_sums), np.zeros_like(b.share_sums)
    for w, window in enumerate(s.windows_h):
        n, y, m = (x.reshape(len(x), -1, window).sum(axis=2) for x in (stories, negative, mean))
        volume[:, w] = _excess(n, m, m, s) * known
        share[:, w] = _excess(y, q * n, q * (1 - q) * n, s) * known
    learnt = replace(
        b,
        slot_stories=slot_stories,
        slot_hours=slot_hours,
        negative_sum=b.negative_sum * keep + negative.sum(axis=1),
        volume_sums=_mixed(b.volume_sums, volume, keep, s.volume_spread, s),
        share_sums=_mixed(b.share_sums, share, keep, s.share_spread, s),
    )
    return _settled(learnt, s)


def mature(b: Baseline, s: SurgeSettings) -> NDArray[np.bool_]:
    """(e,) whether enough covered hours were learnt to say what volume is usual."""
    return b.slot_hours.sum(axis=1) >= s.least_history_d * DAY_H


def _excess(count: Floats, mean: Floats, chance: Floats, s: SurgeSettings) -> Floats:
    """(e, 2) a day's variance beyond chance and its squared mean, by how much they tell: a window
    of less than a story says next to nothing about spread.
    """
    beyond = (count - mean) ** 2 - (1.0 + s.clumping) * chance
    typical = np.maximum(mean.mean(axis=1, keepdims=True), 1e-9)
    return np.stack([beyond.mean(axis=1), (mean**2).mean(axis=1)], axis=1) / (typical * (1 + typical))


def _mixed(sums: Floats, day: Floats | float, keep: float, prior: float, s: SurgeSettings) -> Floats:
    """Decay the sums towards their prior, so that its weight stays what it was, and add the day."""
    return sums * keep + day + (1.0 - keep) * s.spread_days * np.array([prior, 1.0])


def _settled(b: Baseline, s: SurgeSettings) -> Baseline:
    """Derive profile, rates and spreads from the sums."""
    prior_h, k = s.prior_stories / s.prior_rate_per_h, s.profile_stories
    total = s.prior_stories + b.slot_stories.sum(axis=1)
    rate = total / (prior_h + b.slot_hours @ b.shared)
    profile = b.shared * (b.slot_stories + k) / (b.slot_hours * b.shared * rate[:, None] + k)
    profile /= profile.mean(axis=1, keepdims=True)
    return replace(
        b,
        profile=profile,
        negative=s.prior_stories * s.prior_share + b.negative_sum,
        total=total,
        hours=prior_h + (b.slot_hours * profile).sum(axis=1),
        volume_spread=np.maximum(s.spread_floor, b.volume_sums[..., 0] / b.volume_sums[..., 1]),
        share_spread=np.maximum(s.spread_floor, b.share_sums[..., 0] / b.share_sums[..., 1]),
    )


def _clipped(
    counts: Floats, means: Floats, spread: Floats, known: NDArray[np.bool_], s: SurgeSettings
) -> Floats:
    """A day's hourly counts (e, 24), scaled to lie within three standard deviations as a day."""
    count, mean = counts.sum(axis=1), means.sum(axis=1)
    top = mean + 3.0 * np.sqrt(mean * (1.0 + s.clumping) + spread * mean**2) + 1.0
    return np.where(known, counts * np.minimum(1.0, top / np.maximum(count, 1e-9))[:, None], counts)
