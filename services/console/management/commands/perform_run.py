"""Do one training run in this process: what a worker starts for each run it claims."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from services.console import training_process, training_runs
from services.console.models import TrainingRun
from services.console.storage import storage
from services.registry.store import ModelStore


class Command(BaseCommand):
    """`manage.py perform_run`."""

    help = "Perform a queued training run here and now, in this process; the console shows how it goes."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int, help="the run's number")
        parser.add_argument("attempt", type=int, nargs="?", help="under which a worker has claimed it")
        parser.add_argument("parent", type=int, nargs="?", help="process id of that worker")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["parent"]:
            training_process.die_with(options["parent"])
        attempt = options["attempt"] or _claim(options["run"])
        training_runs.perform(options["run"], attempt, ModelStore(storage()), timezone.now)


def _claim(run_id: int) -> int:
    run = training_runs.claim(run_id, f"perform_run ({os.getpid()})", timezone.now())
    if run is None:
        found = TrainingRun.objects.filter(pk=run_id).values_list("state", flat=True).first()
        raise CommandError(f"Run {run_id} is {found}, not queued." if found else f"There is no run {run_id}.")
    return run.attempt
