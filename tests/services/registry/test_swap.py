"""A version that goes live under load soon answers, and no request is lost on the way.

How soon is printed and not asserted: it is a matter of what else the machine does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from services.inference.local import LocalEngine
from services.registry.store import ModelStore
from tests.services.inference.conftest import cpu_settings
from tests.services.inference.tiny_models import make_model
from tests.services.registry.stores import NOW, TASK, later, local_store

CALLERS = 8
PATIENCE_S = 60.0
LABELS = ("late", "lost", "other")


@dataclass(slots=True)
class Answers:
    """When each request was answered, and by which version; and what went wrong."""

    answered: list[tuple[float, str]] = field(default_factory=list)
    wrong: list[BaseException] = field(default_factory=list)

    def first_of(self, version: str, after: float) -> float | None:
        """Seconds until that version answered."""
        found = (at - after for at, said in list(self.answered) if at >= after and said == version)
        return next(found, None)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """v1 is live, v2 is there."""
    store = local_store(tmp_path)
    for seed in (1, 2):
        folder = make_model(tmp_path / f"v{seed}", "ForSequenceClassification", LABELS, seed=seed)
        store.add(TASK, f"v{seed}", folder)
    store.promote(TASK, "v1", NOW)
    return store


@pytest.fixture
def engine(store: ModelStore, tmp_path: Path) -> Iterator[LocalEngine]:  # type: ignore[override]
    engine = LocalEngine(cpu_settings(tmp_path / "models", inference_threads=1), store=store)
    engine.classify(TASK, [("the parcel is late", None)])
    yield engine
    engine.close()


def test_promoting_and_rolling_back_under_load_drops_no_request(
    store: ModelStore, engine: LocalEngine
) -> None:
    answers, stop = Answers(), threading.Event()

    def ask(caller: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            texts = [(f"the parcel {caller} of turn {turn} is late", None), ("Acme in Rome", "Acme")]
            try:
                scores = engine.classify(TASK, texts)
                assert scores.probs.shape == (2, 3)
                answers.answered.append((time.monotonic(), scores.version.split("-")[0]))
            except BaseException as error:
                answers.wrong.append(error)
            time.sleep(0.005)

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.5)
        for minute, (change, version) in enumerate(
            ((lambda at: store.promote(TASK, "v2", at), "v2"), (lambda at: store.roll_back(TASK, at), "v1"))
        ):
            changed = time.monotonic()
            change(later(minute))
            while answers.first_of(version, changed) is None and time.monotonic() < changed + PATIENCE_S:
                time.sleep(0.02)
            taken = answers.first_of(version, changed)
            assert taken is not None, f"{version} did not answer within {PATIENCE_S} s"
            print(f"{version} answered {taken:.2f} s after it went live; {len(answers.answered)} answers")
            time.sleep(0.3)
            swapped = time.monotonic()
            time.sleep(0.3)
            assert {said for at, said in list(answers.answered) if at > swapped} == {version}
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert answers.wrong == []
    assert not any(thread.is_alive() for thread in threads)
    assert {said for _, said in answers.answered} == {"v1", "v2"}
    assert len(answers.answered) > 100
