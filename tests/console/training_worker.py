"""Parts of the product as processes, for tests of a run's life: `python -m tests.console.training_worker`.

seed      a database with a data set
worker    a Celery worker whose runs are performed by the stand-in
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def seed() -> None:
    """Migrate an empty database and write a data set."""
    import django

    django.setup()
    from django.core.management import call_command

    from tests.console.training import make_dataset

    call_command("migrate", verbosity=0, interactive=False)
    make_dataset()


def worker() -> None:
    """All queues, as one worker beside which there is no other."""
    from config.celery import app

    app.set_current()
    import django

    django.setup()
    from services.console import training_process

    training_process.PROGRAM = (sys.executable, "-m", "tests.console.stand_in_run")
    app.worker_main(
        ["worker", "--pool", "threads", "--concurrency", "3", "--loglevel", "warning",
         "--without-gossip", "--without-mingle", "--without-heartbeat"]
    )  # fmt: skip


if __name__ == "__main__":
    {"seed": seed, "worker": worker}[sys.argv[1]]()
