"""A run in a process of its own, which dies with its worker: memory is given back, stopping is certain.

The worker's thread waits for the process and looks at the row: asked to stop, the process has eight seconds
to do so itself. A worker that is told to end ends the process and queues the run again.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from services.console import training_runs
from services.console.models import TrainingRun
from services.logs import get_logger

STOPS_WITHIN_S = 8.0
LOOK_EVERY_S = 0.5
PROGRAM: tuple[str, ...] = (sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "perform_run")
"""What is started for a run, before its number, its attempt and the process id of its worker."""
_PR_SET_PDEATHSIG = 1
_one_at_a_time = threading.Lock()
_worker_ends = threading.Event()
log = get_logger(__name__)


def perform(run_id: int) -> None:
    """Claim a run and see it through, then the next that waits; nothing when this process is at one."""
    if not _one_at_a_time.acquire(blocking=False):
        return
    try:
        following: int | None = run_id
        while following is not None and not _worker_ends.is_set():
            _perform(following)
            after = training_runs.next_queued()
            following = after if after != following else None
    finally:
        _one_at_a_time.release()


def end_with_worker() -> None:
    """The worker is ending: have the run's process ended, and the run queued for another worker."""
    _worker_ends.set()


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when the one that started it dies (Linux; watched elsewhere)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch_parent, args=(parent_pid,), name="parent", daemon=True).start()


def _watch_parent(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(1.0)
    os._exit(1)


def _perform(run_id: int) -> None:
    run = training_runs.claim(run_id, f"{socket.gethostname()} ({os.getpid()})", timezone.now())
    if run is None:
        return
    log.info("run_begins", run=run.pk, attempt=run.attempt)
    process = subprocess.Popen(  # noqa: S603 - our own program
        [*PROGRAM, str(run.pk), str(run.attempt), str(os.getpid())], start_new_session=True
    )
    asked_at: float | None = None
    while (status := _wait(process)) is None:
        training_runs.still_starting(run, timezone.now())
        if asked_at is None and _is_to_stop(run):
            asked_at = time.monotonic()
        if _worker_ends.is_set() or (asked_at is not None and time.monotonic() - asked_at > STOPS_WITHIN_S):
            _kill(process)
    log.info("run_ends", run=run.pk, attempt=run.attempt, status=status)
    training_runs.give_up(run.pk, run.attempt, timezone.now(), blameless=_worker_ends.is_set())


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(LOOK_EVERY_S)
    except subprocess.TimeoutExpired:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _is_to_stop(run: TrainingRun) -> bool:
    mine = TrainingRun.objects.filter(pk=run.pk, attempt=run.attempt)
    return mine.exclude(cancel_requested_at=None).exists()
