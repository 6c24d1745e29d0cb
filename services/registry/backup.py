"""The registry whole: into a tar file or another file store, and back.

Versions go first and pointers last, so that one broken off half-way serves nothing new and is taken up again
by doing the same once more: what is there already is compared by its sums and left. Nothing that differs is
ever overwritten. A version whose files are damaged is left out and named; the others are kept safe.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec

from services.errors import Conflict, InvalidInput, ModelUnavailable, NotFound, StorageFailed
from services.registry import history
from services.registry.history import Entry, Head
from services.registry.store import ModelStore
from services.storage import Storage

_TAR = ".tar"
_MADE_BY = "trefoil-registry.txt"


@dataclass(slots=True)
class Transfer:
    """What was done, or with a dry run would be. Versions are written task/version, pointers by task.

    `own` are tasks whose history goes another way on the receiving side: what is live there stays.
    """

    added: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    live: dict[str, str] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    bytes: int = 0


def back_up(store: ModelStore, target: str, **options: Any) -> Transfer:
    """Every task's versions, history and live pointer, to a .tar file or a folder, at a path or fsspec URL.

    A tar file appears whole or not at all; a folder is added to. `options` go to the target's file system.
    Raises Conflict (the target holds another version of the same name; nothing was written), StorageFailed.
    """
    if target.endswith(_TAR):
        return _write_tar(store, target, options)
    with tempfile.TemporaryDirectory() as cache:
        return transfer(store, ModelStore(Storage(target, Path(cache), **options)))


def restore(store: ModelStore, source: str, *, dry_run: bool = False, **options: Any) -> Transfer:
    """Bring back what a backup holds and the store has not; with `dry_run` only say what that is.

    Raises Conflict (the store holds another version of the same name; nothing was written), NotFound or
    InvalidInput (no backup there), StorageFailed.
    """
    with _opened(source, options) as backup:
        if not backup.tasks():
            raise NotFound("There are no model versions in that backup.")
        return transfer(backup, store, dry_run=dry_run)


def transfer(giver: ModelStore, taker: ModelStore, *, dry_run: bool = False) -> Transfer:
    """As `restore`, from one store to another."""
    giver = ModelStore(giver.storage)  # a new one: what it checked long ago counts for nothing
    done = Transfer()
    todo: list[tuple[str, str]] = []
    for task in giver.tasks():
        there = set(taker.versions(task))
        for version in giver.versions(task):
            if version not in there:
                todo.append((task, version))
            elif giver.sums(task, version) != taker.sums(task, version):
                raise Conflict(
                    f"There is another version {version} of {task} already; versions are never changed. "
                    "Nothing was written."
                )
            else:
                done.kept.append(f"{task}/{version}")
    for task, version in todo:
        try:
            folder = giver.open(task, version)
        except ModelUnavailable:
            done.damaged.append(f"{task}/{version}")
            continue
        if not dry_run:
            taker.add(task, version, folder)
        done.added.append(f"{task}/{version}")
        done.bytes += giver.size(task, version)
    for task in giver.tasks():
        _hand_over(giver, taker, task, done, dry_run)
    return done


def _hand_over(giver: ModelStore, taker: ModelStore, task: str, done: Transfer, dry_run: bool) -> None:
    """History and live pointer. The pointer goes first: a walk through old changes serves nobody."""
    past, there = giver.history(task), taker.history(task)
    last, now = history.head(giver.storage, task), history.head(taker.storage, task)
    if not last.version and not past:
        return
    if not _follows(past, last, there, now):
        done.own.append(task)
        return
    served = f"{task}/{last.version}"
    if last.version and served not in done.added and served not in done.kept:
        done.own.append(task)  # the version itself could not be brought
        return
    done.live[task] = last.version
    if dry_run:
        return
    if now.number < last.number or not now.version:
        history.place(taker.storage, task, last)
    for entry in past:
        history.keep(taker.storage, task, entry)


def _follows(past: tuple[Entry, ...], last: Head, there: tuple[Entry, ...], now: Head) -> bool:
    """Whether the taker's history is the beginning of the giver's (or there is none)."""
    ids = {entry.number: entry.id for entry in past}
    if any(ids.get(entry.number) != entry.id for entry in there) or now.number > last.number:
        return False
    if now.number or not now.version:
        return True
    first = past[0].was if past and past[0].number == 1 else last.version
    return now.version == first


def _write_tar(store: ModelStore, target: str, options: dict[str, Any]) -> Transfer:
    fs, path = fsspec.core.url_to_fs(target, **options)
    local = "://" not in target or target.startswith("file://")
    done = Transfer()
    try:
        if local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            part = Path(f"{path}.{uuid.uuid4().hex}.part")
            try:
                _fill_tar(store, part, done)
                os.replace(part, path)
            finally:
                part.unlink(missing_ok=True)
        else:
            with tempfile.TemporaryDirectory() as made:
                _fill_tar(store, Path(made) / "registry.tar", done)
                fs.put_file(str(Path(made) / "registry.tar"), path)
    except (OSError, tarfile.TarError) as error:
        raise StorageFailed(
            f"The backup could not be written ({getattr(error, 'strerror', None) or type(error).__name__}); "
            "what was there before stands."
        ) from error
    return done


def _fill_tar(store: ModelStore, file: Path, done: Transfer) -> None:
    store = ModelStore(store.storage)  # a new one: what it checked long ago counts for nothing
    with tarfile.open(file, "w") as tar:
        _put(tar, _MADE_BY, b"Model versions of Trefoil. Bring them back with: manage.py models restore\n")
        for task in store.tasks():
            for version in store.versions(task):
                try:
                    folder = store.open(task, version)
                except ModelUnavailable:
                    done.damaged.append(f"{task}/{version}")
                    continue
                tar.add(folder, f"models/{task}/versions/{version}")
                done.added.append(f"{task}/{version}")
                done.bytes += store.size(task, version)
            for name, data in history.as_files(store.storage, task).items():
                _put(tar, f"models/{task}/{name}", data)
            if (live := store.live(task)) is not None:
                done.live[task] = live.version
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _put(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


@contextmanager
def _opened(source: str, options: dict[str, Any]) -> Iterator[ModelStore]:
    with tempfile.TemporaryDirectory() as made:
        folder, cache = Path(made) / "files", Path(made) / "cache"
        if source.endswith(_TAR):
            _unpack(source, folder, options)
            yield ModelStore(Storage(str(folder), cache))
        else:
            yield ModelStore(Storage(source, cache, **options))


def _unpack(source: str, folder: Path, options: dict[str, Any]) -> None:
    try:
        with fsspec.open(source, "rb", **options) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            tar.extractall(folder, filter="data")
    except FileNotFoundError as error:
        raise NotFound("There is no backup file of that name.") from error
    except (tarfile.TarError, EOFError) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InvalidInput(
            "The backup file is damaged or cut short; nothing was restored.", field="file"
        ) from error
    except OSError as error:
        raise StorageFailed(f"The backup could not be read ({error.strerror}).") from error
