"""What does each protection against over-fitting gain, on rows held out of training?

`python -m benchmarks.protections --data DIR [--only NAME,...] [--epochs N] [--json FILE] [--seed N]`

DIR holds train.csv (text,entity,label). A fifth of it, copies kept together, is held out and judged on;
test.csv is not opened. The plain recipe and the same with one protection more are fitted on the rest; the
gain in macro F1 over the plain one has its 95 % interval by the paired bootstrap. One run each: the seed's
own luck, of about the width of the interval, is in every figure.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, conditions, engine_threads, serving_engine, write
from benchmarks.sentiment import fitted
from sentiment_monitor.scoring import LABELS, score
from services.inference.engine import Engine
from services.training import gate
from services.training.dataset import Example, read_csv
from services.training.evaluation import evaluate
from services.training.splitting import held_out

JUDGED, STEERS = 0.2, 0.1
"""Shares of train.csv that are judged on, and of the rest that calibrate."""
PLAIN: dict[str, Any] = {
    "layer_decay": 1.0,
    "rare_class_power": 0.0,
    "weight_decay": 0.0,
    "joined_share": 0.0,
    "words": False,
    "members": 1,
    "pretrain_epochs": 0.0,
}
PROTECTIONS: dict[str, dict[str, Any]] = {
    "rare classes weighed": {"rare_class_power": 0.5},
    "layer-wise rates": {"layer_decay": 0.8},
    "weight decay": {"weight_decay": 0.05},
    "label smoothing": {"label_smoothing": 0.1},
    "dropout": {"dropout": 0.1},
    "FGM": {"fgm": 1.0},
    "reworded copies": {"augment_share": 0.5},
    "joined headlines": {"joined_share": 0.2},
    "words beside": {"words": True},
    "masked words first": {"pretrain_epochs": 6.0},
    "ensemble distilled": {"members": 3},
}


def main() -> None:
    """Parse, fit, judge, print, write."""
    parser = arguments(__doc__, "a folder with train.csv", "which rows are held out, and the weights' start")
    parser.add_argument(
        "--only", type=chosen, default=",".join(PROTECTIONS), help="protections, comma-separated"
    )
    parser.add_argument("--epochs", type=float, default=3.0, help="how often each row is seen")
    args = parser.parse_args()
    with serving_engine() as engine:
        for metrics in run(args.data, args.only, args.epochs, args.seed, engine):
            write(args.json, metrics)  # after each line: a run that is broken off leaves what it had


def chosen(names: str) -> dict[str, dict[str, Any]]:
    """The protections of these names. Raises ArgumentTypeError, with those there are, for any other name."""
    asked = [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in PROTECTIONS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of: {', '.join(PROTECTIONS)}")
    return {name: PROTECTIONS[name] for name in asked}


def run(
    data: Path, protections: Mapping[str, Mapping[str, Any]], epochs: float, seed: int, engine: Engine
) -> Iterator[dict[str, Any]]:
    """The figures so far, after each line, which is printed as it comes."""
    rows = read_csv(data / "train.csv", LABELS)
    out = held_out([row.text for row in rows], JUDGED, seed)
    judged = [row for row, held in zip(rows, out, strict=True) if held]
    learned = [row for row, held in zip(rows, out, strict=True) if not held]
    truth = np.array([LABELS.index(row.label) for row in judged], np.int64)
    print(f"{len(learned)} rows to learn from, {len(judged)} to judge on, {epochs:g} epochs")
    print(f"{'':24}{'macro_f1':>10}{'gain':>9}{'95 % interval':>20}{'ece':>8}{'seconds':>9}", flush=True)
    plain, found = None, {}
    for name, more in {"plain": {}, **protections}.items():
        started = time.perf_counter()
        pace = {"epochs": epochs, "distil_epochs": epochs}
        probs = answers(learned, judged, {**PLAIN, **more, **pace}, seed, engine)
        plain = probs if plain is None else plain
        told = evaluate(probs, truth, LABELS)
        verdict = gate.judge(probs, plain, truth, LABELS, seed=seed)
        found[name] = {
            "macro_f1": round(told.macro_f1, 4),
            "gain": round(verdict.gain, 4),
            "low": round(verdict.low, 4),
            "high": round(verdict.high, 4),
            "ece": round(told.ece, 4),
            "seconds": round(time.perf_counter() - started, 1),
        }
        line = found[name]
        interval = f"{line['low']:+.4f} to {line['high']:+.4f}"
        print(
            f"{name:24}{line['macro_f1']:10.4f}{line['gain']:+9.4f}{interval:>20}{line['ece']:8.3f}"
            f"{line['seconds']:9.0f}",
            flush=True,
        )
        flat = {
            f"{name.replace(' ', '_')}_{key}": value
            for name, line in found.items()
            for key, value in line.items()
        }
        told_of = {"rows": len(judged), "learned": len(learned), "epochs": epochs, "seed": seed}
        yield {**flat, **told_of, **conditions(engine_threads())}


def answers(
    learned: Sequence[Example],
    judged: Sequence[Example],
    parameters: Mapping[str, Any],
    seed: int,
    engine: Engine,
) -> NDArray[np.float32]:
    """What the recipe with these parameters says of the held-out rows."""
    steers = held_out([row.text for row in learned], STEERS, seed + 1)
    with fitted(learned, steers, parameters, seed, engine) as with_it:
        return score([(row.text, row.entity) for row in judged], with_it).probs


if __name__ == "__main__":
    main()
