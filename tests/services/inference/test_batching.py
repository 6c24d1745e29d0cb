"""The queue in front of a model: merging, order, priority, limits, and that every caller is answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from services.errors import DeadlineExceeded, ModelFailed, Overloaded, Unavailable
from services.inference.batching import Batcher, Served
from services.inference.values import Priority, Vectors

WAIT_S = 10.0


class GatedModel:
    """A model whose batches wait for `open`: (first id, number of ids) of each text is its vector."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.batches: list[list[Sequence[int]]] = []
        self.raises: BaseException | None = None
        self.poison: int | None = None

    def __call__(self, token_ids: Sequence[Sequence[int]]) -> Vectors:
        self.batches.append(list(token_ids))
        self.entered.release()
        assert self.gate.wait(WAIT_S)
        if self.raises is not None:
            raise self.raises
        vecs = np.array([(ids[0], len(ids)) for ids in token_ids], np.float32)
        vecs[[ids[0] == self.poison for ids in token_ids]] = np.nan
        return vecs

    def wait_until_busy(self) -> None:
        assert self.entered.acquire(timeout=WAIT_S)


@pytest.fixture
def model() -> GatedModel:
    return GatedModel()


class One:
    """A queue with one model on it."""

    def __init__(
        self,
        model: GatedModel,
        *,
        dim: int = 2,
        token_budget: int = 64,
        lanes: int = 1,
        queue_texts: int = 1000,
        **options: Any,
    ) -> None:
        self.batcher = Batcher(queue_texts=queue_texts, **options)
        self.served = self.batcher.serve(Served("model", model, dim, token_budget, lanes))
        self.close = self.batcher.close

    def submit(self, token_ids: Sequence[Sequence[int]], **options: Any) -> Future[Any]:
        return self.batcher.submit(self.served, token_ids, **options)

    @property
    def alive(self) -> bool:
        return self.batcher.alive

    @property
    def waiting(self) -> int:
        return self.batcher.waiting


@pytest.fixture
def make(model: GatedModel) -> Iterator[Callable[..., One]]:
    made: list[One] = []

    def _make(**options: Any) -> One:
        made.append(One(model, **options))
        return made[-1]

    yield _make
    model.gate.set()
    for batcher in made:
        batcher.close()


def _busy(batcher: One, model: GatedModel) -> Future[Vectors]:
    """One text is in the model, so that what comes next has to wait."""
    future = batcher.submit([[99]], priority=Priority.INTERACTIVE)
    model.wait_until_busy()
    return future


def test_answers_come_in_the_order_of_the_texts_whatever_their_lengths(
    make: Callable[..., One], model: GatedModel
) -> None:
    model.gate.set()
    token_ids = [[row] * (1 + row * 7 % 30) for row in range(200)]
    vecs = make(lanes=2).submit(token_ids).result(WAIT_S)
    assert [tuple(vec) for vec in vecs] == [(ids[0], len(ids)) for ids in token_ids]
    assert len(model.batches) > 10


def test_texts_of_many_callers_that_wait_share_one_batch(make: Callable[..., One], model: GatedModel) -> None:
    batcher = make()
    first = _busy(batcher, model)
    futures = [batcher.submit([[n, n]]) for n in range(10)]
    model.gate.set()
    assert [future.result(WAIT_S)[0, 0] for future in futures] == list(range(10))
    assert first.result(WAIT_S)[0, 0] == 99
    assert [len(batch) for batch in model.batches] == [1, 10]


def test_fifty_threads_each_get_their_own_answers(make: Callable[..., One], model: GatedModel) -> None:
    model.gate.set()
    batcher = make(lanes=2)

    def ask(n: int) -> bool:
        token_ids = [[n * 100 + row] * (1 + (n + row) % 9) for row in range(1 + n % 5)]
        vecs = batcher.submit(token_ids, priority=Priority(n % 3)).result(WAIT_S)
        return [vec[0] for vec in vecs] == [ids[0] for ids in token_ids]

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(ask, range(400)))
    assert batcher.waiting == 0


