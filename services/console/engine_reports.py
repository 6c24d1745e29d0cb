"""What this process's engine did, told to the database, where the page Models → Serving finds it.

Every process that serves (web, worker) keeps one row, written by a thread of its own: every few seconds
while something happens, now and then otherwise. The thread loads no model and makes no engine; a write
that fails costs one turn. Knows nothing of the page.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import Any, Literal

from django.db import Error, connection
from django.utils import timezone

from services.console.models import EngineProcess
from services.errors import SuiteError
from services.inference.engine import Engine
from services.inference.meters import Moment
from services.logs import get_logger

EVERY_S = 5.0
AT_LEAST_S = 30.0
FORGET_AFTER = timedelta(days=1)
FORGET_EVERY = timedelta(hours=1)
Role = Literal["web", "worker", "command"]
_WEB_SERVERS = {"uvicorn", "gunicorn", "hypercorn", "daphne"}
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """What the engine said when it was asked; `trouble` is the code of the error it said instead."""

    report: dict[str, Any]
    models: list[dict[str, Any]]
    trouble: str = ""

    @property
    def happened(self) -> tuple[Any, ...]:
        """Differs from the last time when something happened since."""
        moments = self.report.get("moments") or [{}]
        counted = [
            self.report.get(name) for name in ("calls", "texts", "errors", "batches", "queue", "alive")
        ]
        return (self.trouble, self.models, counted, moments[-1].get("starts_at"))


def role_of(argv: Sequence[str]) -> Role:
    """What a process started by this command line is; only web servers and workers serve."""
    program = PurePath(argv[0]) if argv else PurePath()
    name = program.parent.name if program.name == "__main__.py" else program.name
    if name in _WEB_SERVERS or "runserver" in argv[1:2]:
        return "web"
    return "worker" if name == "celery" and "worker" in argv[1:] else "command"


def publish(engine: Engine, role: str, now: datetime, *, host: str = "", pid: int = 0) -> None:
    """Write the row of a process, by default this one. Raises `django.db.Error`.

    An engine that raises instead of reporting is written down as in trouble; its last report is kept.
    """
    _write(_ask(engine), role, now, host or socket.gethostname(), pid or os.getpid())


def forget(now: datetime) -> int:
    """Delete the rows of processes unseen for a day; how many there were."""
    return EngineProcess.objects.filter(seen_at__lt=now - FORGET_AFTER).delete()[0]


class Publisher:
    """Publishes what an engine does until it is stopped or the process ends."""

    def __init__(self, engine: Engine, role: str, every_s: float = EVERY_S) -> None:
        self._engine = engine
        self._role = role
        self._every_s = every_s
        self._happened: tuple[Any, ...] = ()
        self._published_at: datetime | None = None
        self._forgot_at: datetime | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-reports", daemon=True)

    def start(self) -> None:
        """Begin, in a thread that does not keep the process from ending."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        self._thread.join()

    def turn(self, now: datetime) -> bool:
        """Publish if something happened or the last time is long ago; whether it was written."""
        told = _ask(self._engine)
        last = self._published_at
        quiet = told.happened == self._happened
        if quiet and last is not None and now - last < timedelta(seconds=AT_LEAST_S):
            return False
        try:
            _write(told, self._role, now, socket.gethostname(), os.getpid())
            if self._forgot_at is None or now - self._forgot_at >= FORGET_EVERY:
                forget(now)
                self._forgot_at = now
        except Error as error:  # the next turn tries again
            log.warning("engine_report_lost", error=type(error).__name__)
            return False
        self._happened, self._published_at = told.happened, now
        return True

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            self.turn(timezone.now())
            with suppress(Error):
                connection.close()


def start_publishing(engine: Engine, role: str, every_s: float = EVERY_S) -> Publisher:
    """Tell the database from now on what this process's engine does."""
    publisher = Publisher(engine, role, every_s)
    publisher.start()
    return publisher


def _ask(engine: Engine) -> _Told:
    try:
        report = asdict(engine.report())
        models = [asdict(model) for model in engine.models()]
    except SuiteError as error:
        return _Told({}, [], error.code)
    report["moments"] = [moment for moment in report["moments"] if _eventful(moment)]
    report["alive"] = report["alive"] and engine.alive
    return _Told(report, models)


def _eventful(moment: dict[str, Any]) -> bool:
    """Whether a moment differs from one in which nothing was asked."""
    empty = Moment(moment["starts_at"], 0, 0, 0, 0, None, None, None, 0, 0.0, 0.0, None)
    return moment != asdict(empty)


def _write(told: _Told, role: str, now: datetime, host: str, pid: int) -> None:
    values: dict[str, Any] = {"seen_at": now, "trouble": told.trouble}
    if not told.trouble:
        started_at = datetime.fromtimestamp(told.report["started_at"], UTC)
        values |= {"started_at": started_at, "report": told.report, "models": told.models}
    place = {"role": role, "host": host, "pid": pid}
    if not EngineProcess.objects.filter(**place).update(**values):
        row = EngineProcess(**place, **({"started_at": now} | values))
        EngineProcess.objects.bulk_create([row], ignore_conflicts=True)
