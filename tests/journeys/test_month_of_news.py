"""The sample's month played through the monitor: the crisis warns once, the earnings day does not,
and a worker killed on the way changes nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conftest import ROOT, Suite, make_suite, wait_until

WHAT_CAME_OF_IT = (
    "{'stories': sorted(Story.objects.values_list('title', 'entries_n')),"
    " 'scores': sorted([s.story.title, s.company.slug if s.company else '', round(s.polarity, 4)]"
    " for s in Score.objects.select_related('story', 'company')),"
    " 'alerts': [[a.company.slug, a.kind, (a.started_at - Replay.objects.get().starts_at).total_seconds()]"
    " for a in Alert.objects.order_by('started_at', 'pk')],"
    " 'sent': Delivery.objects.filter(state='sent').count(),"
    " 'state': Replay.objects.get().state}"
)
CRISIS_BEGINS_H = 16 * 24 + 6


def prepared(folder: Path) -> Suite:
    """The sample loaded, its replay queued, nothing played yet."""
    folder.mkdir()
    suite = make_suite(folder, MONITOR_LEASE_S="5")
    suite.manage("migrate", "-v0")
    suite.manage("load_sample")
    return suite


def play(suite: Suite, until_h: int = 10_000) -> None:
    """Play so many hours, or to the end, in one process, as a worker's task does it, a call after another."""
    suite.manage("shell", "-c", PLAYING % until_h)


PLAYING = """
import time
from datetime import timedelta
from sentiment_monitor.tasks import play
from sentiment_monitor.models import Replay

def goes_on():
    replay = Replay.objects.get()
    return replay.state == 'running' and replay.cursor < replay.starts_at + timedelta(hours=%d)

while goes_on():
    play()
    time.sleep(0.05)
if Replay.objects.get().state != 'running':
    play()
"""


@pytest.mark.timeout(1200)
def test_the_crisis_warns_once_and_a_killed_worker_changes_nothing(tmp_path: Path) -> None:
    undisturbed = prepared(tmp_path / "a")
    play(undisturbed, until_h=CRISIS_BEGINS_H - 60)
    disturbed = make_suite(tmp_path / "b", MONITOR_LEASE_S="5")
    shutil.copytree(undisturbed.data_dir, disturbed.data_dir)
    play(undisturbed)
    expected: dict[str, Any] = undisturbed.rows(WHAT_CAME_OF_IT)

    negative = [a for a in expected["alerts"] if a[1] == "negative_surge"]
    assert [a[0] for a in negative] == ["brightkettle"]
    assert 0 < negative[0][2] / 3600 - CRISIS_BEGINS_H <= 6
    assert expected["sent"] == 1
    mails = list((undisturbed.data_dir / "outbox").iterdir())
    assert len(mails) == 1
    assert "Negative surge: Brightkettle" in mails[0].read_text(errors="replace")

    for hours in (380, 392, 500):  # before the crisis, while it is being told, after it
        kill_when_at(disturbed, hours)
    play(disturbed)
    assert disturbed.rows(WHAT_CAME_OF_IT) == expected


def kill_when_at(suite: Suite, hours: int) -> None:
    """Let a process play until its clock has passed some hours, then kill -9 it in the middle."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-c", PLAYING % 10_000], cwd=ROOT, env=suite.environment
    )
    try:
        wait_until(lambda: played_h(suite) >= hours or process.poll() is not None, 240)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(10)
    assert played_h(suite) < 28 * 24


def played_h(suite: Suite) -> float:
    """How far the replay's clock has come, in hours."""
    import sqlite3

    with sqlite3.connect(suite.data_dir / "trefoil.sqlite3", timeout=20) as rows:
        query = "SELECT (julianday(cursor) - julianday(starts_at)) * 24 FROM sentiment_monitor_replay"
        return float(rows.execute(query).fetchone()[0])