def test_a_person_waits_for_one_batch_of_a_large_job_at_most(
    make: Callable[..., One], model: GatedModel
) -> None:
    batcher = make()
    job = batcher.submit([[1] * 16 for _ in range(100)], priority=Priority.BATCH)
    model.wait_until_busy()
    request = batcher.submit([[2] * 4], priority=Priority.NORMAL)
    person = batcher.submit([[3] * 4], priority=Priority.INTERACTIVE)
    model.gate.set()
    person.result(WAIT_S)
    request.result(WAIT_S)
    job.result(WAIT_S)
    assert [batch[0][0] for batch in model.batches[:4]] == [1, 3, 2, 1]


def test_a_model_that_raises_settles_everyone_in_the_batch_and_nobody_else(
    make: Callable[..., One], model: GatedModel
) -> None:
    batcher = make()
    model.raises = RuntimeError("out of memory")
    failing = _busy(batcher, model)
    model.gate.set()
    with pytest.raises(ModelFailed) as caught:
        failing.result(WAIT_S)
    assert isinstance(caught.value.__cause__, RuntimeError)
    model.raises = None
    assert batcher.submit([[5]]).result(WAIT_S)[0, 0] == 5
    assert batcher.alive


def test_a_failing_batch_drops_the_rest_of_its_job(make: Callable[..., One], model: GatedModel) -> None:
    batcher = make()
    model.raises = RuntimeError("out of memory")
    model.gate.set()
    with pytest.raises(ModelFailed):
        batcher.submit([[1] * 16 for _ in range(400)]).result(WAIT_S)
    model.raises = None
    batcher.submit([[2]]).result(WAIT_S)
    assert sum(len(batch) for batch in model.batches) < 50


def test_numbers_that_are_not_finite_fail_their_caller_alone(
    make: Callable[..., One], model: GatedModel
) -> None:
    batcher = make()
    _busy(batcher, model)
    model.poison = 13
    poisoned = batcher.submit([[12], [13]])
    healthy = batcher.submit([[14], [15]])
    model.gate.set()
    assert healthy.result(WAIT_S)[:, 0].tolist() == [14, 15]
    with pytest.raises(ModelFailed, match="not finite"):
        poisoned.result(WAIT_S)


def test_an_answer_of_the_wrong_shape_is_a_failure_of_the_model(
    make: Callable[..., One], model: GatedModel
) -> None:
    model.gate.set()
    with pytest.raises(ModelFailed):
        make(dim=3).submit([[1]]).result(WAIT_S)


def test_texts_whose_deadline_passed_are_not_run(make: Callable[..., One], model: GatedModel) -> None:
    now = [100.0]
    batcher = make(clock=lambda: now[0])
    _busy(batcher, model)
    late = batcher.submit([[1]], deadline=105.0)
    timely = batcher.submit([[2]], deadline=200.0)
    now[0] = 110.0
    model.gate.set()
    assert timely.result(WAIT_S)[0, 0] == 2
    with pytest.raises(DeadlineExceeded):
        late.result(WAIT_S)
    assert [1] not in [ids for batch in model.batches for ids in batch]


def test_what_a_caller_cancelled_is_not_run(make: Callable[..., One], model: GatedModel) -> None:
    batcher = make()
    _busy(batcher, model)
    batcher.submit([[1]]).cancel()
    model.gate.set()
    batcher.submit([[2]]).result(WAIT_S)
    assert [1] not in [ids for batch in model.batches for ids in batch]


def test_a_full_queue_refuses_with_the_time_to_come_back_and_keeps_what_it_has(
    make: Callable[..., One], model: GatedModel
) -> None:
    batcher = make(queue_texts=8)
    _busy(batcher, model)
    kept = batcher.submit([[n] for n in range(5)])
    with pytest.raises(Overloaded) as caught:
        batcher.submit([[1], [2]])
    assert 0.1 <= caught.value.retry_after_s <= 60
    assert batcher.waiting == 5
    model.gate.set()
    assert kept.result(WAIT_S).shape == (5, 2)


def test_the_last_quarter_of_the_queue_is_for_people(make: Callable[..., One], model: GatedModel) -> None:
    batcher = make(queue_texts=8)
    _busy(batcher, model)
    batcher.submit([[n] for n in range(6)], priority=Priority.BATCH)
    with pytest.raises(Overloaded):
        batcher.submit([[1]], priority=Priority.NORMAL)
    batcher.submit([[1], [2]], priority=Priority.INTERACTIVE)
    with pytest.raises(Overloaded):
        batcher.submit([[1]], priority=Priority.INTERACTIVE)


