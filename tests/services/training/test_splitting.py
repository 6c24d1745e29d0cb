"""Nothing that is held out was seen in training, not even as a copy with another number."""

from __future__ import annotations

import random

import numpy as np
import pytest

from services.errors import InvalidInput
from services.training.splitting import SAME_FROM, copies, held_out
from tests.services.training.headlines import headlines


def test_all_rows_of_a_text_stay_on_one_side() -> None:
    texts = [example.text for example in headlines(300)]
    mask = held_out(texts, 0.2, seed=1)
    inside = {text for text, out in zip(texts, mask, strict=True) if not out}
    outside = {text for text, out in zip(texts, mask, strict=True) if out}
    assert not inside & outside
    assert 0.15 < mask.mean() < 0.35


def test_copies_with_another_number_link_or_case_are_one_group() -> None:
    groups = copies(
        [
            "Larkmoor buys back 41,200 of its own shares in week to 25 September",
            "LARKMOOR buys back 9,000 of its own shares in week to 2 September https://t.example/x",
            "Larkmoor opens a shop in Bergen",
            "12",
            "14",
        ]
    )
    assert groups[0] == groups[1] != groups[2]
    assert len(set(groups[2:].tolist())) == 3


def test_every_pair_that_is_alike_is_found() -> None:
    rng = random.Random(5)
    texts = [" ".join(rng.choices("abcdefghij", k=rng.randint(1, 9))) for _ in range(150)]
    groups = copies(texts)
    for i, a in enumerate(texts):
        for j, b in enumerate(texts[:i]):
            one, two = set(a.split()), set(b.split())
            if len(one & two) >= SAME_FROM * len(one | two):
                assert groups[i] == groups[j], (a, b)


def test_texts_without_common_words_are_groups_of_their_own() -> None:
    assert len(set(copies([f"{chr(97 + i)}q {chr(97 + i)}r" for i in range(20)]).tolist())) == 20


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    texts = [f"{a}{b} {b}{a}" for a in "abcdefgh" for b in "klmnopqr"]
    mask = held_out(texts, 0.25, seed=0)
    np.testing.assert_array_equal(held_out(texts[::-1], 0.25, seed=0)[::-1], mask)
    assert (held_out(texts, 0.25, seed=9) != mask).any()


def test_one_text_alone_cannot_be_split() -> None:
    with pytest.raises(InvalidInput, match="too few different texts"):
        held_out(["Acme up 3%", "Acme up 4%"], 0.2, seed=0)
