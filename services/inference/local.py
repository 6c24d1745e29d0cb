"""The engine in this process: tokenise in the caller's thread, batch on the lanes, answer in order.

Loads its encoder on first use, once, however many threads ask.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from services.errors import DeadlineExceeded, ModelUnavailable, Unavailable
from services.inference.batching import Batcher
from services.inference.conf import InferenceSettings
from services.inference.engine import Engine
from services.inference.fake import FakeEngine
from services.inference.loading import LoadedEncoder, load_encoder
from services.inference.values import EncoderInfo, Priority, Vectors

_CHUNK_TEXTS = 1024
"""A large call is tokenised and queued in pieces of this many texts, so that its memory stays bounded."""
_CHUNKS_AHEAD = 2
_RETRY_LOAD_S = 10.0
"""After a load that failed, callers get its error for this long before it is tried again."""


def build_engine(settings: InferenceSettings) -> Engine:
    """The engine the settings ask for; it loads nothing before it is used."""
    if settings.inference_runtime == "fake":
        return FakeEngine()
    return LocalEngine(settings)


@dataclass(frozen=True, slots=True)
class _Live:
    encoder: LoadedEncoder
    batcher: Batcher


class LocalEngine:
    """The Engine Protocol over one encoder in this process."""

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._live: _Live | None = None
        self._failed: ModelUnavailable | None = None
        self._failed_at = 0.0
        self._closed = False

    def embed(
        self,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Vectors:
        """As the Protocol says. A large call goes through in pieces, the next tokenised meanwhile."""
        if isinstance(texts, str):
            raise TypeError("texts is a sequence of strings, not one string")
        deadline = None if deadline_s is None else time.monotonic() + deadline_s
        live = self._loaded()
        vecs = np.empty((len(texts), live.encoder.info.dim), np.float32)
        under_way: deque[tuple[slice, Future[Vectors]]] = deque()
        try:
            for rows in _pieces(len(texts)):
                ids = live.encoder.tokenise(texts[rows])
                future = live.batcher.submit(
                    ids, priority=priority, deadline=deadline, admitted=rows.start > 0
                )
                under_way.append((rows, future))
                if len(under_way) > _CHUNKS_AHEAD:
                    _collect(under_way, vecs, deadline)
            while under_way:
                _collect(under_way, vecs, deadline)
        finally:
            for _, future in under_way:  # after a failure only: what nobody waits for is not run
                future.cancel()
        return vecs

    def encoder(self) -> EncoderInfo:
        """As the Protocol says."""
        return self._loaded().encoder.info

    def warm(self) -> None:
        """As the Protocol says."""
        self.embed(["warm"], priority=Priority.INTERACTIVE)

    def close(self) -> None:
        """As the Protocol says."""
        with self._lock:
            self._closed = True
            live = self._live
        if live is not None:
            live.batcher.close()

    @property
    def alive(self) -> bool:
        """False once it is closed or its loop has died; an encoder not loaded yet counts as alive."""
        return not self._closed and (self._live is None or self._live.batcher.alive)

    def _loaded(self) -> _Live:
        if self._live is not None:
            return self._live
        with self._lock:
            if self._closed:
                raise Unavailable("The inference service is shutting down.")
            if self._live is None:
                self._live = self._load()
            return self._live

    def _load(self) -> _Live:
        if self._failed is not None and time.monotonic() - self._failed_at < _RETRY_LOAD_S:
            raise ModelUnavailable(self._failed.detail) from self._failed
        try:
            encoder = load_encoder(self._settings)
        except ModelUnavailable as error:
            self._failed, self._failed_at = error, time.monotonic()
            raise
        batcher = Batcher(
            encoder.runtime.run,
            dim=encoder.info.dim,
            token_budget=self._settings.inference_token_budget or encoder.runtime.token_budget,
            queue_texts=self._settings.inference_queue_texts,
            lanes=encoder.runtime.lanes,
        )
        return _Live(encoder, batcher)


def _pieces(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK_TEXTS, count)) for start in range(0, count, _CHUNK_TEXTS))


def _collect(under_way: deque[tuple[slice, Future[Vectors]]], vecs: Vectors, deadline: float | None) -> None:
    rows, future = under_way[0]
    left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
    try:
        vecs[rows] = future.result(left_s)
    except TimeoutError as error:
        raise DeadlineExceeded("The answer did not come in time; its work was dropped.") from error
    under_way.popleft()
