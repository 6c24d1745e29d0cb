"""A version against the one that serves, on rows neither was shown: figures, pictures, the gate's word.

The challenger answers as it would be served, through an engine that loads its files. What it is asked
depends on what it serves as: one room each.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.inference.conf import InferenceSettings
from services.inference.local import LocalEngine
from services.training.dataset import Example
from services.training.order import Order, Watch
from services.training.recipes import Job, RecipeInfo
from services.training.verdict import Verdict

_ROOMS = {
    "classifier": "classifiers",
    "tagger": "taggers",
    "encoder": "retrieval",
    "reranker": "retrieval",
    "generator": "writers",
    "rewriter": "writers",
    "base": "writers",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged: the files in `made`, on `test`; `engine` answers with what is live."""

    order: Order
    recipe: RecipeInfo
    job: Job
    made: Path
    test: tuple[Example, ...]
    settings: InferenceSettings
    engine: LocalEngine
    against_live: bool = True

    def challenger(self, **settings: Any) -> LocalEngine:
        """An engine that serves the files; the caller closes it."""
        named = {"task_models": f"{self.order.task}={self.made}", "inference_url": "", **settings}
        return LocalEngine(self.settings.model_copy(update=named))


@dataclass(frozen=True, slots=True)
class Judged:
    """`metrics` flat and rounded, `intervals` (low, high) of some, `report` JSON for people."""

    metrics: Mapping[str, float]
    report: Mapping[str, Any]
    verdict: Verdict
    live_version: str = ""
    base_name: str = ""
    base_version: str = ""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def judge(case: Case, watch: Watch) -> Judged:
    """Figures and verdict. Raises what the engines raise."""
    room = importlib.import_module(f"services.training.judging.{_ROOMS[case.recipe.serves]}")
    judged: Judged = room.judge(case, watch)
    return judged


def told(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON, for `report["gate"]`."""
    return {
        "passed": verdict.passed,
        "gain": round(verdict.gain, 4),
        "low": round(verdict.low, 4),
        "high": round(verdict.high, 4),
        "n": verdict.n,
        "reasons": [{"code": r.code, "values": dict(r.values), "text": r.text()} for r in verdict.reasons],
        "classes": {
            label: {"change": round(c.change, 4), "low": round(c.low, 4), "high": round(c.high, 4), "n": c.n}
            for label, c in verdict.class_changes.items()
        },
    }
