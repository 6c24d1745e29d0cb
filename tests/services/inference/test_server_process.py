"""`python -m services.inference.server` as the process it is: how it starts, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.conftest import free_port, wait_for_port

ROOT = Path(__file__).parents[3]
DIES = """
import sys
from services.inference import serving
from services.inference.server import main
from tests.services.inference.scripted_model import ScriptedModel

def dies(texts):
    if "die" in texts:
        raise SystemExit

serving.load_encoder = ScriptedModel(dies).loaded
main()
"""


def _start(folder: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LD_LIBRARY_PATH"}}
    own = {"DATA_DIR": str(folder), "PYTHONPATH": str(ROOT), "MODEL_CACHE_DIR": str(folder / "models")}
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**kept, **own, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def _running(
    folder: Path, *command: str, **variables: str
) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    port = free_port()
    process = _start(folder, *command, INFERENCE_PORT=str(port), **variables)
    try:
        wait_for_port(port)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def test_a_process_told_to_stop_ends_in_order_with_status_zero(tmp_path: Path) -> None:
    with _running(tmp_path, "-m", "services.inference.server", INFERENCE_RUNTIME="fake") as (process, client):
        assert client.get("/ready").status_code == 200
        assert client.post("/v1/embeddings", json={"input": "a"}).status_code == 200
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Application shutdown complete" in said
    assert "Traceback" not in said


def test_a_process_whose_loop_died_ends_with_status_one(tmp_path: Path) -> None:
    with _running(tmp_path, "-c", DIES) as (process, client):
        assert client.post("/v1/embeddings", json={"input": "fine"}).status_code == 200
        response = client.post("/v1/embeddings", json={"input": "die"})
        assert response.status_code == 503
        assert response.json()["error"]["code"] == "unavailable"
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "process_ends" in said


def test_a_server_for_strangers_without_a_key_does_not_start(tmp_path: Path) -> None:
    process = _start(
        tmp_path, "-m", "services.inference.server", INFERENCE_RUNTIME="fake", INFERENCE_HOST="0.0.0.0"
    )
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "INFERENCE_API_KEY" in said
    assert "Traceback" not in said
