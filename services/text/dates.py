"""Dates and times of day in a text by their meaning: 3 March 2025 = March 3rd, 2025 = 2025年3月3日.

A date is (year, month, day), None where the text leaves a part out, or ("weekday", 0) for Monday. A time is
minutes after midnight. What can be read in two ways ("03/04/2025", "3:00" without am or pm) has both
readings. "Today" and other words that need a clock are not dates here.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator

_MONTH_WORDS = "january february march april may june july august september october november december"
_MONTH_NAMES = _MONTH_WORDS.split()
_MONTHS = {name: n for n, name in enumerate(_MONTH_NAMES, 1)} | {
    name[:3]: n for n, name in enumerate(_MONTH_NAMES, 1)
}
_MONTHS["sept"] = 9
_DAY_WORDS = "monday tuesday wednesday thursday friday saturday sunday"
_DAY_NAMES = _DAY_WORDS.split()
_DAYS = {name: n for n, name in enumerate(_DAY_NAMES)} | {
    "mon": 0, "tue": 1, "tues": 1, "wed": 2, "thu": 3, "thur": 3, "thurs": 3, "fri": 4, "sat": 5, "sun": 6,
}  # fmt: skip
_HAN_NUMBERS = {c: n for n, c in enumerate("〇一二三四五六七八九")} | {"零": 0, "○": 0}

_M = "(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\b\.?"
_Y = r"(?:1[0-9]|20|21)\d\d"
_D = r"(?:[12]\d|3[01]|0?[1-9])"
_TH = r"(?:st|nd|rd|th)?"
_HAN_M = "(?:1[0-2]|0?[1-9]|十[一二]?|[一二三四五六七八九])"
_HAN_D = rf"(?:{_D}|[二三]?十?[一二三四五六七八九]|[二三]?十)"
_FORMS = [
    rf"(?<![\d./-])(?P<y>{_Y})(?P<sep>[-/.])(?P<m>0?[1-9]|1[0-2])(?P=sep)(?P<d>{_D})(?![\d/-]|\.\d)",
    rf"(?<![\d./-])(?P<a>\d{{1,2}})(?P<sep>[-/.])(?P<b>\d{{1,2}})(?P=sep)(?P<y>{_Y}|\d\d)(?![\d/-]|\.\d)",
    rf"(?<![\d.,/-])(?P<d>{_D}){_TH}(?: day)?(?: of)?[ -](?P<month>{_M})(?:,?[ -](?P<y>{_Y}))?(?!\d)",
    rf"\b(?P<month>{_M})[ -](?:the )?(?P<d>{_D}){_TH}(?![\d:.]\d|\d)(?:,? (?P<y>{_Y})(?!\d|-\d))?",
    rf"\b(?P<month>{_M}),?[ -](?:of )?(?P<y>{_Y})(?!\d)",
    rf"(?<![\d.])(?P<y>\d{{4}}|[零〇○一二三四五六七八九]{{4}})\s?年(?!前|后|以|内|期|多|左|来|间|的?历)"
    rf"(?:\s?(?P<m>{_HAN_M})\s?月(?:份)?(?:\s?(?P<d>{_HAN_D})\s?[日号])?)?",
    rf"(?<![\d.])(?P<m>{_HAN_M})\s?月\s?(?P<d>{_HAN_D})\s?[日号]",
    r"(?<![\d.个個])(?P<m>1[0-2]|0?[1-9])\s?月(?:份|底|初|中旬|上旬|下旬|起)",
]
_DATES = [re.compile(form, re.IGNORECASE | re.ASCII) for form in _FORMS]
_BARE_MONTH = re.compile(r"\b(?P<month>" + "|".join(name.title() for name in _MONTH_NAMES) + r")\b")
_AMBIGUOUS = {"March", "May"}
_BEFORE_MONTH = re.compile(
    r"\b(?:in|of|since|until|till|by|from|to|and|or|last|next|this|early|mid|late|every|during|before|after"
    r"|through)[ -]$",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(
    r"\b(?P<day>"
    + "|".join(name.title() for name in _DAY_NAMES)
    + r")s?\b|\b(?P<short>Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)\b\.?"
    r"|(?:星期|周|週|礼拜)(?P<han>[一二三四五六日天])",
    re.ASCII,
)
_DECADE = re.compile(
    r"(?<![\d.,$€£])(?:mid-|early-|late-)?(?P<decade>(?:1[0-9]|20)\d0)['’]?s\b", re.IGNORECASE | re.ASCII
)
_YEAR = re.compile(
    r"(?<![\w.,$€£¥/:+-])(?P<y>(?:1[1-9]|20)\d\d)(?![\w/:]|[.,]\d|-\w|\s?[个人件名字])",
    re.ASCII,
)
_PART = "(?:凌晨|早上|清晨|上午|中午|下午|傍晚|晚上|晚)"
_YEARS = re.compile(
    r"(?<![\w.,$€£/:+-])(?P<y>(?:1[1-9]|20)\d\d)[ ]?[-–—/][ ]?(?P<to>(?:1[1-9]|20)?\d\d)(?![\w.-]?\d|\w)",
    re.ASCII,
)
_TIMES = [
    re.compile(
        r"(?<![\w.:])(?P<h>1[0-2]|0?[1-9])(?:[:.](?P<min>[0-5]\d))?[ \u00a0]?(?P<half>[ap])\.?[ ]?m\b\.?",
        re.IGNORECASE | re.ASCII,
    ),
    re.compile(
        rf"(?P<part>{_PART}\s?)?(?<![\w.:-])(?P<h>[01]?\d|2[0-4]):(?P<min>[0-5]\d)(?::[0-5]\d)?(?![\d:])"
        r"(?:[ ]?h\b)?",
        re.ASCII,
    ),
    re.compile(
        rf"(?P<part>{_PART})?(?:(?<=[上晨午晚])\s)?"
        r"(?P<h>[01]?\d|2[0-4]|十[一二]?|[一二两三四五六七八九])\s?(?:点钟?|點|时)"
        r"(?!间|候|期|击|数|评|价)(?:\s?(?P<min>[0-5]?\d)\s?分(?!钟)|(?P<half30>半))?"
    ),
]
_NAMED_TIME = re.compile(r"\b(?P<word>noon|midday|midnight)\b|(?P<han>正午|午夜|零点)", re.IGNORECASE)
_RANGE_BEFORE_TIME = re.compile(
    r"(?<![\w.:])(?P<h>1[0-2]|[1-9])(?::(?P<min>[0-5]\d))?[ ]?(?:-|–|to|and|until)[ ]?$"
)


def dates(text: str) -> list[tuple[int, int, frozenset[Hashable]]]:
    """(start, end, readings) of the dates, weekdays, decades and years of a text; spans do not overlap."""
    found: list[tuple[int, int, frozenset[Hashable]]] = []
    taken = bytearray(len(text))
    for start, end, readings in _all(text):
        if readings and not any(taken[start:end]):
            found.append((start, end, readings))
            taken[start:end] = b"\1" * (end - start)
    return found


def times(text: str) -> list[tuple[int, int, frozenset[Hashable]]]:
    """(start, end, minutes after midnight) of the times of day of a text."""
    found: list[tuple[int, int, frozenset[Hashable]]] = []
    taken = bytearray(len(text))
    for match in (match for form in _TIMES for match in form.finditer(text)):
        if any(taken[match.start() : match.end()]):
            continue
        taken[match.start() : match.end()] = b"\1" * (match.end() - match.start())
        readings = _minutes(match)
        found.append((match.start(), match.end(), readings))
        before = _RANGE_BEFORE_TIME.search(text, 0, match.start())
        if before and not any(taken[before.start() : before.end()]):
            start, end = before.span("h")[0], before.end("min") if before["min"] else before.end("h")
            minute = 60 * int(before["h"]) + int(before["min"] or 0)
            found.append((start, end, frozenset({minute, (minute + 720) % 1440})))
            taken[start:end] = b"\1" * (end - start)
    for match in _NAMED_TIME.finditer(text):
        noon = (match["word"] or match["han"]).lower() in {"noon", "midday", "正午"}
        found.append((match.start(), match.end(), frozenset({720} if noon else {0})))
    return found


def _all(text: str) -> Iterator[tuple[int, int, frozenset[Hashable]]]:
    for form in _DATES:
        for match in form.finditer(text):
            yield match.start(), match.end(), frozenset(_read(match))
    for match in _WEEKDAY.finditer(text):
        word = (match["day"] or match["short"] or "").lower()
        day = _DAYS[word] if word else "一二三四五六日".index(match["han"].replace("天", "日"))
        if not (word == "sun" and re.search(r"\b[Tt]he $", text[: match.start()])):
            yield match.start(), match.end(), frozenset({("weekday", day)})
    for match in _BARE_MONTH.finditer(text):
        name = match["month"]
        if name not in _AMBIGUOUS or _BEFORE_MONTH.search(text[max(0, match.start() - 12) : match.start()]):
            yield match.start(), match.end(), frozenset({(None, _MONTHS[name.lower()], None)})
    for match in _DECADE.finditer(text):
        yield match.start(), match.end(), frozenset({("decade", int(match["decade"]))})
    for match in _YEARS.finditer(text):
        to = match["to"] if len(match["to"]) == 4 else match["y"][:2] + match["to"]
        yield match.start("y"), match.end("y"), frozenset({(int(match["y"]), None, None)})
        yield match.start("to"), match.end("to"), frozenset({(int(to), None, None)})
    for match in _YEAR.finditer(text):
        yield match.start(), match.end(), frozenset({(int(match["y"]), None, None)})


def _read(match: re.Match[str]) -> Iterator[Hashable]:
    parts = match.groupdict()
    year = _number(parts["y"]) if parts.get("y") else None
    if parts.get("a") and year is not None:
        year += 2000 if year < 70 else 1900 if year < 100 else 0
        one, two = int(parts["a"]), int(parts["b"])
        for day, number in {(one, two), (two, one)}:
            if 1 <= number <= 12 and 1 <= day <= 31:
                yield (year, number, day)
        return
    month = None
    if parts.get("month"):
        month = _MONTHS[parts["month"].lower().rstrip(".")]
    elif parts.get("m"):
        month = _number(parts["m"])
    yield (year, month, _number(parts["d"]) if parts.get("d") else None)


def _number(digits: str) -> int:
    """Digits, or Chinese numerals up to thirty-one and the four of a year."""
    if digits.isdecimal():
        return int(digits)
    if "十" not in digits:
        return int("".join(str(_HAN_NUMBERS[c]) for c in digits.replace("两", "二")))
    tens, ones = digits.split("十")
    return 10 * (_HAN_NUMBERS[tens] if tens else 1) + (_HAN_NUMBERS[ones] if ones else 0)


def _minutes(match: re.Match[str]) -> frozenset[Hashable]:
    parts = match.groupdict()
    hour = _number(match["h"])
    minute = 30 if parts.get("half30") else int(parts.get("min") or 0)
    half, part = (parts.get("half") or "").lower(), (parts.get("part") or "").strip()
    if half:
        return frozenset({60 * (hour % 12 + 12 * (half == "p")) + minute})
    if part in {"下午", "傍晚", "晚上", "晚"} and hour < 12:
        return frozenset({60 * (hour + 12) + minute})
    if part in {"凌晨", "早上", "清晨", "上午"}:
        return frozenset({60 * (hour % 12 if part == "凌晨" else hour) + minute})
    if hour > 12 or hour == 0 or match["h"].startswith("0") or part:
        return frozenset({60 * (hour % 24) + minute})
    return frozenset({60 * hour + minute, 60 * ((hour + 12) % 24) + minute})
