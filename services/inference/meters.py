"""What an engine counts of its own work: calls, texts, errors, latency, queue; the last ten minutes of it.

Operations (embed, rerank, classify, tag, generate) are counted where callers come in, batches where the
lanes run them. Time is cut into slots of five seconds; latencies fall into bins that grow by a quarter,
so that percentiles are right to about a tenth, whatever the load. Knows nothing of models or servers.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.errors import SuiteError

SLOT_S = 5.0
SLOTS = 120
_FIRST_BIN_S = 0.0005
_GROWTH = 1.25
_BINS = 56
"""The last bin's upper edge is some two minutes."""

EDGES_S = tuple(_FIRST_BIN_S * _GROWTH**step for step in range(_BINS))


@dataclass(slots=True)
class Slot:
    """Five seconds: `starts_at` is Unix time. `latency` counts calls by bin of EDGES_S."""

    starts_at: float
    calls: Counter[str] = field(default_factory=Counter)
    texts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latency: Counter[int] = field(default_factory=Counter)
    batches: int = 0
    batch_texts: int = 0
    tokens: int = 0
    busy_s: float = 0.0
    queue_peak: int = 0
    cache_hits: int = 0
    cache_misses: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """One slot, as it is shown. Latencies in milliseconds, None when nothing was asked."""

    starts_at: float
    calls: int
    texts: int
    tokens: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    queue_peak: int
    batch_texts: float
    """Texts in a batch, on average."""
    busy: float
    """The part of the lanes' time spent in the model, 0 to 1."""
    cache_hit_rate: float | None


@dataclass(frozen=True, slots=True)
class Report:
    """What an engine did. Totals since it started; `moments` oldest first, the one under way left out."""

    started_at: float
    calls: dict[str, int]
    """By operation."""
    texts: dict[str, int]
    errors: dict[str, int]
    """By error code."""
    latency_bins: dict[int, int]
    """Calls by index into EDGES_S, since the start."""
    latency_sum_s: float
    tokens: int
    batches: int
    busy_s: float
    cache_hits: int
    cache_misses: int
    queue: int
    """Texts waiting now."""
    lanes: int
    alive: bool
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    """Over `moments`."""
    moments: tuple[Moment, ...] = ()


class Meter:
    """Counts; callable from any thread. `clock` gives Unix time."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started_at = clock()
        self._total = Slot(self._started_at)
        self._latency_sum_s = 0.0
        self._slots: deque[Slot] = deque(maxlen=SLOTS + 1)

    @contextmanager
    def measured(self, operation: str, texts: int) -> Iterator[None]:
        """Count one call of so many texts, its time and the error it ends in."""
        started = time.perf_counter()
        code = ""
        try:
            yield
        except (GeneratorExit, asyncio.CancelledError):  # a caller that left is not an error
            raise
        except BaseException as error:
            code = error.code if isinstance(error, SuiteError) else type(error).__name__
            raise
        finally:
            self.count(operation, texts, time.perf_counter() - started, code)

    def count(self, operation: str, texts: int, took_s: float, error_code: str = "") -> None:
        """One call that ended."""
        bin_ = _bin(took_s)
        with self._lock:
            self._latency_sum_s += took_s
            for slot in (self._slot(), self._total):
                slot.calls[operation] += 1
                slot.texts[operation] += texts
                slot.latency[bin_] += 1
                if error_code:
                    slot.errors[error_code] += 1

    def batch(self, texts: int, tokens: int, took_s: float) -> None:
        """One batch a lane ran."""
        with self._lock:
            for slot in (self._slot(), self._total):
                slot.batches += 1
                slot.batch_texts += texts
                slot.tokens += tokens
                slot.busy_s += took_s

    def queue(self, waiting: int) -> None:
        """So many texts wait now; the peak of each slot is kept."""
        with self._lock:
            slot = self._slot()
            slot.queue_peak = max(slot.queue_peak, waiting)

    def cache(self, hits: int, misses: int) -> None:
        """So many texts were found in the cache, and so many were not."""
        with self._lock:
            for slot in (self._slot(), self._total):
                slot.cache_hits += hits
                slot.cache_misses += misses

    def report(self, *, queue: int, lanes: int, alive: bool) -> Report:
        """Everything counted so far."""
        with self._lock:
            current = self._slot()
            slots = [slot for slot in self._slots if slot is not current]
            latency = sum((slot.latency for slot in slots), Counter(current.latency))
            total = self._total
            return Report(
                started_at=self._started_at,
                calls=dict(total.calls),
                texts=dict(total.texts),
                errors=dict(total.errors),
                latency_bins=dict(total.latency),
                latency_sum_s=self._latency_sum_s,
                tokens=total.tokens,
                batches=total.batches,
                busy_s=total.busy_s,
                cache_hits=total.cache_hits,
                cache_misses=total.cache_misses,
                queue=queue,
                lanes=lanes,
                alive=alive,
                p50_ms=percentile_ms(latency, 0.50),
                p95_ms=percentile_ms(latency, 0.95),
                p99_ms=percentile_ms(latency, 0.99),
                moments=tuple(_moment(slot, lanes) for slot in slots),
            )

    def _slot(self) -> Slot:
        """The slot of now; idle stretches become empty slots, so that a chart shows them."""
        starts_at = math.floor(self._clock() / SLOT_S) * SLOT_S
        if not self._slots:
            self._slots.append(Slot(starts_at))
        last = self._slots[-1]
        first_missing = max(last.starts_at + SLOT_S, starts_at - SLOTS * SLOT_S)
        for step in range(round((starts_at - first_missing) / SLOT_S) + 1):
            self._slots.append(Slot(first_missing + step * SLOT_S))
        return self._slots[-1]


def percentile_ms(latency: Counter[int], q: float) -> float | None:
    """The q-quantile of binned latencies in milliseconds, in the middle of its bin; None of nothing."""
    wanted = q * sum(latency.values())
    if not wanted:
        return None
    seen = 0
    for bin_ in sorted(latency):
        seen += latency[bin_]
        if seen >= wanted:
            return round(EDGES_S[bin_] / math.sqrt(_GROWTH) * 1000, 2)
    return None


def _bin(took_s: float) -> int:
    if took_s <= _FIRST_BIN_S:
        return 0
    return min(math.ceil(math.log(took_s / _FIRST_BIN_S, _GROWTH) - 1e-9), _BINS - 1)


def _moment(slot: Slot, lanes: int) -> Moment:
    looked_up = slot.cache_hits + slot.cache_misses
    return Moment(
        starts_at=slot.starts_at,
        calls=slot.calls.total(),
        texts=slot.texts.total(),
        tokens=slot.tokens,
        errors=slot.errors.total(),
        p50_ms=percentile_ms(slot.latency, 0.50),
        p95_ms=percentile_ms(slot.latency, 0.95),
        p99_ms=percentile_ms(slot.latency, 0.99),
        queue_peak=slot.queue_peak,
        batch_texts=round(slot.batch_texts / slot.batches, 2) if slot.batches else 0.0,
        busy=round(min(slot.busy_s / (SLOT_S * max(lanes, 1)), 1.0), 4),
        cache_hit_rate=round(slot.cache_hits / looked_up, 4) if looked_up else None,
    )
