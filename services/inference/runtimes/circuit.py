"""A circuit breaker: after several failures in a row, callers are told at once instead of waiting.

Closed: every attempt goes through. Open: none does, until the cool-off is over. Half-open: one attempt
goes through as a probe; its success closes the circuit, its failure opens it for another cool-off.
An attempt left without a verdict (its caller went away) changes nothing and frees the probe's place.
Knows nothing of what is attempted. See M. Nygard, "Release It!", chapter 5 (Stability Patterns).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal


class CircuitOpen(Exception):
    """Nothing was attempted; `retry_after_s` is what is left of the cool-off (0 while a probe is out)."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"circuit open for another {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


@dataclass(slots=True, eq=False)
class Attempt:
    """One thing tried. Only its first verdict counts."""

    _circuit: Circuit
    _era: int
    _judged: bool = field(default=False, init=False)

    def succeeded(self) -> None:
        """The other side works."""
        self._judge(True)

    def failed(self) -> None:
        """The other side does not work."""
        self._judge(False)

    def _judge(self, good: bool) -> None:
        if not self._judged:
            self._judged = True
            self._circuit._verdict(self._era, good)


class Circuit:
    """Opens after `failures` in a row, lets a probe through after `cool_off_s`. Thread-safe."""

    def __init__(
        self,
        *,
        failures: int = 5,
        cool_off_s: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if failures < 1 or cool_off_s < 0:
            raise ValueError("failures is at least 1 and cool_off_s at least 0")
        self._most = failures
        self._cool_off_s = cool_off_s
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._open_until: float | None = None
        self._probing = False
        self._era = 0
        """Raised at every change of state, so that verdicts from before it no longer count."""

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """What the next attempt meets: `half_open` when it would be the probe, or while one is out."""
        with self._lock:
            if self._open_until is None:
                return "closed"
            return "half_open" if self._probing or self._clock() >= self._open_until else "open"

    @contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Try something: `with circuit.attempt() as attempt: ... attempt.succeeded()`. Raises CircuitOpen."""
        attempt = Attempt(self, self._enter())
        try:
            yield attempt
        finally:
            if not attempt._judged:
                self._abandon(attempt._era)

    def _enter(self) -> int:
        with self._lock:
            if self._open_until is not None:
                left_s = self._open_until - self._clock()
                if left_s > 0 or self._probing:
                    raise CircuitOpen(max(0.0, left_s))
                self._probing = True
                self._era += 1
            return self._era

    def _verdict(self, era: int, good: bool) -> None:
        with self._lock:
            if era != self._era:
                return
            self._in_a_row = 0 if good else self._in_a_row + 1
            if self._probing or self._in_a_row >= self._most:
                self._open_until = None if good else self._clock() + self._cool_off_s
                self._probing = False
                self._in_a_row = 0
                self._era += 1

    def _abandon(self, era: int) -> None:
        with self._lock:
            if era == self._era:
                self._probing = False
