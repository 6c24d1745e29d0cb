"""Doors for workers: training runs, imports, suggestions, and the sweeps that find what was lost."""

from __future__ import annotations

from typing import Any

from celery import shared_task
from django.db import transaction
from django.utils import timezone

from services.console import (
    dataset_jobs,
    drift_watch,
    imports,
    schedules,
    suggestions,
    training_process,
    training_runs,
)
from services.console.models import DatasetJob
from services.console.storage import storage
from services.errors import Conflict, SuiteError
from services.inference.engine import get_engine
from services.logs import get_logger
from services.registry.store import ModelStore

log = get_logger(__name__)


@shared_task
def perform_run(run_id: int) -> None:
    """See a training run through, in a process of its own."""
    training_process.perform(run_id)


@shared_task
def perform_job(job_id: int) -> None:
    """Read a file into a data set, or ask the live model for suggestions."""
    job = dataset_jobs.claim(job_id, timezone.now())
    if job is None:
        return
    try:
        if job.kind == DatasetJob.Kind.SUGGEST:
            suggestions.perform(job, get_engine(), timezone.now)
        else:
            imports.perform(job, storage(), timezone.now)
    except Conflict as error:  # another worker has it
        log.info("job_left", job=job_id, reason=error.detail)
    except SuiteError as error:
        log.warning("job_failed", job=job_id, code=error.code)
        dataset_jobs.fail(job, error.code, error.detail)
    except Exception:
        log.exception("job_bug", job=job_id)
        dataset_jobs.fail(job, "internal_error", "")
    else:
        dataset_jobs.finish(job)


@shared_task
def find_lost() -> None:
    """Runs and jobs whose worker died or whose message was lost."""
    now = timezone.now()
    for run_id in training_runs.find_lost(now):
        _nudge(perform_run, run_id)
    for job_id in dataset_jobs.lost(now):
        _nudge(perform_job, job_id)


@shared_task
def start_due() -> None:
    """Runs that a schedule asks for."""
    for run in schedules.start_due(timezone.now()):
        perform_run_soon(run.pk)


@shared_task
def look_for_drift() -> None:
    """Whether what came in since still looks like what the live versions learned from."""
    drift_watch.look(ModelStore(storage()), get_engine(), timezone.now())


def perform_run_soon(run_id: int) -> None:
    """After the commit, nudge a worker to take the run up."""
    transaction.on_commit(lambda: _nudge(perform_run, run_id))


def perform_job_soon(job_id: int) -> None:
    """After the commit, nudge a worker to do the job."""
    transaction.on_commit(lambda: _nudge(perform_job, job_id))


def _nudge(task: Any, row_id: int) -> None:
    """Send the message; a broker that is down delays the work until the sweep, and no more."""
    try:
        task.delay(row_id)
    except Exception as error:  # kombu raises its transports' own errors
        log.warning("nudge_lost", task=task.name, row=row_id, error=type(error).__name__)
