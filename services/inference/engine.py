"""The Engine Protocol: what every app asks of models, and how the process gets its one engine.

Rooms take `engine: Engine` as an argument and know nothing of runtimes, devices or servers.
Doors get it from `get_engine()`. Today it is a `LocalEngine` in this process, or a `FakeEngine` when
the settings or a test say so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from services.inference.meters import Report
from services.inference.values import (
    ChatMessage,
    ClassScores,
    EncoderInfo,
    GenerateEvent,
    ModelInfo,
    Pair,
    Priority,
    Relevance,
    Sampling,
    Tagged,
    Vectors,
)


class Engine(Protocol):
    """Answers from models. Every call is thread-safe.

    Plain methods block until the answer is there; those that begin with `a` are awaited and hold no
    thread meanwhile. `deadline_s` counts from the call; what it cuts off is dropped from the queue.
    All raise ModelUnavailable (not configured, or cannot be loaded), ModelFailed (raised, or gave
    numbers that are not finite), Overloaded (queue full; nothing was started), DeadlineExceeded,
    Unavailable (stopped).
    """

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
        """
        ...

    async def aembed(
        self,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Vectors:
        """As `embed`."""
        ...

    def rerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Relevance:
        """Read the query together with each text: a cross-encoder, or without one late interaction.

        A text is cut so that query and text fit the model.
        """
        ...

    async def arerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Relevance:
        """As `rerank`."""
        ...

    def classify(
        self,
        task: str,
        pairs: Sequence[Pair],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> ClassScores:
        """Probabilities by the task's live model, calibrated if that version has a calibration."""
        ...

    async def aclassify(
        self,
        task: str,
        pairs: Sequence[Pair],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> ClassScores:
        """As `classify`."""
        ...

    def tag(
        self,
        task: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Tagged:
        """Entities by the task's live model. Long texts are read in overlapping pieces, whole."""
        ...

    async def atag(
        self,
        task: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Tagged:
        """As `tag`."""
        ...

    def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        """Continue a conversation: deltas as they come, then one Finished or Failed.

        Errors before the first event are raised. Closing the generator (`aclose`, or leaving an
        `aclosing` block) cancels the work. A passed deadline ends the text with Failed.
        """
        ...

    def encoder(self) -> EncoderInfo:
        """The live encoder's identity; loads it when it is not loaded yet."""
        ...

    def models(self) -> tuple[ModelInfo, ...]:
        """What this engine serves, the encoder first. Loads nothing."""
        ...

    def report(self) -> Report:
        """What it did in the last ten minutes; see `services.inference.meters`."""
        ...

    def warm(self) -> None:
        """Load the live encoder and run one text, so that the first visitor does not wait for it."""
        ...

    def probe(self, deadline_s: float) -> None:
        """Really run the encoder once, past any cache, within so many seconds: what `/ready` asks."""
        ...

    @property
    def alive(self) -> bool:
        """False once it is closed or its loop has died: the process is to be ended and started again."""
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
