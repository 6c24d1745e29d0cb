"""Vectors kept by (encoder version, hash of the text): a bounded memory of the process, and Redis behind it.

What was embedded once is not embedded again while it is remembered: by this process, or with Redis by any.
A Redis that does not answer is left alone for a while; the cache is never a reason for an answer to fail.
Knows nothing of encoders: a version that changes simply asks under other keys.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from services.inference.values import Vectors
from services.logs import get_logger

log = get_logger(__name__)

_ROW_COST = 120
"""Bytes a kept vector costs beside its numbers: key, array header, place in the order."""
_LEAVE_ALONE_S = 10.0


class VectorCache:
    """At most `limit_bytes` here, least recently asked for forgotten first; 0 keeps nothing.

    `shared` is a redis client with short time-outs, or None; there a vector lives for `shared_ttl_s`.
    """

    def __init__(
        self,
        limit_bytes: int,
        shared: Any | None = None,
        shared_ttl_s: int = 7 * 24 * 3600,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit_bytes
        self._shared = shared if limit_bytes else None
        self._ttl_s = shared_ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, Vectors] = OrderedDict()
        self._bytes = 0
        self._leave_alone_until = 0.0

    @property
    def enabled(self) -> bool:
        """Whether it keeps anything at all."""
        return self._limit > 0

    @property
    def is_shared(self) -> bool:
        """Whether looking up may take a network round trip."""
        return self._shared is not None

    @property
    def count(self) -> int:
        """Vectors kept here now. No `__len__`: a cache that is still empty is not to be taken for none."""
        return len(self._kept)

    @staticmethod
    def key(version: str, text: str) -> bytes:
        """The name a text's vector has under a version."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20)
        digest.update(b"\0" + version.encode())
        return digest.digest()

    def find(self, keys: Sequence[bytes], dim: int) -> dict[int, Vectors]:
        """Position in `keys` -> its vector float32 (dim,), for those that are remembered."""
        found: dict[int, Vectors] = {}
        with self._lock:
            for at, key in enumerate(keys):
                if (vec := self._kept.get(key)) is not None and len(vec) == dim:
                    self._kept.move_to_end(key)
                    found[at] = vec
        if self._shared is not None and len(found) < len(keys):
            missing = [at for at in range(len(keys)) if at not in found]
            remote = self._read([keys[at] for at in missing], dim)
            self._keep({keys[missing[at]]: vec for at, vec in remote.items()})
            found.update({missing[at]: vec for at, vec in remote.items()})
        return found

    def keep(self, vecs: Mapping[bytes, Vectors]) -> None:
        """Remember vectors, each float32 (dim,)."""
        if not self._limit or not vecs:
            return
        own = {key: np.array(vec, np.float32) for key, vec in vecs.items()}
        self._keep(own)
        self._write(own)

    def _keep(self, vecs: Mapping[bytes, Vectors]) -> None:
        with self._lock:
            for key, vec in vecs.items():
                if (old := self._kept.pop(key, None)) is not None:
                    self._bytes -= old.nbytes + _ROW_COST
                self._bytes += vec.nbytes + _ROW_COST
                self._kept[key] = vec
            while self._bytes > self._limit:
                _, old = self._kept.popitem(last=False)
                self._bytes -= old.nbytes + _ROW_COST

    def _read(self, keys: Sequence[bytes], dim: int) -> dict[int, Vectors]:
        answers = self._ask(lambda redis: redis.mget([b"trefoil:vec:" + key for key in keys])) or []
        found = {
            at: np.frombuffer(data, np.float32)
            for at, data in enumerate(answers)
            if isinstance(data, bytes) and len(data) == 4 * dim
        }
        return {at: vec for at, vec in found.items() if np.isfinite(vec).all()}

    def _write(self, vecs: Mapping[bytes, Vectors]) -> None:
        def put(redis: Any) -> None:
            pipe = redis.pipeline(transaction=False)
            for key, vec in vecs.items():
                pipe.set(b"trefoil:vec:" + key, vec.tobytes(), ex=self._ttl_s)
            pipe.execute()

        self._ask(put)

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        if self._shared is None or self._clock() < self._leave_alone_until:
            return None
        try:
            return question(self._shared)
        except Exception as error:  # redis' own tree, time-outs, a full server: all the same here
            self._leave_alone_until = self._clock() + _LEAVE_ALONE_S
            log.warning("vector_cache_not_reached", error=type(error).__name__)
            return None


def build_cache(limit_mib: int, redis_url: str) -> VectorCache:
    """The cache the settings ask for; connects on first use."""
    shared = None
    if limit_mib and redis_url:
        import redis

        shared = redis.Redis.from_url(redis_url, socket_timeout=0.25, socket_connect_timeout=0.5)
    return VectorCache(limit_mib * 2**20, shared)
