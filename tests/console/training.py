"""Small stand-ins for a training run, and rows to train on: for tests of everything around the training."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from services.console.datasets import row_of
from services.console.models import Dataset
from services.errors import InvalidInput
from services.registry.store import ModelStore
from services.training.dataset import Example
from services.training.order import Cancelled, NamedSet, Order, Outcome, Watch

LABELS = ("negative", "neutral", "positive")
REPORT = {
    "labels": list(LABELS),
    "metrics": {"macro_f1": 0.81, "accuracy": 0.84, "ece": 0.03},
    "per_class": [
        {"label": label, "precision": 0.8, "recall": 0.82, "f1": 0.81, "support": 20} for label in LABELS
    ],
    "confusion": [[16, 3, 1], [2, 17, 1], [0, 2, 18]],
    "reliability": [{"from": 0.8, "to": 0.9, "n": 40, "confidence": 0.85, "accuracy": 0.83}],
    "slices": [
        {
            "by": "language",
            "value": "en",
            "n": 60,
            "accuracy": 0.84,
            "macro_f1": 0.81,
            "low": 0.7,
            "high": 0.9,
        }
    ],
    "baseline": {"macro_f1": 0.7, "accuracy": 0.75},
}


def make_dataset(name: str = "Headlines", rows: int = 30, task: str = "sentiment") -> Dataset:
    """A data set with labelled rows, ten of a label in turn."""
    dataset = Dataset.objects.create(
        name=name, task=task, labels=list(LABELS), licence="CC0-1.0", languages=["en"]
    )
    words = ("losses widen", "shares were unchanged", "profit rises")
    for n in range(rows):
        example = Example(f"Firm {n} says {words[n % 3]} in quarter {n}", label=LABELS[n % 3])
        row_of(dataset, n + 1, example, "labelled").save()
    return dataset


def stand_in(
    order: Order,
    sets: Sequence[NamedSet],
    *,
    store: ModelStore,
    folder: Path,
    watch: Watch,
    now: datetime,
) -> Outcome:
    """Counts steps instead of learning, keeps a checkpoint every step, and adds a version that holds nothing.

    Parameters: `steps`, `step_s` (seconds a step), `deaf` (never looks whether it is to stop), `fails`.
    """
    steps, step_s = int(order.parameters.get("steps", 3)), float(order.parameters.get("step_s", 0.0))
    checkpoint = folder / "checkpoint.json"
    done = json.loads(checkpoint.read_text())["done"] if checkpoint.exists() else 0
    watch.line(f"{sum(len(s.examples) for s in sets)} examples; going on from step {done}")
    watch.stage("train")
    for step in range(done + 1, steps + 1):
        if watch.stopped() and not order.parameters.get("deaf"):
            raise Cancelled
        if order.parameters.get("fails"):
            raise InvalidInput("One class only.", field="label")
        time.sleep(step_s)
        watch.point("loss", step, 2.0 / step)
        watch.progress(step, steps)
        checkpoint.write_text(json.dumps({"done": step}))
    version = f"v{now:%Y%m%d%H%M%S%f}"
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "weights.safetensors").write_bytes(b"nothing")
        store.add(order.task, version, Path(made))
    passed = not order.shuffle_labels
    reason = "The gain is 0.04 (0.01 to 0.07)." if passed else "It is no better than chance."
    return Outcome(version, REPORT["metrics"], REPORT, passed, (reason,))  # type: ignore[arg-type]
