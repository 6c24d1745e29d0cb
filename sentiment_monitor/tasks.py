"""Doors for workers: each task claims, calls one room, and hands on; beat calls the sweeps."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from celery import shared_task
from django.conf import settings as django_settings
from django.db import transaction
from django.utils import timezone

from sentiment_monitor import delivery, evidence, feeds, leases, monitor, replay
from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Replay
from services.conf import load
from services.console.storage import storage
from services.errors import SuiteError
from services.inference.engine import get_engine
from services.logs import get_logger

log = get_logger(__name__)
SLICE_S = 20.0


@shared_task
def fetch_due() -> None:
    """Send each feed whose time has come to a worker."""
    for source_id in feeds.due(timezone.now(), _lease()):
        fetch_source.delay(source_id)


@shared_task
def fetch_source(source_id: int) -> None:
    """Look at one feed."""
    source = feeds.claim(source_id, timezone.now(), _lease())
    if source is None:
        return
    new = feeds.poll(source, load(MonitorSettings), timezone.now())
    log.info("feed_read", source=source.pk, new=new)
    if new:
        process_waiting()


@shared_task
def process_waiting() -> None:
    """Take what came in through to the alerts; while a replay runs, the replay's clock judges."""
    with leases.hold("monitor", timezone.now(), _lease()) as held:
        if held is None or replay.running() is not None:
            return
        try:
            monitor.process(
                engine=get_engine(),
                settings=load(MonitorSettings),
                now=timezone.now(),
                alive=lambda: held.renew(timezone.now()),
            )
        except SuiteError as error:
            log.warning("processing_waits", code=error.code, detail=error.detail)


@shared_task
def play() -> None:
    """Play the running replay for a while; the next call goes on from its clock."""
    if replay.running() is None:
        return
    try:
        _play_a_while()
    except SuiteError as error:
        log.warning("replay_waits", code=error.code, detail=error.detail)
    send_due()


@shared_task
def send_due() -> None:
    """Send the outbox's due messages."""
    for delivery_id in delivery.due(timezone.now(), _lease()):
        claimed = delivery.claim(delivery_id, timezone.now(), _lease())
        if claimed is not None:
            delivery.send(
                claimed,
                evidence.gather(claimed.alert, claimed.alert.message_due_at),
                public_url=django_settings.CORE.public_url,
                sender=load(MonitorSettings).email_from,
                now=timezone.now(),
            )


def _play_a_while() -> None:
    with leases.hold("monitor", timezone.now(), _lease()) as held:
        started = time.monotonic()
        playing = replay.running()
        while held is not None and playing is not None and time.monotonic() - started < SLICE_S:
            if not held.renew(timezone.now()):
                return
            more = replay.step(
                playing,
                storage=storage(),
                engine=get_engine(),
                settings=load(MonitorSettings),
            )
            playing = Replay.objects.get(pk=playing.pk) if more else None
            if playing is not None and playing.hours_per_s > 0:
                time.sleep(min(1.0, playing.step_s / 3600 / playing.hours_per_s))


def process_soon() -> None:
    """After the commit, nudge a worker to take new entries up."""
    transaction.on_commit(lambda: _nudge(process_waiting))


def play_soon() -> None:
    """After the commit, nudge a worker to play."""
    transaction.on_commit(lambda: _nudge(play))


def _nudge(task: Any) -> None:
    try:
        task.delay()
    except Exception as error:  # kombu raises its transports' own errors; the sweep finds the rows
        log.warning("nudge_lost", task=task.name, error=type(error).__name__)


def _lease() -> timedelta:
    return timedelta(seconds=load(MonitorSettings).monitor_lease_s)
