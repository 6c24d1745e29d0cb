"""The life of a training run's row: asked for, claimed, performed, stopped, found again, forgotten.

    queued -> running -> done | failed | cancelled          running -> queued when its worker was lost

A claim gives the row to one process under a number, its `attempt`; whoever writes names that number, so a
process that lost the row changes nothing any more. Knows nothing of processes (`training_process`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from services.console import datasets as dataset_rows
from services.console import drift_watch, training_orders
from services.console.models import Dataset, TrainingRun
from services.console.training_watch import RowWatch
from services.errors import Conflict, StorageFailed, SuiteError
from services.logs import get_logger
from services.registry.store import ModelStore
from services.training.order import Cancelled, Order, Outcome

LOST_AFTER = timedelta(seconds=15)
NUDGE_AGAIN_AFTER = timedelta(seconds=15)
MOST_ATTEMPTS = 5
_OVER = (TrainingRun.State.DONE, TrainingRun.State.FAILED, TrainingRun.State.CANCELLED)
Train = Callable[..., Outcome]
log = get_logger(__name__)


def ask(order: Order, datasets: Sequence[Dataset], who: str) -> TrainingRun:
    """Queue a run."""
    with transaction.atomic():
        run = TrainingRun.objects.create(
            task=order.task, recipe=order.recipe, order=training_orders.as_json(order), created_by=who
        )
        run.datasets.set(datasets)
    return run


def ask_again(run: TrainingRun, who: str) -> TrainingRun:
    """Queue a new run of the same order on the data sets as they are now."""
    return ask(training_orders.from_json(run.order), list(run.datasets.all()), who)


def folder_of(run_id: int) -> Path:
    """Where a run keeps its checkpoints and curves until it is deleted."""
    return Path(settings.DATA_DIR) / "runs" / str(run_id)


def claim(run_id: int, worker: str, now: datetime) -> TrainingRun | None:
    """Take a queued run; None when somebody else has it or it is over."""
    run = TrainingRun.objects.filter(pk=run_id, state=TrainingRun.State.QUEUED).first()
    if run is None:
        return None
    mine = TrainingRun.objects.filter(pk=run_id, state=TrainingRun.State.QUEUED, attempt=run.attempt)
    claimed = mine.update(
        state=TrainingRun.State.RUNNING,
        attempt=run.attempt + 1,
        worker=worker,
        heartbeat_at=now,
        started_at=run.started_at or now,
        stage="",
        done=0,
        total=0,
        eta_s=None,
    )
    return TrainingRun.objects.get(pk=run_id) if claimed else None


def still_starting(run: TrainingRun, now: datetime) -> None:
    """A sign of life in place of the run's process, which has not spoken yet."""
    mine = TrainingRun.objects.filter(pk=run.pk, attempt=run.attempt, state=TrainingRun.State.RUNNING)
    mine.filter(stage="").update(heartbeat_at=now)


def perform(
    run_id: int,
    attempt: int,
    store: ModelStore,
    clock: Callable[[], datetime],
    *,
    train: Train | None = None,
) -> None:
    """Do a claimed run in this process, to its end; what became of it is in the row.

    `train` is `services.training.fine_tune.train`. Calling this again on the same folder resumes it.
    """
    run = TrainingRun.objects.get(pk=run_id)
    folder = folder_of(run_id)
    with RowWatch(run, attempt, clock) as watch:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            datasets = list(run.datasets.order_by("pk"))
            newest = drift_watch.last_row(datasets)
            sets = [dataset_rows.as_set(dataset) for dataset in datasets]
            order = training_orders.from_json(run.order)
            outcome = (train or _train())(order, sets, store=store, folder=folder, watch=watch, now=clock())
        except Cancelled:
            ended: dict[str, Any] = {"state": TrainingRun.State.CANCELLED}
        except SuiteError as error:
            ended = _failure(error.code, error.detail)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            ended = _failure(StorageFailed.code, _("The disk refused (%(reason)s).") % {"reason": reason})
        except Exception as error:
            log.exception("training_bug", run=run_id)
            watch.line(f"{type(error).__name__}: {error}")
            ended = _failure("internal_error", f"{type(error).__name__}: {error}"[:2000])
        else:
            ended = _success(outcome, newest)
    _end(run_id, attempt, ended, clock())


