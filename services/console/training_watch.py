"""What a run says, on its way to its row: gathered in memory, written once a second by a thread of its own.

The thread is also the run's sign of life and its ear: it reads whether the run is to stop, and ends the
process when the row belongs to somebody else. The training itself never waits for the database.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime
from math import isfinite
from types import TracebackType

from django.db import Error, connection

from services.console.models import TrainingPoint, TrainingRun
from services.logs import get_logger

EVERY_S = 1.0
LOG_LINES = 400
LONGEST_LINE = 1000
GONE = 75
"""The exit status of a process whose run was taken away from it."""
log = get_logger(__name__)


class RowWatch:
    """A `services.training.order.Watch` that writes to a run's row while it is entered."""

    def __init__(
        self, run: TrainingRun, attempt: int, clock: Callable[[], datetime], every_s: float = EVERY_S
    ) -> None:
        self._mine = TrainingRun.objects.filter(pk=run.pk, attempt=attempt, state=TrainingRun.State.RUNNING)
        self._run_id = run.pk
        self._clock = clock
        self._every_s = every_s
        self._lock = threading.Lock()
        self._points: list[TrainingPoint] = []
        self._lines: deque[str] = deque(run.log.splitlines(), maxlen=LOG_LINES)
        self._stage = "prepare"
        self._done = self._total = self._done_at_start = 0
        self._stage_began = time.monotonic()
        self._stop = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="training-watch", daemon=True)

    def __enter__(self) -> RowWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.write()

    def stage(self, name: str) -> None:
        """What begins now."""
        with self._lock:
            self._stage, self._done, self._total, self._done_at_start = name[:40], 0, 0, 0
            self._stage_began = time.monotonic()

    def progress(self, done: int, total: int) -> None:
        """Steps of the present stage; a stage that resumes does not begin at zero."""
        with self._lock:
            if not self._total:
                self._done_at_start, self._stage_began = done, time.monotonic()
            self._done, self._total = done, total

    def point(self, curve: str, step: int, value: float) -> None:
        """One more point of a curve; a value that is no number is told in the log instead."""
        if not isfinite(value):
            self.line(f"{curve} at step {step}: {value}")
            return
        with self._lock:
            self._points.append(TrainingPoint(run_id=self._run_id, curve=curve[:60], step=step, value=value))

    def line(self, text: str) -> None:
        """One more line of the log, with its time."""
        at = self._clock().strftime("%H:%M:%S")
        with self._lock:
            self._lines.extend(f"{at} {part[:LONGEST_LINE]}" for part in text.splitlines())

    def stopped(self) -> bool:
        """Whether somebody asked the run to stop, as of a second ago."""
        return self._stop.is_set()

    def write(self) -> bool:
        """Put what was said into the row; whether the row is still this run's. Raises `django.db.Error`."""
        with self._lock:
            points, self._points = self._points, []
            values = {
                "stage": self._stage,
                "done": self._done,
                "total": self._total,
                "eta_s": self._eta_s(),
                "log": "\n".join(self._lines),
            }
        try:
            held = bool(self._mine.update(**values, heartbeat_at=self._clock()))
            if held and points:
                TrainingPoint.objects.bulk_create(points)
        except Error:
            with self._lock:
                self._points = [*points, *self._points]
            raise
        if self._mine.exclude(cancel_requested_at=None).exists():
            self._stop.set()
        return held

    def _eta_s(self) -> float | None:
        """Seconds left in the stage, at its pace until now; None when there is no pace yet."""
        new = self._done - self._done_at_start
        if new < 1 or self._total <= self._done:
            return None
        return round((time.monotonic() - self._stage_began) / new * (self._total - self._done), 1)

    def _keep_writing(self) -> None:
        while not self._over.wait(self._every_s):
            try:
                if not self.write():
                    log.warning("run_taken_away", run=self._run_id)
                    os._exit(GONE)
            except Error as error:  # the next turn tries again; too many, and the run counts as lost
                log.warning("run_not_told", run=self._run_id, error=type(error).__name__)
        connection.close()
