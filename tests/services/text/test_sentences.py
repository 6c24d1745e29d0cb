"""Sentences and their places."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.text.sentences import LONG_LINE, sentences

SCRAPS = (
    *(
        "Hello there. ",
        "e.g. ",
        "3.50 ",
        "No. 5 ",
        "Dr. A. ",
        '"Yes." ',
        "x",
        "...",
        "!?",
        "你好。",
        "？",
        "；",
        "…",
    ),
    *("\n", "\n\n", "\r\n", "\u2028", " ", "\t", "- ", "1. ", "# ", "| a | b |\n", "· "),
)
MARKUP = st.lists(st.sampled_from(SCRAPS), max_size=40).map("".join)


def cut(text: str) -> list[str]:
    return [span.of(text) for span in sentences(text)]


@given(st.one_of(st.text(max_size=300), MARKUP))
def test_spans_are_in_order_trimmed_and_hold_every_visible_character_once(text: str) -> None:
    spans = sentences(text)
    places = [at for span in spans for at in range(span.start, span.end)]
    assert len(places) == len(set(places))
    assert places == sorted(places)
    assert all(text[at].isspace() for at in set(range(len(text))) - set(places))
    for span in spans:
        assert span.of(text)
        assert span.of(text) == span.of(text).strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs 3.50 EUR. It is new.", ["It costs 3.50 EUR.", "It is new."]),
        ("Send it, e.g. by post. Then wait.", ["Send it, e.g. by post.", "Then wait."]),
        ("Mr. Smith of Acme Inc. is here. Ask him!", ["Mr. Smith of Acme Inc. is here.", "Ask him!"]),
        ("We open at 9 a.m. Bring a key.", ["We open at 9 a.m.", "Bring a key."]),
        ("See No. 5 of order LM-204518. Is it yours?", ["See No. 5 of order LM-204518.", "Is it yours?"]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("J. R. Miller wrote it. It sold.", ["J. R. Miller wrote it.", "It sold."]),
        ("Wait... then go. Done", ["Wait... then go.", "Done"]),
        (
            "See https://shop.example/a.b?c=d. It is there.",
            ["See https://shop.example/a.b?c=d.", "It is there."],
        ),
        ("Do this: 1. Open it. 2. Close it.", ["Do this: 1.", "Open it.", "2. Close it."]),
    ],
)
def test_english_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_chinese_sentences_end_without_a_space() -> None:
    text = "退货需要多久？请在30天内寄回。运费为12.5元；“好的。”他说！谢谢"
    assert cut(text) == [
        "退货需要多久？",
        "请在30天内寄回。",
        "运费为12.5元；",
        "“好的。”",
        "他说！",
        "谢谢",
    ]


def test_a_soft_line_break_ends_nothing_and_a_blank_line_does() -> None:
    assert cut("This goes\non here\n\nNew start") == ["This goes\non here", "New start"]


def test_headings_list_items_and_table_rows_are_units() -> None:
    text = "# Fees. All of them\n- One. Two.\n  still one\n2) Two\n| a. B | 1.5 |\nplain. Words"
    assert cut(text) == [
        "# Fees. All of them",
        "- One. Two.\n  still one",
        "2) Two",
        "| a. B | 1.5 |",
        "plain.",
        "Words",
    ]


def test_a_long_list_item_is_cut_into_its_sentences() -> None:
    text = "- " + "This sentence is repeated. " * (LONG_LINE // 20)
    assert len(cut(text)) == LONG_LINE // 20


@pytest.mark.parametrize(
    "text",
    ["!" * 50_000 + "x", "a" * 50_000 + " b. ", "1. " * 15_000, ". " * 25_000, "a|" * 25_000, "“" * 50_000],
)
def test_hostile_texts_take_no_longer_than_others(text: str) -> None:
    started = time.thread_time()
    sentences(text)
    assert time.thread_time() - started < 3
