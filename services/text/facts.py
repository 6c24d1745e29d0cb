"""What a text states that can be checked to the letter: numbers with units, dates, times, codes, addresses.

    "Refunds take 5-10 business days."      two numbers, both of business days
    "until 3 March 2025", "2025-03-03"      the same date
    "3 pm", "15:00", 下午3点                  the same time
    "order LM-204518", "version 2.3.1"      codes, compared without regard to case

Each fact keeps every reading it allows ("03/04/2025" is two dates), and `states` asks whether one text's
facts include another's. Rules, no model; words without digits are not looked at, except numbers and months.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from services.text import units
from services.text.dates import dates, times
from services.text.numerals import Numeral, numerals
from services.text.plain import without_tracking

Kind = Literal["number", "date", "time", "code", "url"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something at `text[start:end]`; two facts agree when they share a reading.

    number: (measure, amount), or ("", value) without a unit; `value` is the bare number, `noun` a plural
    after it.
    date: (year, month, day), each a number or None, or ("weekday", 0-6). time: minutes after midnight.
    """

    kind: Kind
    start: int
    end: int
    readings: frozenset[Hashable]
    value: Fraction | None = None
    firm: bool = True
    noun: str = ""


_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\"'“”‘’()（）\u3000-\u303f\uff00-\uffef\u4e00-\u9fff]+"
    r"|(?<![\w.+-])[\w.+-]{1,64}@\w[\w-]*(?:\.[\w-]*\w){1,9}"
    r"|(?<![\w@./-])(?:[a-z0-9][a-z0-9-]{0,62}\.){1,9}"
    r"(?:com|org|net|io|example|edu|gov|cn|de|uk|eu|co|ai|dev|app)(?:/[\w./#?=&%-]*)?(?![\w-])",
    re.IGNORECASE | re.ASCII,
)
_CODE = re.compile(
    r"(?<![\w@])(?:"
    r"(?=[\w./:-]*[A-Za-z_])(?=[\w./:-]*\d)[A-Za-z\d]+(?:[-_./:]+[A-Za-z\d]+)*\+{0,2}"  # LM-204518, CD4+
    r"|[A-Za-z]\w*(?:_\w+)+|(?<![^\s(\"'])--?[a-z][a-z-]*[a-z](?=[\s,.;)]|$)"  # max_tokens, --dry-run
    r"|[a-z]+(?:[A-Z][a-z\d]*)+|(?:[A-Z][a-z\d]+){2,}|[A-Z]+[a-z]+(?:[A-Z]+[a-z]*)+"  # maxItems, CreateTable
    r"|\d+(?:\.\d+){2,}|\+\d[\d ()-]{6,17}\d|0\d+(?:[ /-]\d+)+|\d{3,}(?:-\d{3,}){2,}"  # 2.3.1, telephone
    r")(?!\w)",
    re.ASCII,
)
_WITH_UNIT = re.compile(
    r"[-+]?\d[\d,.]*(?:[-–]\d[\d,.]*)?[ -]?(?P<unit>[^\W\d_]+(?:/h)?)(?:[ -][a-z]+)?", re.ASCII
)
_ORDINAL = re.compile(
    r"(?:mid-|early-|late-)?(?:\d+(?:st|nd|rd|th)|\d{2,4}s)(?:[-–][A-Za-z]+)*", re.IGNORECASE
)
_MONEY = re.compile(r"(?:USD|EUR|GBP|CNY|RMB)\d[\d.,]*")
_RATE = re.compile(
    r"\d[\d,.]*/(?:mo|yr|wk|day|month|year|week|hour|hr|h|min|s|kg|g|l|person|user|unit|piece)s?"
)
_TELEPHONE = re.compile(r"\+?[\d ()/-]+")
_JOINS = re.compile(r"\s?(?:-|–|—|~|～|to|and|or|until|至|到|或|和|、|,|/|, or|, and)\s?")
_PLURAL = re.compile(r"[ -]([a-z]{3,}s)\b(?![ ]of\b)")
_MILLIONS = re.compile(r"m\b")
_LONGEST_CODE = 200


def facts(text: str) -> list[Fact]:
    """The facts of a text, in order of their start; spans do not overlap."""
    found: list[Fact] = []
    left = text
    for reader in (_urls, _dates, _codes):
        for fact in reader(left):
            found.append(fact)
            left = left[: fact.start] + "\0" * (fact.end - fact.start) + left[fact.end :]
    found += _numbers(left)
    return sorted(found, key=lambda fact: fact.start)


def states(given: Sequence[Fact], claimed: Fact, words: str = "") -> bool:
    """Whether a text's facts include a claimed one.

    A claim may leave out a unit or a year, not put one in: except a unit that `words` name apart from the
    number ("Days: 30"), and a year that is given elsewhere.
    """
    return any(agree(fact, claimed, words) for fact in given) or _put_together(given, claimed)


def agree(given: Fact, claimed: Fact, words: str = "") -> bool:
    """Whether one given fact says the claimed one."""
    if claimed.kind == "date":
        return any(_covers(has, asked) for has in _as_dates(given) for asked in claimed.readings)
    if claimed.kind == "number" and given.kind in {"number", "date"}:
        if claimed.readings & given.readings:
            return True
        if given.kind == "date":
            return (
                any(claimed.value == year for year in _years([given]))
                and ("", claimed.value) in claimed.readings
            )
        if given.value != claimed.value:
            return False
        if ("", claimed.value) in claimed.readings:
            return ("", given.value) in given.readings or claimed.noun in words.lower()
        return ("", given.value) in given.readings and bool({*claimed.readings} & _scaled(words, claimed))
    return given.kind == claimed.kind and bool(given.readings & claimed.readings)


