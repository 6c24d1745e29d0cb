"""The embedded default and the real thing do the same: each with a real worker, as processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.config.conftest import ROOT, Run, clean_environment


@contextmanager
def worker(environment: dict[str, str], folder: Path) -> Iterator[None]:
    """A real Celery worker, from its start to its end."""
    command = ["-m", "celery", "-A", "config", "--quiet", "worker", "--pool", "threads", "--concurrency", "2"]
    with (folder / "worker.log").open("w") as log:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env=environment, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def round_trip(tmp_path: Path, **variables: str) -> dict[str, Any]:
    """Migrate, start a worker, and let one visitor ask."""
    environment = clean_environment(tmp_path / "data", ALLOWED_HOSTS="testserver", **variables)
    run = {"cwd": ROOT, "env": environment, "text": True, "capture_output": True, "timeout": 240}
    for command in (["manage.py", "migrate", "--no-input"], ["manage.py", "check", "--database", "default"]):
        done = subprocess.run([sys.executable, *command], **run)  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
    with worker(environment, tmp_path):
        trip = subprocess.run([sys.executable, "-m", "tests.config.round_trip"], **run)  # type: ignore[call-overload]
    assert trip.returncode == 0, trip.stderr + (tmp_path / "worker.log").read_text()
    told: dict[str, Any] = json.loads(trip.stdout.splitlines()[-1])
    return told


def is_answered_with_its_source(told: dict[str, Any]) -> None:
    """Both documents were read and the question has its sentence with the section it stands in."""
    assert (told["document"], told["orphan"]) == ("done", "done")
    answer = told["answer"]
    assert answer["kind"] == "bot_message", answer
    assert answer["outcome"] == "answer"
    assert "within 5 business days" in answer["text"]
    assert answer["citations"][0]["section"].endswith("Refunds")


def test_the_embedded_default_answers_on_sqlite_and_folders(tmp_path: Path) -> None:
    told = round_trip(tmp_path)
    assert (told["database"], told["broker"], told["cache"]) == ("sqlite", "filesystem", "LocMemCache")
    is_answered_with_its_source(told)


def test_postgresql_redis_and_a_folder_answer_the_same(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    told = round_trip(tmp_path, DATABASE_URL=postgres_url, REDIS_URL=redis_url)
    assert (told["database"], told["broker"], told["cache"]) == ("postgresql", "redis", "RedisCache")
    is_answered_with_its_source(told)
    assert not (tmp_path / "data" / "trefoil.sqlite3").exists()
    assert not (tmp_path / "data" / "broker").exists()


@pytest.mark.timeout(60)
def test_a_database_that_does_not_answer_stops_the_start_by_name(manage: Run) -> None:
    done = manage("up", "--no-sample", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "DATABASE_URL: " in done.stderr


@pytest.mark.timeout(60)
def test_a_redis_that_does_not_answer_stops_the_start_by_name(manage: Run) -> None:
    done = manage("up", "--no-sample", REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "REDIS_URL: " in done.stderr
