"""Training again by itself: every so many days, or once so many labels have come in since the last time."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from services.console import training_runs
from services.console.models import DatasetRow, TrainingRun, TrainingSchedule


def start_due(now: datetime) -> list[TrainingRun]:
    """Queue a run for each schedule whose time has come and whose last run is over."""
    started = []
    for schedule in TrainingSchedule.objects.filter(on=True).select_related("like", "last_run"):
        if schedule.last_run is not None and not schedule.last_run.over:
            continue
        if is_due(schedule, now) and (run := _start(schedule, now)) is not None:
            started.append(run)
    return started


def is_due(schedule: TrainingSchedule, now: datetime) -> bool:
    """Whether enough days have passed or enough labels have come in."""
    since = schedule.last_at or schedule.created_at
    if schedule.every_days and now - since >= timedelta(days=schedule.every_days):
        return True
    return bool(schedule.new_labels) and new_labels(schedule) >= (schedule.new_labels or 0)


def new_labels(schedule: TrainingSchedule) -> int:
    """Labels that came in since the schedule was made or last started a run."""
    return max(0, labels_of(schedule.like) - schedule.labels_then)


def labels_of(run: TrainingRun) -> int:
    """Labelled rows in a run's data sets as they are now."""
    labelled = DatasetRow.objects.filter(dataset__runs=run, state=DatasetRow.State.LABELLED)
    return labelled.count()


def _start(schedule: TrainingSchedule, now: datetime) -> TrainingRun | None:
    """The run, if no other process was faster."""
    labels = labels_of(schedule.like)
    mine = TrainingSchedule.objects.filter(pk=schedule.pk, on=True, last_at=schedule.last_at)
    if not mine.update(last_at=now, labels_then=labels):
        return None
    run = training_runs.ask_again(schedule.like, _("schedule %(n)d") % {"n": schedule.pk})
    TrainingSchedule.objects.filter(pk=schedule.pk).update(last_run=run)
    return run
