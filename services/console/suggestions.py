"""The live model's guesses for texts that wait for a label, and how unsure it is of each.

Uncertainty is one less the margin between the two likeliest labels (margin sampling; Settles, Active
Learning Literature Survey, 2009, section 3.1): 1 when it cannot choose, 0 when it is certain.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np
from django.utils.translation import gettext as _

from services.console.models import DatasetJob, DatasetRow
from services.errors import Conflict
from services.inference.engine import Engine
from services.inference.values import Priority

CHUNK = 64


def perform(job: DatasetJob, engine: Engine, clock: Callable[[], datetime]) -> None:
    """Suggest a label for every open row. Raises what `Engine.classify` raises, Conflict when taken over."""
    opened = job.dataset.rows.filter(state=DatasetRow.State.OPEN).order_by("position")
    waiting = list(opened.values_list("pk", flat=True))
    job.total, job.done = len(waiting), 0
    DatasetJob.objects.filter(pk=job.pk).update(done=0, total=job.total)
    for start in range(0, len(waiting), CHUNK):
        chunk = waiting[start : start + CHUNK]
        rows = list(DatasetRow.objects.filter(pk__in=chunk).order_by("position"))
        scores = engine.classify(
            job.dataset.task, [(row.text, row.entity or None) for row in rows], priority=Priority.BATCH
        )
        ranked = np.sort(scores.probs, axis=1)
        for row, probs, best in zip(rows, scores.probs, ranked, strict=True):
            row.suggestion = scores.labels[int(probs.argmax())]
            row.suggested_p = round(float(best[-1]), 4)
            row.uncertainty = round(1.0 - float(best[-1] - (best[-2] if len(best) > 1 else 0.0)), 4)
        DatasetRow.objects.bulk_update(rows, ["suggestion", "suggested_p", "uncertainty"])
        job.version = scores.version
        _count(job, len(chunk), clock())


def _count(job: DatasetJob, n: int, now: datetime) -> None:
    held = DatasetJob.objects.filter(pk=job.pk, done=job.done, state=DatasetJob.State.RUNNING)
    job.done += n
    job.added = job.done
    if not held.update(done=job.done, added=job.done, total=job.total, version=job.version, heartbeat_at=now):
        raise Conflict(_("Another worker has taken this job over."))
