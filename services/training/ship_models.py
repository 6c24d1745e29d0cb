"""Rebuild the models that come with the product.

`python -m services.training.ship_models --data DIR [--only TASK,...] [--out FOLDER] [--seed N]`

DIR holds one folder a data set, each with a train.csv (text,entity,label). Only the sets named below are
read, because their licences let their weights be given on; their test.csv is never opened. Each model goes
through the same run as anybody's: split, recipe, judgement, lineage, card.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.errors import SuiteError
from services.registry.manifest import SHIPPED
from services.registry.store import ModelStore
from services.storage import Storage
from services.training.dataset import Example, Span, read_csv
from services.training.fine_tune import train
from services.training.order import NamedSet, Order, Outcome

SENTIMENT = ("negative", "neutral", "positive")
SETS = {"twitter": ("Twitter financial news", "MIT"), "sentfin": ("SEntFiN 1.0", "MIT")}


@dataclass(frozen=True, slots=True)
class Shipped:
    """A model that comes with the product: the order of its run, its sets, and how their rows are read."""

    order: Order
    sets: tuple[str, ...]
    read: Callable[[Sequence[Example]], tuple[Example, ...]] = tuple
    settings: Mapping[str, Any] = field(default_factory=dict)


def named_companies(examples: Sequence[Example]) -> tuple[Example, ...]:
    """One row a text, with a span wherever one of its companies is named."""
    companies: dict[str, set[str]] = {}
    for example in examples:
        if example.entity:
            companies.setdefault(example.text, set()).add(example.entity)
    found = []
    for text, names in companies.items():
        spans: list[Span] = []
        for name in sorted(names, key=len, reverse=True):
            start = text.find(name)
            while start >= 0:
                end = start + len(name)
                if not any(span.start < end and start < span.end for span in spans):
                    spans.append(Span(start, end, "company"))
                start = text.find(name, end)
        if spans:
            found.append(Example(text, spans=tuple(sorted(spans, key=lambda span: span.start))))
    return tuple(found)


MODELS = {
    "sentiment": Shipped(
        Order(
            task="sentiment",
            recipe="tuned_head",
            test_share=0.05,
            validation_share=0.04,
            parameters={
                "pretrain_epochs": 10.0,
                "joined_share": 0.6,
                "epochs": 5.0,
                "learning_rate": 3e-4,
                "layer_decay": 0.9,
                "lora_rank": 96,
            },
        ),
        ("twitter", "sentfin"),
    ),
    "company-tagger": Shipped(
        Order(
            task="company-tagger",
            recipe="token_classifier",
            test_share=0.1,
            validation_share=0.05,
            parameters={
                "epochs": 3.0,
                "learning_rate": 1e-3,
                "lora_rank": 16,
                "max_tokens": 96,
            },
        ),
        ("sentfin",),
        named_companies,
    ),
}
"""The shipped models by task."""


class Printed:
    """A Watch that writes lines as they come."""

    def stage(self, name: str) -> None:
        """A line."""
        sys.stdout.write(f"{name}\n")

    def progress(self, done: int, total: int) -> None:
        """Nothing: the curves say it."""

    def point(self, curve: str, step: int, value: float) -> None:
        """Evaluations only."""
        if curve.startswith("validation"):
            sys.stdout.write(f"  {curve} at step {step}: {value:.4f}\n")
            sys.stdout.flush()

    def line(self, text: str) -> None:
        """A line."""
        sys.stdout.write(f"  {text}\n")
        sys.stdout.flush()

    def stopped(self) -> bool:
        """Never."""
        return False


def main() -> int:
    """Parse, train, say what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=f"a folder with {', '.join(SETS)}")
    parser.add_argument("--only", default=",".join(MODELS), help="tasks, comma-separated")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="where the models go, a folder a task")
    parser.add_argument("--work", type=Path, help="a folder for checkpoints; the same one resumes a run")
    parser.add_argument("--seed", type=int, default=0, help="which examples are held out")
    args = parser.parse_args()
    tasks = [task.strip() for task in args.only.split(",") if task.strip()]
    if unknown := set(tasks) - set(MODELS):
        sys.stderr.write(f"--only: there is no {min(unknown)}; there are {', '.join(MODELS)}.\n")
        return 2
    try:
        for task in tasks:
            made = ship(task, args.data, args.out, args.seed, args.work)
            figures = ", ".join(f"{name} {value}" for name, value in made.metrics.items())
            sys.stdout.write(f"{made.version}: {figures}\n")
    except SuiteError as error:
        sys.stderr.write(f"{error.detail}\n")
        return 1
    return 0


def ship(task: str, data: Path, out: Path, seed: int = 0, work: Path | None = None) -> Outcome:
    """Train a shipped model and put it in `out`. Raises what `fine_tune.train` raises."""
    model = MODELS[task]
    sets = []
    for folder in model.sets:
        name, licence = SETS[folder]
        rows = read_csv(data / folder / "train.csv", SENTIMENT)
        sets.append(NamedSet(name, licence, tuple(replace(e, source=folder) for e in model.read(rows))))
    with tempfile.TemporaryDirectory() as made:
        store = ModelStore(Storage(str(Path(made) / "store"), Path(made) / "cache"))
        outcome = train(
            replace(model.order, seed=seed),
            sets,
            store=store,
            folder=(work or Path(made) / "work") / task,
            watch=Printed(),
            now=datetime.now(UTC),
            against_live=False,
        )
        fresh = out / f"{task}.part"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(store.open(task, outcome.version), fresh)
        shutil.rmtree(out / task, ignore_errors=True)
        fresh.rename(out / task)
    return outcome


if __name__ == "__main__":
    raise SystemExit(main())
