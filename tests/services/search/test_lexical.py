"""BM25 over words."""

import math
from pathlib import Path

import numpy as np
import pytest

from services.errors import InvalidInput, StorageFailed
from services.search.lexical import LexicalIndex

TEXTS = {
    7: "Returns are free within thirty days.",
    3: "Delivery takes five days. Delivery to islands takes longer.",
    12: "The LM-204518 lamp has a two-year warranty.",
    40: "退货请在三十天内寄回，运费由我们承担。",
    41: "快递一般需要五天送达。",
}


@pytest.fixture(scope="module")
def index() -> LexicalIndex:
    return LexicalIndex.build(list(TEXTS), list(TEXTS.values()))


def first(index: LexicalIndex, query: str) -> int:
    return int(index.search([query], 1)[0][0, 0])


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("how do I return something", 7),
        ("how long does a delivery take", 3),
        ("LM-204518", 12),
        ("lm204518 lamps", 12),
        ("怎么退货", 40),
        ("快递要几天", 41),
    ],
)
def test_the_text_with_the_querys_words_comes_first(index: LexicalIndex, query: str, key: int) -> None:
    assert first(index, query) == key


def test_a_score_is_the_published_formula() -> None:
    index = LexicalIndex.build([1, 2, 3], ["apple apple pear", "pear", "plum plum"], k1=1.2, b=0.75)
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 / (2 + 1.2 * (1 - 0.75 + 0.75 * 3 / 2))
    assert index.scores("apple") == pytest.approx([expected, 0, 0])


def test_texts_that_share_no_word_are_not_returned(index: LexicalIndex) -> None:
    keys, scores = index.search(["warranty", "zebra"], 3)
    assert keys.tolist() == [[12, -1, -1], [-1, -1, -1]]
    assert scores[0, 0] > 0
    assert not scores[1].any()


def test_only_allowed_texts_are_returned(index: LexicalIndex) -> None:
    assert index.search(["days"], 5, allowed=np.array([3, 999]))[0].tolist() == [[3, -1, -1, -1, -1]]


def test_coverage_is_a_share_that_unknown_words_lower(index: LexicalIndex) -> None:
    known, half_known = index.coverage("warranty").max(), index.coverage("warranty zeppelin").max()
    assert 0 < half_known < known < 1
    assert not index.coverage("").any()


def test_equal_texts_are_ordered_by_key() -> None:
    index = LexicalIndex.build([9, 2, 5], ["same words"] * 3)
    assert index.search(["words"], 3)[0].tolist() == [[2, 5, 9]]


def test_an_empty_index_finds_nothing(tmp_path: Path) -> None:
    LexicalIndex.build([], []).save(tmp_path)
    assert LexicalIndex.load(tmp_path).search(["anything"], 2)[0].tolist() == [[-1, -1]]


def test_a_saved_index_answers_as_before(index: LexicalIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "words")
    loaded = LexicalIndex.load(tmp_path / "words")
    for query in ("return delivery days", "退货 快递"):
        assert loaded.scores(query).tolist() == index.scores(query).tolist()
        assert loaded.coverage(query).tolist() == index.coverage(query).tolist()


def test_a_truncated_file_is_noticed(index: LexicalIndex, tmp_path: Path) -> None:
    index.save(tmp_path)
    words = next(tmp_path.glob("lexical.*.npz"))
    words.write_bytes(words.read_bytes()[:-20])
    with pytest.raises(StorageFailed, match="Rebuild"):
        LexicalIndex.load(tmp_path)


def test_keys_must_differ_and_match_the_texts() -> None:
    with pytest.raises(InvalidInput):
        LexicalIndex.build([1, 1], ["a", "b"])
    with pytest.raises(InvalidInput):
        LexicalIndex.build([1], ["a", "b"])
