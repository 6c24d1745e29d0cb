"""A file becomes rows of a data set: every line is added, counted as there already, or named as a problem.

Lines are kept in blocks with the count of lines done, in one transaction: killed anywhere, the next worker
goes on after the last block. The file itself stays, so that all its problems can be listed at any time.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, BinaryIO

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from services.console.datasets import key_of, row_of
from services.console.models import Dataset, DatasetJob, DatasetRow
from services.errors import Conflict, InvalidInput
from services.storage import Storage
from services.training.dataset import Example
from services.training.reading import rows
from services.training.validation import Problem

BLOCK = 500
KEPT_PROBLEMS = 200


def perform(job: DatasetJob, storage: Storage, clock: Callable[[], datetime]) -> None:
    """Read the job's file from where it stands. Raises InvalidInput when it cannot be read at all.

    Raises Conflict when another worker has taken it over.
    """
    job.total = job.total or _lines(storage.read(job.file))
    found = islice(_read(job, storage), job.done, None)
    while block := list(islice(found, BLOCK)):
        _keep(job, block, clock())


def problems_csv(job: DatasetJob, storage: Storage) -> Iterator[str]:
    """All lines that cannot be used, as CSV: line, problem."""
    yield _line(["line", "problem"])
    for found in _read(job, storage):
        if isinstance(found, Problem):
            yield _line([found.line, found.text()])


def _read(job: DatasetJob, storage: Storage) -> Iterator[Example | Problem]:
    dataset = job.dataset
    shape: Any = "texts" if job.kind == DatasetJob.Kind.TEXTS else dataset.shape
    stream: BinaryIO = io.BytesIO(storage.read(job.file))
    yield from rows(stream, job.filename, shape, tuple(dataset.labels) or None)


def _keep(job: DatasetJob, block: Sequence[Example | Problem], now: datetime) -> None:
    """One block, whole or not at all."""
    examples = [found for found in block if isinstance(found, Example)]
    problems = [found for found in block if isinstance(found, Problem)]
    if unreadable := next((problem for problem in problems if problem.line == 0), None):
        raise InvalidInput(unreadable.text(), field="file")
    with transaction.atomic():
        dataset = Dataset.objects.select_for_update().get(pk=job.dataset_id)
        new = _new(dataset, examples)
        last = dataset.rows.aggregate(last=Max("position"))["last"] or 0
        state = _state(job)
        DatasetRow.objects.bulk_create(
            [row_of(dataset, last + 1 + i, example, state) for i, example in enumerate(new)]
        )
        _add_labels(dataset, new)
        told = [{"line": p.line, "problem": p.text()} for p in problems]
        held = DatasetJob.objects.filter(pk=job.pk, done=job.done, state=DatasetJob.State.RUNNING)
        job.done += len(block)
        job.added += len(new)
        job.problems_n += len(problems)
        job.problems = [*job.problems, *told][:KEPT_PROBLEMS]
        job.total = max(job.total, job.done)
        values = {n: getattr(job, n) for n in ("done", "added", "problems_n", "problems", "total")}
        if not held.update(**values, heartbeat_at=now):
            raise Conflict(_("Another worker has taken this import over."))


def _state(job: DatasetJob) -> str:
    waits = job.kind == DatasetJob.Kind.TEXTS and job.dataset.shape != Dataset.Shape.TEXTS
    return DatasetRow.State.OPEN if waits else DatasetRow.State.LABELLED


def _new(dataset: Dataset, examples: Sequence[Example]) -> list[Example]:
    """Those whose text the data set does not have yet, each text once."""
    by_key = {key_of(example): example for example in reversed(examples)}
    known = set(dataset.rows.filter(key__in=by_key).values_list("key", flat=True))
    kept = {key: example for key, example in by_key.items() if key not in known}
    return [example for example in examples if kept.get(key_of(example)) is example]


def _add_labels(dataset: Dataset, examples: Sequence[Example]) -> None:
    """A data set that was made without labels takes those of the file, in their order."""
    seen = [label for e in examples for label in (e.label, *e.labels, *(s.label for s in e.spans)) if label]
    if more := [label for label in dict.fromkeys(seen) if label not in dataset.labels]:
        dataset.labels = [*dataset.labels, *more]
        dataset.save(update_fields=["labels"])


def _lines(content: bytes) -> int:
    """How many lines a file has, roughly: for the progress bar."""
    return max(1, content.count(b"\n"))


def _line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
