"""A process that scores a file until it is done or killed: `python -m tests.services.training.scoring_child
IN OUT`, with an engine that takes its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from services.inference.fake import FakeEngine
from services.inference.values import ClassScores, Pair
from services.training.batch_scoring import file_rows, score


def main() -> None:
    """As the module says; prints a line when it is ready."""
    source, folder = map(Path, sys.argv[1:3])
    engine = FakeEngine()

    def classify(pairs: Sequence[Pair]) -> ClassScores:
        time.sleep(0.01)
        return engine.classify("topics", pairs)

    print("ready", flush=True)
    score(file_rows(source), classify, folder, about="the rows", chunk=64)


if __name__ == "__main__":
    main()
