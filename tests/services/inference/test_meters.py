"""What is counted, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import Overloaded
from services.inference.meters import SLOT_S, SLOTS, Meter, Report, percentile_ms


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def _report(meter: Meter) -> Report:
    return meter.report(queue=0, lanes=1, alive=True)


def test_a_slot_is_shown_once_it_is_over() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("embed", 3, 0.02)
    meter.batch(3, 30, 2.5)
    assert _report(meter).moments == ()
    clock.now += SLOT_S
    (moment,) = _report(meter).moments
    assert (moment.starts_at, moment.calls, moment.texts, moment.tokens) == (1_000_000.0, 1, 3, 30)
    assert (moment.batch_texts, moment.busy, moment.errors) == (3.0, 0.5, 0)


def test_idle_times_are_empty_slots_and_ten_minutes_is_all_that_is_kept() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("embed", 1, 0.01)
    clock.now += 4 * SLOT_S
    assert [moment.calls for moment in _report(meter).moments] == [1, 0, 0, 0]
    clock.now += 10 * 24 * 3600
    found = _report(meter)
    assert len(found.moments) == SLOTS
    assert {moment.calls for moment in found.moments} == {0}
    starts = [moment.starts_at for moment in found.moments]
    assert starts == [starts[0] + n * SLOT_S for n in range(SLOTS)]
    assert found.calls == {"embed": 1}
    assert found.p50_ms is None


def test_a_clock_set_back_loses_nothing() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.count("embed", 1, 0.01)
    clock.now -= 3600
    meter.count("embed", 1, 0.01)
    assert _report(meter).calls == {"embed": 2}


def test_a_call_that_raises_is_counted_with_its_code() -> None:
    meter = Meter()
    with pytest.raises(Overloaded), meter.measured("embed", 2):
        raise Overloaded
    with pytest.raises(ZeroDivisionError), meter.measured("embed", 1):
        raise ZeroDivisionError
    found = _report(meter)
    assert found.errors == {"overloaded": 1, "ZeroDivisionError": 1}
    assert (found.calls, found.texts) == ({"embed": 2}, {"embed": 3})


@pytest.mark.parametrize("leaving", [GeneratorExit, asyncio.CancelledError])
def test_a_caller_that_leaves_is_a_call_and_no_error(leaving: type[BaseException]) -> None:
    meter = Meter()
    with pytest.raises(leaving), meter.measured("generate", 1):
        raise leaving
    assert (_report(meter).calls, _report(meter).errors) == ({"generate": 1}, {})


@given(st.lists(st.floats(0.0006, 90), min_size=1, max_size=60), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_right_to_an_eighth(times: list[float], q: float) -> None:
    meter = Meter()
    for took_s in times:
        meter.count("embed", 1, took_s)
    exact = sorted(times)[max(0, -int(-q * len(times) // 1) - 1)] * 1000
    found = percentile_ms(Counter(_report(meter).latency_bins), q)
    assert found is not None
    assert exact / 1.13 - 0.01 <= found <= exact * 1.13 + 0.01


def test_no_call_has_no_percentile() -> None:
    assert percentile_ms(Counter(), 0.5) is None


def test_the_queues_peak_and_the_caches_hits_are_kept_by_slot() -> None:
    clock = Clock()
    meter = Meter(clock)
    for waiting in (3, 90, 7):
        meter.queue(waiting)
    meter.cache(3, 1)
    clock.now += SLOT_S
    meter.queue(5)
    clock.now += SLOT_S
    first, second = _report(meter).moments
    assert (first.queue_peak, second.queue_peak) == (90, 5)
    assert (first.cache_hit_rate, second.cache_hit_rate) == (0.75, None)


def test_threads_that_count_at_once_lose_nothing() -> None:
    meter = Meter()

    def count() -> None:
        for _ in range(500):
            meter.count("embed", 2, 0.001)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (_report(meter).calls["embed"], _report(meter).texts["embed"]) == (4000, 8000)
