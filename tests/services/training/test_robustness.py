"""Texts are mistyped and paraphrased as people do it, and what that costs is counted."""

from __future__ import annotations

import random

import numpy as np

from services.inference.values import Pair
from services.training.dataset import Example
from services.training.robustness import paraphrased, robustness, typos

LABELS = ("bad", "good")


def test_a_typing_error_changes_a_word_a_little_and_the_company_never() -> None:
    text = "Shares of Borealis plunge after quarterly numbers disappoint everybody"
    for seed in range(60):
        found = typos(text, "borealis", random.Random(seed), 0.15)
        assert found != text
        assert "Borealis" in found
        differing = [(a, b) for a, b in zip(text.split(), found.split(), strict=True) if a != b]
        assert len(differing) == 1
        (word, mistyped) = differing[0]
        assert abs(len(word) - len(mistyped)) <= 1
        assert (mistyped[0], mistyped[-1]) == (word[0], word[-1]) or len(mistyped) == len(word)


def test_short_words_and_texts_without_words_stay_as_they_are() -> None:
    assert typos("up 5 at 12:30", None, random.Random(0), 1.0) == "up 5 at 12:30"
    assert typos("", None, random.Random(0), 1.0) == ""


def test_a_paraphrase_says_the_same_in_other_words() -> None:
    rng = random.Random(0)
    assert paraphrased("I can't fix it, don't ask", None, rng, 1) == "I cannot repair it, do not enquire"
    assert paraphrased("Purchase shares of Help Phone", "Help Phone", rng, 1) == "Buy stock of Help Phone"
    assert paraphrased("nothing here", None, rng, 1) == "nothing here"


def test_what_errors_cost_is_counted_over_rows_that_changed() -> None:
    examples = [Example(f"they certainly {'praise' if at % 2 else 'blame'} model {at}") for at in range(80)]
    examples += [Example("so 5"), Example("I don't praise")]
    truth = np.array([*(at % 2 for at in range(80)), 0, 1])

    def by_word(rows: list[Pair]) -> np.ndarray:
        return np.array([[0.2, 0.8] if "praise" in text else [0.7, 0.3] for text, _ in rows], np.float32)

    found = robustness(by_word, examples, truth, LABELS, seed=3, rate=0.5)
    assert found["clean"] == {"accuracy": 1.0, "macro_f1": 1.0}
    assert found["typos"]["accuracy"] < 0.95
    assert found["typos"]["changed"] == round(81 / 82, 4)
    flips = round(found["typos"]["flipped"] * 81)
    assert found["typos"]["accuracy"] == round(1 - flips / 82, 4)
    assert found["paraphrase"] == {
        "accuracy": 1.0,
        "macro_f1": 1.0,
        "changed": round(1 / 82, 4),
        "flipped": 0.0,
    }
    assert robustness(by_word, examples, truth, LABELS, seed=3, rate=0.5) == found
    assert robustness(by_word, examples, truth, LABELS, seed=4, rate=0.5) != found
