"""A wrong setting stops the start: one line, the variable's name, the remedy, no traceback."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from services.conf import CoreSettings
from tests.config.conftest import Run


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The process ended with 2 and said each of the words, for people and not for programmers."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


WRONG = {
    "DATABASE_URL": "mysql://somewhere/db",
    "REDIS_URL": "http://localhost:6379",
    "STORAGE_URL": "ftp://files.example.com/x",
    "PUBLIC_URL": "shop.example.com",
    "PORT": "70000",
    "TIME_ZONE": "Mars/Olympus",
    "LOG_LEVEL": "LOUD",
    "SECRET_KEY": "too-short",
}


def test_every_wrong_value_is_named_at_once_each_with_its_remedy(manage: Run) -> None:
    done = manage("check", **WRONG)
    refused(done, "Trefoil cannot start:")
    lines = done.stderr.splitlines()[1:]
    assert {line.split(": ")[0] for line in lines} == set(WRONG)
    for line in lines:
        remedy = CoreSettings.model_fields[line.split(": ")[0].lower()].description
        assert remedy
        assert line.endswith(remedy)


def test_one_wrong_value_alone_stops_the_start(manage: Run) -> None:
    refused(manage("check", PORT="eighty"), "PORT: ", "1 to 65535")


def test_a_secret_is_not_repeated_in_the_message(manage: Run) -> None:
    done = manage("check", SECRET_KEY="hunter2")
    refused(done, "SECRET_KEY: ")
    assert "hunter2" not in done.stderr + done.stdout


def test_a_secret_file_that_cannot_be_read_is_named(manage: Run, tmp_path: Path) -> None:
    refused(manage("check", SECRET_KEY_FILE=str(tmp_path / "absent")), "SECRET_KEY_FILE: ", "SECRET_KEY")


def test_a_secret_is_read_from_its_file(manage: Run, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 50 + "\n")
    script = "from django.conf import settings; print(settings.SECRET_KEY)"
    done = manage("shell", "--no-imports", "-c", script, SECRET_KEY_FILE=str(key))
    assert done.stdout.strip() == "k" * 50
    assert not (tmp_path / "data" / "secret_key").exists()


def test_the_secret_key_is_made_once_and_readable_by_its_owner_only(manage: Run, tmp_path: Path) -> None:
    assert manage("check").returncode == 0
    path = tmp_path / "data" / "secret_key"
    first = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first) >= 50
    assert manage("check").returncode == 0
    assert path.read_text() == first


def test_a_damaged_secret_key_file_stops_the_start_and_is_kept(manage: Run, tmp_path: Path) -> None:
    path = tmp_path / "data" / "secret_key"
    path.parent.mkdir()
    path.write_text("half")
    refused(manage("check"), "SECRET_KEY: ", "Remove it")
    assert path.read_text() == "half"


def test_a_data_folder_below_a_file_stops_the_start(manage: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(manage("check", DATA_DIR=str(tmp_path / "file" / "data")), "DATA_DIR: ", "Set DATA_DIR")


def test_a_read_only_data_folder_stops_the_start(manage: Run, tmp_path: Path) -> None:
    folder = _read_only(tmp_path / "data")
    refused(manage("check", before=_bound_by_permissions()), "DATA_DIR: ", "Set DATA_DIR")
    assert list(folder.iterdir()) == []


def test_a_read_only_data_folder_stops_the_start_also_with_a_secret_key(manage: Run, tmp_path: Path) -> None:
    folder = _read_only(tmp_path / "data")
    done = manage("up", "--no-sample", before=_bound_by_permissions(), SECRET_KEY="s" * 40)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "DATA_DIR: the folder cannot be written" in done.stderr
    assert "Set DATA_DIR to a folder this user may write" in done.stderr
    assert list(folder.iterdir()) == []


def test_a_data_folder_that_is_not_there_yet_is_made(manage: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    done = manage("check", DATA_DIR=str(folder), SECRET_KEY="s" * 40)
    assert done.returncode == 0, done.stderr
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DATABASE_URL", "postgresql://u@host:port/name"), ("REDIS_URL", "redis://host:port/0")],
)
def test_an_address_with_a_broken_port_stops_the_start(manage: Run, variable: str, value: str) -> None:
    refused(manage("check", **{variable: value}), f"{variable}: ", "It should be: ")


def test_a_file_store_that_cannot_be_written_stops_the_start(manage: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = manage("check", STORAGE_URL=str(tmp_path / "file" / "store"))
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "STORAGE_URL: " in done.stderr
    assert "Set STORAGE_URL to a folder or bucket that can be written" in done.stderr


def test_an_empty_variable_counts_as_not_set(manage: Run) -> None:
    assert manage("check", PORT="", DATABASE_URL="", SECRET_KEY="").returncode == 0


def _read_only(folder: Path) -> Path:
    folder.mkdir()
    folder.chmod(0o555)
    return folder


def _bound_by_permissions() -> tuple[str, ...]:
    """A prefix under which permission bits bind the process even where the tests run as root."""
    if os.geteuid() != 0:
        return ()
    program = shutil.which("setpriv")
    assert program, "setpriv (util-linux) is needed to test as root"
    return (program, "--bounding-set=-dac_override,-dac_read_search", "--")
