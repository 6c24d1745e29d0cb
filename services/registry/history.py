"""Who made which version live, when and why: one small file a change, made once and never changed.

    models/<task>/history/00000001.json   the first change, and what is live since; then 00000002.json, …
    models/<task>/live.json               what is live, and the number of the change that made it so

A change is made by creating the next number, which only one of two at once can do. `live.json` saves
readers the walk; it may lag behind (its writer was killed, or overtaken), so a reader looks whether there
is a later number and believes that. There is no lock, so none can be left behind.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from services.errors import ModelUnavailable, NotFound, StorageFailed
from services.logs import get_logger
from services.registry.exclusive import create, listing
from services.storage import Storage

log = get_logger(__name__)

Action = Literal["promote", "roll_back", "retire"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of what is live. `version` is live after it ("" for nothing), `was` was before.

    `before` are the versions to go back to, latest first. `retired` names the version a `retire` took away.
    `overridden` says that a person promoted it against the gate.
    """

    number: int
    at: datetime
    action: Action
    version: str
    was: str = ""
    by: str = ""
    reason: str = ""
    overridden: bool = False
    retired: str = ""
    before: tuple[str, ...] = ()
    id: str = ""

    def as_json(self) -> dict[str, Any]:
        """As it is kept: `from` and `to` are the versions."""
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "action": self.action,
            "from": self.was,
            "to": self.version,
            "by": self.by,
            "reason": self.reason,
            "overridden": self.overridden,
            "retired": self.retired,
            "before": list(self.before),
            "id": self.id,
        }


@dataclass(frozen=True, slots=True)
class Head:
    """Where a task stands: after change `number` (0: none was ever recorded) this is live."""

    number: int = 0
    version: str = ""
    since: datetime | None = None
    before: tuple[str, ...] = ()


def head(storage: Storage, task: str) -> Head:
    """What is live now. Raises StorageFailed, ModelUnavailable when it cannot be read."""
    found, problem = Head(), None
    try:
        found = _pointer(json.loads(storage.read(_live_path(task))))
    except NotFound:
        pass
    except (ValueError, KeyError, TypeError) as error:
        problem = error
    while (later := entry(storage, task, found.number + 1)) is not None:
        found = Head(later.number, later.version, later.at, later.before)
    if problem is not None and not found.number:
        raise ModelUnavailable(
            f"What is live for {task} cannot be read; restore the registry from a backup."
        ) from problem
    return found


def append(storage: Storage, task: str, change: Entry) -> bool:
    """Make a change, all or nothing; False when another took its number first. Raises StorageFailed."""
    whole = replace(change, id=uuid.uuid4().hex)
    if not create(storage, _path(task, whole.number), _bytes(whole.as_json())):
        return False
    point(storage, task, whole)
    return True


def point(storage: Storage, task: str, last: Entry) -> None:
    """Bring live.json up to a change that is made; when that fails readers still find the change."""
    text = _as_pointer(last.version, last.at, last.before, last.number)
    try:
        storage.write(_live_path(task), _bytes(text))
    except StorageFailed as error:
        log.warning("live_pointer_lags", task=task, version=last.version, reason=error.detail)


def entry(storage: Storage, task: str, number: int) -> Entry | None:
    """One change; None when there is none of that number. Raises StorageFailed, ModelUnavailable."""
    try:
        return parse(json.loads(storage.read(_path(task, number))))
    except NotFound:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelUnavailable(
            f"Entry {number} of the history of {task} is damaged; restore the registry from a backup."
        ) from error


def entries(storage: Storage, task: str) -> tuple[Entry, ...]:
    """Every recorded change, the first one first. Raises StorageFailed, ModelUnavailable."""
    names = listing(storage, f"models/{task}/history")
    numbers = sorted(int(stem) for name in names if (stem := name.removesuffix(".json")).isdecimal())
    found = (entry(storage, task, number) for number in numbers)
    return tuple(one for one in found if one is not None)


def keep(storage: Storage, task: str, kept: Entry) -> bool:
    """Put an entry back as it was (a restore); False when its number is taken. Raises StorageFailed."""
    return create(storage, _path(task, kept.number), _bytes(kept.as_json()))


def place(storage: Storage, task: str, last: Head) -> None:
    """Say what is live where the changes that led to it are not yet (a restore). Raises StorageFailed."""
    storage.write(_live_path(task), _bytes(_as_pointer(last.version, last.since, last.before, last.number)))


def as_files(storage: Storage, task: str) -> dict[str, bytes]:
    """The pointer and every change as files below the task's folder, for a backup."""
    last = head(storage, task)
    files = {f"history/{one.number:08d}.json": _bytes(one.as_json()) for one in entries(storage, task)}
    if last.since is not None:
        files["live.json"] = _bytes(_as_pointer(last.version, last.since, last.before, last.number))
    return files


def parse(found: Mapping[str, Any]) -> Entry:
    """An entry as `as_json` gave it. Raises KeyError, TypeError, ValueError."""
    return Entry(
        number=int(found["number"]),
        at=datetime.fromisoformat(found["at"]),
        action=found["action"],
        version=str(found["to"]),
        was=str(found["from"]),
        by=str(found["by"]),
        reason=str(found["reason"]),
        overridden=bool(found["overridden"]),
        retired=str(found["retired"]),
        before=tuple(map(str, found["before"])),
        id=str(found["id"]),
    )


def _pointer(found: Mapping[str, Any]) -> Head:
    since = datetime.fromisoformat(found["since"])
    return Head(int(found.get("entry", 0)), str(found["version"]), since, tuple(map(str, found["before"])))


def _as_pointer(version: str, since: datetime | None, before: tuple[str, ...], number: int) -> dict[str, Any]:
    return {
        "version": version,
        "since": since.isoformat() if since else "",
        "before": list(before),
        "entry": number,
    }


def _bytes(value: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(value, indent=1, ensure_ascii=False)}\n".encode()


def _path(task: str, number: int) -> str:
    return f"models/{task}/history/{number:08d}.json"


def _live_path(task: str) -> str:
    return f"models/{task}/live.json"
