"""Texts as search terms."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.search.tokens import tokenize


def test_a_code_is_a_term_as_a_whole_and_in_its_parts() -> None:
    assert tokenize("Where is LM-204518?") == ["where", "is", "lm-204518", "lm", "204518"]
    assert tokenize("LK-4410/b") == ["lk-4410/b", "lk", "4410"]


def test_a_code_typed_without_its_hyphen_shares_the_parts() -> None:
    assert set(tokenize("LK4410")) & set(tokenize("LK-4410")) == {"lk", "4410"}


def test_full_width_forms_are_the_same_as_half_width_ones() -> None:
    assert tokenize("ＬＭ－２０４５１８") == tokenize("LM-204518")


def test_numbers_stay_whole() -> None:
    assert tokenize("1,000 or 12.5 or 1,234.50") == ["1000", "or", "12.5", "12", "or", "1234.50"]


def test_words_are_stemmed_in_the_language_given() -> None:
    assert tokenize("returned returning returns") == ["return"] * 3
    assert tokenize("Lieferungen", "de") == tokenize("Lieferung", "de") != ["lieferung"]
    assert tokenize("returns", "xx") == ["returns"]


def test_small_joined_words_meet_their_other_spellings() -> None:
    assert tokenize("e-mail don't") == tokenize("email dont")


def test_queries_lose_their_commonest_words_unless_nothing_is_left() -> None:
    assert tokenize("How do I return it?", query=True) == ["return"]
    assert tokenize("how do i", query=True) == ["how", "do", "i"]
    assert tokenize("怎么退货", query=True) == ["退货"]


def test_chinese_is_cut_into_words_and_unknown_stretches_into_pairs() -> None:
    terms = tokenize("我想退货，订单LM-204518什么时候发货")
    assert {"退货", "订单", "lm-204518", "发货"} <= set(terms)
    assert "魑魅" in tokenize("魑魅魍魉咖") or "魑魅魍魉" in tokenize("魑魅魍魉咖")
    assert "喵驿" in tokenize("喵驿")


def test_one_text_can_hold_both_scripts() -> None:
    assert {"iphone14", "iphon", "14", "退货"} <= set(tokenize("iPhone14怎么退货"))


@given(st.text(max_size=200))
def test_any_text_gives_terms_that_are_not_blank(text: str) -> None:
    assert all(term.strip() for term in tokenize(text))
    assert set(tokenize(text, query=True)) <= set(tokenize(text))


@pytest.mark.parametrize("text", ["退" * 8_000, "a-" * 50_000, "a'" * 50_000, "1," * 50_000, "a.b1" * 25_000])
def test_hostile_texts_take_no_longer_than_others(text: str) -> None:
    tokenize("退货")  # the dictionary is loaded once, before the clock starts
    started = time.thread_time()
    tokenize(text)
    assert time.thread_time() - started < 4


def test_the_dictionary_is_kept_in_a_folder_only_this_user_can_enter(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.search import tokens

    monkeypatch.setattr(tokens.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = tokens._private_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    assert tokens._private_folder() != folder
