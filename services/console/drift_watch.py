"""Do the rows that came in since a live model was trained still look like those it learned from?

For each task whose live version a run of the console made: the rows of its data sets up to the run against
those added since, by the live model's own answers and vectors. What was found is kept with the run.
Knows nothing of traffic that is not in a data set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import numpy as np
from django.db.models import Max
from django.utils.translation import gettext

from services.console.models import Dataset, DatasetRow, TrainingRun
from services.errors import SuiteError
from services.inference.engine import Engine
from services.inference.values import Priority
from services.logs import get_logger
from services.registry.store import ModelStore
from services.training.drift import LEAST_ROWS, Fingerprint, Sign, drift, fingerprint_of

MOST_ROWS = 1000
"""Rows looked at on each side: enough for shifts that matter, seconds of work."""
LAST_ROW = "last_row"
FOUND = "drift"
log = get_logger(__name__)


def last_row(datasets: Sequence[Dataset]) -> int:
    """The number of the newest row of these data sets, 0 when there is none; kept with a run that begins."""
    return DatasetRow.objects.filter(dataset__in=datasets).aggregate(last=Max("pk"))["last"] or 0


def look(store: ModelStore, engine: Engine, now: datetime) -> list[TrainingRun]:
    """Look at every live version anew; the runs whose version is due to be trained again."""
    proposed = []
    for task in store.tasks():
        try:
            run = _live_run(store, task)
            if run is not None and _look_at(run, engine, now):
                proposed.append(run)
        except SuiteError as error:  # a task without a model does not hide the others
            log.warning("drift_unknown", task=task, code=error.code)
    return proposed


def proposals(store: ModelStore) -> list[tuple[TrainingRun, list[str]]]:
    """Live versions that are due to be trained again, with the reasons as they were last found."""
    found = []
    for run in TrainingRun.objects.filter(**{f"outcome__{FOUND}__proposes": True}).order_by("-pk"):
        live = store.live(run.task)
        if live is not None and live.version == run.version:
            signs = (Sign(**sign) for sign in run.outcome[FOUND]["signs"])
            found.append((run, [sign.text(gettext) for sign in signs]))
    return found


def _live_run(store: ModelStore, task: str) -> TrainingRun | None:
    live = store.live(task)
    if live is None:
        return None
    runs = TrainingRun.objects.filter(task=task, version=live.version, state=TrainingRun.State.DONE)
    return runs.order_by("-pk").first()


def _look_at(run: TrainingRun, engine: Engine, now: datetime) -> bool:
    boundary = run.outcome.get(LAST_ROW)
    if not boundary:
        return False
    rows = DatasetRow.objects.filter(dataset__in=run.datasets.all(), dataset__shape=Dataset.Shape.LABELLED)
    recent = list(rows.filter(pk__gt=boundary).order_by("-pk")[:MOST_ROWS])
    learned = list(rows.filter(pk__lte=boundary).order_by("key")[:MOST_ROWS])  # a key is as good as a draw
    if min(len(recent), len(learned)) < LEAST_ROWS:
        return False
    found = drift(_fingerprint(run.task, learned, engine), _fingerprint(run.task, recent, engine))
    signs = [asdict(sign) for sign in found.reasons]
    kept = {"proposes": found.proposes, "signs": signs, "at": now.isoformat()}
    TrainingRun.objects.filter(pk=run.pk).update(outcome={**run.outcome, FOUND: kept})
    return found.proposes


def _fingerprint(task: str, rows: Sequence[DatasetRow], engine: Engine) -> Fingerprint:
    pairs = [(row.text, row.entity or None) for row in rows]
    scores = engine.classify(task, pairs, priority=Priority.BATCH)
    vecs = engine.embed([row.text for row in rows], priority=Priority.BATCH)
    return fingerprint_of(scores.probs, np.asarray(vecs, np.float32), scores.labels)
