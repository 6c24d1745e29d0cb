"""Orders, days, phones and choices in visitors' words as values, and what is asked when nothing fits."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from chatbot import safe_pattern, slots
from chatbot.conf import ChatbotSettings
from chatbot.filling import Unfilled, fill, placeholders, spoken, unknown
from chatbot.slots import Misfit, Slot
from services.conf import load
from services.errors import InvalidInput

WEDNESDAY = datetime(2026, 3, 4, 12, tzinfo=UTC)
READING = slots.Reading(WEDNESDAY, load(ChatbotSettings).chatbot_order_number)
CHOICE = Slot(
    "wish", "choice", choices=("a refund | refund | money back | 退款", "a new one | exchange | 换货")
)


def read(kind: str, text: str, **more: object) -> str | Misfit:
    return slots.read(Slot("it", kind, **more), text, READING)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("yesterday", "2026-03-03"),
        ("I bought it 3 days ago", "2026-03-01"),
        ("the day before yesterday", "2026-03-02"),
        ("last Monday", "2026-03-02"),
        ("last Wednesday", "2026-02-25"),
        ("in two weeks", "2026-03-18"),
        ("a month ago", "2026-02-04"),
        ("3 March", "2026-03-03"),
        ("December 24th", "2025-12-24"),
        ("on the 5th", "2026-03-05"),
        ("2026-02-28", "2026-02-28"),
        ("昨天", "2026-03-03"),
        ("三天前", "2026-03-01"),
        ("上周三", "2026-02-25"),
        ("2026年3月1日", "2026-03-01"),
        ("上个月5号", "2026-02-05"),
        ("12月24日", "2025-12-24"),
    ],
)
def test_a_day_is_read_with_the_clock_it_needs(text: str, day: str) -> None:
    assert read("date", text) == day


@pytest.mark.parametrize("text", ["31 February", "soon", "9999999 days ago", "somewhen in 2025", ""])
def test_what_is_no_day_is_asked_again(text: str) -> None:
    assert isinstance(read("date", text), Misfit)


def test_a_day_with_two_readings_is_asked_about_by_name() -> None:
    asked = read("date", "03/04/2026")
    assert isinstance(asked, Misfit)
    assert "4 March 2026 or 3 April 2026" in asked.question
    assert slots.find([Slot("it", "date")], "since 03/04/2026", READING) == {}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("order_number", "LM-204518", "LM-204518"),
        ("order_number", "my order is lm204518.", "LM204518"),
        ("order_number", "订单LM-204518到哪了", "LM-204518"),
        ("order_number", "ＬＭ－２０４５１８", "LM-204518"),
        ("email", "me@Example.COM, thanks", "me@example.com"),
        ("email", "邮箱是a.b@c.cn谢谢", "a.b@c.cn"),
        ("phone", "+44 20 7946 0018", "+442079460018"),
        ("phone", "我的电话是13800138000", "+8613800138000"),
        ("phone", "call me on (212) 555-0123 please", "+12125550123"),
        ("number", "I'd like three", "3"),
        ("number", "2.5", "2.5"),
        ("number", "二", "2"),
        ("text", "  Mill Lane 3 ", "Mill Lane 3"),
    ],
)
def test_a_value_is_found_and_kept_in_one_form(kind: str, text: str, value: str) -> None:
    assert read(kind, text) == value


@pytest.mark.parametrize(
    ("kind", "text", "hint"),
    [
        ("order_number", "it is blue", "order number"),
        ("order_number", "2045183829384729384729384", "order number"),
        ("email", "a@b", "name@example.com"),
        ("email", "x..y@c.de", "name@example.com"),
        ("phone", "12", "country code"),
        ("number", "many", "number"),
        ("text", "x" * 201, "200 characters"),
    ],
)
def test_a_misfit_is_told_with_what_would_fit(kind: str, text: str, hint: str) -> None:
    asked = read(kind, text)
    assert isinstance(asked, Misfit)
    assert hint in asked.question


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("money back please", "a refund"),
        ("退款", "a refund"),
        ("the second one", "a new one"),
        ("第一个", "a refund"),
    ],
)
def test_a_choice_is_known_by_its_wordings_and_by_its_place(text: str, value: str) -> None:
    assert slots.read(CHOICE, text, READING) == value


def test_a_choice_speaks_the_visitors_language() -> None:
    assert CHOICE.options("en") == ("a refund", "a new one")
    assert CHOICE.options("zh-hans") == ("退款", "换货")
    assert CHOICE.said("a refund", "zh-hans") == "退款"
    asked = slots.read(CHOICE, "dunno", READING)
    assert asked == Misfit("Which of these is it: a refund, a new one?")


def test_one_message_fills_several_slots_each_stretch_once() -> None:
    wanted = [Slot(kind, kind) for kind in ("number", "date", "phone", "order_number", "email")]
    text = "order LM-204518 of yesterday, mail me@x.de, phone +442079460018, 2 pieces"
    assert slots.find(wanted, text, READING) == {
        "email": "me@x.de",
        "order_number": "LM-204518",
        "phone": "+442079460018",
        "date": "2026-03-03",
        "number": "2",
    }


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|aa)+", r"(\w+\s?)*z", "(", "", r"\d*", "x" * 201, "(?:a{1,50}){1,50}"]
)
def test_a_pattern_that_is_wrong_or_may_take_long_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInput):
        safe_pattern.check(pattern)


@pytest.mark.parametrize(
    "pattern", [r"LM-?\d{6}", r"[A-Z]+-\d+", r".*.*x", r"(\d{1,3},?){1,4}", "(?:A|B)\\d{4}"]
)
def test_a_pattern_that_is_taken_never_takes_long(pattern: str) -> None:
    safe_pattern.check(pattern)
    began = time.perf_counter()
    for text in ("a" * 5000, "1" * 5000, "A-" * 2500, "1,2," * 1000):
        list(safe_pattern.search(pattern, text))
    assert time.perf_counter() - began < 1


def test_matches_stand_alone_wherever_the_window_ends() -> None:
    for room in range(130):
        found = [m[0] for m in safe_pattern.search(r"LM-\d{6}", "." * room + "LM-204518, LM-1111112")]
        assert found == ["LM-204518"], room


def test_placeholders_are_looked_up_and_never_evaluated() -> None:
    values = {"name": "{other} & <b>", "reply": {"lines": [{"n": 2}], "on": True, "day": "2026-03-03"}}
    assert placeholders("{name} {reply.lines.0.n} {name}") == ["name", "reply.lines.0.n"]
    assert fill("{name}: {reply.lines.0.n}, {reply.on}, {reply.day}", values, spoken) == (
        "{other} & <b>: 2, yes, 3 March 2026"
    )
    for lost in ("{reply}", "{reply.lines}", "{reply.none}", "{name.__class__}", "{reply.lines.9.n}"):
        with pytest.raises(Unfilled):
            fill(lost, values, spoken)
    assert unknown("{name} {nmae} {reply.x}", ["name"], has_reply=False) == ["{nmae}", "{reply.x}"]
    assert unknown("{name} {reply.x}", ["name"], has_reply=True) == []
    assert unknown("{order number}", ["name"], has_reply=True)
    assert spoken("a\u202eb\x00c" + "x" * 400) is not None
    assert spoken(float("nan")) is None
