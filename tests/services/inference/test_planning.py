"""How waiting texts become batches."""

from __future__ import annotations

import random

import numpy as np

from services.inference.planning import Call, Line, Text, plan


def _texts(lengths: list[int]) -> list[Text]:
    call = Call(np.empty((len(lengths), 1), np.float32), len(lengths), None)
    return [Text(call, row, [7] * length) for row, length in enumerate(lengths)]


def test_no_batch_costs_more_than_the_budget_with_its_padding() -> None:
    rng = random.Random(3)
    batches = plan(_texts([rng.randint(2, 256) for _ in range(500)]), 1024, lanes=2)
    assert all(max(len(t.ids) for t in batch) * len(batch) <= 1024 for batch in batches)


def test_every_text_is_in_exactly_one_batch() -> None:
    texts = _texts([5, 200, 3, 3, 90, 256, 17])
    batches = plan(texts, 256, lanes=1)
    assert sorted(t.row for batch in batches for t in batch) == list(range(7))


def test_texts_of_about_one_length_share_a_batch() -> None:
    batches = plan(_texts([100, 4, 101, 5, 99, 6]), 310, lanes=1)
    assert [[len(t.ids) for t in batch] for batch in batches] == [[4, 5, 6, 99], [100, 101]] or [
        [len(t.ids) for t in batch] for batch in batches
    ] == [[4, 5, 6], [99, 100, 101]]


def test_a_text_longer_than_the_budget_is_a_batch_of_its_own() -> None:
    batches = plan(_texts([600, 500]), 256, lanes=1)
    assert [len(batch) for batch in batches] == [1, 1]


def test_work_for_one_batch_is_shared_out_over_the_lanes() -> None:
    assert len(plan(_texts([20] * 40), 1024, lanes=1)) == 1
    assert len(plan(_texts([20] * 40), 1024, lanes=2)) == 2


def test_a_little_work_is_not_split() -> None:
    assert len(plan(_texts([10] * 10), 1024, lanes=4)) == 1


def test_a_line_serves_older_texts_before_the_window_of_newer_ones() -> None:
    line = Line()
    line.add(_texts([250] * 2048))
    line.add(_texts([2] * 10))
    seen = []
    while (batch := line.next_batch(1024, 1)) is not None:
        seen.append(len(batch[0].ids))
    assert seen[-1] == 2
    assert seen.count(250) == 512


def test_clearing_a_line_gives_planned_and_unplanned_texts_back() -> None:
    line = Line()
    line.add(_texts([100] * 30))
    line.next_batch(1000, 1)
    line.add(_texts([5] * 3))
    assert len(line.clear()) == 23
    assert line.next_batch(1000, 1) is None
