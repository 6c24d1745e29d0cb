"""Numbers in a text by their value: "1,000", "1 000", "twenty-four", "2.5 million", 二十四, "3.5万", "half".

Rules, English and Chinese, no model. A number is `firm` when the text states it ("two days"); "a day", "both"
and "一个" only suggest one, so they may confirm a number said elsewhere but need no confirming themselves.
What it does not read: Roman numerals, "a few", and "1.000" as a thousand (it is read as one).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number at `text[start:end]`; `ordinal` for "third", "21st", 第三."""

    start: int
    end: int
    value: Fraction
    firm: bool = True
    ordinal: bool = False


_ONES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NTH = """
zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
fifteenth sixteenth seventeenth eighteenth nineteenth
"""
_NTH_TENS = "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth"


def _counted(ones: str, tens: str) -> dict[str, int]:
    return dict(zip(ones.split(), range(20), strict=True)) | dict(
        zip(tens.split(), range(20, 100, 10), strict=True)
    )


_SMALL, _ORDINAL = _counted(_ONES, _TENS), _counted(_NTH, _NTH_TENS)
_SCALE = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "mn": 10**6,
    "bn": 10**9,
    "k": 1000,
    "K": 1000,
    "M": 10**6,
    "千": 1000,
    "万": 10**4,
    "萬": 10**4,
    "亿": 10**8,
    "億": 10**8,
}
_HALVES = {
    "½": Fraction(1, 2),
    "¼": Fraction(1, 4),
    "¾": Fraction(3, 4),
    "⅓": Fraction(1, 3),
    "⅔": Fraction(2, 3),
}

_DIGITS = re.compile(
    r"(?:(?<![\w.,])|(?<=USD)|(?<=EUR)|(?<=GBP)|(?<=CNY)|(?<=RMB))(?P<sign>(?<![\w)])[-−+](?=\d))?"
    r"(?P<whole>\d{1,3}(?:,\d{3}){1,9}(?![\d,])|\d{1,3}(?:[ \u00a0\u202f\u2009]\d{3}){1,9}(?!\d)|\d{1,40})"
    r"(?P<part>\.\d{1,40})?(?P<half>[½¼¾⅓⅔]|[ ]?/[ ]?\d{1,9}(?![\d/]))?"
    r"(?P<scale>[ -]?(?:hundred|thousand|million|billion|trillion|mn|bn)\b|[kKM]\b|\s?[千万萬亿億](?!人民))?"
    r"(?P<nth>st|nd|rd|th)?(?![\d])",
    re.ASCII,
)
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_OF_WHOLE = re.compile(
    r"(?<![\w-])(?P<n>one|two|three|four|a)[ -](?P<part>third|quarter|fifth|tenth|halve)s?(?!\w)",
    re.IGNORECASE,
)
_HAN_OF_WHOLE = re.compile(r"(?P<part>[二三四五六七八九十])分之(?P<n>[一二两三四五六七八九])")
_LONE_HALF = re.compile(r"(?<!\w)[½¼¾⅓⅔]")
_WORD = "|".join(sorted([*_SMALL, "hundred", "thousand", "million", "billion"], key=len, reverse=True))
_NTH_WORD = "|".join(sorted(_ORDINAL, key=len, reverse=True))
_WORDS = re.compile(
    rf"(?<![\w-])(?:(?P<a>an?[ ](?=hundred|thousand|million|billion|dozen))?(?P<words>(?:{_WORD}|dozen)"
    rf"(?:(?:[ -]|(?:(?<=hundred)|(?<=thousand)|(?<=million))[ ]and[ ])(?:{_WORD}|{_NTH_WORD})){{0,11}})"
    rf"|(?P<only>{_NTH_WORD}))(?P<half>[ ]and[ ]a[ ]half)?(?!\w)",
    re.IGNORECASE,
)
_ONE_WORD = re.compile(r"\b(?!and\b)[a-z]+", re.IGNORECASE)
_SOFT_WORDS: dict[str, int | Fraction] = {
    "a": 1, "an": 1, "single": 1, "once": 1, "another": 1, "each": 1, "per": 1, "every": 1, "both": 2,
    "pair": 2, "couple": 2, "twice": 2, "double": 2, "triple": 3, "half": Fraction(1, 2),
    "quarter": Fraction(1, 4), "weekly": 1, "daily": 1, "monthly": 1, "yearly": 1, "annual": 1, "hourly": 1,
}  # fmt: skip
_SOFT = re.compile(r"(?<![\w-])(?:" + "|".join(_SOFT_WORDS) + r")(?![\w'’])", re.IGNORECASE)
_NO_COUNT_AFTER = re.compile(
    r"(?:[ ]of\b|[ ]another\b|['’]s\b|[ ]or[ ]more\b|[ ]can\b|[ ]should\b|[ ]must\b|[,.;:]|$)"
)
_NO_COUNT_BEFORE = re.compile(
    r"\b(?:no|the|this|that|each|every|any|which|other|another|only|some)[ ]$", re.IGNORECASE
)
_SECOND_IS_A_NUMBER = re.compile(r"\b(?:the|a|an|every|each|your|our|his|her|its|their)[ ]$", re.IGNORECASE)

