"""The Celery application: Redis as broker when REDIS_URL is set, folders in DATA_DIR otherwise.

Rows are the queue: a message is only a nudge. What a lost message or a killed worker leaves behind is
found again by the sweeps in `config/schedule.py`.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

from celery import Celery, signals
from celery.platforms import SecurityWarning
from kombu import Queue
from kombu.transport import filesystem
from kombu.utils.json import dumps

from services.logs import get_logger

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# A container's only user is often root; whether that is right is not the worker's to say at every start.
warnings.filterwarnings("ignore", category=SecurityWarning)

log = get_logger(__name__)

app = Celery("trefoil")

QUEUES = ("default", "alerts", "gpu", "batch")
ROUTES = {
    "services.console.tasks.perform_run": {"queue": "gpu"},
    "services.console.tasks.perform_job": {"queue": "batch"},
    "services.console.tasks.look_for_drift": {"queue": "batch"},
    "sentiment_monitor.tasks.send_due": {"queue": "alerts"},
}
"""Training delays no alert: it has queues of its own, and a worker of its own where there is room for one."""


def _settings() -> dict[str, Any]:
    from config.schedule import SCHEDULE
    from config.settings import CORE, DATA_DIR

    common: dict[str, Any] = {
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_default_queue": "default",
        "task_queues": [Queue(name) for name in QUEUES],  # of a worker that is not told which
        "task_routes": ROUTES,
        "task_create_missing_queues": True,
        "worker_prefetch_multiplier": 1,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": False,
        "broker_connection_retry_on_startup": True,
        "beat_schedule": SCHEDULE,
        "beat_schedule_filename": str(DATA_DIR / "beat-schedule"),
        "beat_max_loop_interval": 1,
        "timezone": "UTC",
    }
    if CORE.redis_url:
        return {**common, "broker_url": CORE.redis_url}
    setattr(filesystem.Channel, "_put", _put_whole)  # noqa: B010 - kombu has no other way in
    setattr(filesystem.Channel, "_get", _get_readable)  # noqa: B010
    broker = DATA_DIR / "broker"
    for name in ("queue", "control"):
        (broker / name).mkdir(parents=True, exist_ok=True)
    return {
        **common,
        "broker_url": "filesystem://",
        "worker_enable_remote_control": False,
        "broker_transport_options": {
            "data_folder_in": str(broker / "queue"),
            "data_folder_out": str(broker / "queue"),
            "control_folder": str(broker / "control"),
            "polling_interval": 0.2,
        },
    }


def _put_whole(channel: filesystem.Channel, queue: str, payload: Any, **_: Any) -> None:
    """A message has its name only when it is whole: kombu's own lets a worker take one that is still empty,
    and the worker ends of it."""
    folder = Path(channel.data_folder_out)
    name = f"{round(monotonic() * 1000)}_{uuid4()}.{queue}.msg"
    (folder / f"{name}.part").write_text(dumps(payload), encoding="utf-8")
    (folder / f"{name}.part").rename(folder / name)


_kombu_get = filesystem.Channel._get


def _get_readable(channel: filesystem.Channel, queue: str) -> Any:
    """A message that cannot be read is passed over: a worker does not end of it, and rows are the queue."""
    while True:
        try:
            return _kombu_get(channel, queue)
        except ValueError as error:  # it is off the queue already
            log.warning("message_unreadable", queue=queue, error=type(error).__name__)


@app.on_configure.connect
def _configure(sender: Celery, **_: Any) -> None:
    sender.conf.update(_settings())


app.autodiscover_tasks()


@signals.setup_logging.connect
def _logging(**_: Any) -> None:
    """Keep the suite's own log set-up."""


@signals.worker_ready.connect
def _warm(**_: Any) -> None:
    """Load the encoder before the first task needs it; training has its own."""
    if "default" not in app.amqp.queues.consume_from:
        return
    from services.inference.engine import get_engine

    get_engine().warm()


@signals.worker_shutting_down.connect
def _end_training(**_: Any) -> None:
    """A training run does not keep its worker from ending: it is queued again and goes on elsewhere."""
    from services.console import training_process

    training_process.end_with_worker()
