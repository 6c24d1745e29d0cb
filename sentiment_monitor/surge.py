"""Is the negative news about a company surging, beyond what its own history explains?

A window of 3, 12 or 24 hours is judged on its negative stories *given the others*: the others say
how busy the window is and raise the expectation. An earnings day (volume high, share not) is thus a
`volume_surge`; only more bad news than the bustle explains is a `negative_surge`.
One knob, the false-alarm budget of the whole watch-list, becomes the p-value at which to fire; a
looser one, with some calm hours, ends what has fired (hysteresis).

Decisions at hour t use hours <= t, and a baseline only days that ended a day earlier, so a surge
never raises its own bar. It counts stories, not copies, and does not know what they say: that is
for `rules` and `alerts`. Predictive tails: Gelman et al., Bayesian Data Analysis, 2.6-2.7.
Shapes: e entities, h hours, w windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sentiment_monitor.baseline import (
    DAY_H,
    WEEK_H,
    Baseline,
    Floats,
    History,
    SurgeSettings,
    hour_of_week,
    mature,
)

Kind = Literal["none", "negative_surge", "volume_surge"]
Level = Literal["no_data", "normal", "raised", "surge"]
Phase = Literal["normal", "firing", "recovering"]


@dataclass(frozen=True, slots=True)
class SurgeReading:
    """One entity at one hour; counts are of the window that surprises most."""

    kind: Kind
    level: Level
    p_value: float  # corrected for the number of windows
    window_h: int
    observed: float  # negative stories, for a volume surge all stories
    expected: float
    share: float  # negative among the window's stories
    baseline_share: float
    coverage: float  # 0..1, of the shortest window

    @property
    def score(self) -> float:
        """Surprise in decades: 3 is one chance in a thousand."""
        return float(-np.log10(max(self.p_value, 1e-300)))


@dataclass(frozen=True, slots=True)
class SurgeState:
    """Where one entity stands; `alarms` counts those raised so far."""

    phase: Phase = "normal"
    kind: Kind = "none"
    calm_h: int = 0
    firing_h: int = 0
    alarms: int = 0


@dataclass(frozen=True, slots=True)
class Scan:
    """Every window of every entity and hour: arrays (w, e, h), but for the last two."""

    tail_negative: Floats  # p-values; 1 where a gate is shut
    tail_volume: Floats
    negative: Floats
    total: Floats
    expected_negative: Floats
    expected_total: Floats
    share: Floats  # (e,) the baseline's
    coverage: Floats  # (e, h)
    settings: SurgeSettings

    def p_values(self, kind: Kind = "negative_surge") -> Floats:
        """(e, h), corrected for the number of windows (Bonferroni)."""
        tail = self.tail_volume if kind == "volume_surge" else self.tail_negative
        return np.minimum(1.0, tail.min(axis=0) * len(tail))

    def reading(self, entity: int, hour: int) -> SurgeReading:
        """The negative side speaks first; volume only where it reaches further."""
        at, s = (slice(None), entity, hour), self.settings
        fire, clear, n = fire_p(s), clear_p(s), len(s.windows_h)
        p_neg = min(1.0, n * float(self.tail_negative[at].min()))
        p_vol = min(1.0, n * float(self.tail_volume[at].min()))
        by_volume = p_vol <= fire < p_neg or p_vol <= clear < p_neg
        p = p_vol if by_volume else p_neg
        kind: Kind = "none" if p > clear else "volume_surge" if by_volume else "negative_surge"
        level: Level = "normal" if p > clear else "raised" if p > fire else "surge"
        coverage = float(self.coverage[entity, hour])
        if coverage < s.least_coverage:
            kind, level = "none", "no_data"
        observed = (self.total if by_volume else self.negative)[at]
        expected = (self.expected_total if by_volume else self.expected_negative)[at]
        w = int(np.argmin((self.tail_volume if by_volume else self.tail_negative)[at]))
        share = float(self.negative[at][w] / max(self.total[at][w], 1e-9))
        seen, due, usual = float(observed[w]), float(expected[w]), float(self.share[entity])
        return SurgeReading(kind, level, p, s.windows_h[w], seen, due, share, usual, coverage)


@cache
def fire_p(s: SurgeSettings) -> float:
    """The budget as a p-value per entity and hour: log-log through `calibration`, ends extended."""
    alarms, p = np.log(np.asarray(s.calibration)).T
    x = np.log(s.alarms_per_year / s.watched)
    k = int(np.clip(np.searchsorted(alarms, x), 1, len(alarms) - 1))
    slope = (p[k] - p[k - 1]) / (alarms[k] - alarms[k - 1])
    return float(min(np.exp(p[k] + slope * (x - alarms[k])), 0.5))


def clear_p(s: SurgeSettings) -> float:
    """Never stricter than firing, or an alarm would clear in the hour it fires."""
    return max(s.clear_p, fire_p(s))


def calibrated(
    s: SurgeSettings,
    peaks: Floats,
    entity_years: float,
    budgets: tuple[float, ...] = (0.5, 1.5, 5.0),
) -> SurgeSettings:
    """The settings with `calibration` measured by a backtest over time known to hold no surge.

    peaks: the lowest p-value of each episode, from `episode_peaks`; budgets: alarms per entity-year.
    Raises ValueError with fewer episodes than two of the budgets need.
    """
    lowest = np.sort(peaks)
    ranks = {b: round(b * entity_years) for b in budgets}
    pairs = tuple((b, float(lowest[r - 1])) for b, r in ranks.items() if 0 < r <= len(lowest))
    if len(pairs) < 2:
        raise ValueError(f"{len(lowest)} episodes in {entity_years:g} entity-years are too few")
    return replace(s, calibration=pairs)


def episode_peaks(p_values: Floats, s: SurgeSettings) -> Floats:
    """p_values: (h,) of one entity. The lowest of each episode; an episode ends after `recovery_h`
    hours above `clear_p`, so that those at or below p are the alarms that firing at p would raise.
    """
    low = np.flatnonzero(p_values <= clear_p(s))
    if not low.size:
        return np.empty(0)
    starts = np.flatnonzero(np.diff(low, prepend=-WEEK_H) > s.recovery_h)
    return np.minimum.reduceat(p_values[low], starts)


def scan(h: History, first: int, last: int, b: Baseline, s: SurgeSettings) -> Scan:
    """Judge columns first..last-1 of h, which must share one baseline (lie in one UTC day)."""
    from scipy.special import betainc

    start = max(0, first - DAY_H)
    cols, skip = slice(start, last), first - start
    covered = h.exposure[:, cols]
    due = b.profile[:, hour_of_week(h.start_h + start, last - start)] * covered
    n_neg, n_all, n_due, n_cov = (
        np.stack([_trailing(x, w)[:, skip:] for w in s.windows_h])
        for x in (
            h.negative[:, cols] * (covered > 0),
            h.total[:, cols] * (covered > 0),
            due,
            covered,
        )
    )
    gamma_neg, gamma_all, q = b.negative[:, None], b.total[:, None], (b.negative / b.total)[:, None]
    spread_all = 1.0 / gamma_all + b.volume_spread.T[:, :, None]
    grain, bustle = 1.0 + s.clumping, 1.0 / spread_all
    mean_all = gamma_all / b.hours[:, None] * np.maximum(n_due, 1e-6)
    others = (n_all - n_neg) / grain
    pace = (bustle + others) / (bustle + mean_all * (1.0 - q) / grain)  # posterior mean, Gamma
    mean_neg = q * mean_all * np.maximum(pace, 1.0)  # quiet elsewhere lowers no bar
    spread = 1.0 / gamma_neg + 1.0 / (bustle + others) + b.share_spread.T[:, :, None]
    tail_neg = _tail(n_neg, mean_neg, spread + s.clumping / mean_neg)
    tail_all = _tail(n_all, mean_all, spread_all + s.clumping / mean_all)
    lifted = np.minimum(s.share_lift * q, 0.99)
    certain = 1.0 - betainc(2 * q + n_neg, 2 * (1 - q) + n_all - n_neg, lifted)
    open_neg = (certain >= s.share_certainty) & _enough(n_neg, mean_neg, s)
    return Scan(
        np.where(open_neg, tail_neg, 1.0),
        np.where(_enough(n_all, mean_all, s) & mature(b, s)[:, None], tail_all, 1.0),
        n_neg, n_all, mean_neg, mean_all, q[:, 0], n_cov[0] / s.windows_h[0], s,
    )  # fmt: skip


def evaluate(h: History, now_index: int, b: Baseline, s: SurgeSettings, entity: int = 0) -> SurgeReading:
    """The reading of one entity at one hour, from the 24 hours that end there."""
    return scan(h, now_index, now_index + 1, b, s).reading(entity, 0)


def advance(state: SurgeState, reading: SurgeReading, s: SurgeSettings) -> SurgeState:
    """One hour on. No data neither fires nor recovers; volume that turns negative alarms again."""
    if reading.level == "no_data":
        return state
    if reading.level == "surge" and (
        state.phase == "normal" or (state.kind, reading.kind) == ("volume_surge", "negative_surge")
    ):
        return SurgeState("firing", reading.kind, 0, 1, state.alarms + 1)
    if state.phase == "normal":
        return state
    calm = reading.level == "normal" or reading.kind != state.kind
    calm_h = state.calm_h + 1 if calm else 0
    if calm_h >= s.recovery_h:
        return SurgeState(alarms=state.alarms)
    phase: Phase = "recovering" if calm else "firing"
    return replace(state, phase=phase, calm_h=calm_h, firing_h=state.firing_h + 1)


def freezes(state: SurgeState, s: SurgeSettings) -> bool:
    """Whether the hour stays out of the baseline; a surge that never ends is the new normal."""
    return state.phase != "normal" and state.firing_h <= s.longest_freeze_h


def _tail(count: Floats, mean: Floats, spread: Floats) -> Floats:
    """Mid-p upper tail of the negative binomial with variance mean + spread * mean^2."""
    from scipy.special import betainc

    shape = 1.0 / spread
    q = mean / (shape + mean)
    at_least = np.where(count > 0, betainc(np.maximum(count, 1e-9), shape, q), 1.0)
    return 0.5 * (at_least + betainc(count + 1.0, shape, q))


def _enough(count: Floats, mean: Floats, s: SurgeSettings) -> NDArray[np.bool_]:
    return (count >= s.least_ratio * mean) & (count >= s.least_stories)


def _trailing(x: Floats, window: int) -> Floats:
    """Sum of the last `window` columns up to each; fewer at the start."""
    sums = np.cumsum(x, axis=1)
    sums[:, window:] = sums[:, window:] - sums[:, :-window]
    return sums
