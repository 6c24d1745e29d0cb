"""An index on disk: a folder whose manifest.json is the pointer to everything else in it.

Files are written under names that hold their SHA-256, and the manifest, replaced last and in one step,
names them. So a reader sees the old index or the new one, a save that was killed leaves the old one in
place, and a file that was cut short or changed is noticed before it is parsed.
Knows nothing of what the files mean.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.errors import IndexMismatch, NotFound, StorageFailed

FORMAT = 1
MANIFEST = "manifest.json"
FileWriter = Callable[[Path], Any]
T = TypeVar("T")

_REMEDY = "Rebuild the index."
_READ_BLOCK = 1 << 20
_LOCK = ".lock"
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Opened:
    """An index folder whose files are all there and whole: where each is, and the manifest's facts."""

    files: Mapping[str, Path]
    facts: Mapping[str, Any]


def publish_folder(
    folder: Path, kind: str, files: Mapping[str, FileWriter], facts: Mapping[str, Any]
) -> None:
    """Write the files and make them the folder's index. `facts` are kept in the manifest (JSON values).

    Savers of the same folder wait for one another. Raises StorageFailed; what was there before stands.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _one_writer(folder):
            entries = {name: _write(folder, name, writer) for name, writer in files.items()}
            manifest = {"format": FORMAT, "kind": kind, "facts": dict(facts), "files": entries}
            _replace(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False).encode())
            _sweep(folder, {MANIFEST, _LOCK, *(str(entry["file"]) for entry in entries.values())})
    except OSError as error:
        raise StorageFailed(
            f"The index could not be saved ({error.strerror or type(error).__name__}); the one before it "
            "is still in place. Free space or fix the folder's permissions, then save again."
        ) from error


def open_folder(folder: Path, kind: str, read: Callable[[Opened], T]) -> T:
    """Check the folder's index, then read it with `read`; starts over when a save replaced it meanwhile.

    Raises NotFound (no index there), IndexMismatch (another kind or format), StorageFailed (a file is
    missing, cut short, changed or cannot be parsed).
    """
    for _ in range(_ATTEMPTS):
        opened, checks = _open(folder, kind)
        try:
            if all(_whole(opened.files[name], *check) for name, check in checks.items()):
                return read(opened)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, EOFError, RuntimeError) as error:
            raise StorageFailed(f"The index cannot be read ({type(error).__name__}). {_REMEDY}") from error
    raise StorageFailed(f"A file of the index is missing, cut short or changed. {_REMEDY}")


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays to one file, uncompressed."""
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays that `write_arrays` wrote; nothing in the file is executed."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@contextmanager
def _one_writer(folder: Path) -> Iterator[None]:
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(folder: Path, name: str, writer: FileWriter) -> dict[str, Any]:
    """Write one file under a name that holds its checksum; its entry in the manifest."""
    part = folder / f"{uuid.uuid4().hex}.part"
    try:
        writer(part)
        digest = _sha256(part)
        stem, suffix = os.path.splitext(name)
        final = f"{stem}.{digest[:16]}{suffix}"
        _flush(part)
        os.replace(part, folder / final)
    finally:
        part.unlink(missing_ok=True)
    return {"file": final, "bytes": (folder / final).stat().st_size, "sha256": digest}


def _replace(path: Path, data: bytes) -> None:
    part = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(data)
        _flush(part)
        os.replace(part, path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(folder: Path, keep: set[str]) -> None:
    """Remove what the manifest no longer names; readers that have such a file open keep it."""
    for path in folder.iterdir():
        if path.name not in keep and path.is_file():
            path.unlink(missing_ok=True)


def _open(folder: Path, kind: str) -> tuple[Opened, dict[str, tuple[int, str]]]:
    """What the manifest names, and the size and checksum each of those files must have."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        entries = {name: dict(entry) for name, entry in manifest["files"].items()}
        files = {name: folder / Path(entry["file"]).name for name, entry in entries.items()}
        checks = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in entries.items()}
        found, facts = (manifest["format"], manifest["kind"]), dict(manifest["facts"])
    except FileNotFoundError as error:
        raise NotFound("There is no index in that folder.") from error
    except OSError as error:
        raise StorageFailed(f"The index cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageFailed(f"The index's manifest is damaged. {_REMEDY}") from error
    if found != (FORMAT, kind):
        raise IndexMismatch(f"The folder holds another kind or format of index. {_REMEDY}")
    return Opened(files, facts), checks


def _whole(path: Path, size: int, digest: str) -> bool:
    return path.stat().st_size == size and _sha256(path) == digest


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BLOCK):
            digest.update(block)
    return digest.hexdigest()
