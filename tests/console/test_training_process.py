"""A run in real processes: a Celery worker, the run's own process, `kill -9`, and a person who stops it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.config.conftest import clean_environment


class Place:
    """A data folder with a database, workers that live on it, and a broker to nudge them by."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.workers: list[subprocess.Popen[bytes]] = []
        assert self._run("seed").wait(300) == 0, self.log
        queue, control = self.data / "broker" / "queue", self.data / "broker" / "control"
        options = {"data_folder_in": queue, "data_folder_out": queue, "control_folder": control}
        options = {name: str(path) for name, path in options.items()}  # type: ignore[misc]
        self._nudger = Celery("nudger", broker="filesystem://")
        self._nudger.conf.broker_transport_options = options
        for path in (queue, control):
            path.mkdir(parents=True, exist_ok=True)

    def start_worker(self) -> subprocess.Popen[bytes]:
        self.workers.append(self._run("worker"))
        return self.workers[-1]

    def end(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait(10)

    def rows(self, query: str, *values: object) -> list[Any]:
        connection = sqlite3.connect(self.data / "trefoil.sqlite3", timeout=20)
        try:
            found = connection.execute(query, values).fetchall()
            connection.commit()
            return found
        finally:
            connection.close()

    def ask(self, **parameters: object) -> int:
        """A queued run."""
        order = {"task": "sentiment", "recipe": "text_head", "parameters": parameters, "languages": ["en"]}
        columns = (
            "task, recipe, 'order', state, stage, done, total, log, worker, attempt, error_code,"
            " error_detail, outcome, version, reasons, created_by, created_at"
        )
        values = (
            "'sentiment', 'text_head', ?, 'queued', '', 0, 0, '', '', 0, '', '', '{}', '', '[]', 'rosa', "
        )
        self.rows(
            f"INSERT INTO console_trainingrun ({columns}) VALUES ({values} datetime('now'))".replace(
                "'order'", '"order"'
            ),
            json.dumps(order),
        )
        ((run_id,),) = self.rows("SELECT max(id) FROM console_trainingrun")
        self.rows("INSERT INTO console_trainingrun_datasets (trainingrun_id, dataset_id) SELECT ?, id"
                  " FROM console_dataset", run_id)  # fmt: skip
        return int(run_id)

    def run(self, run_id: int) -> dict[str, Any]:
        names = ("state", "done", "attempt", "log", "version", "worker")
        (row,) = self.rows(f"SELECT {', '.join(names)} FROM console_trainingrun WHERE id = ?", run_id)
        return dict(zip(names, row, strict=True))

    def until(self, reached: Callable[[], object], timeout_s: float = 150.0) -> float:
        """Sweep every second, as beat does every five, until it is so; how long that took."""
        began = time.monotonic()
        while not reached():
            assert time.monotonic() - began < timeout_s, self.log
            self._nudger.send_task("services.console.tasks.find_lost", queue="default", expires=15)
            ends = time.monotonic() + 1.0
            while time.monotonic() < ends and not reached():
                time.sleep(0.1)
        return time.monotonic() - began

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def _run(self, what: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.console.training_worker", what],
                cwd=self.folder,
                env=clean_environment(
                    self.data, LOG_LEVEL="WARNING", DJANGO_SETTINGS_MODULE="config.settings"
                ),
                stdout=log,
                stderr=log,
            )


def children(pid: int) -> list[int]:
    """The processes a process has started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("training"))
    try:
        yield made
    finally:
        made.end()


@pytest.mark.timeout(600)
def test_a_run_whose_worker_is_killed_dies_with_it_and_goes_on_in_the_next(place: Place) -> None:
    worker = place.start_worker()
    run = place.ask(steps=40, step_s=0.25)
    place.until(lambda: place.run(run)["done"] >= 6)
    (child,) = children(worker.pid)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(10)
    began = time.monotonic()
    while alive(child):
        assert time.monotonic() - began < 5
        time.sleep(0.05)
    assert place.run(run)["state"] == "running"
    place.start_worker()
    place.until(lambda: place.run(run)["state"] == "done")
    found = place.run(run)
    assert found["attempt"] == 2
    began_again = [line for line in found["log"].splitlines() if "going on from step" in line]
    assert int(began_again[-1].rsplit(" ", 1)[1]) >= 6
    steps = [step for (step,) in place.rows("SELECT step FROM console_trainingpoint ORDER BY id")]
    assert steps[-1] == 40
    assert (place.data / "files" / "models" / "sentiment" / "versions" / found["version"]).is_dir()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("deaf", [False, True])
def test_a_run_is_stopped_within_ten_seconds_even_when_it_does_not_listen(place: Place, deaf: bool) -> None:
    if not any(worker.poll() is None for worker in place.workers):
        place.start_worker()
    run = place.ask(steps=4000, step_s=0.25, **({"deaf": True} if deaf else {}))
    place.until(lambda: place.run(run)["done"] >= 2)
    place.rows("UPDATE console_trainingrun SET cancel_requested_at = datetime('now') WHERE id = ?", run)
    took = place.until(lambda: place.run(run)["state"] == "cancelled")
    assert took < 10


@pytest.mark.timeout(600)
def test_a_worker_that_is_told_to_end_does_so_and_leaves_its_run_to_the_next(place: Place) -> None:
    for worker in place.workers:
        worker.kill()
        worker.wait(10)
    worker = place.start_worker()
    run = place.ask(steps=4000, step_s=0.25)
    place.until(lambda: place.run(run)["done"] >= 2)
    worker.terminate()
    worker.wait(15)
    found = place.run(run)
    assert (found["state"], found["worker"]) == ("queued", "")
    assert "Traceback" not in place.log
