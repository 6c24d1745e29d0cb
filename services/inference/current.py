"""A model that callers share: loaded on first use, once; exchanged behind the scenes when another goes live.

Whoever asked first waits for the load; after a load that failed everybody gets its error for a while, then
it is tried again. During an exchange the old model goes on answering until the new one is ready.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from services.errors import SuiteError, Unavailable
from services.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")

LOOK_EVERY_S = 2.0
_RETRY_LOAD_S = 10.0


class Current(Generic[T]):
    """`which` says the model to serve (any string that changes with it), `load` gets it, `retire` ends it.

    `follows` is false for a model that never changes while the process lives.
    """

    def __init__(
        self,
        which: Callable[[], str],
        load: Callable[[str], T],
        retire: Callable[[T], None] = lambda old: None,
        *,
        follows: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._which = which
        self._load = load
        self._retire = retire
        self._follows = follows
        self._clock = clock
        self._lock = threading.Lock()
        self._value: T | None = None
        self._key = ""
        self._looked_at = 0.0
        self._looking = False
        self._failed: SuiteError | None = None
        self._failed_at = 0.0

    @property
    def loaded(self) -> T | None:
        """The model, if it is loaded; never loads it."""
        return self._value

    def get(self) -> T:
        """The model. Raises what `which` or `load` raises, for some seconds without trying again."""
        value = self._value
        if value is not None:
            if self._follows and self._clock() - self._looked_at > LOOK_EVERY_S and not self._looking:
                self._looking = True
                threading.Thread(target=self.look, name="model-exchange", daemon=True).start()
            return value
        with self._lock:
            if self._value is None:
                self._value = self._loaded_now()
            return self._value

    def look(self) -> None:
        """Exchange the model if another is to be served; the old one stands when that fails."""
        self._looking = True
        try:
            key = self._which()
            if key != self._key and self._value is not None:
                new = self._load(key)
                with self._lock:
                    old, self._value, self._key = self._value, new, key
                log.info("model_exchanged", model=key)
                self._retire(old)
        except Exception as error:
            log.warning("model_not_exchanged", reason=f"{type(error).__name__}: {error}")
        finally:
            self._looked_at = self._clock()
            self._looking = False

    def _loaded_now(self) -> T:
        if self._failed is not None and self._clock() - self._failed_at < _RETRY_LOAD_S:
            raise type(self._failed)(self._failed.detail) from self._failed
        try:
            key = self._which()
            value = self._load(key)
        except Unavailable as error:
            self._failed, self._failed_at = error, self._clock()
            raise
        self._key, self._looked_at, self._failed = key, self._clock(), None
        return value
