"""The circuit breaker, by a clock of the tests' own."""

from __future__ import annotations

import threading

import pytest

from services.inference.runtimes.circuit import Attempt, Circuit, CircuitOpen


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(failures=3, cool_off_s=10.0, clock=clock)


def fail(circuit: Circuit, times: int = 1) -> None:
    for _ in range(times):
        with circuit.attempt() as attempt:
            attempt.failed()


def succeed(circuit: Circuit) -> None:
    with circuit.attempt() as attempt:
        attempt.succeeded()


def enter(circuit: Circuit) -> Attempt:
    """The attempt of a block that is left without a verdict."""
    with circuit.attempt() as attempt:
        return attempt


def test_it_opens_after_so_many_failures_in_a_row(circuit: Circuit) -> None:
    fail(circuit, 2)
    assert circuit.state == "closed"
    fail(circuit)
    assert circuit.state == "open"
    with pytest.raises(CircuitOpen) as refused:
        enter(circuit)
    assert refused.value.retry_after_s == 10.0


def test_a_success_in_between_starts_the_count_anew(circuit: Circuit) -> None:
    fail(circuit, 2)
    succeed(circuit)
    fail(circuit, 2)
    assert circuit.state == "closed"


def test_after_the_cool_off_one_probe_goes_through_and_the_others_wait(
    circuit: Circuit, clock: Clock
) -> None:
    fail(circuit, 3)
    clock.now += 9.9
    with pytest.raises(CircuitOpen):
        enter(circuit)
    clock.now += 0.1
    assert circuit.state == "half_open"
    with circuit.attempt() as probe:
        with pytest.raises(CircuitOpen):
            enter(circuit)
        probe.succeeded()
    assert circuit.state == "closed"
    fail(circuit, 2)
    assert circuit.state == "closed"


def test_a_probe_that_fails_opens_it_for_another_cool_off(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 10
    fail(circuit)
    assert circuit.state == "open"
    clock.now += 9.9
    with pytest.raises(CircuitOpen):
        enter(circuit)
    clock.now += 0.1
    succeed(circuit)
    assert circuit.state == "closed"


def test_a_probe_whose_caller_left_frees_its_place(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 10
    enter(circuit)
    assert circuit.state == "half_open"
    succeed(circuit)
    assert circuit.state == "closed"


def test_a_probe_that_raises_frees_its_place(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 10
    with pytest.raises(KeyError), circuit.attempt():
        raise KeyError
    succeed(circuit)
    assert circuit.state == "closed"


def test_attempts_left_without_a_verdict_neither_count_nor_excuse(circuit: Circuit) -> None:
    fail(circuit, 2)
    enter(circuit)
    assert circuit.state == "closed"
    fail(circuit)
    assert circuit.state == "open"


def test_a_verdict_from_before_it_opened_no_longer_counts(circuit: Circuit, clock: Clock) -> None:
    with circuit.attempt() as slow:
        fail(circuit, 3)
        slow.succeeded()
    assert circuit.state == "open"
    clock.now += 10
    with circuit.attempt() as probe:
        slow.failed()
        probe.succeeded()
    assert circuit.state == "closed"


def test_only_the_first_verdict_of_an_attempt_counts(circuit: Circuit) -> None:
    fail(circuit, 2)
    with circuit.attempt() as attempt:
        attempt.succeeded()
        attempt.failed()
    fail(circuit, 2)
    assert circuit.state == "closed"


def test_of_many_threads_exactly_one_is_the_probe(circuit: Circuit, clock: Clock) -> None:
    fail(circuit, 3)
    clock.now += 10
    together, done = threading.Barrier(16), threading.Barrier(16)
    probes: list[int] = []

    def knock(number: int) -> None:
        together.wait()
        try:
            with circuit.attempt():
                probes.append(number)
                done.wait()
        except CircuitOpen:
            done.wait()

    threads = [threading.Thread(target=knock, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(probes) == 1


@pytest.mark.parametrize(("failures", "cool_off_s"), [(0, 1.0), (1, -1.0)])
def test_it_cannot_be_made_of_senseless_numbers(failures: int, cool_off_s: float) -> None:
    with pytest.raises(ValueError, match="at least"):
        Circuit(failures=failures, cool_off_s=cool_off_s)
