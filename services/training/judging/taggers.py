"""A tagger against the live one: names found exactly, with their kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.errors import ModelUnavailable, SuiteError
from services.inference.local import LocalEngine
from services.inference.values import Priority
from services.training import gate
from services.training.dataset import Example
from services.training.judging import Case, Judged, told
from services.training.order import Watch

Found = set[tuple[int, int, str]]


def judge(case: Case, watch: Watch) -> Judged:
    """Precision, recall and F1 of names; the gate compares each text's F1, for want of anything live with the
    most frequent names of the training part looked up."""
    engine = case.challenger()
    try:
        ours, _ = found_by(engine, case.order.task, case.test)
    finally:
        engine.close()
    truth = [{(s.start, s.end, s.label) for s in e.spans} for e in case.test]
    watch.stage("baseline")
    looked_up = lookup(case.job.train, case.test)
    try:
        if not case.against_live:
            raise ModelUnavailable("Nothing serves yet.")
        live, live_version = found_by(case.engine, case.order.task, case.test)
    except SuiteError as error:
        watch.line(f"Nothing to compare with: {error.detail}")
        live, live_version = None, ""
    watch.stage("gate")
    against = looked_up if live is None else live
    verdict = gate.judge_scores(
        per_text(ours, truth),
        per_text(against, truth),
        least_gain=case.order.least_gain,
        seed=case.order.seed,
    )
    metrics = figures(ours, truth)
    report = {
        "metrics": metrics,
        "baseline": figures(looked_up, truth),
        "live": None if live is None else figures(live, truth),
        "live_version": live_version,
        "per_class": [
            {"label": label, **figures(_only(ours, label), _only(truth, label))} for label in case.job.labels
        ],
        "labels": list(case.job.labels),
        "gate": told(verdict),
    }
    base = case.engine.encoder()
    shown = {**metrics, "baseline_f1": figures(looked_up, truth)["f1"]}
    return Judged(shown, report, verdict, live_version, base.name, base.version)


def found_by(engine: LocalEngine, task: str, examples: Sequence[Example]) -> tuple[list[Found], str]:
    """What a tagger finds in each text, and its version."""
    answered = engine.tag(task, [e.text for e in examples], priority=Priority.BATCH)
    return [{(e.start, e.end, e.label) for e in one} for one in answered.entities], answered.version


def lookup(train: Sequence[Example], test: Sequence[Example]) -> list[Found]:
    """The baseline: names that the training part marks, wherever they stand in a text."""
    names = Counter((e.text[s.start : s.end], s.label) for e in train for s in e.spans)
    found: list[Found] = []
    for example in test:
        here: Found = set()
        for (name, label), _ in sorted(names.items(), key=lambda item: -len(item[0][0])):
            start = example.text.find(name)
            end = start + len(name)
            if start >= 0 and not any(s < end and start < e for s, e, _ in here):
                here.add((start, end, label))
        found.append(here)
    return found


def figures(said: Sequence[Found], truth: Sequence[Found]) -> dict[str, float]:
    """precision, recall and F1 over all names of all texts; `rows` texts."""
    hits = sum(len(a & b) for a, b in zip(said, truth, strict=True))
    given, wanted = sum(map(len, said)), sum(map(len, truth))
    precision, recall = hits / max(1, given), hits / max(1, wanted)
    return {
        "rows": float(len(truth)),
        "names": float(wanted),
        "precision": round(precision, 4),
        "recall": round(recall, 4),
        "f1": round(2 * hits / max(1, given + wanted), 4),
    }


def per_text(said: Sequence[Found], truth: Sequence[Found]) -> NDArray[np.float64]:
    """Each text's F1; 1 where there is nothing to find and nothing was found."""
    return np.array(
        [
            1.0 if not a and not b else 2 * len(a & b) / (len(a) + len(b))
            for a, b in zip(said, truth, strict=True)
        ]
    )


def _only(found: Sequence[Found], label: str) -> list[Found]:
    return [{one for one in names if one[2] == label} for names in found]
