"""Words that mean the same: found as phrases, in any form, and what they do to the search by words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.inference.fake import FakeEngine
from services.search.equivalents import Equivalents, fold
from services.search.hybrid import HybridIndex
from services.search.lexical import LexicalIndex
from services.search.pieces import BODY
from services.search.tokens import tokenize

GROUPS = [["refund", "money back", "退款"], ["TX-200/B", "the big press"], ["SKU 4411-A", "starter set"]]
TEXTS = [
    "We pay the refund within five days.",
    "The money lies at the back of the drawer.",
    "The TX-200/B weighs 14 kg.",
    "The TX-200 weighs 9 kg.",
    "Our SKU 4411-A holds two cups.",
    "收到退回的包裹以后，我们七天内办理退款，款项退回原来的账户。",
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("When do I get my Money-Back?", [(0, "Money-Back")]),
        ("two refunds", [(0, "refunds")]),
        ("the money lies at the back", []),
        ("我要申请退款单", [(0, "退款")]),
        ("ＴＸ－２００／Ｂ now", [(1, "TX-200/B")]),
        ("a tx 200 b", [(1, "tx 200 b")]),
        ("the TX-200 is another", []),
        ("SKU 4411-A, refund", [(2, "SKU 4411-A"), (0, "refund")]),
        ("İ refund", [(0, "refund")]),
        ("", []),
    ],
)
def test_a_group_is_found_by_any_of_its_words_as_a_phrase(text: str, found: list[tuple[int, str]]) -> None:
    matches = Equivalents(GROUPS).matches(text)
    assert [(one.group, fold(text)[one.start : one.end]) for one in matches] == found


def test_codes_are_terms_as_a_whole_and_in_parts_whatever_their_width() -> None:
    assert tokenize("ＴＸ－２００／Ｂ") == tokenize("TX-200/B") == ["tx-200/b", "tx", "200"]
    assert tokenize("ISO-9001") == ["iso-9001", "iso", "9001"]
    assert set(tokenize("SKU 4411-A")) == {"sku", "4411-a", "4411"}


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("money back when", 0),
        ("refund when", 0),
        ("how heavy is the big press", 2),
        ("starter set", 4),
        ("money in a drawer", 1),
    ],
)
def test_a_word_finds_what_is_written_with_another_and_the_very_word_comes_first(
    query: str, first: int, tmp_path: Path
) -> None:
    built = LexicalIndex.build(range(len(TEXTS)), TEXTS, equivalents=Equivalents(GROUPS))
    built.save(tmp_path / "i")
    for index in (built, LexicalIndex.load(tmp_path / "i")):
        keys, _ = index.search([query], 2)
        assert keys[0][0] == first
        covered = index.coverage(query)
        assert 0 < covered.max() <= 1
    assert {0, 5} == set(np.flatnonzero(built.coverage("退款") > 0).tolist())


def test_without_a_term_in_the_question_nothing_is_otherwise() -> None:
    plain = LexicalIndex.build(range(len(TEXTS)), TEXTS)
    told = LexicalIndex.build(range(len(TEXTS)), TEXTS, equivalents=Equivalents(GROUPS))
    for query in ("which cups", "TX-200 weighs what", "drawer"):
        assert np.array_equal(plain.coverage(query), told.coverage(query))
        assert told.reworded(query) is None


def test_a_text_that_is_to_be_scored_without_the_query_loses_its_group_too() -> None:
    texts = ["Returns\nmy money back please", "Refund in five days", "Delivery is free"]
    index = LexicalIndex.build(range(3), texts, equivalents=Equivalents(GROUPS))
    held = index.coverage("my money back please", np.array([0]))
    assert held[0] == 0
    assert held[1] > 0


def test_a_question_is_worded_anew_with_the_word_most_texts_have() -> None:
    index = LexicalIndex.build(range(len(TEXTS)), TEXTS, equivalents=Equivalents(GROUPS))
    assert index.reworded("Money back for the big press?") == "refund for TX-200/B?"
    assert index.reworded("refund?") is None  # "money back" stands in no text, 退款 is written otherwise
    assert LexicalIndex.build(range(len(TEXTS)), TEXTS).reworded("refund?") is None


def test_of_two_wordings_the_nearer_counts_and_the_order_of_wordings_does_not() -> None:
    vecs = FakeEngine().embed(TEXTS)
    index = HybridIndex.build(
        piece_ids=range(len(TEXTS)), passage_ids=range(len(TEXTS)), kinds=[BODY] * len(TEXTS), texts=TEXTS,
        vecs=vecs, encoder_version="fake-1", equivalents=Equivalents(GROUPS),
    )  # fmt: skip
    asked = FakeEngine().embed(["how heavy is the big press", "how heavy is TX-200/B"])
    both = index.search("how heavy is the big press", asked)
    assert both == index.search("how heavy is the big press", asked[::-1])
    alone = {hit.passage_id: hit.dense for hit in index.search("how heavy is the big press", asked[0])}
    assert both[0].passage_id == 2
    assert both[0].dense > alone[2]
    assert all(hit.dense >= alone.get(hit.passage_id, -1) for hit in both)
