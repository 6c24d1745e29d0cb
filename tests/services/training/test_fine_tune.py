"""A training run learns what is there, reports chance where nothing is, and says where it came from."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.errors import InvalidInput
from services.inference.fake import FakeEngine
from services.inference.features import HashSpace, featurise
from services.inference.heads import classify, load_head, logits, predict, softmax
from services.training.dataset import Example, fingerprint
from services.training.fine_tune import NamedSet, Trained, fine_tune, register
from services.training.recipes import text_head
from services.training.recipes.text_head import TextHeadRecipe
from tests.services.training.headlines import LABELS, headlines

RECIPE = TextHeadRecipe(space=HashSpace(words=512, pieces=256, around=512))


@pytest.fixture(scope="module")
def engine() -> FakeEngine:
    return FakeEngine(dim=48)


@pytest.fixture(scope="module")
def trained(engine: FakeEngine) -> Trained:
    return fine_tune(headlines(300), LABELS, engine, recipe=RECIPE)


def test_what_the_words_say_is_learned(trained: Trained) -> None:
    assert trained.validation.accuracy > 0.9
    assert trained.validation.n >= 36


def test_shuffled_labels_give_chance(engine: FakeEngine) -> None:
    examples = headlines(400)
    labels = [example.label for example in examples]
    random.Random(4).shuffle(labels)
    shuffled = [replace(example, label=label) for example, label in zip(examples, labels, strict=True)]
    found = fine_tune(shuffled, LABELS, engine, recipe=RECIPE)
    assert 0.15 < found.validation.accuracy < 0.52
    assert found.validation.ece < 0.2


def test_two_companies_of_one_headline_get_their_own_labels(trained: Trained, engine: FakeEngine) -> None:
    text = "Zennor plunges on mining while Yarrow soars on retail"
    features = featurise([(text, "Zennor"), (text, "Yarrow")], engine.embed, trained.head.space)
    assert logits(trained.head, features).argmax(axis=1).tolist() == [0, 2]


def test_the_same_run_gives_the_same_head(trained: Trained, engine: FakeEngine) -> None:
    again = fine_tune(headlines(300), LABELS, engine, recipe=RECIPE)
    np.testing.assert_array_equal(again.head.hashed, trained.head.hashed)
    assert again.head.temperatures == trained.head.temperatures


def test_a_registered_head_answers_as_the_trained_one_did(
    trained: Trained, engine: FakeEngine, tmp_path: Path
) -> None:
    sets = [NamedSet("Made up", "CC0", tuple(headlines(300)))]
    manifest = register(trained, "moods", ("en",), sets, tmp_path)
    loaded = load_head(tmp_path)
    assert manifest.data[0].fingerprint == fingerprint(headlines(300))
    assert manifest.parameters["space"] == {"words": 512, "pieces": 256, "around": 512}
    assert manifest.metrics["validation_accuracy"] == round(trained.validation.accuracy, 4)
    pairs = [("Zennor soars on exports", None), ("Zennor plunges on exports", "Zennor")]
    scores = classify(loaded, pairs, engine)
    features = featurise(pairs, engine.embed, trained.head.space)
    expected = predict(trained.head, features)
    np.testing.assert_allclose(scores.probs, expected, atol=5e-3)
    assert scores.version == f"{manifest.version}+fake-1"


def test_what_cannot_be_learned_from_is_refused(engine: FakeEngine) -> None:
    one_class = [replace(example, label="neutral") for example in headlines(60)]
    with pytest.raises(InvalidInput, match="one label"):
        fine_tune(one_class, LABELS, engine, recipe=RECIPE)
    with pytest.raises(InvalidInput, match="Unknown label: fine"):
        fine_tune([Example("a", None, "fine")], LABELS, engine, recipe=RECIPE)
    with pytest.raises(InvalidInput, match="too few different texts"):
        fine_tune([], LABELS, engine, recipe=RECIPE)


def test_folding_the_scaling_into_the_weights_changes_no_answer(engine: FakeEngine) -> None:
    examples = headlines(120)
    truth = np.array([LABELS.index(example.label) for example in examples])
    features = featurise([(e.text, e.entity) for e in examples], engine.embed, RECIPE.space)
    head = text_head.fit(features, truth, LABELS, RECIPE)
    shifted = replace(features, dense=features.dense.copy())
    shifted.dense[:, :-1] = shifted.dense[:, :-1] * 3 + 1
    towards = shifted.dense[:, -1] > 0
    shifted.dense[~towards, 48:-1] = 0
    other = text_head.fit(shifted, truth, LABELS, RECIPE)
    np.testing.assert_allclose(logits(other, shifted), logits(head, features), atol=0.02)


def test_temperatures_undo_overconfidence_where_it_is() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(4000, 3)).astype(np.float32) * 1.5
    truth = np.array([rng.choice(3, p=row / row.sum()) for row in softmax(honest).astype(np.float64)])
    towards = np.arange(4000) % 2 == 1
    boasting = honest * np.where(towards, 3, 1)[:, None].astype(np.float32)
    assert text_head.calibrate(boasting, truth, towards) == pytest.approx((1, 3), rel=0.1)


def test_a_kind_with_too_few_rows_is_calibrated_with_the_others() -> None:
    logit = np.tile(np.array([[4.0, 0.0]], np.float32), (200, 1))
    truth = np.array([0, 0, 0, 1] * 50)
    whole, towards = text_head.calibrate(logit, truth, np.zeros(200, np.bool_))
    assert whole == towards == pytest.approx(4 / np.log(3), rel=0.01)