_HAN_DIGIT = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_HAN_PLACE = {"十": 10, "百": 100, "千": 1000}
_HAN_COUNTED = (
    "个個天日月年周週小时分秒点點次元块件张份位名人台条单倍岁公斤克米里楼层页种类项步折号颗只本套箱包瓶双对"
    "家门辆季成级期批笔款段句欧美英"
)
_HAN = re.compile(
    r"(?P<nth>第)?(?P<digits>[零〇一二两兩三四五六七八九十百千万萬亿億]{1,30})"
    rf"(?P<half>个半|年半|天半)?(?P<next>[{_HAN_COUNTED}]?)"
)
_HAN_HALF = re.compile(r"半(?=年|天|小时|个月|个小时|价)")
_HAN_WORDS = re.compile(
    "千万(?=不|别|要)|万一|十分(?!钟|之)|一[起般定样些直旦律并切致共同边方面边旁再下点体流]|[统唯同单专进之万第]一(?![天个次位名件步])"
    "|百度|万能|四川|五金|千克|三星|七夕|两者|三方|四周|五官|一[一]|九月|一百分"
)


def numerals(text: str) -> list[Numeral]:
    """The numbers of a text in order of their start; spans do not overlap."""
    found: list[Numeral] = []
    taken = bytearray(len(text))
    for reader in (_parts, _of_digits, _of_han, _of_words, _suggested):
        for numeral in reader(text):
            if not any(taken[numeral.start : numeral.end]):
                found.append(numeral)
                taken[numeral.start : numeral.end] = b"\1" * (numeral.end - numeral.start)
    return sorted(found, key=lambda numeral: numeral.start)


def _parts(text: str) -> Iterator[Numeral]:
    for match in _OF_WHOLE.finditer(text):
        count = _SMALL.get(match["n"].lower(), 1)
        yield Numeral(
            match.start(), match.end(), Fraction(count, _PARTS[match["part"].lower()]), match["n"] != "a"
        )
    for match in _HAN_OF_WHOLE.finditer(text):
        yield Numeral(match.start(), match.end(), Fraction(_han_value(match["n"]), _han_value(match["part"])))


def _of_digits(text: str) -> Iterator[Numeral]:
    for match in _DIGITS.finditer(text):
        value = Fraction(re.sub(r"[^\d]", "", match["whole"]) + (match["part"] or ""))
        half = match["half"] or ""
        end = match.end()
        if half in _HALVES:
            value += _HALVES[half]
        elif half:
            below = int(half.strip(" /"))
            if match["part"] or not 1 < below <= 16 or value >= below:
                yield Numeral(match.start(), match.start("half"), value)
                yield Numeral(match.start("half") + half.index("/") + 1, match.end("half"), Fraction(below))
                continue
            value /= below
        if scale := (match["scale"] or "").strip(" -"):
            value *= _SCALE[scale if scale in _SCALE else scale.lower()]
        if match["sign"] in {"-", "−"}:
            value = -value
        yield Numeral(match.start(), end, value, ordinal=bool(match["nth"]))
    for match in _LONE_HALF.finditer(text):
        yield Numeral(match.start(), match.end(), _HALVES[match.group()])


def _of_words(text: str) -> Iterator[Numeral]:
    for match in _WORDS.finditer(text):
        words = list(_ONE_WORD.finditer(text, *match.span("words" if match["words"] else "only")))
        value = _value([word.group().lower() for word in words])
        if value is None:  # "two three", "four-second": each for itself
            for word in words:
                alone = _value([word.group().lower()])
                if alone is not None:
                    yield _numeral(text, word.start(), word.end(), alone, [word.group().lower()])
            continue
        value += Fraction(1, 2) if match["half"] else 0
        yield _numeral(text, match.start(), match.end(), value, [word.group().lower() for word in words])


