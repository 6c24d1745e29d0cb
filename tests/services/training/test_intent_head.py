"""Intents are learned from a few examples each, and a question about something else is noticed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.errors import InvalidInput
from services.inference.fake import FakeEngine
from services.inference.grams import GramSpace, count
from services.inference.open_set import OUTSIDE, predict
from services.training.recipes import kernel_ridge
from services.training.recipes.intent_head import FittedIntents, IntentHeadRecipe, fit, spoken
from services.training.recipes.kernel_ridge import Material, Setting
from tests.services.training.intents import STRANGE, questions

SPACE = GramSpace(words=2048, pieces=2048)
RECIPE = IntentHeadRecipe(space=SPACE, most_tried=60)
ENGINE = FakeEngine(dim=96)


@pytest.fixture(scope="module")
def fitted() -> FittedIntents:
    return fit(*questions(12), ENGINE.embed, RECIPE)


def say(fitted: FittedIntents, texts: list[str]) -> np.ndarray:
    return predict(fitted.head, texts, ENGINE.embed(texts))


def test_new_wordings_get_their_intent(fitted: FittedIntents) -> None:
    texts, labels = questions(10, seed=9)
    probs = say(fitted, texts)
    said = [fitted.head.intents[at] for at in probs[:, :-1].argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(said, labels, strict=True)]) > 0.95
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)


def test_strangers_are_more_surely_outside_than_what_belongs(fitted: FittedIntents) -> None:
    inside, outside = say(fitted, questions(10, seed=9)[0])[:, -1], say(fitted, STRANGE)[:, -1]
    assert np.mean(outside[:, None] > inside[None, :]) > 0.97
    assert (inside > 0.5).mean() < 0.25


def test_the_border_refuses_the_share_that_was_allowed(fitted: FittedIntents) -> None:
    assert (fitted.left_out[:, -1] > 0.5).mean() == pytest.approx(RECIPE.false_reject, abs=0.02)


def test_examples_marked_as_outside_are_learned() -> None:
    texts, labels = questions(12)
    marked = fit([*texts, *STRANGE], [*labels, *[OUTSIDE] * len(STRANGE)], ENGINE.embed, RECIPE)
    assert marked.head.labels[-1] == OUTSIDE
    assert say(marked, ["sing about penguins in latin"])[0, -1] > 0.5


def test_the_same_seed_gives_the_same_head(fitted: FittedIntents) -> None:
    again = fit(*questions(12), ENGINE.embed, RECIPE)
    np.testing.assert_array_equal(again.head.kernel.votes, fitted.head.kernel.votes)
    assert again.head.border.bias == fitted.head.border.bias


def test_shuffled_labels_give_chance_and_little_confidence() -> None:
    texts, labels = questions(12)
    mixed = [labels[i] for i in np.random.default_rng(1).permutation(len(labels))]
    found = fit(texts, mixed, ENGINE.embed, RECIPE)
    said = [found.head.intents[at] for at in found.left_out[:, :-1].argmax(axis=1)]
    assert np.mean([a == b for a, b in zip(said, mixed, strict=True)]) < 0.4


def test_two_intents_suffice() -> None:
    texts, labels = questions(8)
    two = [(text, label) for text, label in zip(texts, labels, strict=True) if label in {"refund", "coupon"}]
    found = fit([text for text, _ in two], [label for _, label in two], ENGINE.embed, RECIPE)
    assert say(found, ["voucher code"])[0].argmax() == 0
    assert np.isfinite(say(found, ["", "!!!", "x" * 500])).all()


def test_more_examples_than_are_kept_leave_every_intent_known() -> None:
    found = fit(*questions(12), ENGINE.embed, replace(RECIPE, most_support=24, name_noise=0.0))
    assert len(found.kept) == 24
    assert set(found.head.classes.tolist()) == set(range(6))


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [
        (["a", "b", "c"], ["x", "x", "x"], "one intent or none"),
        ([], [], "one intent or none"),
        (["a", "b", "c"], ["x", "x", "y"], "The intent y has one example"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(texts: list[str], labels: list[str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        fit(texts, labels, ENGINE.embed, RECIPE)
    assert caught.value.field == "label"


def test_a_run_ends_when_it_is_told_to() -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        fit(*questions(4), ENGINE.embed, RECIPE, going_on=stop)


@pytest.mark.parametrize("name", ["card_arrival", "cardArrival", "Card-Arrival"])
def test_an_intents_name_is_read_as_words(name: str) -> None:
    assert spoken(name) == "card arrival"


def solved_without(row: int, material: Material, setting: Setting) -> np.ndarray:
    """Scores of one example from a solution of the others: what leaving it out means, done the long way."""
    rest = np.delete(np.arange(len(material.rows)), row)
    likeness = material.rows @ material.rows.T
    kernel = np.exp(-2 * setting.sharpness * (1 - likeness)).astype(np.float64)
    bias = material.wanted.mean(axis=0)
    system = kernel[np.ix_(rest, rest)] + setting.noise * np.diag(material.noise[rest])
    return np.asarray(kernel[row, rest] @ np.linalg.solve(system, material.wanted[rest] - bias) + bias)


def test_left_out_scores_are_those_of_a_solution_without_the_example() -> None:
    texts, labels = questions(5)
    wanted = np.array([[label == name for name in ("refund", "coupon")] for label in labels], np.float32)
    noise = np.linspace(0.5, 2, len(texts)).astype(np.float32)
    material = Material(ENGINE.embed(texts), count(texts, SPACE), wanted, noise)
    setting = Setting(sharpness=1.0, word_share=0.0, noise=0.2)
    found = kernel_ridge.solve(material, setting, SPACE).left_out
    for row in (0, 7, 29):
        np.testing.assert_allclose(found[row], solved_without(row, material, setting), atol=1e-3)
