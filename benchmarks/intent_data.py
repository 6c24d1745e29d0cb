"""The files of an intent benchmark: what is learned, what is asked, and what lies outside."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.errors import InvalidInput

Rows = Sequence[tuple[str, str]]
"""(text, label) of each."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a folder holds; the last two may be empty."""

    train: Rows
    test: Rows
    oos_train: tuple[str, ...]
    oos_test: tuple[str, ...]


def read(data: Path) -> Parts:
    """The files of a folder. Raises InvalidInput when train.csv or test.csv is missing or lacks a column."""
    oos = [
        [text for text, _ in rows_of(data / f"oos_{part}.csv", needed=False)] for part in ("train", "test")
    ]
    return Parts(rows_of(data / "train.csv"), rows_of(data / "test.csv"), tuple(oos[0]), tuple(oos[1]))


def rows_of(path: Path, *, needed: bool = True) -> Rows:
    """(text, label) of a CSV file with those columns; nothing when it is not there and not needed."""
    if not path.is_file():
        if needed:
            raise InvalidInput(f"{path.name} is not in the folder.", field="data")
        return ()
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        wanted = {"text", "label"} if needed else {"text"}
        if missing := wanted - set(reader.fieldnames or ()):
            raise InvalidInput(f"{path.name} lacks the column {min(missing)}.", field="data")
        return [
            (line["text"].strip(), (line.get("label") or "").strip())
            for line in reader
            if line["text"].strip()
        ]


def drawn(train: Rows, shots: int, seed: int) -> Rows:
    """`shots` rows of each label, or all when there are fewer; the whole when `shots` is 0."""
    if not shots:
        return train
    of_label: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for text, label in train:
        of_label[label].append((text, label))
    rng = np.random.default_rng(seed)
    return [mine[i] for _, mine in sorted(of_label.items()) for i in rng.permutation(len(mine))[:shots]]
