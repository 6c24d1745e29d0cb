"""Does the monitor warn of a surge of bad news in time, and how often for nothing?

`python -m benchmarks.surge [--seed N] [--json FILE]`: 240 simulated companies, a year of hourly news each
after eight weeks to learn from, are watched by the product's own detector and state machine, hour by hour.

Base rates are *negative stories an hour*, 0.2 / 1 / 4 / 16, in coverage that is 22 % negative (0.9
to 73 stories an hour in all); what the news is like else is told in `benchmarks.surge_news`.
Per day the bar could be met by nobody: eight times 0.2 a day leaves one surge in five without a
single story (1 - exp(-1.6) = 0.80). `--per day` shows that reading, `--of all` the one in which the
base rate counts all stories.
A surge counts as found if an alarm is raised within its 24 hours; an alarm before it, or more than
48 hours after its start, is false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.command import arguments, write
from benchmarks.surge_news import (
    NEGATIVE,
    SURGE_H,
    WARM_H,
    YEAR_H,
    Bools,
    News,
    aftermath,
    news,
    recent,
)
from sentiment_monitor.baseline import (
    DAY_H,
    Floats,
    History,
    SurgeSettings,
    fresh,
    learn,
    shared_profile,
)
from sentiment_monitor.surge import (
    SurgeState,
    advance,
    calibrated,
    episode_peaks,
    fire_p,
    freezes,
    scan,
)

BASES = (0.2, 1.0, 4.0, 16.0)
BUDGET = 1.25  # false alarms asked for, per entity and year


def watch(h: History, s: SurgeSettings, begin: int) -> tuple[Bools, Bools, Floats]:
    """The product on a virtual clock: hours of negative and of volume alarms, p-values; (e, h).

    h begins at a midnight; up to column `begin` there is only learning.
    """
    n, hours = h.total.shape
    shared = shared_profile(_columns(h, 0, begin))
    b, states, frozen = fresh(n, s, shared), [SurgeState()] * n, np.zeros((n, hours), bool)
    alarms = {"negative_surge": np.zeros((n, hours), bool), "volume_surge": np.zeros((n, hours), bool)}
    p_values, fire = np.ones((n, hours)), fire_p(s)
    for today in range(2 * DAY_H, hours - DAY_H + 1, DAY_H):
        day = _columns(h, today - 2 * DAY_H, today - DAY_H)
        b = learn(b, replace(day, exposure=day.exposure * ~frozen[:, today - 48 : today - 24]), s)
        if today < begin:
            continue
        seen = scan(h, today, today + DAY_H, b, s)
        negative, volume = seen.p_values(), seen.p_values("volume_surge")
        p_values[:, today : today + DAY_H] = np.where(seen.coverage < s.least_coverage, 1.0, negative)
        loud = np.minimum(negative, volume) <= fire
        for e in range(n):
            for hour in range(DAY_H):
                if states[e].phase == "normal" and not loud[e, hour]:
                    continue
                after = advance(states[e], seen.reading(e, hour), s)
                if after.alarms > states[e].alarms:
                    alarms[after.kind][e, today + hour] = True
                states[e], frozen[e, today + hour] = after, freezes(after, s)
    return alarms["negative_surge"], alarms["volume_surge"], p_values


def _columns(h: History, first: int, last: int) -> History:
    cols = slice(first, last)
    return History(h.start_h + first, h.negative[:, cols], h.total[:, cols], h.exposure[:, cols])


@dataclass(frozen=True, slots=True)
class Score:
    recall: dict[float, float]
    delay_h: float
    false_per_year: dict[float, float]

    @property
    def mean_recall(self) -> float:
        return float(np.mean(list(self.recall.values())))

    @property
    def false_alarms(self) -> float:
        return float(np.mean(list(self.false_per_year.values())))


def score(alarms: Bools, world: News) -> Score:
    """An alarm in a surge's first hour has a delay of one hour: it ends with that hour's news."""
    entity, start = np.nonzero(world.surges)
    window = alarms[entity[:, None], start[:, None] + np.arange(SURGE_H)]
    found, delay = window.any(axis=1), window.argmax(axis=1) + 1
    clean = ~aftermath(world)
    clean[:, :WARM_H] = False
    rate = YEAR_H * (alarms & clean).sum(axis=1) / clean.sum(axis=1)
    return Score(
        {g: float(found[world.base[entity] == g].mean()) for g in BASES},
        float(np.median(delay[found])) if found.any() else float("nan"),
        {g: float(rate[world.base == g].mean()) for g in BASES},
    )


def within_a_day(alarms: Bools, world: News) -> float:
    """The part of the earnings days, away from surges, on which one of the alarms was raised."""
    known = np.arange(alarms.shape[1]) >= WARM_H
    known[-DAY_H:] = False
    entity, start = np.nonzero(world.bursts & ~aftermath(world) & known)
    return float(alarms[entity[:, None], start[:, None] + np.arange(DAY_H)].any(axis=1).mean())


def mean3sd(world: News, recall: float) -> tuple[Score, Score, float]:
    """The usual rule: count above mean + k sd of the last 28 days, one alarm an episode.

    Returns it at k = 3 and at the k and window (3, 12 or 24 h) that reach `recall` with the fewest
    false alarms (or come nearest to it), with that k.
    """
    h, past = world.stories, 28 * DAY_H
    scores: list[tuple[Score, float]] = []
    for window in (3, 12, 24):
        count = recent(h.negative, window)
        mean, square = (_lagged_mean(x, past) for x in (count, count**2))
        z = (count - mean) / np.sqrt(np.maximum(square - mean**2, 1e-9))
        z[:, :WARM_H] = -np.inf
        for k in np.arange(0.5, 8.01, 0.25):
            above = z > k
            scores.append((score(above & (recent(above, 13) == 1), world), float(k)))
    at_three = min((s for s, k in scores if k == 3.0), key=lambda s: s.false_alarms)
    reach = [x for x in scores if x[0].mean_recall >= recall]
    equal = min(reach, key=lambda x: x[0].false_alarms) if reach else max(
        scores, key=lambda x: x[0].mean_recall)  # fmt: skip
    return at_three, equal[0], equal[1]


def _lagged_mean(x: Floats, past: int) -> Floats:
    """Mean of `past` columns that ended a day earlier."""
    sums = np.cumsum(x, axis=1)
    out = np.zeros_like(x)
    out[:, past + DAY_H :] = (sums[:, past:-DAY_H] - sums[:, : -past - DAY_H]) / past
    return out


def calibration(world: News, p_values: Floats, s: SurgeSettings) -> tuple[tuple[float, float], ...]:
    """(alarms per entity-year, p-value) pairs for `SurgeSettings.calibration`, outside the surges."""
    clean = ~aftermath(world)[:, WARM_H:]
    quiet = np.where(clean, p_values[:, WARM_H:], 1.0)
    peaks = np.concatenate([episode_peaks(row, s) for row in quiet])
    years = clean.sum() / YEAR_H
    return calibrated(s, peaks, years, (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)).calibration


def run(seed: int, per: str, of: str, entities: int, calibrate: bool) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    base = np.repeat(BASES, entities)
    negative = base * (NEGATIVE if of == "all" else 1.0) / (DAY_H if per == "day" else 1)
    world = news(rng, base, negative, WARM_H + YEAR_H // DAY_H * DAY_H)
    s = SurgeSettings(alarms_per_year=BUDGET * len(base), watched=len(base))
    raised, volume, p_values = watch(world.stories, s, WARM_H)
    if calibrate:
        print("calibration:", [(a, float(f"{p:.2g}")) for a, p in calibration(world, p_values, s)])
    ours = score(raised, world)
    copies = score(watch(world.articles, s, WARM_H)[0], world)
    at_three, equal, k = mean3sd(world, ours.mean_recall)
    reached = equal.mean_recall >= ours.mean_recall
    print(f"base rate: {of} stories per {per}; seed {seed}; {world.surges.sum()} surges")
    print(f"asked for {BUDGET:g} false alarms per entity-year: fires at p {fire_p(s):.1e}")
    table = {
        "this detector, stories": ours,
        "this detector, every copy counted": copies,
        "mean + 3 sd": at_three,
        f"mean + {k:g} sd ({'equal' if reached else 'its best'} recall)": equal,
    }
    print(f"{'':34}{'recall at base rate':^32}{'mean':>7}{'delay':>8}{'false/yr':>10}")
    for name, x in table.items():
        cells = "".join(f"{r:8.3f}" for r in x.recall.values())
        print(f"{name:34}{cells}{x.mean_recall:7.3f}{x.delay_h:6.0f} h{x.false_alarms:10.2f}")
    print("false alarms by base rate:", {g: round(f, 2) for g, f in ours.false_per_year.items()})
    as_volume, as_negative = (within_a_day(x, world) for x in (volume, raised))
    print(f"earnings days: {as_volume:.0%} raised as volume surges, {as_negative:.0%} mistaken for bad news")
    named = {f"recall_base_{g:g}".replace(".", "_"): r for g, r in ours.recall.items()}
    return named | {
        "recall_mean": ours.mean_recall,
        "delay_h_median": ours.delay_h,
        "false_alarms_per_entity_year": ours.false_alarms,
        "article_count_false_alarms": copies.false_alarms,
        "mean3sd_false_alarms": equal.false_alarms,
    }


def main() -> None:
    about = "Recall, delay and false alarms of the surge detector."
    parser = arguments(about, "ignored: the news is simulated", required=False)
    parser.add_argument("--per", choices=("hour", "day"), default="hour", help="unit of the base rates")
    parser.add_argument("--of", choices=("negative", "all"), default="negative", help="what they count")
    parser.add_argument("--entities", type=int, default=60, help="companies at each base rate")
    parser.add_argument("--calibrate", action="store_true", help="print the budget's p-values")
    args = parser.parse_args()
    metrics = run(args.seed, args.per, args.of, args.entities, args.calibrate)
    write(args.json, metrics)


if __name__ == "__main__":
    main()
