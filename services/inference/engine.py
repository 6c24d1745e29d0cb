"""The Engine Protocol: what every app asks of models, and how the process gets its one engine.

Rooms take `engine: Engine` as an argument and know nothing of runtimes, devices or servers.
Doors get it from `get_engine()`. Today it is a `LocalEngine` in this process, or a `FakeEngine` when
the settings or a test say so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from services.inference.values import EncoderInfo, Priority, Vectors


class Engine(Protocol):
    """Answers from models. Every call is thread-safe and blocks until its answer is there."""

    def embed(
        self,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Vectors:
        """Embed texts with the live encoder.

        Returns float32 (n, dim), L2-normalised, in the order of `texts`; an empty text embeds as the
        encoder's answer to the empty string; an empty list gives (0, dim).
        Texts beyond the encoder's `max_tokens` are cut there.
        Raises ModelUnavailable (cannot be loaded), ModelFailed (raised, or not finite),
        Overloaded (queue full; nothing was started), DeadlineExceeded.
        """
        ...

    def encoder(self) -> EncoderInfo:
        """The live encoder's identity; loads it when it is not loaded yet."""
        ...

    def warm(self) -> None:
        """Load the live encoder and run one text, so that the first visitor does not wait for it."""
        ...

    def close(self) -> None:
        """Stop the loop; calls still waiting are settled with Unavailable."""
        ...


_lock = threading.Lock()
_engine: Engine | None = None
_factory: Callable[[], Engine] | None = None


def configure_engine(factory: Callable[[], Engine]) -> None:
    """Say how this process makes its engine; called once by the settings. Makes nothing yet."""
    global _factory
    _factory = factory


def get_engine() -> Engine:
    """The process's one engine, made on first use (loading a model is the engine's own, later, business)."""
    global _engine
    if _engine is None:
        with _lock:
            if _engine is None:
                if _factory is None:
                    from services.errors import Misconfigured

                    raise Misconfigured("No engine is configured: call configure_engine first.")
                _engine = _factory()
    return _engine


def set_engine(engine: Engine | None) -> None:
    """Put an engine in place of the process's one (tests), or None to make it anew on next use."""
    global _engine
    with _lock:
        _engine = engine


def _forget_after_fork() -> None:
    """Threads do not survive a fork: a forked worker makes its own engine on first use."""
    global _engine, _lock
    _lock = threading.Lock()
    _engine = None


os.register_at_fork(after_in_child=_forget_after_fork)
