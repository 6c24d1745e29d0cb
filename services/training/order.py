"""What a training run is asked to do, what it says while it goes on, and what comes out: plain values.

Everything that starts a run (console, command line, schedule, test) fills in an Order; everything that
shows one reads a Watch's calls and an Outcome. Knows no recipe and no row of a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from services.errors import Conflict
from services.training.dataset import Example

SplitKind = Literal["stratified", "time", "group"]


class Cancelled(Conflict):
    """A person stopped the run; what it had learned until its last checkpoint is kept."""

    code = "cancelled"
    title = "The run was stopped"


@dataclass(frozen=True, slots=True)
class NamedSet:
    """Examples with the name and the licence of where they come from."""

    name: str
    licence: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """A run to do. The same order on the same examples makes the same split.

    `parameters` are the recipe's own; those left out have its defaults. `test_share` and
    `validation_share` are shares of all examples, 0 to 1. `least_gain` and `class_margin` are the gate's,
    as differences of the metric. `shuffle_labels` makes a control run, which the gate must refuse. `trials`
    is how many settings are tried on the validation part first; the best is then trained.
    """

    task: str
    recipe: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
    split: SplitKind = "stratified"
    test_share: float = 0.15
    validation_share: float = 0.1
    seed: int = 0
    least_gain: float = 0.0
    class_margin: float = 0.03
    shuffle_labels: bool = False
    languages: tuple[str, ...] = ("en",)
    trials: int = 0


class Watch(Protocol):
    """Where a run tells how it goes. Called from the run's own thread, a few times a second at most."""

    def stage(self, name: str) -> None:
        """What begins now: split, search, train, calibrate, evaluate, baseline, gate, register."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Steps of the present stage."""
        ...

    def point(self, curve: str, step: int, value: float) -> None:
        """One more point of a curve: loss, learning_rate, validation_loss, validation_macro_f1."""
        ...

    def line(self, text: str) -> None:
        """One more line of the run's log."""
        ...

    def stopped(self) -> bool:
        """Whether the run is to end now; asked at every step. The run then raises Cancelled."""
        ...


class Silent:
    """A Watch that nobody looks at."""

    def stage(self, name: str) -> None:
        """Nothing."""

    def progress(self, done: int, total: int) -> None:
        """Nothing."""

    def point(self, curve: str, step: int, value: float) -> None:
        """Nothing."""

    def line(self, text: str) -> None:
        """Nothing."""

    def stopped(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: the version (in the store, not live), its figures, and what the gate says of it.

    `metrics` are flat and rounded. `report` is JSON for people: per_class, confusion, reliability, slices,
    baseline, live, robustness, gate. `passed` says whether the gate lets it be promoted, `reasons` why (not).
    """

    version: str
    metrics: Mapping[str, float]
    report: Mapping[str, Any]
    passed: bool
    reasons: tuple[str, ...]
