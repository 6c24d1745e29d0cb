"""Files on any fsspec URL: a local folder by default, an S3 bucket by setting.

Writes are atomic: a reader sees the old bytes or the new, never half (a temporary file and a rename
locally; an object store replaces objects whole). Paths are relative, `/`-separated, without `..`.
Knows nothing of what the files mean.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from services.conf import CoreSettings
from services.errors import InvalidInput, NotFound, StorageFailed


def open_storage(core: CoreSettings) -> Storage:
    """The store at STORAGE_URL, or in DATA_DIR, with its local cache in DATA_DIR."""
    url = core.storage_url or str(core.data_dir / "files")
    options = (
        {"endpoint_url": core.s3_endpoint_url} if url.startswith("s3://") and core.s3_endpoint_url else {}
    )
    return Storage(url, core.data_dir / "cache", **options)


class Storage:
    """One root. `options` go to the fsspec file system (endpoint, credentials)."""

    def __init__(self, url: str, cache_dir: Path, **options: Any) -> None:
        self.url = url
        self.cache_dir = cache_dir
        self._fs, root = fsspec.core.url_to_fs(url, **options)
        self._root = str(root).rstrip("/")
        self.is_local = "file" in _protocols(self._fs)

    def write(self, path: str, data: bytes) -> None:
        """Put bytes at a path, replacing what was there. Raises StorageFailed; the old bytes stand."""
        target = self._full(path)
        try:
            if self.is_local:
                _write_locally(Path(target), data)
            else:
                self._fs.pipe_file(target, data)
        except Exception as error:
            raise StorageFailed(f"The file store refused a write ({_reason(error)}).") from error

    def read(self, path: str) -> bytes:
        """The bytes at a path. Raises NotFound or StorageFailed."""
        target = self._full(path)
        try:
            data: bytes = self._fs.cat_file(target)
        except FileNotFoundError as error:
            raise NotFound("That file is not in the file store.") from error
        except Exception as error:
            raise StorageFailed(f"The file store refused a read ({_reason(error)}).") from error
        return data

    def delete(self, path: str) -> None:
        """Remove a file or a folder; nothing happens when it is not there. Raises StorageFailed."""
        target = self._full(path)
        try:
            self._fs.rm(target, recursive=True)
        except FileNotFoundError:
            return
        except Exception as error:
            raise StorageFailed(f"The file store refused a removal ({_reason(error)}).") from error

    def folders(self, path: str) -> list[str]:
        """The folders directly under a path, as paths of this store; none when it is not there."""
        target = self._full(path)
        try:
            found = self._fs.ls(target, detail=True)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise StorageFailed(f"The file store refused a listing ({_reason(error)}).") from error
        names = [PurePosixPath(entry["name"]).name for entry in found if entry["type"] == "directory"]
        return [f"{path}/{name}" for name in names if not name.endswith(".part")]

    def put_folder(self, local: Path, path: str) -> None:
        """Publish a finished local folder under a path that must not exist yet.

        Locally one rename; elsewhere file by file, so publish under a fresh name and point to it after.
        """
        target = self._full(path)
        try:
            if self.is_local:
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                staging = Path(f"{target}.{uuid.uuid4().hex}.part")
                shutil.copytree(local, staging)
                os.replace(staging, target)
            else:
                for file in sorted(p for p in local.rglob("*") if p.is_file()):
                    self._fs.pipe_file(f"{target}/{file.relative_to(local).as_posix()}", file.read_bytes())
        except Exception as error:
            raise StorageFailed(f"The file store refused a write ({_reason(error)}).") from error

    def local_folder(self, path: str) -> Path:
        """A local folder with the files under a path: itself, or a copy fetched once into the cache.

        Paths are taken to be immutable (a version in the name). Raises NotFound or StorageFailed.
        """
        target = self._full(path)
        if self.is_local:
            if not Path(target).is_dir():
                raise NotFound("That folder is not in the file store.")
            return Path(target)
        kept = self.cache_dir / path
        if kept.is_dir():
            return kept
        staging = self.cache_dir / f"{path}.{uuid.uuid4().hex}.part"
        try:
            found = self._fs.find(target)
            if not found:
                raise NotFound("That folder is not in the file store.")
            for remote in found:
                file = staging / PurePosixPath(remote).relative_to(PurePosixPath(target))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(self._fs.cat_file(remote))
            try:
                os.replace(staging, kept)
            except OSError:  # another process fetched it first
                shutil.rmtree(staging, ignore_errors=True)
        except NotFound:
            raise
        except Exception as error:
            shutil.rmtree(staging, ignore_errors=True)
            raise StorageFailed(f"The file store refused a read ({_reason(error)}).") from error
        return kept

    def probe(self) -> None:
        """Write, read and remove one small file. Raises StorageFailed when any of it fails."""
        path = f".probe-{uuid.uuid4().hex}"
        self.write(path, b"ok")
        if self.read(path) != b"ok":
            raise StorageFailed("The file store returned other bytes than were written.")
        self.delete(path)

    def _full(self, path: str) -> str:
        parts = PurePosixPath(path).parts
        if not parts or path.startswith("/") or ".." in parts:
            raise InvalidInput("Not a relative path inside the file store.", field="path")
        return f"{self._root}/{'/'.join(parts)}"


def _write_locally(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        with staging.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(staging, target)
    finally:
        staging.unlink(missing_ok=True)


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def _reason(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror) if strerror else type(error).__name__
