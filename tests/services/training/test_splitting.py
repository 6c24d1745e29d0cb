"""Nothing that is held out was seen in training, not even as a copy with another number."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from services.errors import InvalidInput
from services.training.dataset import Example
from services.training.order import Order
from services.training.splitting import SAME_FROM, copies, folds, held_out, split
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


def ordered(kind: str = "stratified", **more: object) -> Order:
    return Order("sentiment", "head", split=kind, **more)  # type: ignore[arg-type]


def many(n: int, seed: int = 0) -> list[Example]:
    """Texts of their own, one in ten with a rare label."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [
        Example(
            " ".join("".join(rng.choices(letters, k=5)) for _ in range(6)),
            label="rare" if at % 10 == 0 else ("one", "two")[at % 2],
            time=f"2026-{1 + at * 12 // n:02}-{1 + at % 28:02}T08:00:00",
            group=f"g{at % 40}",
        )
        for at in range(n)
    ]


def test_each_label_has_its_share_of_every_part() -> None:
    examples = many(1000)
    parts = split(examples, ordered())
    assert sorted(parts.train + parts.validation + parts.test) == list(range(1000))
    assert 140 <= len(parts.test) <= 160
    assert 90 <= len(parts.validation) <= 110
    for part, share in ((parts.test, 0.15), (parts.validation, 0.1)):
        counts = Counter(examples[row].label for row in part)
        assert counts["rare"] == pytest.approx(100 * share, abs=2)
        assert counts["two"] == pytest.approx(500 * share, abs=2)


def test_a_part_is_the_same_for_the_same_order_and_another_for_another_seed() -> None:
    examples = many(300)
    assert split(examples, ordered()) == split(examples, ordered())
    assert split(examples, ordered(seed=1)).test != split(examples, ordered()).test
    turned = split(examples[::-1], ordered())
    assert sorted(299 - row for row in turned.test) == list(split(examples, ordered()).test)


def test_rows_added_later_leave_nearly_all_others_where_they_were() -> None:
    examples = many(1000)
    before, after = split(examples, ordered()), split(examples + many(100, seed=9), ordered())
    assert len(set(before.test) - set(after.test)) <= 8
    learned_of_the_old_test = set(after.train) & set(before.test)
    assert len(learned_of_the_old_test) <= 3


@pytest.mark.parametrize("kind", ["stratified", "time", "group"])
def test_copies_are_never_parted_whatever_the_kind_of_split(kind: str) -> None:
    examples = many(200)
    copied = [replace(e, text=f"{e.text} {at}", label="one") for at, e in enumerate(examples[::2])]
    parts = split(examples + copied, ordered(kind))
    side = {row: name for name in ("train", "validation", "test") for row in getattr(parts, name)}
    assert all(side[2 * at] == side[200 + at] for at in range(100))


def test_all_companies_of_a_headline_stay_together() -> None:
    examples = headlines(400)
    parts = split(examples, ordered())
    texts = [{examples[row].text for row in part} for part in (parts.train, parts.validation, parts.test)]
    assert not texts[0] & texts[1] | texts[0] & texts[2] | texts[1] & texts[2]


def test_a_split_by_time_tests_on_the_latest() -> None:
    examples = many(400)
    parts = split(examples, ordered("time"))
    times = [[examples[row].time for row in part] for part in (parts.train, parts.validation, parts.test)]
    assert max(times[0]) <= min(times[1])
    assert max(times[1]) <= min(times[2])
    assert len(parts.test) == 60


def test_a_split_by_time_names_the_rows_without_one() -> None:
    examples = many(50)
    examples[3] = replace(examples[3], time="")
    examples[7] = replace(examples[7], time="soon")
    with pytest.raises(InvalidInput, match=r"2 have none, among them row 4, 8\.") as caught:
        split(examples, ordered("time"))
    assert caught.value.extra["rows"] == [4, 8]


def test_a_split_by_group_parts_no_group() -> None:
    examples = many(400)
    parts = split(examples, ordered("group"))
    groups = [{examples[row].group for row in part} for part in (parts.train, parts.validation, parts.test)]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    with pytest.raises(InvalidInput, match="too few"):
        split([replace(example, group="all") for example in examples], ordered("group"))


def test_a_rare_label_of_rows_with_several_is_in_every_part() -> None:
    examples = [
        replace(example, label="", labels=("often", "seldom") if at % 50 == 0 else ("often",))
        for at, example in enumerate(many(500))
    ]
    parts = split(examples, ordered())
    for part in (parts.train, parts.validation, parts.test):
        assert any("seldom" in examples[row].labels for row in part)


def test_without_a_share_there_is_no_validation_part() -> None:
    assert split(many(100), ordered(validation_share=0.0)).validation == ()
    with pytest.raises(InvalidInput, match="too few"):
        split(many(3), ordered())


def test_folds_are_even_in_rows_and_labels_and_keep_copies_together() -> None:
    examples = many(200)
    examples += [replace(example, text=f"{example.text} 5") for example in examples[:40]]
    fold = folds(examples, 5, seed=2)
    assert set(np.bincount(fold)) <= set(range(45, 52))
    for label in ("one", "two", "rare"):
        counts = np.bincount(fold[[e.label == label for e in examples]], minlength=5)
        assert counts.max() - counts.min() <= 2
    assert (fold[:40] == fold[200:]).all()
    assert (folds(examples, 5, seed=3) != fold).any()
    with pytest.raises(InvalidInput, match="5 folds"):
        folds(examples[:4], 5, seed=0)


def test_among_very_many_texts_nearly_all_copies_are_found_and_nothing_else() -> None:
    rng = random.Random(2)
    words = ["".join(pair) for pair in product("abcdefghij", repeat=3)]
    base = [" ".join(rng.sample(words, 10)) for _ in range(2000)]
    changed = [" ".join([*text.split()[:-1], rng.choice(words)]) for text in base]
    every = copies(base + changed)
    quick = copies(base + changed, every_pair_up_to=100)
    found = (quick[:2000] == quick[2000:]).mean()
    assert (every[:2000] == every[2000:]).all()
    assert found > 0.99
    assert len(set(quick.tolist())) >= len(set(every.tolist()))
    shuffled = [" ".join(rng.sample(text.split(), 10)) + " 77" for text in base]
    assert (copies(base + shuffled, every_pair_up_to=100)[2000:] < 2000).all()
