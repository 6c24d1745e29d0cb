"""`manage.py up`: the first operator, the port, and everything stopped together."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from django.contrib.auth import authenticate, get_user_model

from services.console.management.commands.up import OPERATOR, _ensure_operator, _is_ready, _require_free_port
from services.errors import Misconfigured
from tests.config.conftest import ROOT, clean_environment
from tests.conftest import free_port


@pytest.mark.django_db
def test_the_first_operator_is_made_once_with_a_random_password() -> None:
    password = _ensure_operator()
    assert password is not None
    assert len(password) >= 16
    person = authenticate(username=OPERATOR, password=password)
    assert person is not None
    assert person.is_superuser
    assert _ensure_operator() is None
    assert get_user_model().objects.count() == 1


@pytest.mark.django_db
def test_no_operator_is_made_where_there_are_people() -> None:
    get_user_model().objects.create_user("ana", password="long enough to keep")
    assert _ensure_operator() is None
    assert list(get_user_model().objects.values_list("username", flat=True)) == ["ana"]


def test_a_port_in_use_is_named_with_the_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured) as caught:
            _require_free_port("127.0.0.1", port)
    assert f"PORT: {port} on 127.0.0.1 cannot be used" in caught.value.detail
    assert "set PORT to a free one" in caught.value.detail
    _require_free_port("127.0.0.1", port)


def test_nobody_is_ready_where_nothing_listens() -> None:
    assert not _is_ready(f"http://127.0.0.1:{free_port()}")


@pytest.mark.timeout(240)
def test_up_starts_every_process_and_one_ctrl_c_stops_them(tmp_path: Path) -> None:
    port = free_port()
    environment = clean_environment(tmp_path / "data", PORT=str(port), LOG_LEVEL="WARNING")
    log = tmp_path / "up.log"
    with log.open("w") as out:
        suite = subprocess.Popen(
            [sys.executable, str(ROOT / "manage.py"), "up", "--no-sample"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _until(lambda: "Trefoil is ready" in log.read_text() or suite.poll() is not None)
            said = log.read_text()
            assert f"http://localhost:{port}/shop/" in said, said
            assert re.search(r"Sign in as {2}operator {2}with the password {2}\S{16}", said)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=10) as answer:
                assert answer.status == 200
        finally:
            os.killpg(suite.pid, signal.SIGINT)  # what Ctrl-C does: every process of the terminal's group
            suite.wait(60)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert "Traceback" not in log.read_text()


def _until(reached: object, timeout_s: float = 120.0) -> None:
    ends = time.monotonic() + timeout_s
    while not reached():  # type: ignore[operator]
        if time.monotonic() > ends:
            raise TimeoutError
        time.sleep(0.3)
