"""A day in a visitor's words, as a date: "yesterday", "3 March", 昨天, 上周三, 5号.

What a clock is needed for is read here; written-out dates are read by `services.text.dates`. A day without
its year, month or week is the one nearest to today, unless the words say which ("last", "next", 上, 下).
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from services.text.dates import dates

_COUNTED = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNT = {
    **{word: n for n, word in enumerate(_COUNTED, 1)},
    "a": 1, "an": 1, **{sign: n for n, sign in enumerate("一二三四五六七八九十", 1)}, "两": 2,
}  # fmt: skip
_N = rf"(?P<n>\d{{1,3}}|{'|'.join(sorted(_COUNT, key=len, reverse=True))})"
_WEEK = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_SHIFTED = {
    "the day before yesterday": -2, "day before yesterday": -2, "yesterday": -1, "last night": -1,
    "today": 0, "tonight": 0, "this morning": 0, "this afternoon": 0, "this evening": 0,
    "the day after tomorrow": 2, "day after tomorrow": 2, "tomorrow": 1,
    "大前天": -3, "前天": -2, "昨天": -1, "昨日": -1, "昨晚": -1, "今天": 0, "今日": 0, "今早": 0, "今晚": 0,
    "明天": 1, "明日": 1, "大后天": 3, "后天": 2,
}  # fmt: skip
_WORD = re.compile(
    "|".join(rf"\b{word}\b" if word.isascii() else word for word in sorted(_SHIFTED, key=len, reverse=True)),
    re.IGNORECASE,
)
_AGO = re.compile(
    rf"\b{_N} (?P<unit>day|week|month)s? (?P<way>ago|from now)\b"
    rf"|\bin {_N.replace('?P<n>', '?P<m>')} (?P<unit2>day|week)s?\b",
    re.IGNORECASE,
)
_AGO_HAN = re.compile(rf"{_N}\s?个?(?P<unit>天|周|星期|礼拜|月)(?:以)?(?P<way>前|后)")
_WEEKDAY = re.compile(
    rf"\b(?:(?P<which>last|this|next|coming|past|on) )?(?P<day>{'|'.join(_WEEK)})\b"
    r"|(?P<han>上上?|这|本|下)?个?(?:周|星期|礼拜)(?P<handay>[一二三四五六日天])",
    re.IGNORECASE,
)
_DAY_ALONE = re.compile(
    r"\b(?:on )?the (?P<nth>\d{1,2})(?:st|nd|rd|th)\b"
    r"|(?<![\d月])(?P<month>上个?月|这个?月|本月|下个?月)?(?P<no>\d{1,2})[号日](?!码|线|楼)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Day:
    """Characters `start` to `end`, and the days they may mean, the nearest to today first."""

    start: int
    end: int
    days: tuple[date, ...]


def days(text: str, today: date) -> list[Day]:
    """The days a text names, from its start on; spans do not overlap."""
    found: list[Day] = []
    taken = bytearray(len(text))
    for day in (*_relative(text, today), *_written(text, today), *_alone(text, today)):
        if day.days and not any(taken[day.start : day.end]):
            found.append(day)
            taken[day.start : day.end] = b"\1" * (day.end - day.start)
    return sorted(found, key=lambda day: day.start)


def _relative(text: str, today: date) -> Iterator[Day]:
    for match in _WORD.finditer(text):
        yield Day(*match.span(), (today + timedelta(days=_SHIFTED[match[0].lower()]),))
    for match in (*_AGO.finditer(text), *_AGO_HAN.finditer(text)):
        told = match.groupdict()
        count, unit = told["n"] or told.get("m") or "1", (told["unit"] or told.get("unit2") or "").lower()
        n = int(count) if count.isdecimal() else _COUNT[count.lower()]
        sign = -1 if told["way"] in {"ago", "AGO", "Ago", "前"} else 1
        yield Day(*match.span(), _moved(today, sign * n, unit))
    for match in _WEEKDAY.finditer(text):
        yield Day(*match.span(), (_weekday(match, today),))


def _moved(today: date, n: int, unit: str) -> tuple[date, ...]:
    if unit in {"month", "月"}:
        year, month = divmod(today.year * 12 + today.month - 1 + n, 12)
        return _date(year, month + 1, min(today.day, 28))
    with suppress(OverflowError):
        return (today + timedelta(days=n * (1 if unit in {"day", "天"} else 7)),)
    return ()


def _weekday(match: re.Match[str], today: date) -> date:
    """ "last Monday" is the latest before today; 上周一 is the Monday of the week before this one."""
    if match["handay"]:
        day = "一二三四五六日".index(match["handay"].replace("天", "日"))
        if match["han"]:
            week = {"上": -1, "上上": -2, "这": 0, "本": 0, "下": 1}[match["han"]]
            return today + timedelta(days=day - today.weekday() + 7 * week)
    else:
        day = _WEEK.index(match["day"].lower())
    ahead = (day - today.weekday()) % 7
    which = (match["which"] or "").lower()
    if which in {"last", "past"}:
        return today - timedelta(days=7 - ahead if ahead else 7)
    if which in {"next", "coming", "this"}:
        return today + timedelta(days=ahead or (0 if which == "this" else 7))
    return today + timedelta(days=ahead if ahead <= 7 - ahead else ahead - 7)


def _written(text: str, today: date) -> Iterator[Day]:
    for start, end, readings in dates(text):
        found = {day for reading in readings for day in _resolved(reading, today)}
        yield Day(start, end, tuple(sorted(found, key=lambda day: (abs(day - today), day))))


def _resolved(reading: Hashable, today: date) -> tuple[date, ...]:
    match reading:
        case (int(year), int(month), int(day)):
            return _date(year, month, day)
        case (None, int(month), int(day)):
            near = [
                found
                for year in (today.year - 1, today.year, today.year + 1)
                for found in _date(year, month, day)
            ]
            return tuple(sorted(near, key=lambda day: abs(day - today))[:1])
    return ()


def _alone(text: str, today: date) -> Iterator[Day]:
    for match in _DAY_ALONE.finditer(text):
        day, which = int(match["nth"] or match["no"]), (match["month"] or "")[:1]
        shifts = {"上": (-1,), "这": (0,), "本": (0,), "下": (1,)}.get(which, (-1, 0, 1))
        months = [divmod(today.year * 12 + today.month - 1 + shift, 12) for shift in shifts]
        near = [found for year, month in months for found in _date(year, month + 1, day)]
        yield Day(*match.span(), tuple(sorted(near, key=lambda found: abs(found - today))[:1]))


def _date(year: int, month: int, day: int) -> tuple[date, ...]:
    """The day, or nothing where the calendar has none (30 February, the year 12000)."""
    with suppress(ValueError, OverflowError):
        return (date(year, month, day),)
    return ()
