"""Intent and topic heads answer from their folder as they did when they were fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from services.errors import InvalidInput, ModelUnavailable
from services.inference import open_set, topic_scores
from services.inference.fake import FakeEngine
from services.inference.heads import classify, load_head
from services.inference.kernel_head import wordings
from services.registry import manifest as registry
from services.registry.manifest import Tensors
from services.training.conf import TrainingSettings
from services.training.dataset import Example
from services.training.order import Cancelled, Silent
from services.training.recipes import Job, intent_head, intent_head_run, topic_head_run
from tests.services.training.intents import STRANGE, questions, stories

ENGINE = FakeEngine(dim=96)


def job(folder: Path, examples: Sequence[Example]) -> Job:
    return Job(
        "help",
        tuple(examples),
        (),
        (),
        ("en",),
        {"most_tried": 40},
        "",
        0,
        folder,
        TrainingSettings(),
        ENGINE,
    )


@pytest.fixture(scope="module")
def intents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    examples = [Example(text, label=label) for text, label in zip(*questions(8), strict=True)]
    return intent_head_run.fit(job(tmp_path_factory.mktemp("intents"), examples), Silent())


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    examples = [Example(text, labels=mine) for text, mine in zip(*stories(60), strict=True)]
    return topic_head_run.fit(job(tmp_path_factory.mktemp("topics"), examples), Silent())


def test_an_intent_head_from_its_folder_answers_with_outside_as_the_last_label(intents: Path) -> None:
    loaded = load_head(intents)
    texts = ["forgot the password again", *STRANGE]
    scores = classify(loaded, [(text, None) for text in texts], ENGINE)
    assert scores.exclusive
    assert scores.labels[-1] == open_set.OUTSIDE
    assert scores.labels[int(scores.probs[0].argmax())] == "password"
    assert scores.probs[1:, -1].mean() > scores.probs[0, -1]
    assert loaded.manifest.metrics["left_out_accuracy"] > 0.9


def test_halving_the_precision_on_disk_changes_no_answer(intents: Path) -> None:
    texts, labels = questions(8)
    fitted = intent_head.fit(texts, labels, ENGINE.embed, intent_head.IntentHeadRecipe(most_tried=40))
    expected = open_set.predict(fitted.head, texts, ENGINE.embed(texts))
    found = classify(load_head(intents), [(text, None) for text in texts], ENGINE).probs
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_topic_head_from_its_folder_gives_each_topic_a_probability_of_its_own(topics: Path) -> None:
    loaded = load_head(topics)
    scores = classify(loaded, [("News\nwheat harvest and crude barrels", None), ("Nothing", None)], ENGINE)
    assert not scores.exclusive
    assert (scores.probs[0, :2] >= 0.5).all()
    assert scores.probs[0].sum() > 1
    assert (scores.probs[1] < 0.5).all()


@pytest.mark.parametrize("which", ["intents", "topics"])
def test_a_batch_answers_as_its_texts_alone_do(which: str, request: pytest.FixtureRequest) -> None:
    loaded = load_head(request.getfixturevalue(which))
    pairs = [(text, None) for text in (*questions(8)[0], *stories(30)[0], "")]
    whole = classify(loaded, pairs, ENGINE).probs
    alone = np.concatenate([classify(loaded, [pair], ENGINE).probs for pair in pairs[::9]])
    np.testing.assert_allclose(whole[::9], alone, atol=1e-4)
    assert classify(loaded, [], ENGINE).probs.shape == (0, whole.shape[1])


def test_more_texts_than_are_worked_on_at_once_keep_their_order(topics: Path) -> None:
    loaded = load_head(topics)
    texts = stories(700, seed=3)[0]
    head = loaded.head
    assert isinstance(head, topic_scores.TopicHead)
    whole = topic_scores.predict(head, texts, ENGINE.embed(wordings(texts, head.kernel.title_weight)))
    last = topic_scores.predict(
        head, texts[-1:], ENGINE.embed(wordings(texts[-1:], head.kernel.title_weight))
    )
    np.testing.assert_allclose(whole[-1:], last, atol=1e-4)


def test_a_question_about_a_company_is_refused(intents: Path) -> None:
    with pytest.raises(InvalidInput, match="classifies whole texts"):
        classify(load_head(intents), [("Acme soars", "Acme")], ENGINE)


def without(name: str) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda tensors: {key: array for key, array in tensors.items() if key != name}


def changed(name: str, value: object) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    return lambda tensors: {**tensors, name: np.asarray(value, tensors[name].dtype)}


@pytest.mark.parametrize(
    "spoil",
    [
        without("support"),
        without("border"),
        changed("heat", [0]),
        changed("sharpness", [-1]),
        changed("bias", [1, 2]),
        changed("classes", [0]),
        changed("border", np.zeros((3, 5))),
        changed("border", np.full((3, 5), np.nan)),
        lambda tensors: {**tensors, "columns": tensors["columns"] + (1 << 20)},
    ],
)
def test_a_spoilt_intent_head_is_refused_when_it_is_loaded(
    intents: Path, tmp_path: Path, spoil: Callable[[dict[str, np.ndarray]], Tensors]
) -> None:
    manifest, tensors = registry.read(intents)
    registry.write(tmp_path, manifest, spoil(tensors))
    with pytest.raises(ModelUnavailable, match="do not fit together"):
        load_head(tmp_path)


def test_a_run_that_is_stopped_leaves_no_version(tmp_path: Path) -> None:
    class Stopping(Silent):
        def stopped(self) -> bool:
            return True

    examples = [Example(text, label=label) for text, label in zip(*questions(4), strict=True)]
    with pytest.raises(Cancelled):
        intent_head_run.fit(job(tmp_path, examples), Stopping())
    assert not list(tmp_path.iterdir())
