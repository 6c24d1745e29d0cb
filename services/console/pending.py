"""What the start-up command waits for before it says that everything is there: work the apps have left."""

from __future__ import annotations

from collections.abc import Callable

_counters: list[Callable[[], int]] = []


def register(counter: Callable[[], int]) -> None:
    """Have a count of unfinished work asked for; called once by each app that has some."""
    _counters.append(counter)


def count() -> int:
    """Unfinished work of all apps."""
    return sum(counter() for counter in _counters)
