"""The volume side of the surge detector on real mention counts, which it was not made for.

`python -m benchmarks.volume --data DIR [--json FILE]`: DIR holds series (`NAME.csv`: timestamp,
value; UTC) of mentions per few minutes and `windows.json`, per NAME the spans in which something
happened (the shape of the Numenta Anomaly Benchmark's Twitter series).
Counts are summed to hours and watched by the product's detector and state machine from its first
day on; nothing is fitted to the windows, and the budget is the product's default.

Precision: alarms that lie in a window, among all. Recall: windows with an alarm, among all, also
those that begin before the detector has its first week. Delay: from the start of the window, which
in these data lies about half its length (17 to 40 hours) before the event it is drawn around.
Mentions swing more than news does: there is no floor for these figures.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.command import arguments, write
from benchmarks.surge import watch
from sentiment_monitor.baseline import DAY_H, Floats, History, SurgeSettings

Spans = list[tuple[float, float]]
Detector = Callable[[History], list[int]]


def hours_of(path: Path) -> History:
    """The series as one entity from the midnight before it begins; exposure: samples present."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [(_hours(row["timestamp"]), float(row["value"])) for row in csv.DictReader(file)]
    times, values = np.asarray(rows).T
    per_hour = round(1 / np.median(np.diff(times)))
    start = int(times[0] // DAY_H * DAY_H)
    column = times.astype(int) - start
    size = -(-(int(column[-1]) + 1) // DAY_H) * DAY_H
    present = np.bincount(column, minlength=size).astype(float) / per_hour
    total = np.bincount(column, values, size).astype(float)
    return History(start, np.zeros((1, size)), total[None, :], present.clip(0, 1)[None, :])


def _hours(stamp: str) -> float:
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp() / 3600


def detector(h: History) -> list[int]:
    _, volume, _ = watch(h, SurgeSettings(), begin=7 * DAY_H)
    return np.flatnonzero(volume[0]).tolist()


def mean3sd(h: History) -> list[int]:
    """Three-hour counts above mean + 3 sd of the last 28 days, one alarm in twelve hours."""
    count = np.convolve(h.total[0], np.ones(3))[: h.total.shape[1]]
    alarms: list[int] = []
    for hour in range(7 * DAY_H, len(count)):
        past = count[max(0, hour - 29 * DAY_H) : hour - DAY_H]
        calm = not alarms or hour - alarms[-1] > 12
        if calm and count[hour] > past.mean() + 3 * past.std():
            alarms.append(hour)
    return alarms


def measure(series: dict[str, History], windows: dict[str, Spans], detect: Detector) -> dict[str, float]:
    """An alarm is known at the end of its hour."""
    hits, delays, n_alarms, n_windows, found = 0, [], 0, 0, 0
    for name, h in series.items():
        ends: Floats = h.start_h + 1.0 + np.asarray(detect(h), dtype=float)
        spans = windows.get(name, [])
        hits += sum(any(a <= t <= b for a, b in spans) for t in ends)
        firsts = [min((t - a for t in ends if a <= t <= b), default=None) for a, b in spans]
        delays += [first for first in firsts if first is not None]
        n_alarms, n_windows, found = n_alarms + len(ends), n_windows + len(spans), len(delays)
    return {
        "precision": hits / n_alarms if n_alarms else 0.0,
        "recall": found / n_windows if n_windows else 0.0,
        "median_delay_min": float(np.median(delays) * 60) if delays else float("nan"),
        "alarms": float(n_alarms),
    }


def main() -> None:
    about = "Volume surges in real mention counts."
    args = arguments(about, "folder of NAME.csv and windows.json", "unused: nothing is random").parse_args()
    spans = json.loads((args.data / "windows.json").read_text(encoding="utf-8"))
    windows = {name: [(_hours(a), _hours(b)) for a, b in pairs] for name, pairs in spans.items()}
    series = {path.stem: hours_of(path) for path in sorted(args.data.glob("*.csv"))}
    print(f"{len(series)} series, {sum(len(windows.get(n, [])) for n in series)} windows")
    print(f"{'':24}{'precision':>10}{'recall':>8}{'delay':>10}{'alarms':>8}")
    results = {name: measure(series, windows, f) for name, f in PEERS.items()}
    for name, m in results.items():
        print(
            f"{name:24}{m['precision']:10.2f}{m['recall']:8.2f}"
            f"{m['median_delay_min']:6.0f} min{m['alarms']:8.0f}"
        )
    ours = results["this detector"]
    write(args.json, {key: ours[key] for key in ("precision", "recall", "median_delay_min")})


PEERS: dict[str, Detector] = {"this detector": detector, "mean + 3 sd": mean3sd}

if __name__ == "__main__":
    main()
