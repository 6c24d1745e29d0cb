"""Several topics of one text are learned, and a rare topic does not get a border of its own by chance."""

from __future__ import annotations

import numpy as np
import pytest

from services.errors import InvalidInput
from services.inference.fake import FakeEngine
from services.inference.grams import GramSpace
from services.inference.kernel_head import scores, wordings
from services.inference.topic_scores import predict
from services.training.recipes.topic_head import FittedTopics, TopicHeadRecipe, fit, micro_f1
from tests.services.training.intents import stories

RECIPE = TopicHeadRecipe(space=GramSpace(words=2048, pieces=2048), most_tried=80)
ENGINE = FakeEngine(dim=96)


@pytest.fixture(scope="module")
def fitted() -> FittedTopics:
    return fit(*stories(120), ENGINE.embed, RECIPE)


def say(fitted: FittedTopics, texts: list[str]) -> np.ndarray:
    return predict(fitted.head, texts, ENGINE.embed(wordings(texts, RECIPE.title_weight)))


def test_none_one_and_two_topics_are_told(fitted: FittedTopics) -> None:
    texts, labels = stories(60, seed=5)
    truth = np.array([[name in mine for name in fitted.head.labels] for mine in labels])
    assert fitted.head.labels == ("grain", "oil", "rates")
    assert micro_f1(say(fitted, texts) >= 0.5, truth) > 0.95


def test_what_is_said_of_left_out_examples_is_nearly_as_good(fitted: FittedTopics) -> None:
    truth = np.array([[name in mine for name in fitted.head.labels] for mine in stories(120)[1]])
    assert micro_f1(fitted.left_out >= 0.5, truth) > 0.9


def test_a_topic_of_two_examples_keeps_close_to_the_common_border() -> None:
    texts, labels = stories(120)
    texts += ["Report\nzinc smelter", "Report\nzinc and tin smelter"]
    found = fit(texts, [*labels, ("zinc",), ("zinc",)], ENGINE.embed, RECIPE)
    borders = dict(zip(found.head.labels, found.head.borders.tolist(), strict=True))
    own = [borders[name] for name in ("grain", "oil", "rates")]
    assert min(own) - 0.25 < borders["zinc"] < max(own) + 0.25


def test_the_title_counts_more_than_a_line_of_the_text(fitted: FittedTopics) -> None:
    grain, oil = "wheat harvest", "crude barrels"
    texts = [f"{grain}\n{oil}", f"{oil}\n{grain}"]
    titled = scores(fitted.head.kernel, texts, ENGINE.embed(wordings(texts, RECIPE.title_weight))).raw
    assert titled[0, 0] > titled[1, 0]
    assert titled[1, 1] > titled[0, 1]


def test_only_the_latest_examples_are_kept_when_there_are_too_many() -> None:
    recipe = TopicHeadRecipe(space=RECIPE.space, most_tried=40, most_support=50)
    assert fit(*stories(120), ENGINE.embed, recipe).kept.tolist() == list(range(70, 120))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([("a",)] * 3, "There are 3 examples: give at least 10"),
        ([()] * 12, "No example has a topic"),
        ([("a", "b")] * 12, "same topics"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(labels: list[tuple[str, ...]], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        fit([f"text {i}" for i in range(len(labels))], labels, ENGINE.embed, RECIPE)
