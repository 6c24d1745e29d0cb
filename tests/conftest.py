"""Parts every test may use: a clean engine, a clean file store, real servers where a test asks for them."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation

from services.inference.engine import set_engine
from services.inference.fake import FakeEngine
from tests.requirements import redis_server

LONG = (
    "journeys/test_month_of_news",
    "services/training/test_recipes",
    "browser/test_training",
    "services/registry/test_export",
    "journeys/",
    "services/training/",
    "console/test_training_process",
    "config/test_backends",
    "browser/",
    "services/inference/test_cluster",
)
"""Files that take minutes, the longest first: begun at the end, one would keep a process busy alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that the processes end together; within a file the order stays."""

    def place(item: pytest.Item) -> int:
        return next((at for at, part in enumerate(LONG) if f"tests/{part}" in item.nodeid), len(LONG))

    items.sort(key=place)


@pytest.fixture(autouse=True)
def engine() -> Iterator[FakeEngine]:
    """Every test has its own FakeEngine; those that want the real one put it in place themselves."""
    fake = FakeEngine()
    set_engine(fake)
    yield fake
    set_engine(None)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, settings: object) -> Iterator[Path]:
    """An empty file store in a folder of the test's own."""
    from services.console.storage import storage

    settings.STORAGE_URL = str(tmp_path / "files")  # type: ignore[attr-defined]
    storage.cache_clear()
    yield tmp_path / "files"
    storage.cache_clear()


@pytest.fixture(autouse=True)
def language() -> Iterator[None]:
    """A request answered in another language leaves it behind in the thread: the next test begins anew."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Redis server that lives as long as the tests."""
    program = redis_server()
    assert program, "redis-server is missing: python -m tests.requirements says how to get it"
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    server = subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--dir", str(folder), "--loglevel", "warning"],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def free_port() -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, timeout_s: float = 30.0) -> None:
    """Until something listens there; an error after the time-out."""
    ends = time.monotonic() + timeout_s
    while time.monotonic() < ends:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")
