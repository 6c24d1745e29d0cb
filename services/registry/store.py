"""Model versions in the file store: added once, never changed, one of each task's live.

    models/<task>/versions/<version>/...   the folder as it was added, and SHA256SUMS
    models/<task>/live.json                which version is live, and which were before, latest first

Promoting and rolling back replace that one small file, so every reader sees the old version or the new.
A version's files are checked against their sums before they are believed; pickles are not taken in.
Knows nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from services.errors import Conflict, InvalidInput, ModelUnavailable, NotFound
from services.storage import Storage

SUMS = "SHA256SUMS"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
_KEPT_BEFORE = 50


@dataclass(frozen=True, slots=True)
class Live:
    """What serves a task: the version, since when, and the versions before it, latest first."""

    version: str
    since: datetime
    before: tuple[str, ...] = ()


class ModelStore:
    """The versions of every task on one file store. Callable from any thread."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._lock = threading.Lock()
        self._checked: dict[tuple[str, str], Path] = {}

    def add(self, task: str, version: str, folder: Path) -> None:
        """Take in a folder as a version; it serves nothing before it is promoted.

        Raises Conflict when the version is there already, InvalidInput for names or files that cannot be
        kept, StorageFailed (nothing was added).
        """
        path = _path(task, version)
        if self._has(task, version):
            raise Conflict(f"The version {version} of {task} exists already; versions are never changed.")
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if bad := next((file.name for file in files if file.suffix.lower() in _PICKLES), None):
            raise InvalidInput(
                f"{bad} is a pickle, which is not taken in; save as safetensors.", field="folder"
            )
        if not files:
            raise InvalidInput("There are no files in the folder.", field="folder")
        with tempfile.TemporaryDirectory() as made:
            whole = Path(made) / "version"
            shutil.copytree(folder, whole)
            lines = [f"{_sha256(file)}  {file.relative_to(folder).as_posix()}" for file in files]
            (whole / SUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")
            self._storage.put_folder(whole, path)

    def versions(self, task: str) -> list[str]:
        """Every version of a task, by name."""
        return sorted(
            path.rsplit("/", 1)[1] for path in self._storage.folders(f"models/{_name(task)}/versions")
        )

    def tasks(self) -> list[str]:
        """Every task that has versions."""
        return sorted(path.rsplit("/", 1)[1] for path in self._storage.folders("models"))

    def live(self, task: str) -> Live | None:
        """What serves the task; None when nothing was promoted. Raises StorageFailed, ModelUnavailable."""
        try:
            found = json.loads(self._storage.read(f"models/{_name(task)}/live.json"))
            return Live(found["version"], datetime.fromisoformat(found["since"]), tuple(found["before"]))
        except NotFound:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ModelUnavailable(
                f"What is live for {task} cannot be read; promote a version anew."
            ) from error

    def promote(self, task: str, version: str, now: datetime) -> Live:
        """Make a version the task's live one, in one atomic write. Raises NotFound, ModelUnavailable."""
        self.open(task, version)
        was = self.live(task)
        before = () if was is None else tuple(v for v in (was.version, *was.before) if v != version)
        return self._write(task, Live(version, now, before[:_KEPT_BEFORE]))

    def roll_back(self, task: str, now: datetime) -> Live:
        """Make the version before the live one live again. Raises Conflict when there is none."""
        was = self.live(task)
        if was is None or not was.before:
            raise Conflict(f"There is no earlier version of {task} to go back to.")
        self.open(task, was.before[0])
        return self._write(task, Live(was.before[0], now, was.before[1:]))

    def open(self, task: str, version: str = "") -> Path:
        """A local folder with a version's files, checked once in this process; the live one by default.

        Raises NotFound, StorageFailed, or ModelUnavailable when a file is missing or was changed.
        """
        if not version:
            live = self.live(task)
            if live is None:
                raise NotFound(f"No version of {task} is live.")
            version = live.version
        with self._lock:
            if (task, version) in self._checked:
                return self._checked[task, version]
        folder = self._storage.local_folder(_path(task, version))
        _require_sums(folder, version)
        with self._lock:
            self._checked[task, version] = folder
        return folder

    def _has(self, task: str, version: str) -> bool:
        return version in self.versions(task)

    def _write(self, task: str, live: Live) -> Live:
        found = {"version": live.version, "since": live.since.isoformat(), "before": list(live.before)}
        self._storage.write(f"models/{task}/live.json", json.dumps(found, indent=1).encode())
        return live


def _path(task: str, version: str) -> str:
    return f"models/{_name(task)}/versions/{_name(version)}"


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "A name here is 1 to 120 letters, digits, and . _ + - after the first.", field="name"
        )
    return name


def _require_sums(folder: Path, version: str) -> None:
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"The version {version} has no list of its files; add it anew.") from error
    for name, digest in sums.items():
        file = folder / name
        if (
            not file.resolve().is_relative_to(folder.resolve())
            or not file.is_file()
            or _sha256(file) != digest
        ):
            raise ModelUnavailable(
                f"A file of the version {version} is missing or was changed: {Path(name).name}. "
                "Roll back, or restore it from a backup."
            )


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