def _numeral(text: str, start: int, end: int, value: Fraction, words: list[str]) -> Numeral:
    return Numeral(start, end, value, _is_firm(text, start, end, words), words[-1] in _ORDINAL)


def _value(words: list[str]) -> Fraction | None:
    """ "two hundred and five thousand" -> 205000; None for a row of numbers ("two three")."""
    total = current = Fraction(0)
    last = 10**15
    for word in words:
        small = _SMALL.get(word, _ORDINAL.get(word))
        if small is not None:
            if last < 20 or (last < 100 and not 0 < small < 10):
                return None
            current, last = current + small, small if small < 100 else last
        elif word == "hundred":
            current, last = max(current, Fraction(1)) * 100, 100
        elif word == "dozen":
            current, last = max(current, Fraction(1)) * 12, 1
        else:
            total, current, last = total + max(current, Fraction(1)) * _SCALE[word], Fraction(0), 1000
    return total + current


def _is_firm(text: str, start: int, end: int, words: list[str]) -> bool:
    """Whether "one", "first" and "second" count something here."""
    before, after = text[max(0, start - 12) : start], text[end : end + 12]
    if words == ["one"]:
        return not (_NO_COUNT_BEFORE.search(before) or _NO_COUNT_AFTER.match(after))
    if words in (["first"], ["second"], ["third"], ["zero"]):
        return bool(_SECOND_IS_A_NUMBER.search(before))
    return not (words in (["hundred"], ["thousand"]) and after.startswith("s"))


def _suggested(text: str) -> Iterator[Numeral]:
    for match in _SOFT.finditer(text):
        yield Numeral(match.start(), match.end(), Fraction(_SOFT_WORDS[match.group().lower()]), firm=False)


def _of_han(text: str) -> Iterator[Numeral]:
    taken = [match.span() for match in _HAN_WORDS.finditer(text)]
    for match in _HAN.finditer(text):
        start, digits = match.start("digits"), match["digits"]
        if any(a <= start < b for a, b in taken):
            continue
        counted = bool(match["next"] or match["half"] or match["nth"])
        long = (
            len(digits) > 1 and any(c in "十百千万萬亿億" for c in digits) and digits not in {"千万", "万千"}
        )
        before = text[max(0, match.start() - 3) : match.start()]
        if text[match.end("digits") :].startswith("分之") and digits == "百":
            continue  # 百分之五十: the per cent is its unit
        if not counted and not long and not before.endswith("分之"):
            continue
        value = Fraction(_han_value(digits))
        soft = digits == "一" and match["next"] in {*"个個种类件位名条张台份次对些"} and not match["nth"]
        if soft and re.match("(?:个|個)(?:月|小时|工作日|星期|礼拜|季)", text[match.start("next") :]):
            soft = False
        if match["half"]:
            value += Fraction(1, 2)
        end = match.end("half") if match["half"] == "个半" else match.end("digits")
        yield Numeral(match.start(), end, value, not soft, bool(match["nth"]))
    for match in _HAN_HALF.finditer(text):
        yield Numeral(match.start(), match.end(), Fraction(1, 2))


def _han_value(digits: str) -> int:
    """ "三千五百" -> 3500, "二〇二五" -> 2025, "十五" -> 15, "一百二" -> 120."""
    if all(c in _HAN_DIGIT for c in digits):
        return int("".join(str(_HAN_DIGIT[c]) for c in digits))
    total = section = digit = 0
    place = 10
    for c in digits:
        if c in _HAN_DIGIT:
            digit = _HAN_DIGIT[c]
            place = 1 if c in "零〇" else place
        elif c in _HAN_PLACE:
            section += (digit or 1) * _HAN_PLACE[c]
            place, digit = _HAN_PLACE[c] // 10, 0
        else:
            total = (total + section + digit) * (10**4 if c in "万萬" else 10**8)
            place, section, digit = (1000 if c in "万萬" else 10**7), 0, 0
    tail = digit * (
        place if place > 1 and digits[-1] in _HAN_DIGIT and len(digits) > 2 and place >= 10 else 1
    )
    return total + section + tail
