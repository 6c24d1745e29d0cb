"""Only what is surely better is let through, and shuffled labels never are."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from services.training.baselines import tfidf
from services.training.dataset import Example
from services.training.gate import Floats, judge, judge_scores
from services.training.verdict import SENTENCES
from tests.services.training.headlines import LABELS, headlines

TRUTH = np.repeat([0, 1, 2], [40, 200, 160])


def answers(right: float, seed: int, truth: np.ndarray = TRUTH) -> Floats:
    """Probabilities of a model that is right on that share of the rows, whatever the class."""
    rng = np.random.default_rng(seed)
    said = np.where(rng.random(len(truth)) < right, truth, (truth + rng.integers(1, 3, len(truth))) % 3)
    return (0.1 + 0.7 * np.eye(3)[said]).astype(np.float32)


def test_a_model_that_is_clearly_better_passes_and_says_by_how_much() -> None:
    verdict = judge(answers(0.9, 1), answers(0.7, 2), TRUTH, LABELS)
    assert verdict.passed
    assert verdict.low > 0
    assert verdict.low < verdict.gain < verdict.high
    assert {reason.code for reason in verdict.reasons} == {"better", "no_class_falls", "beyond_chance"}
    assert "on 400 rows" in verdict.sentences()[0]
    assert f"{verdict.gain:+.3f}" in verdict.sentences()[0]
    assert verdict.class_changes["negative"].n == 40


def test_models_that_are_equally_good_seldom_pass() -> None:
    verdicts = [judge(answers(0.8, s), answers(0.8, 500 + s), TRUTH, LABELS, rounds=300) for s in range(120)]
    assert sum(verdict.passed for verdict in verdicts) <= 6
    assert all("not proven" in v.sentences()[0] for v in verdicts if v.low <= 0)


def test_the_same_model_again_is_not_better() -> None:
    verdict = judge(answers(0.9, 1), answers(0.9, 1), TRUTH, LABELS)
    assert (verdict.passed, verdict.gain, verdict.low, verdict.high) == (False, 0.0, 0.0, 0.0)


def test_a_gain_below_the_least_asked_for_does_not_pass() -> None:
    verdict = judge(answers(0.9, 1), answers(0.8, 2), TRUTH, LABELS, least_gain=0.15)
    assert not verdict.passed
    assert "above 0.150 is not proven" in verdict.sentences()[0]


def test_a_better_model_that_forgets_the_rare_class_is_refused_by_name() -> None:
    forgets = answers(0.99, 1)
    forgets[:25] = np.array([0.1, 0.8, 0.1], np.float32)
    verdict = judge(forgets, answers(0.85, 2), TRUTH, LABELS, metric="accuracy")
    assert verdict.low > 0
    assert verdict.class_changes["negative"].change < -0.03
    assert not verdict.passed
    assert any("“negative” falls" in sentence for sentence in verdict.sentences())
    assert judge(forgets, answers(0.85, 2), TRUTH, LABELS, metric="accuracy", class_margin=0.5).passed


def test_a_first_model_must_beat_the_baseline_and_the_most_frequent_class() -> None:
    weak, strong = answers(0.6, 3), answers(0.9, 4)
    assert judge(strong, None, TRUTH, LABELS, baseline=weak).passed
    assert not judge(weak, None, TRUTH, LABELS, baseline=strong).passed
    one_class = np.tile(np.array([0.1, 0.8, 0.1], np.float32), (400, 1))
    verdict = judge(one_class, None, TRUTH, LABELS)
    assert not verdict.passed
    assert {reason.code for reason in verdict.reasons} == {"not_better", "chance"}


@pytest.fixture(scope="module")
def world() -> tuple[list[Example], list[Example]]:
    rows = headlines(700, seed=4)
    return rows[:450], rows[450:]


def indices(rows: list[Example]) -> np.ndarray:
    return np.array([LABELS.index(row.label) for row in rows])


def shuffled(rows: list[Example], seed: int) -> list[Example]:
    labels = [row.label for row in rows]
    random.Random(seed).shuffle(labels)
    return [replace(row, label=label) for row, label in zip(rows, labels, strict=True)]


def test_a_real_fit_passes_where_nothing_served_before(world: tuple[list[Example], list[Example]]) -> None:
    train, test = world
    few = tfidf(train[:40], test, LABELS)
    assert judge(tfidf(train, test, LABELS), None, indices(test), LABELS, baseline=few).passed


def test_real_fits_on_shuffled_labels_are_refused_against_everything(
    world: tuple[list[Example], list[Example]],
) -> None:
    train, test = world
    live = tfidf(train[:60], test, LABELS)
    for seed in range(8):
        control, unlike = shuffled(train, seed), shuffled(test, 100 + seed)
        challenger = tfidf(control, test, LABELS)
        against_live = judge(challenger, live, indices(test), LABELS)
        first = judge(challenger, None, indices(unlike), LABELS)
        assert not against_live.passed
        assert not first.passed
        assert "chance" in {reason.code for reason in first.reasons}


def test_labels_that_do_not_exclude_one_another_are_judged_with_their_thresholds() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((300, 3)) < (0.4, 0.2, 0.1)
    good = np.clip(truth * 0.3 + rng.random((300, 3)) * 0.3, 0, 1).astype(np.float32)
    poor = rng.random((300, 3)).astype(np.float32)
    found = judge(good, poor, truth, LABELS, metric="micro_f1", thresholds=np.full(3, 0.3, np.float32))
    assert found.passed
    assert not judge(good, poor, truth, LABELS, thresholds=0.9).passed
    assert not judge(rng.random((300, 3)).astype(np.float32), None, truth, LABELS, metric="micro_f1").passed
    with pytest.raises(ValueError, match="exclude"):
        judge(good, poor, truth, LABELS, metric="accuracy")


def test_rows_of_one_text_count_as_one_when_they_are_named_as_a_group() -> None:
    truth = np.repeat(np.arange(30) % 3, 20)
    better, worse = answers(0.8, 1, truth[::20]), answers(0.55, 4, truth[::20])
    rows = [np.repeat(part, 20, axis=0) for part in (better, worse)]
    apart = judge(*rows, truth, LABELS)
    together = judge(*rows, truth, LABELS, groups=np.repeat(np.arange(30), 20))
    assert together.gain == apart.gain
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_broken_answers_and_too_few_rows_are_refused_with_the_reason() -> None:
    broken = answers(0.9, 1)
    broken[3, 1] = np.nan
    assert judge(broken, answers(0.7, 2), TRUTH, LABELS).sentences()[0].endswith("not numbers: 1.")
    three = judge(answers(1, 1)[:3], answers(0, 2)[:3], TRUTH[:3], LABELS)
    assert not three.passed
    assert "There are 3 rows" in three.sentences()[0]
    with pytest.raises(ValueError, match="different sizes"):
        judge(answers(0.9, 1), answers(0.7, 2)[:10], TRUTH, LABELS)


def test_scores_of_queries_are_compared_in_pairs() -> None:
    rng = np.random.default_rng(0)
    live = rng.random(300) * 0.5
    assert judge_scores(live + 0.02 + rng.normal(0, 0.05, 300), live).passed
    assert not judge_scores(live + rng.normal(0, 0.05, 300), live).passed
    assert not judge_scores(live + 0.02, live, least_gain=0.05).passed
    assert "The score" in judge_scores(live + 0.02, live).sentences()[0]


def test_every_reason_has_a_sentence_without_gaps() -> None:
    cases = [
        judge(answers(0.9, 1), answers(0.7, 2), TRUTH, LABELS),
        judge(answers(0.7, 1), answers(0.9, 2), TRUTH, LABELS),
        judge(answers(0.9, 1)[:5], answers(0.7, 2)[:5], TRUTH[:5], LABELS),
        judge(np.full((400, 3), np.nan, np.float32), None, TRUTH, LABELS),
        judge(np.tile(np.array([1, 0, 0], np.float32), (400, 1)), None, TRUTH, LABELS),
    ]
    seen = {reason.code for verdict in cases for reason in verdict.reasons}
    assert seen == set(SENTENCES)
    for verdict in cases:
        assert all("{" not in text and "  " not in text for text in verdict.sentences())
