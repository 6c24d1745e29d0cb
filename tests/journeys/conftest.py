"""The whole suite as `make run` starts it, on a folder of its own with the real encoder."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port

ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Suite:
    """A running suite: its address, its data folder, its processes' log."""

    address: str
    data_dir: Path
    log_path: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start web, worker and beat together and wait until they can answer."""
        log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up"],
            cwd=ROOT,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_until(lambda: self.get("/ready")[0] == 200, 180, self.log)

    def stop(self) -> int:
        """One Ctrl-C; the exit code."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGINT)
        code = self.process.wait(60)
        self.process = None
        self.sweep()
        return code

    def sweep(self) -> None:
        """End whatever still runs on this suite's data: a test leaves nothing behind."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid() and self._is_mine(entry.name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(entry.name), signal.SIGKILL)

    def kill_worker(self) -> None:
        """kill -9 the Celery worker alone."""
        for line in subprocess.run(
            ["ps", "-eo", "pid,args"], capture_output=True, text=True
        ).stdout.splitlines():
            pid, _, args = line.strip().partition(" ")
            if "celery" in args and " worker " in args and self._is_mine(pid):
                os.kill(int(pid), signal.SIGKILL)

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def manage(self, *arguments: str) -> str:
        """Run a management command on the suite's data."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, expression: str) -> Any:
        """Evaluate an expression over the suite's models, as JSON."""
        code = (
            "import json\nfrom chatbot.models import *\nfrom sentiment_monitor.models import *\n"
            f"from recommender.models import *\nprint('\\n=>' + json.dumps({expression}))"
        )
        return json.loads(self.manage("shell", "-c", code).rsplit("=>", 1)[1])

    def count(self, query: str) -> int:
        """What an SQL query counts, without starting a Django of its own: for waiting."""
        with closing(sqlite3.connect(self.data_dir / "trefoil.sqlite3", timeout=20)) as rows:
            return int(rows.execute(query).fetchone()[0])

    def log(self) -> str:
        """The end of what the processes said."""
        return self.log_path.read_text(errors="replace")[-4000:] if self.log_path.exists() else ""

    def _is_mine(self, pid: str) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return f"DATA_DIR={self.data_dir}".encode() in environment


def wait_until(condition: Any, timeout_s: float, told: Any = lambda: "") -> None:
    """Until the condition holds; an error with what was told after the time-out."""
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        if condition():
            return
        time.sleep(0.25)
    raise AssertionError(f"it did not come to be within {timeout_s} s\n{told()}")


def make_suite(data_dir: Path, **more: str) -> Suite:
    """A suite that is not started yet."""
    port = free_port()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name
        not in {"INFERENCE_RUNTIME", "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    }
    environment |= {
        "DATA_DIR": str(data_dir),
        "PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "PYTHONUNBUFFERED": "1",
        **more,
    }
    return Suite(f"http://localhost:{port}", data_dir, data_dir.parent / "suite.log", environment)


@pytest.fixture
def suite(tmp_path: Path) -> Iterator[Suite]:
    """A suite on an empty folder; stopped at the end if the test did not."""
    made = make_suite(tmp_path / "data")
    made.data_dir.mkdir()
    yield made
    if made.process is not None:
        os.killpg(made.process.pid, signal.SIGKILL)
        made.process.wait(10)
    made.sweep()
