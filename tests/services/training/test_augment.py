"""Examples made from others say only what those said."""

from __future__ import annotations

from services.training.augment import agreeing_wholes, joined_headlines
from services.training.dataset import Example

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
