"""A classifier against the live one, a TF-IDF baseline, typos and other wordings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import SuiteError
from services.inference.local import LocalEngine
from services.inference.open_set import OUTSIDE
from services.inference.values import ClassScores, Pair, Priority
from services.training import baselines, gate
from services.training.dataset import Example
from services.training.evaluation import columns_of
from services.training.evaluation import report as one_of_several
from services.training.judging import Case, Judged, told
from services.training.multi_label import report_multi, truths
from services.training.order import Cancelled, Watch
from services.training.robustness import robustness

Floats = NDArray[np.float32]
_CHUNK = 512
_ROBUST_ROWS = 300


def judge(case: Case, watch: Watch) -> Judged:
    """Figures and verdict; labels that exclude one another, or several a text."""
    labels, test = case.job.labels, case.test
    many = any(example.labels for example in (*case.job.train, *test))
    truth = truth_of(test, labels, many)
    columns = columns_of(test)

    def told_of(found: Floats) -> dict[str, Any]:
        return (report_multi if many else one_of_several)(found, truth, labels, columns)

    with_challenger = case.challenger()
    try:
        answered = _asked(with_challenger, case.order.task, test, watch)
        probs = _aligned(answered, labels)
        watch.stage("baseline")
        learned = (*case.job.train, *case.job.validation)
        plain = (baselines.tfidf_multi if many else baselines.tfidf)(learned, test, labels)
        live, live_version = _live(case, watch)
        report = told_of(probs)
        if not many:
            report["robustness"] = robustness(
                lambda pairs: _aligned(with_challenger.classify(case.order.task, pairs), labels),
                test[:_ROBUST_ROWS],
                truth[:_ROBUST_ROWS],
                labels,
                case.order.seed,
            )
    finally:
        with_challenger.close()
    watch.stage("gate")
    verdict = gate.judge(
        probs,
        live,
        truth,
        labels,
        baseline=plain,
        metric="micro_f1" if many else "macro_f1",
        least_gain=case.order.least_gain,
        class_margin=case.order.class_margin,
        seed=case.order.seed,
    )
    report["baseline"] = told_of(plain)["metrics"]
    report["live"] = None if live is None else told_of(live)["metrics"]
    report["live_version"] = live_version
    report["gate"] = told(verdict)
    metrics = dict(report["metrics"])
    metrics |= {f"baseline_{name}": report["baseline"][name] for name in _shown(report["baseline"])}
    base = case.engine.encoder()
    return Judged(metrics, report, verdict, live_version, base.name, base.version)


def truth_of(examples: Sequence[Example], labels: Sequence[str], many: bool) -> Any:
    """int64 (n,) of labels that exclude one another, else bool (n, n_labels)."""
    if many:
        return truths([example.labels for example in examples], labels)
    return np.array([labels.index(example.label) for example in examples], np.int64)


def _live(case: Case, watch: Watch) -> tuple[Floats | None, str]:
    """What serves now says of the same rows; nothing when nothing serves or it knows other labels."""
    if not case.against_live:
        return None, ""
    try:
        answered = _asked(case.engine, case.order.task, case.test, watch)
    except SuiteError as error:
        if isinstance(error, Cancelled):
            raise
        watch.line(f"Nothing to compare with: {error.detail}")
        return None, ""
    if set(answered.labels) - {OUTSIDE} != set(case.job.labels) - {OUTSIDE}:
        watch.line("The live version knows other labels: the challenger is held against the baseline.")
        return None, answered.version
    return _aligned(answered, case.job.labels), answered.version


def _asked(engine: LocalEngine, task: str, examples: Sequence[Example], watch: Watch) -> ClassScores:
    """The engine's answers, in parts, so that a stop is heard."""
    pairs: list[Pair] = [(e.text, e.entity) for e in examples]
    parts = []
    for start in range(0, len(pairs), _CHUNK):
        if watch.stopped():
            raise Cancelled("The run was stopped.")
        parts.append(engine.classify(task, pairs[start : start + _CHUNK], priority=Priority.BATCH))
        watch.progress(min(start + _CHUNK, len(pairs)), len(pairs))
    first = parts[0]
    probs = np.concatenate([part.probs for part in parts])
    return ClassScores(first.labels, probs, first.version, first.exclusive)


def _aligned(answered: ClassScores, labels: Sequence[str]) -> Floats:
    """The probabilities with columns in the order of `labels`; 0 for one the model does not know."""
    found = np.zeros((len(answered.probs), len(labels)), np.float32)
    for at, label in enumerate(labels):
        if label in answered.labels:
            found[:, at] = answered.probs[:, answered.labels.index(label)]
    return found


def _shown(metrics: dict[str, float]) -> list[str]:
    return [name for name in ("accuracy", "macro_f1", "micro_f1") if name in metrics]
