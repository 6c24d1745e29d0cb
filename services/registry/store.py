"""Model versions in the file store: added once, never changed, one of each task's live.

    models/<task>/versions/<version>/...   the folder as it was added, and SHA256SUMS
    models/<task>/history/, live.json      which version is live, and how it came to be: see `history.py`

Promoting and rolling back make one small file, all or nothing: every reader sees the old version or the
new, and of two changes at once one comes through and the other is told so.
A version's files are checked against their sums before they are believed; pickles are not taken in.
Knows nothing of what the files mean.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from services.errors import Conflict, InvalidInput, ModelUnavailable, NotFound
from services.registry import history, lineage
from services.registry.exclusive import folders, listing, vanish
from services.registry.history import Action, Entry, Head
from services.registry.lineage import Change, Lineage
from services.registry.manifest import MANIFEST
from services.storage import Storage

SUMS = "SHA256SUMS"
ANYTHING = "*"
"""`expected` of a change that does not mind what is live; no version has this name."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,119}")
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
_KEPT_BEFORE = 50


@dataclass(frozen=True, slots=True)
class Live:
    """What serves a task: the version, since when, and the versions before it, latest first."""

    version: str
    since: datetime
    before: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two versions of a task."""

    parameters: tuple[Change, ...]
    metrics: tuple[Change, ...]
    other: tuple[Change, ...]


class ModelStore:
    """The versions of every task on one file store. Callable from any thread."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self._lock = threading.Lock()
        self._checked: dict[tuple[str, str], Path] = {}

    def add(self, task: str, version: str, folder: Path) -> None:
        """Take in a folder as a version; it serves nothing before it is promoted.

        Raises Conflict when the version is there already, InvalidInput for names or files that cannot be
        kept, StorageFailed (nothing was added).
        """
        path = _path(task, version)
        if version in self.versions(task):
            raise Conflict(f"The version {version} of {task} exists already; versions are never changed.")
        files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != SUMS)
        if bad := next((file.name for file in files if file.suffix.lower() in _PICKLES), None):
            raise InvalidInput(
                f"{bad} is a pickle, which is not taken in; save as safetensors.", field="folder"
            )
        if not files:
            raise InvalidInput("There are no files in the folder.", field="folder")
        lines = [f"{_sha256(file)}  {file.relative_to(folder).as_posix()}" for file in files]
        sums = ("\n".join(lines) + "\n").encode()
        with tempfile.TemporaryDirectory() as made:
            whole = Path(made) / "version"
            shutil.copytree(folder, whole)
            if self.storage.is_local:  # one rename makes all of it appear
                (whole / SUMS).write_bytes(sums)
                self.storage.put_folder(whole, path)
            else:  # file by file; the sums come last and make it a version
                (whole / SUMS).unlink(missing_ok=True)
                self.storage.delete(path)
                self.storage.put_folder(whole, path)
                self.storage.write(f"{path}/{SUMS}", sums)

    def versions(self, task: str) -> list[str]:
        """Every version of a task, by name. One whose adding was broken off is none."""
        found = listing(self.storage, f"models/{_name(task)}/versions")
        return sorted(parts[0] for name in found if len(parts := name.split("/")) == 2 and parts[1] == SUMS)

    def tasks(self) -> list[str]:
        """Every task that has versions."""
        return folders(self.storage, "models")

    def live(self, task: str) -> Live | None:
        """What serves the task; None when nothing was promoted. Raises StorageFailed, ModelUnavailable."""
        return _live(history.head(self.storage, _name(task)))

    def history(self, task: str) -> tuple[Entry, ...]:
        """Every change of what is live, the first one first."""
        return history.entries(self.storage, _name(task))

    def promote(
        self,
        task: str,
        version: str,
        now: datetime,
        *,
        expected: str | None = ANYTHING,
        by: str = "",
        reason: str = "",
        overridden: bool = False,
    ) -> Live:
        """Make a version the task's live one, in one atomic write.

        `expected` is the version the caller saw live (None: none was). `overridden` notes that the gate had
        refused it. Nothing happens when it is live already.
        Raises Conflict when another change came first, NotFound, ModelUnavailable, InvalidInput,
        StorageFailed (what was live still is).
        """
        was = history.head(self.storage, _name(task))
        self._require_expected(task, was, expected)
        self._require_whole(task, version)
        if version == was.version and (there := _live(was)) is not None:
            return there
        if overridden and not reason.strip():
            raise InvalidInput("A promotion against the gate needs a reason.", field="reason")
        before = tuple(v for v in (was.version, *was.before) if v and v != version)
        change = _change(was, "promote", version, before, now, by, reason, overridden=overridden)
        return self._commit(task, was, change)

    def roll_back(
        self, task: str, now: datetime, *, expected: str | None = ANYTHING, by: str = "", reason: str = ""
    ) -> Live:
        """Make the version before the live one live again.

        Before the first one nothing of the registry served: then `version` of the answer is empty, and the
        model that comes with the product serves again, where there is one.
        Raises Conflict when nothing is live; else as `promote`.
        """
        was = history.head(self.storage, _name(task))
        self._require_expected(task, was, expected)
        if not was.version:
            raise Conflict(f"No version of {task} is live: there is no earlier one to go back to.")
        earlier, *others = was.before or ("",)
        if earlier:
            self._require_whole(task, earlier)
        return self._commit(task, was, _change(was, "roll_back", earlier, tuple(others), now, by, reason))

    def retire(self, task: str, version: str, now: datetime, *, by: str = "", reason: str = "") -> int:
        """Remove a version's files; the bytes that were freed. The history says that it was there.

        Raises Conflict for the live version and the one before it, which a rollback needs; NotFound.
        """
        was = history.head(self.storage, _name(task))
        if version in (was.version, *was.before[:1]):
            kind = "live" if version == was.version else "what a rollback goes back to"
            raise Conflict(f"The version {version} of {task} is {kind} and stays.")
        files = listing(self.storage, _path(task, version))
        if not files:
            raise NotFound(f"There is no version {version} of {task}.")
        before = tuple(v for v in was.before if v != version)
        change = _change(was, "retire", was.version, before, now, by, reason, retired=version)
        if not history.append(self.storage, task, change):
            raise self._overtaken(task, was)
        with self._lock:
            self._checked.pop((task, version), None)
        vanish(self.storage, _path(task, version))
        shutil.rmtree(self.storage.cache_dir / _path(task, version), ignore_errors=True)
        return sum(files.values())

    def size(self, task: str, version: str) -> int:
        """The bytes a version takes. Raises NotFound."""
        files = listing(self.storage, _path(task, version))
        if SUMS not in files:
            raise NotFound(f"There is no version {version} of {task}.")
        return sum(files.values())

    def lineage(self, task: str, version: str) -> Lineage:
        """Where a version comes from, without fetching its weights. Raises NotFound, ModelUnavailable."""
        files = listing(self.storage, _path(task, version))
        if SUMS not in files:
            raise NotFound(f"There is no version {version} of {task}.")

        def part(name: str) -> bytes | None:
            return self.storage.read(f"{_path(task, version)}/{name}") if name in files else None

        told = part(lineage.LINEAGE), part(MANIFEST), part("config.json")
        return lineage.told_by(*told, task=task, version=version)

    def compare(self, task: str, first: str, second: str) -> Comparison:
        """Parameters, metrics and the rest that differ. Raises NotFound, ModelUnavailable."""
        one, two = (self.lineage(task, version).as_json() for version in (first, second))

        def differ(name: str) -> tuple[Change, ...]:
            return lineage.differences(one.pop(name), two.pop(name))

        parameters, metrics = differ("parameters"), differ("metrics")
        return Comparison(parameters, metrics, lineage.differences(one, two))

    def sums(self, task: str, version: str) -> Mapping[str, str]:
        """SHA-256 by file name. Raises NotFound, ModelUnavailable."""
        return _parsed(self.storage.read(f"{_path(task, version)}/{SUMS}"), version)

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
            known = self._checked.get((task, version))
        if known is not None and known.is_dir():
            return known
        folder = self._fetched(task, version)
        with self._lock:
            self._checked[task, version] = folder
        return folder

    def _fetched(self, task: str, version: str) -> Path:
        """The checked folder; a local copy of a remote one that is not what that is now is fetched again."""
        path = _path(task, version)
        folder = self.storage.local_folder(path)
        try:
            if not self.storage.is_local and self.sums(task, version) != _parsed_file(folder, version):
                raise ModelUnavailable(f"The local copy of {version} is another one.")
            require_sums(folder, version)
        except ModelUnavailable:
            if self.storage.is_local:
                raise
            shutil.rmtree(folder, ignore_errors=True)
            folder = self.storage.local_folder(path)
            require_sums(folder, version)
        return folder

    def _require_whole(self, task: str, version: str) -> None:
        if version not in self.versions(task):
            raise NotFound(f"There is no version {version} of {task}.")
        self.open(task, version)

    def _require_expected(self, task: str, was: Head, expected: str | None) -> None:
        if expected != ANYTHING and (expected or "") != was.version:
            raise self._overtaken(task, was, history.entry(self.storage, task, was.number))

    def _commit(self, task: str, was: Head, change: Entry) -> Live:
        if not history.append(self.storage, task, change):
            raise self._overtaken(task, was)
        return Live(change.version, change.at, change.before)

    def _overtaken(self, task: str, was: Head, last: Entry | None = None) -> Conflict:
        """What came first: the change after `was`, or the `last` one."""
        last = last or history.entry(self.storage, task, was.number + 1)
        if last is None:
            live = was.version or "no version"
            return Conflict(f"{live} is live for {task}. Look again, then decide.", live=was.version)
        who = last.by or "another process"
        did = f"retired {last.retired}" if last.retired else f"made {last.version} live"
        return Conflict(
            f"{who} {did} for {task} at {last.at.isoformat(timespec='seconds')}; nothing was changed now. "
            "Look again, then decide.",
            live=last.version,
            by=last.by,
        )


