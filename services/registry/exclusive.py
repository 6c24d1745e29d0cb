"""What the registry asks of a file store beyond reading and writing: make a file once, and list afresh.

`create` is the one step of which, of two at once, exactly one comes through: locally a hard link to a whole
file, on S3 a conditional put. A store that has neither is asked first and read back after, which leaves a
moment in which two could both believe to have won; S3 itself, MinIO and local folders leave none.
"""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path

from services.errors import StorageFailed
from services.storage import Storage

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def create(storage: Storage, path: str, data: bytes) -> bool:
    """Put bytes at a path where nothing is yet; False when something is there.

    `data` has to differ from what anybody else would write: after an answer that got lost the bytes that are
    there tell who won. Raises StorageFailed; then nothing was made.
    """
    target = storage._full(path)
    try:
        if storage.is_local:
            return _create_locally(Path(target), data)
        return _create_remotely(storage, target, data)
    except OSError as error:
        raise StorageFailed(
            f"The file store refused a write ({error.strerror or type(error).__name__}); nothing was changed."
        ) from error


def listing(storage: Storage, path: str) -> dict[str, int]:
    """Every file under a path (relative to it) and its bytes, past any cache; none when it is not there.

    Raises StorageFailed. What is still being put there or taken away is left out.
    """
    target = storage._full(path)
    try:
        if not storage.is_local:
            storage._fs.invalidate_cache()
        found = storage._fs.find(target, detail=True)
    except FileNotFoundError:
        return {}
    except Exception as error:
        raise StorageFailed(f"The file store refused a listing ({type(error).__name__}).") from error
    root = target.rstrip("/") + "/"
    sizes = {str(name).removeprefix(root): int(entry.get("size") or 0) for name, entry in found.items()}
    return {
        name: size
        for name, size in sizes.items()
        if not any(part.endswith(".part") for part in name.split("/"))
    }


def folders(storage: Storage, path: str) -> list[str]:
    """The names of the folders directly under a path, past any cache. Raises StorageFailed."""
    storage._fs.invalidate_cache()
    return sorted(found.rsplit("/", 1)[1] for found in storage.folders(path))


def vanish(storage: Storage, path: str) -> None:
    """Remove a folder; locally a rename comes first, so that none sees half of it. Raises StorageFailed."""
    target = Path(storage._full(path))
    if storage.is_local and target.is_dir():
        gone = f"{path}.{uuid.uuid4().hex}.part"
        try:
            os.replace(target, storage._full(gone))
        except OSError as error:
            raise StorageFailed(f"The file store refused a removal ({error.strerror}).") from error
        path = gone
    storage.delete(path)


def _create_locally(target: Path, data: bytes) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        with staging.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(staging, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return _create_without_links(target, data)
    finally:
        staging.unlink(missing_ok=True)
    return True


def _create_without_links(target: Path, data: bytes) -> bool:
    """For file systems that know no hard links; a reader may for a moment see a part of the file."""
    try:
        with target.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    except OSError:
        target.unlink(missing_ok=True)
        raise
    return True


def _create_remotely(storage: Storage, target: str, data: bytes) -> bool:
    fs = storage._fs
    try:
        fs.pipe_file(target, data, mode="create")
    except FileExistsError:
        return bool(fs.cat_file(target) == data)  # ours, when the answer to a first try got lost
    except (NotImplementedError, TypeError, ValueError):
        fs.invalidate_cache()
        if fs.exists(target):
            return False
        fs.pipe_file(target, data)
    except OSError:
        raise
    except Exception as error:
        raise StorageFailed(
            f"The file store refused a write ({type(error).__name__}); nothing was changed."
        ) from error
    return bool(fs.cat_file(target) == data)