def stop(run: TrainingRun, now: datetime) -> None:
    """Have a run stopped: at once when it waits, within seconds when it runs. Raises Conflict when over."""
    mine = TrainingRun.objects.filter(pk=run.pk)
    waiting = mine.filter(state=TrainingRun.State.QUEUED)
    if waiting.update(state=TrainingRun.State.CANCELLED, cancel_requested_at=now, ended_at=now):
        return
    if not mine.filter(state=TrainingRun.State.RUNNING).update(cancel_requested_at=now):
        raise Conflict(_("The run is over; there is nothing to stop."))


def resume(run: TrainingRun) -> None:
    """Queue a stopped or failed run again; it goes on from its last checkpoint. Raises Conflict."""
    over = TrainingRun.objects.filter(
        pk=run.pk, state__in=[TrainingRun.State.FAILED, TrainingRun.State.CANCELLED]
    )
    if not over.update(
        state=TrainingRun.State.QUEUED,
        cancel_requested_at=None,
        ended_at=None,
        error_code="",
        error_detail="",
        nudged_at=None,
    ):
        raise Conflict(_("Only a run that failed or was stopped can go on."))


def give_up(run_id: int, attempt: int, now: datetime, *, blameless: bool = False) -> None:
    """Its process ended without a word: stopped when that was asked for, queued again otherwise.

    After several times it has failed, unless its worker ended it (`blameless`).
    """
    running = TrainingRun.objects.filter(pk=run_id, attempt=attempt, state=TrainingRun.State.RUNNING)
    if running.exclude(cancel_requested_at=None).update(state=TrainingRun.State.CANCELLED, ended_at=now):
        return
    if attempt >= MOST_ATTEMPTS and not blameless:
        _end(run_id, attempt, _failure("worker_lost", _lost_detail()), now)
    else:
        running.update(state=TrainingRun.State.QUEUED, worker="", nudged_at=None)


def find_lost(now: datetime) -> list[int]:
    """Give up on runs without a sign of life; then the queued runs that a worker should be nudged for."""
    silent = TrainingRun.objects.filter(state=TrainingRun.State.RUNNING, heartbeat_at__lt=now - LOST_AFTER)
    for run_id, attempt in silent.values_list("pk", "attempt"):
        log.warning("run_lost", run=run_id, attempt=attempt)
        give_up(run_id, attempt, now)
    unheard = Q(nudged_at=None) | Q(nudged_at__lt=now - NUDGE_AGAIN_AFTER)
    waiting = TrainingRun.objects.filter(unheard, state=TrainingRun.State.QUEUED).order_by("pk")
    found = list(waiting.values_list("pk", flat=True)[:1])
    TrainingRun.objects.filter(pk__in=found).update(nudged_at=now)
    return found


def next_queued() -> int | None:
    """The run that has waited longest."""
    waiting = TrainingRun.objects.filter(state=TrainingRun.State.QUEUED).order_by("pk")
    return waiting.values_list("pk", flat=True).first()


def forget(run: TrainingRun) -> None:
    """Delete a run that is over, and its folder; its version stays. Raises Conflict."""
    if not run.over:
        raise Conflict(_("Stop the run first."))
    folder = folder_of(run.pk)
    run.delete()
    shutil.rmtree(folder, ignore_errors=True)


def _train() -> Train:
    from services.training import fine_tune

    return fine_tune.train


def _success(outcome: Outcome, newest_row: int) -> dict[str, Any]:
    told = asdict(outcome)
    return {
        "state": TrainingRun.State.DONE,
        "version": outcome.version,
        "passed": outcome.passed,
        "reasons": list(outcome.reasons),
        "outcome": {
            "metrics": dict(told["metrics"]),
            "report": dict(told["report"]),
            drift_watch.LAST_ROW: newest_row,
        },
    }


def _failure(code: str, detail: str) -> dict[str, Any]:
    return {"state": TrainingRun.State.FAILED, "error_code": code, "error_detail": detail}


def _end(run_id: int, attempt: int, values: dict[str, Any], now: datetime) -> None:
    mine = TrainingRun.objects.filter(pk=run_id, attempt=attempt, state=TrainingRun.State.RUNNING)
    mine.update(**values, stage="", eta_s=None, ended_at=now)


def _lost_detail() -> str:
    return _(
        "Its worker was lost %(n)d times. What it had learned is kept: look at the log, then resume."
    ) % {"n": MOST_ATTEMPTS}
