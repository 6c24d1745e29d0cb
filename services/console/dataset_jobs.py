"""Work on a data set in the background, a row a job: claimed, done piece by piece, taken up again when lost.

`imports` reads a file, `suggestions` asks the live model; both count what is kept in `done` and go on from
there. A job whose worker died is found by `lost`.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from django.db.models import Q
from django.utils.translation import gettext as _

from services.console.models import Dataset, DatasetJob
from services.errors import Conflict, InvalidInput
from services.storage import Storage

LOST_AFTER = timedelta(seconds=30)
_ACTIVE = (DatasetJob.State.QUEUED, DatasetJob.State.RUNNING)
_ENDINGS = {".csv", ".tsv", ".jsonl", ".ndjson", ".json"}


def receive(
    dataset: Dataset, kind: str, filename: str, content: bytes, who: str, storage: Storage
) -> DatasetJob:
    """Keep an uploaded file and queue its reading. Raises InvalidInput, StorageFailed."""
    name = PurePosixPath(filename.replace("\\", "/")).name[:200]
    if PurePosixPath(name).suffix.lower() not in _ENDINGS:
        raise InvalidInput(_("Give a file that ends in .csv, .tsv or .jsonl."), field="file")
    if not content.strip():
        raise InvalidInput(_("The file is empty."), field="file")
    path = f"imports/{uuid.uuid4().hex}/file"
    storage.write(path, content)
    return DatasetJob.objects.create(
        dataset=dataset, kind=kind, filename=name, file=path, created_by=who, total=0
    )


def ask_for_suggestions(dataset: Dataset, who: str) -> DatasetJob:
    """Queue a refresh of the suggestions. Raises Conflict when one is on its way, InvalidInput."""
    if dataset.shape != Dataset.Shape.LABELLED:
        raise InvalidInput(_("Suggestions are for data sets with one label a text."), field="shape")
    if dataset.jobs.filter(kind=DatasetJob.Kind.SUGGEST, state__in=_ACTIVE).exists():
        raise Conflict(_("Suggestions are being made already."))
    return DatasetJob.objects.create(dataset=dataset, kind=DatasetJob.Kind.SUGGEST, created_by=who)


def claim(job_id: int, now: datetime) -> DatasetJob | None:
    """The job, when nobody else does it and it is not over."""
    free = Q(state=DatasetJob.State.QUEUED) | Q(
        state=DatasetJob.State.RUNNING, heartbeat_at__lt=now - LOST_AFTER
    )
    claimed = DatasetJob.objects.filter(free, pk=job_id).update(
        state=DatasetJob.State.RUNNING, heartbeat_at=now
    )
    return DatasetJob.objects.select_related("dataset").get(pk=job_id) if claimed else None


def finish(job: DatasetJob) -> None:
    """Everything is kept."""
    DatasetJob.objects.filter(pk=job.pk).update(state=DatasetJob.State.DONE)


def fail(job: DatasetJob, code: str, detail: str) -> None:
    """It cannot go on; what was kept stays."""
    DatasetJob.objects.filter(pk=job.pk).update(
        state=DatasetJob.State.FAILED, error_code=code, error_detail=detail
    )


def lost(now: datetime) -> list[int]:
    """Jobs whose worker died, and those nobody took up for a while: to be nudged now, not again soon."""
    forgotten = Q(state=DatasetJob.State.QUEUED) & (
        Q(heartbeat_at=None, created_at__lt=now - LOST_AFTER) | Q(heartbeat_at__lt=now - LOST_AFTER)
    )
    dead = Q(state=DatasetJob.State.RUNNING, heartbeat_at__lt=now - LOST_AFTER)
    found = DatasetJob.objects.filter(forgotten | dead).order_by("pk")
    ids = list(found.values_list("pk", flat=True)[:20])
    DatasetJob.objects.filter(pk__in=ids, state=DatasetJob.State.QUEUED).update(heartbeat_at=now)
    return ids
