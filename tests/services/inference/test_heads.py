"""A head answers with calibrated probabilities, and only beside the encoder it was trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.errors import ModelFailed, ModelUnavailable
from services.inference.fake import FakeEngine
from services.inference.features import HashSpace, featurise
from services.inference.heads import TextHead, classify, head_tensors, load_head, predict, softmax
from services.inference.values import Priority, Vectors
from services.registry.manifest import Manifest, Tensors, write

SPACE = HashSpace(words=16, pieces=16, around=16)
DIM = 8


def make_head(**changes: object) -> TextHead:
    rng = np.random.default_rng(0)
    parts: dict[str, object] = {
        "labels": ("bad", "good"),
        "space": SPACE,
        "dense": rng.normal(size=(3 * DIM + 1, 2)).astype(np.float32),
        "hashed": rng.normal(size=(SPACE.size, 2)).astype(np.float32),
        "bias": np.zeros(2, np.float32),
        "temperatures": (1.5, 2.5),
    }
    return TextHead(**{**parts, **changes})  # type: ignore[arg-type]


def save(folder: Path, tensors: Tensors) -> Path:
    parameters = {"space": {"words": 16, "pieces": 16, "around": 16}}
    manifest = Manifest(
        "moods", "moods-1", "fake", "fake-1", ("bad", "good"), ("en",), "text_head", parameters, {}, (), 0
    )
    write(folder, manifest, tensors)
    return folder


def test_rows_sum_to_one_in_the_order_asked(tmp_path: Path) -> None:
    loaded = load_head(save(tmp_path, head_tensors(make_head())))
    engine = FakeEngine(dim=DIM)
    both = classify(loaded, [("Up", None), ("Down", "Down")], engine).probs
    assert both.dtype == np.float32
    np.testing.assert_allclose(both.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(classify(loaded, [("Down", "Down")], engine).probs[0], both[1], atol=1e-6)


def test_no_texts_give_no_rows(tmp_path: Path) -> None:
    loaded = load_head(save(tmp_path, head_tensors(make_head())))
    assert classify(loaded, [], FakeEngine(dim=DIM)).probs.shape == (0, 2)


def test_another_encoder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    loaded = load_head(save(tmp_path, head_tensors(make_head())))
    with pytest.raises(ModelUnavailable, match="belongs to the encoder fake-1, and fake-2 is live"):
        classify(loaded, [("Up", None)], FakeEngine(dim=DIM, version="fake-2"))


@pytest.mark.parametrize(
    "tensors",
    [
        {"dense": np.zeros((25, 2), np.float16)},
        {**head_tensors(make_head()), "bias": np.zeros(3, np.float32)},
        {**head_tensors(make_head()), "hashed": np.zeros((7, 2), np.float16)},
        {**head_tensors(make_head()), "bias": np.array([0, np.nan], np.float32)},
        {**head_tensors(make_head()), "temperatures": np.zeros(2, np.float32)},
    ],
)
def test_weights_that_do_not_fit_together_are_refused(tmp_path: Path, tensors: Tensors) -> None:
    with pytest.raises(ModelUnavailable):
        load_head(save(tmp_path, tensors))


def test_vectors_that_are_not_finite_give_an_error_and_no_score(tmp_path: Path) -> None:
    class Broken(FakeEngine):
        def embed(
            self, texts: object, *, priority: Priority = Priority.NORMAL, deadline_s: float | None = None
        ) -> Vectors:
            return np.full((1, DIM), np.nan, np.float32)

    loaded = load_head(save(tmp_path, head_tensors(make_head())))
    with pytest.raises(ModelFailed, match="not finite"):
        classify(loaded, [("Up", None)], Broken(dim=DIM))


def test_a_higher_temperature_is_less_sure_of_the_same_answer() -> None:
    features = featurise([("Acme up", None), ("Acme up", "Acme")], FakeEngine(dim=DIM).embed, SPACE)
    cool, warm = (predict(make_head(temperatures=(1.0, high)), features) for high in (1.0, 5.0))
    np.testing.assert_array_equal(cool[0], warm[0])
    assert cool[1].argmax() == warm[1].argmax()
    assert cool[1].max() > warm[1].max() > 0.5


def test_softmax_survives_large_logits() -> None:
    found = softmax(np.array([[900.0, 0.0, -900.0]], np.float32))
    np.testing.assert_allclose(found, [[1, 0, 0]], atol=1e-6)