def _scaled(words: str, claimed: Fact) -> frozenset[Hashable]:
    return frozenset((measure, (claimed.value or 0) * size) for measure, size in units.named(words))


def _as_dates(fact: Fact) -> Iterator[tuple[object, ...]]:
    for reading in fact.readings:
        if fact.kind == "date" and isinstance(reading, tuple):
            yield reading
        elif fact.kind == "number" and fact.value is not None and reading == ("", fact.value):
            yield (int(fact.value), None, None)


def _covers(has: tuple[object, ...], asked: Hashable) -> bool:
    if not isinstance(asked, tuple) or len(has) != len(asked) or len(has) == 2:
        return has == asked
    return all(part is None or part == own for own, part in zip(has, asked, strict=True))


def _years(given: Sequence[Fact]) -> set[object]:
    found: set[object] = {reading[0] for fact in given for reading in _as_dates(fact) if len(reading) == 3}
    return found - {None}


def _put_together(given: Sequence[Fact], claimed: Fact) -> bool:
    """A date whose year and whose day are given in different places."""
    if claimed.kind != "date":
        return False
    days = {own[1:] for fact in given for own in _as_dates(fact) if len(own) == 3 and own[0] is None}
    asked = [reading for reading in _as_dates(claimed) if len(reading) == 3 and reading[1] is not None]
    return any(reading[0] in _years(given) and reading[1:] in days for reading in asked)


def _urls(text: str) -> Iterator[Fact]:
    for match in _URL.finditer(text):
        address = match.group().rstrip(".,;:!?*_'\"")
        yield Fact("url", match.start(), match.start() + len(address), frozenset({_same_address(address)}))


def _same_address(address: str) -> str:
    """Without scheme, www, tracking and a closing slash; the host in lower case."""
    if "@" in address and "/" not in address:
        return address.lower()
    known = address if "://" in address else f"https://{address}"
    plain = without_tracking(known).split("://", 1)[-1].removeprefix("www.").rstrip("/")
    place = known.partition("#")[2]
    return f"{plain}#{place}" if place else plain


def _dates(text: str) -> Iterator[Fact]:
    for start, end, dated in dates(text):
        if text[start:end].isdecimal() and units.AFTER.match(text, end):
            continue  # "over 2000 years"
        yield Fact("date", start, end, dated)
    for start, end, minutes in times(text):
        yield Fact("time", start, end, minutes)


def _codes(text: str) -> Iterator[Fact]:
    for match in _CODE.finditer(text):
        code = match.group()
        if len(code) > _LONGEST_CODE or _is_amount(code):
            continue
        if _TELEPHONE.fullmatch(code):
            code = re.sub(r"\D", "", code)
        yield Fact("code", match.start(), match.end(), frozenset({code.lower().rstrip(":/")}))


def _is_amount(code: str) -> bool:
    """ "30GB", "30-day", "1990s" and "21st" are numbers, "USD5" an amount."""
    if _ORDINAL.fullmatch(code):
        return True
    if match := _WITH_UNIT.fullmatch(code):
        unit = match["unit"]
        return (
            bool(units.readings(unit))
            or unit in {"k", "K", "M", "bn", "mn", "am", "pm"}
            or ("-" in code and unit.islower() and len(unit) > 2)
        )
    return bool(_MONEY.fullmatch(code) or _RATE.fullmatch(code))


def _numbers(left: str) -> list[Fact]:
    """Numbers with the unit after or before them; in "5 to 10 days" the first takes the unit of the next."""
    found: list[Fact] = []
    waiting: list[Numeral] = []
    last = 0
    for numeral in numerals(left):
        if numeral.start < last:
            continue  # inside the unit before it: "half an hour"
        if waiting and not _JOINS.fullmatch(left[last : numeral.start]):
            found += [_number(left, one, one.end, ()) for one in waiting]
            waiting = []
        end, read = _unit(left, numeral)
        if read or numeral.ordinal:
            found += [_number(left, one, one.end, read) for one in waiting] + [
                _number(left, numeral, end, read)
            ]
            waiting = []
        else:
            waiting.append(numeral)
        last = end
    return found + [_number(left, one, one.end, ()) for one in waiting]


def _unit(text: str, numeral: Numeral) -> tuple[int, tuple[units.Unit, ...]]:
    """Where the number with its unit ends, and what the unit may be."""
    if numeral.ordinal:
        return numeral.end, (("ordinal", Fraction(1)),)
    if before := units.BEFORE.search(text, max(0, numeral.start - 5), numeral.start):
        read = units.readings(before["unit"])
        if _MILLIONS.match(text, numeral.end):
            return numeral.end + 1, tuple((measure, size * 10**6) for measure, size in read)
        return numeral.end, read
    after = units.AFTER.match(text, numeral.end)
    return (after.end(), units.readings(after["unit"])) if after else (numeral.end, ())


def _number(text: str, numeral: Numeral, end: int, read: tuple[units.Unit, ...]) -> Fact:
    values = {(measure, numeral.value * size) for measure, size in read} or {("", numeral.value)}
    firm = numeral.firm or (bool(read) and numeral.value == Fraction(1, 2))
    after = _PLURAL.match(text, end) if not read else None
    noun = after.group(1) if after else ""
    return Fact("number", numeral.start, end, frozenset(values), numeral.value, firm, noun)
