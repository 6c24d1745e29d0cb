"""A stream that stays the same is left alone, and one that moves is noticed, with the reason."""

from __future__ import annotations

import json

import numpy as np
import pytest

from services.training.drift import Drift, Fingerprint, drift, fingerprint_of, from_json

LABELS = ("bad", "so-so", "good")
MIXING = np.random.default_rng(0).normal(0, 1, (8, 32))


def rows(n: int, seed: int, *, lean: float = 0.0, sharp: float = 1.0, move: float = 0.0) -> Fingerprint:
    """n rows of one stream: vectors with a few strong directions, and a model's answers to them."""
    rng = np.random.default_rng(seed)
    vecs = rng.normal(0, 1, (n, 8)) * np.linspace(2, 0.3, 8) @ MIXING + move
    logits = (rng.normal(0, 1, (n, 3)) + np.array([0, 0, lean])) * sharp
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return fingerprint_of(probs.astype(np.float32), vecs.astype(np.float32), LABELS)


def codes(found: Drift) -> set[str]:
    return {sign.code for sign in found.reasons}


@pytest.mark.parametrize("n", [60, 200, 1000])
def test_a_stream_that_stays_the_same_hardly_ever_proposes_a_retraining(n: int) -> None:
    references = [rows(2000, seed) for seed in range(20)]
    found = [drift(references[seed % 20], rows(n, 100 + seed)) for seed in range(120)]
    assert sum(one.proposes for one in found) <= 6
    assert 0.8 < np.mean([one.centroid_distance for one in found]) < 1.2
    for sign in ("labels", "confidence", "centroid"):
        assert np.mean([one.p[sign] < 0.05 for one in found]) <= 0.12


def test_resamples_of_the_very_training_rows_do_not_propose_one() -> None:
    rng = np.random.default_rng(5)
    vecs = rng.normal(0, 1, (2000, 16)).astype(np.float32)
    probs = rng.dirichlet((2, 1, 1), 2000).astype(np.float32)
    reference = fingerprint_of(probs, vecs, LABELS)
    proposals = 0
    for _ in range(100):
        drawn = rng.integers(0, 2000, 300)
        proposals += drift(reference, fingerprint_of(probs[drawn], vecs[drawn], LABELS)).proposes
    assert proposals <= 5


@pytest.mark.parametrize(
    ("change", "sign"),
    [({"lean": 1.5}, "labels"), ({"sharp": 0.4}, "confidence"), ({"move": 1.5}, "centroid")],
)
def test_each_kind_of_shift_is_found_and_named(change: dict[str, float], sign: str) -> None:
    found = drift(rows(2000, 1), rows(400, 2, **change))
    assert found.proposes
    assert sign in codes(found)
    assert all("{" not in one.text() for one in found.reasons)


def test_the_sentence_names_the_label_that_moved_most() -> None:
    found = drift(rows(2000, 1), rows(400, 2, lean=1.5))
    assert "“good”, from 3" in found.reasons[0].text()


def test_a_shift_too_small_to_matter_is_left_alone_however_sure_it_is() -> None:
    found = drift(rows(40_000, 1), rows(40_000, 2, lean=0.1))
    assert found.p["labels"] < 0.001
    assert not found.proposes
    assert codes(found) == {"stable"}


def test_a_few_rows_propose_nothing_and_say_so() -> None:
    found = drift(rows(2000, 1), rows(20, 2, lean=3, move=3))
    assert not found.proposes
    assert found.reasons[0].text() == "20 rows are too few to tell; at least 50 are needed."


def test_a_fingerprint_survives_being_written_and_read() -> None:
    one = rows(500, 1)
    again = from_json(json.loads(json.dumps(one.as_json())))
    assert again.label_counts == one.label_counts
    assert drift(one, again).centroid_distance == pytest.approx(0, abs=1e-3)
    assert not drift(again, rows(500, 2)).proposes


def test_fingerprints_of_different_models_are_not_compared() -> None:
    one = rows(100, 1)
    other = fingerprint_of(np.ones((100, 3), np.float32), np.zeros((100, 4), np.float32), LABELS)
    with pytest.raises(ValueError, match="different models"):
        drift(one, other)
    with pytest.raises(ValueError, match="two rows"):
        fingerprint_of(np.ones((1, 3), np.float32), np.ones((1, 4), np.float32), LABELS)