def _live(head: Head) -> Live | None:
    if not head.version or head.since is None:
        return None
    return Live(head.version, head.since, head.before)


def _change(
    was: Head,
    action: Action,
    version: str,
    before: tuple[str, ...],
    now: datetime,
    by: str,
    reason: str,
    *,
    overridden: bool = False,
    retired: str = "",
) -> Entry:
    return Entry(
        number=was.number + 1,
        at=now,
        action=action,
        version=version,
        was=was.version,
        by=by,
        reason=reason.strip(),
        overridden=overridden,
        retired=retired,
        before=before[:_KEPT_BEFORE],
    )


def _path(task: str, version: str) -> str:
    return f"models/{_name(task)}/versions/{_name(version)}"


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "A name here is 1 to 120 letters, digits, and . _ + - after the first.", field="name"
        )
    return name


def require_sums(folder: Path, version: str) -> None:
    """Raise ModelUnavailable unless every file of a version's folder is what it was when it was added."""
    for name, digest in _parsed_file(folder, version).items():
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


def _parsed_file(folder: Path, version: str) -> dict[str, str]:
    try:
        return _parsed((folder / SUMS).read_bytes(), version)
    except OSError as error:
        raise ModelUnavailable(f"The version {version} has no list of its files; add it anew.") from error


def _parsed(sums: bytes, version: str) -> dict[str, str]:
    try:
        lines = (line.split("  ", 1) for line in sums.decode().splitlines())
        return {name: digest for digest, name in lines}
    except ValueError as error:
        raise ModelUnavailable(f"The version {version} has no list of its files; add it anew.") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
