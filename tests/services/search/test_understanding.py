"""Asking an encoder whether it reads a language."""

from collections.abc import Sequence

import numpy as np

from services.inference.fake import FakeEngine
from services.search.rows import Vectors
from services.search.understanding import _PAIRS, mates_found, understands


class Polyglot:
    """Gives both sentences of every pair the same vector, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += 1
        return np.repeat(np.eye(len(texts) // 2, dtype=np.float32), 2, axis=0)


def test_an_encoder_that_pairs_what_means_the_same_understands() -> None:
    polyglot = Polyglot()
    assert understands(polyglot.embed, "polyglot-1", "zh-hans")
    assert understands(polyglot.embed, "polyglot-1", "zh-hant")
    assert polyglot.asked == 1  # remembered for the version and the language
    assert understands(polyglot.embed, "polyglot-2", "zh")
    assert polyglot.asked == 2


def test_an_encoder_of_letters_does_not_understand_other_words_for_the_same() -> None:
    assert not any(understands(FakeEngine().embed, "letters", language) for language in _PAIRS)


def test_vectors_that_are_all_alike_find_no_mates() -> None:
    alike = mates_found(lambda texts: np.ones((len(texts), 2), dtype=np.float32), _PAIRS["zh"])
    assert alike == 0


def test_a_language_that_is_not_asked_about_is_taken_to_be_understood() -> None:
    assert understands(FakeEngine().embed, "letters", "en")