def test_a_call_that_was_let_in_may_go_on_when_the_queue_is_full(
    make: Callable[..., One], model: GatedModel
) -> None:
    batcher = make(queue_texts=4)
    _busy(batcher, model)
    batcher.submit([[n] for n in range(3)])
    rest = batcher.submit([[7], [8]], admitted=True)
    model.gate.set()
    assert rest.result(WAIT_S)[:, 0].tolist() == [7, 8]


def test_a_call_larger_than_the_queue_is_taken_when_nothing_else_waits(
    make: Callable[..., One], model: GatedModel
) -> None:
    model.gate.set()
    assert make(queue_texts=4).submit([[n] for n in range(50)]).result(WAIT_S).shape == (50, 2)


def test_closing_settles_who_waits_and_lets_the_running_batch_finish(
    make: Callable[..., One], model: GatedModel
) -> None:
    batcher = make()
    running = _busy(batcher, model)
    waiting = batcher.submit([[1], [2]])
    closer = threading.Thread(target=batcher.close)
    closer.start()
    with pytest.raises(Unavailable):
        waiting.result(WAIT_S)
    model.gate.set()
    closer.join(WAIT_S)
    assert running.result(WAIT_S)[0, 0] == 99
    assert not batcher.alive
    with pytest.raises(Unavailable):
        batcher.submit([[3]])


def test_the_death_of_the_loop_is_seen_and_leaves_nobody_waiting(
    make: Callable[..., One], model: GatedModel
) -> None:
    batcher = make()
    model.raises = SystemExit("asked for inside the model")
    running = _busy(batcher, model)
    waiting = batcher.submit([[1]])
    assert batcher.alive
    model.gate.set()
    for future in (running, waiting):
        with pytest.raises(Unavailable, match="restart"):
            future.result(WAIT_S)
    assert not batcher.alive
    with pytest.raises(Unavailable, match="restart"):
        batcher.submit([[2]])


def test_nothing_asked_is_answered_at_once(make: Callable[..., One], model: GatedModel) -> None:
    assert make().submit([]).result(0).shape == (0, 2)
    assert model.batches == []


def test_lanes_run_side_by_side(make: Callable[..., One], model: GatedModel) -> None:
    batcher = make(lanes=2)
    futures = [batcher.submit([[n]]) for n in (1, 2)]
    model.wait_until_busy()
    if len(model.batches[0]) == 1:
        model.wait_until_busy()
    model.gate.set()
    assert [future.result(WAIT_S)[0, 0] for future in futures] == [1, 2]


def test_one_text_is_not_held_back_to_fill_a_batch(make: Callable[..., One], model: GatedModel) -> None:
    model.gate.set()
    batcher = make()
    batcher.submit([[1]]).result(WAIT_S)
    took_s = []
    for n in range(50):
        started = time.perf_counter()
        batcher.submit([[n]], priority=Priority.INTERACTIVE).result(WAIT_S)
        took_s.append(time.perf_counter() - started)
    assert sorted(took_s)[25] < 0.02
    assert len(model.batches) == 51


def test_a_model_that_was_exchanged_answers_whoever_had_chosen_it(
    make: Callable[..., One], model: GatedModel
) -> None:
    """A caller tokenises between choosing a model and sending to it; an exchange may come in between."""
    one = make()
    model.gate.set()
    one.batcher.retire(one.served)
    assert one.submit([[7, 7]]).result(WAIT_S).tolist() == [[7, 2]]
    assert one.submit([[8]]).result(WAIT_S).tolist() == [[8, 1]]
    assert one.waiting == 0


def test_what_waits_for_a_model_is_answered_after_its_exchange_and_by_closing(
    make: Callable[..., One], model: GatedModel
) -> None:
    one = make()
    running = one.submit([[1]])
    model.wait_until_busy()
    waiting = one.submit([[2]])
    one.batcher.retire(one.served)
    model.gate.set()
    assert running.result(WAIT_S).tolist() == [[1, 1]]
    assert waiting.result(WAIT_S).tolist() == [[2, 1]]
    model.wait_until_busy()

    model.gate.clear()
    one.submit([[3]])
    model.wait_until_busy()
    late = one.submit([[4]])
    threading.Timer(0.2, model.gate.set).start()
    one.close()
    with pytest.raises(Unavailable):
        late.result(WAIT_S)
