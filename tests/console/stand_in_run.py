"""`python -m tests.console.stand_in_run RUN ATTEMPT PARENT`: `manage.py perform_run` with the stand-in."""

from __future__ import annotations

import sys

import django


def main() -> None:
    """Do the run."""
    django.setup()
    from django.utils import timezone

    from services.console import training_process, training_runs
    from services.console.storage import storage
    from services.registry.store import ModelStore
    from tests.console.training import stand_in

    run, attempt, parent = map(int, sys.argv[1:])
    training_process.die_with(parent)
    training_runs.perform(run, attempt, ModelStore(storage()), timezone.now, train=stand_in)


if __name__ == "__main__":
    main()
