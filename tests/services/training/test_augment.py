"""Examples made from others say only what those said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from services.errors import ModelUnavailable
from services.training.augment import (
    agreeing_wholes,
    back_translated,
    joined_headlines,
    synonyms,
    token_edits,
)
from services.training.dataset import Example, Span
from services.training.word_table import WordTable, word_table

UP = Example("Acme soars", "Acme", "positive")
DOWN = Example("Borealis sinks", "Borealis", "negative")


def test_a_headline_on_which_its_companies_agree_becomes_a_whole() -> None:
    mixed = "Acme soars, Borealis sinks"
    examples = [
        UP,
        Example(mixed, "Acme", "positive"),
        Example(mixed, "Borealis", "negative"),
        Example("Corvane sinks", "Corvane", "negative"),
        Example("Corvane sinks", None, "negative"),
    ]
    assert agreeing_wholes(examples) == (Example("Acme soars", None, "positive"),)


def test_joined_headlines_keep_each_company_its_label() -> None:
    joined = joined_headlines([UP, DOWN], 5, seed=0)
    assert len(joined) == 10
    for example in joined:
        assert UP.text in example.text
        assert DOWN.text in example.text
        assert (example.entity, example.label) in {("Acme", "positive"), ("Borealis", "negative")}
    assert joined == joined_headlines([UP, DOWN], 5, seed=0)


def test_halves_that_would_blur_whose_label_it_is_are_not_joined() -> None:
    both = Example("Acme sues Borealis", "Acme", "negative")
    other = Example("Borealis soars", "Borealis", "positive")
    unnamed = Example("Shares of the bank sink", "Corvane", "negative")
    long = Example("Dunmere sinks " + "and sinks " * 9, "Dunmere", "negative")
    assert joined_headlines([other, both], 20, seed=0) == ()
    assert joined_headlines([other, unnamed], 20, seed=0) == ()
    assert joined_headlines([other, long], 20, seed=0) == ()
    assert joined_headlines([UP, other], 20, seed=0) == ()


def news(n: int) -> list[Example]:
    """Sentences with fillers that may change around a firm, a number, a negation and a telling verb."""
    fillers = ("quarterly", "regional", "latest", "annual", "monthly", "local")
    return [
        Example(
            f"the {fillers[at % 6]} statement from Acme says output did not {('soar', 'sink')[at % 2]} "
            f"in {fillers[(at + 2) % 6]} plants by {at + 2}.5 tonnes",
            "Acme",
            ("positive", "negative")[at % 2],
            id=str(at),
        )
        for at in range(n)
    ]


def test_edited_copies_keep_numbers_negations_names_and_telling_words() -> None:
    examples = news(60)
    copies = token_edits(examples, seed=1, share=0.3)
    assert len(copies) > 50
    assert copies == token_edits(examples, seed=1, share=0.3)
    assert copies != token_edits(examples, seed=2, share=0.3)
    originals = {example.text: example for example in examples}
    for copy in copies:
        number = re.search(r"\d+\.5", copy.text)
        assert number
        example = next(e for e in examples if f" {number[0]} " in e.text)
        assert copy.text not in originals
        assert (copy.label, copy.entity, copy.id) == (example.label, "Acme", "")
        for word in ("Acme", "not", "soar" if copy.label == "positive" else "sink"):
            assert copy.text.split().count(word) == 1


def test_swapped_left_out_and_doubled_words_are_the_only_edits() -> None:
    example = Example("alpha bravo charlie delta echo foxtrot", label="neutral")
    seen = set()
    for seed in range(40):
        (copy,) = token_edits([example], seed) or (example,)
        words, old = copy.text.split(), example.text.split()
        assert set(words) <= set(old)
        seen.add("left out" if len(words) < 6 else "doubled" if len(words) > 6 else "swapped")
        if len(words) == 6:
            assert sorted(words) == sorted(old)
    assert seen == {"left out", "doubled", "swapped"}


def test_texts_that_cannot_change_have_no_copy() -> None:
    fixed = [
        Example("Acme up 5", "Acme", "positive"),
        Example("not good", label="negative"),
        Example("some words with spans here", spans=(Span(0, 4, "X"),)),
    ]
    assert token_edits(fixed, 0) == ()


def test_synonyms_are_near_words_of_the_table_and_never_turn_the_meaning() -> None:
    words = ("plants", "factories", "rose", "sank", "statement", "report", "quarterly", "soar", "gains")
    vecs = np.array(
        [[1, 0, 0], [0.9, 0.1, 0], [0, 1, 0], [0, 0.9, 0.1], [0, 0, 1], [0, 0.1, 0.9]] + [[1, 1, 1]] * 3
    )
    table = WordTable(words, (vecs / np.linalg.norm(vecs, axis=1, keepdims=True)).astype(np.float32))
    assert table.near({"plants", "rose", "statement", "quarterly"}, 0.9) == {
        "plants": ["factories"],
        "statement": ["report"],
    }
    copies = synonyms(news(20), table, seed=0, share=0.5)
    assert len(copies) == 20
    for copy in copies:
        assert ("factories" in copy.text) or ("report" in copy.text)
        assert "not soar" in copy.text or "not sink" in copy.text
    assert synonyms(news(20), table, seed=0, least=0.999) == ()


def test_the_table_of_a_real_encoder_is_read_from_its_files(tmp_path: Path) -> None:
    from tests.services.inference.tiny_models import make_model

    table = word_table(make_model(tmp_path / "model", "Model", ("a", "b")))
    assert {"parcel", "refund", "delivery"} <= set(table.words)
    assert "Acme" not in table.words
    assert table.vecs.shape == (len(table.words), 32)
    np.testing.assert_allclose(np.linalg.norm(table.vecs, axis=1), 1, atol=1e-4)
    with pytest.raises(ModelUnavailable):
        word_table(tmp_path)


def test_back_translations_that_lose_a_number_or_the_company_are_left_out() -> None:
    examples = [
        Example("Acme earns 5.2 million", "Acme", "positive"),
        Example("Acme earns 7 million", "Acme", "positive"),
        Example("Borealis closes a plant", "Borealis", "negative"),
        Example("nothing new here", label="neutral"),
    ]
    there = {e.text: str(at) for at, e in enumerate(examples)}
    back = ["Acme makes 5.2 million", "Acme makes 8 million", "it closes a plant", "nothing new here"]
    found = back_translated(
        examples, lambda texts: [there[t] for t in texts], lambda texts: [back[int(t)] for t in texts]
    )
    assert found == (Example("Acme makes 5.2 million", "Acme", "positive"),)
