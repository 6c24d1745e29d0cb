"""Numbers, dates, times, codes and addresses are compared by what they mean, in English and Chinese."""

from __future__ import annotations

from fractions import Fraction

import pytest

from services.text.facts import Fact, facts, states
from services.text.numerals import numerals


def unsaid(claim: str, source: str) -> list[Fact]:
    """The facts of a claim that a source does not state."""
    given = facts(source)
    return [fact for fact in facts(claim) if fact.firm and not states(given, fact, source)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,000", 1000),
        ("1 000", 1000),
        ("1000", 1000),
        ("1,234,567.5", 1234567.5),
        ("twenty-four", 24),
        ("two hundred and five thousand", 205_000),
        ("2.5 million", 2_500_000),
        ("10k", 10_000),
        ("a dozen", 12),
        ("two and a half", 2.5),
        ("2½", 2.5),
        ("1/2", 0.5),
        ("-5", -5),
        ("二十四", 24),
        ("三千五百元", 3500),
        ("一百二十天", 120),
        ("3.5万", 35_000),
        ("1.2亿", 120_000_000),
        ("两个", 2),
        ("三分之二", Fraction(2, 3)),
        ("三个半小时", 3.5),
    ],
)
def test_a_number_is_read_by_its_value(text: str, value: float) -> None:
    assert [float(numeral.value) for numeral in numerals(text)] == [pytest.approx(float(value))]


@pytest.mark.parametrize("text", ["一起看看", "一般来说", "统一标准", "千万不要", "万一丢了", "十分满意"])
def test_chinese_words_that_only_look_like_numbers_are_none(text: str) -> None:
    assert not [numeral for numeral in numerals(text) if numeral.firm]


@pytest.mark.parametrize(
    "text", ["No one knows.", "One of them is red.", "First, open the box.", "another one."]
)
def test_words_that_count_nothing_need_no_source(text: str) -> None:
    assert not [numeral for numeral in numerals(text) if numeral.firm]


SAME = [
    ("It costs 1000 EUR.", "It costs €1,000."),
    ("It costs 5 dollars.", "It costs $5."),
    ("It costs 5 USD per month.", "It costs $5/month."),
    ("Half the price, 50 percent.", "50% of the price."),
    ("50 per cent off", "50 % off"),
    ("a 30-day period", "within 30 days"),
    ("two weeks", "14 days"),
    ("within 24 hours", "within one day"),
    ("1 GB", "1000 MB"),
    ("five business days", "5 working days"),
    ("5 to 10 days", "5-10 days"),
    ("5 days", "5 to 10 days"),
    ("The limit is 30.", "The limit is 30 kg."),
    ("3-4 days", "Delivery (days): 3-4"),
    ("15:00", "3 pm"),
    ("3 p.m.", "at 15:00"),
    ("9 am to 5 pm", "9-17 h: 9:00 to 17:00"),
    ("at noon", "12:00"),
    ("on 3 March 2025", "on 2025-03-03"),
    ("March 3rd, 2025", "3 March 2025"),
    ("the 3rd of March", "March 3, 2025"),
    ("03/04/2025", "4 March 2025"),
    ("in March 2025", "on 3 March 2025"),
    ("in 2025", "on 3 March 2025"),
    ("3 March 2025", "In 2025 we close on 3 March."),
    ("1914 to 1918", "1914-1918"),
    ("on Mondays", "on Monday"),
    ("in the 1990s", "the 1990's"),
    ("the twenty-first day", "the 21st day"),
    ("order lm-204518", "order LM-204518"),
    ("version 2.3.1", "Version 2.3.1 is out"),
    ("call +49 30 1234567", "call +49 (30) 123-4567"),
    ("see http://www.example.com/a/", "see https://example.com/a"),
    ("mail Help@Example.com", "help@example.com"),
    ("签收后三十天内", "签收后 30 天内"),
    ("运费4.9欧元", "运费 4.90 欧元"),
    ("两个工作日", "2 个工作日"),
    ("下午三点", "15:00"),
    ("百分之五十", "50%"),
    ("二〇二五年三月三日", "2025-03-03"),
    ("3月3号", "2025年3月3日"),
    ("星期一", "周一"),
    ("三万元", "30000 元"),
    ("半年", "6 个月"),
    ("5 米", "5 meters"),
]


@pytest.mark.parametrize(("claim", "source"), SAME)
def test_the_same_fact_in_other_words_is_stated(claim: str, source: str) -> None:
    assert unsaid(claim, source) == []


OTHER = [
    ("within 60 days", "within 30 days"),
    ("30 hours", "30 days"),
    ("3 weeks", "3 days"),
    ("5 days", "5 business days"),
    ("€5", "$5"),
    ("5 GB", "5 MB"),
    ("2 million", "2 billion"),
    ("50 percentage points", "50 percent"),
    ("15 percents", "15 degrees"),
    ("3 pm", "3 am"),
    ("15:30", "15:00"),
    ("on 4 March 2025", "on 3 March 2025"),
    ("on 3 April 2025", "on 3 March 2025"),
    ("on 3 March 2026", "on 3 March 2025"),
    ("on 3 March 2025", "on 3 March"),
    ("in 2024", "on 3 March 2025"),
    ("on Tuesday", "on Monday"),
    ("in the 1980s", "in the 1990s"),
    ("the 22nd day", "the 21st day"),
    ("two days", "one day"),
    ("order LM-204519", "order LM-204518"),
    ("LM204518", "LM-204518"),
    ("version 2.3.2", "version 2.3.1"),
    ("set max_items", "set max_tokens"),
    ("see https://example.com/b", "see https://example.com/a"),
    ("see https://example.org/a", "see https://example.com/a"),
    ("see example.com/a#two", "see example.com/a#one"),
    ("mail hello@example.com", "mail help@example.com"),
    ("三十小时", "30 天"),
    ("30 美元", "30 欧元"),
    ("三个工作日", "3 天"),
    ("下午三点", "上午三点"),
    ("3月4日", "3月3日"),
    ("三亿元", "三万元"),
    ("周二", "周一"),
]


@pytest.mark.parametrize(("claim", "source"), OTHER)
def test_another_fact_is_not_stated(claim: str, source: str) -> None:
    assert unsaid(claim, source)


def test_a_word_of_duration_is_no_month_and_may_is_no_may() -> None:
    assert facts("3个月")[0].kind == "number"
    assert facts("You may march on.") == []
    assert [fact.kind for fact in facts("in May")] == ["date"]


def test_long_rows_of_signs_are_read_in_good_time() -> None:
    for piece in ("1,", "a1-", "12:3", "1/", "a.", "-", "二十", "3 May "):
        facts(piece * (2000 // len(piece)))
