"""The baseline learns what words tell, and nothing from rows it was not given."""

from __future__ import annotations

import numpy as np
import pytest

from services.errors import InvalidInput
from services.training.baselines import marked, tfidf, tfidf_multi
from services.training.dataset import Example
from tests.services.training.headlines import LABELS, headlines


def test_it_learns_headlines_of_one_company_from_their_verbs() -> None:
    rows = [row for row in headlines(500, seed=1) if "while" not in row.text]
    train, test = rows[:200], rows[200:]
    probs = tfidf(train, test, LABELS)
    assert probs.shape == (len(test), 3)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    right = [LABELS[k] == row.label for k, row in zip(probs.argmax(axis=1), test, strict=True)]
    assert np.mean(right) > 0.9


def test_a_label_without_training_rows_has_no_probability() -> None:
    rows = [row for row in headlines(200) if row.label != "neutral"]
    assert not tfidf(rows[:80], rows[80:], LABELS)[:, 1].any()


def test_the_company_asked_about_is_marked_in_its_text() -> None:
    assert marked(
        [Example("Acme beats Borealis", "Borealis", "negative"), Example("Up", None, "positive")]
    ) == [
        "Acme beats thiscompany",
        "Up",
    ]


def test_rows_with_several_labels_are_given_each_of_them() -> None:
    rows = [
        Example(f"{'wheat harvest ' * w}{'oil barrel ' * o}report {i}", labels=("wheat",) * w + ("oil",) * o)
        for i, (w, o) in enumerate([(1, 0), (0, 1), (1, 1), (0, 0)] * 8)
    ]
    probs = tfidf_multi(rows[:24], rows[24:], ("wheat", "oil", "rice"))
    truth = [[label in row.labels for label in ("wheat", "oil", "rice")] for row in rows[24:]]
    assert (probs > 0.5).tolist() == truth


def test_one_label_alone_and_texts_without_words_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one label"):
        tfidf([Example("up", label="positive")] * 3, [], LABELS)
    with pytest.raises(InvalidInput, match="no words"):
        tfidf([Example("?", label="positive"), Example("!", label="negative")], [], LABELS)
