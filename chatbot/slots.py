"""What has to be known before something can be done: an order number, an email address, a date, ...

Found by pattern in what a visitor writes, English and Chinese, and checked; a misfit is told with a
question that says what would fit. Values are kept as short texts: dates as YYYY-MM-DD, phone numbers with
their country (+4412...), numbers in digits. Nothing here knows of conversations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy, pgettext
from django.utils.translation import gettext as _

from chatbot import safe_pattern
from chatbot.days import days
from chatbot.filling import spoken_date
from services.errors import InvalidInput
from services.text.language import HAN
from services.text.numerals import numerals

KINDS: dict[str, str | Promise] = {
    "order_number": gettext_lazy("order number"),
    "email": gettext_lazy("email address"),
    "date": gettext_lazy("date"),
    "number": gettext_lazy("number"),
    "phone": gettext_lazy("phone number"),
    "choice": gettext_lazy("choice"),
    "text": gettext_lazy("free text"),
}
"""Every kind with its name for people; in the order in which a message is searched for them."""
MOST_TRIES = 3
LONGEST_TEXT = 200
_SEARCHED = ("email", "order_number", "phone", "date", "choice", "number", "text")
_EMAIL = re.compile(
    r"(?<![\w.+-])[\w+-](?:[\w.+-]{0,62}[\w+-])?@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,5}[a-z]{2,24}(?![\w@-])",
    re.ASCII | re.IGNORECASE,
)
_NTH = re.compile(
    r"(?:the |no\.? ?|number |option |第)?(\d|one|two|three|first|second|third|last|[一二三四五])"
    r"(?:st|nd|rd|th)?(?: one| option)?(?:个|项|种)?"
)
_ROWS = ("one first 一 1", "two second 二 2", "three third 三 3", "四 4", "五 5")
_PLACES = {word: n for n, row in enumerate(_ROWS) for word in row.split()}
_HAN = re.compile(f"[{HAN}]")
Span = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Slot:
    """One thing to know. `choices` are lines such as "refund | money back | 退款", the first wording kept."""

    name: str
    kind: str
    ask: str = ""
    ask_zh: str = ""
    required: bool = True
    pattern: str = ""
    choices: tuple[str, ...] = ()

    def question(self, language: str) -> str:
        """What the visitor is asked."""
        own = (self.ask_zh or self.ask) if language.startswith("zh") else (self.ask or self.ask_zh)
        return own or _("Please tell me the %(what)s.") % {"what": KINDS.get(self.kind, self.name)}

    @property
    def wordings(self) -> tuple[tuple[str, ...], ...]:
        """Of each choice what it may be called, the name to keep first."""
        split = (tuple(word.strip() for word in line.split("|") if word.strip()) for line in self.choices)
        return tuple(words for words in split if words)

    def options(self, language: str) -> tuple[str, ...]:
        """The choices as the visitor is shown them."""
        return tuple(_wording(words, language) for words in self.wordings)

    def said(self, value: str, language: str) -> str:
        """A value of this slot as a sentence in a language holds it."""
        words = next((words for words in self.wordings if words[0] == value), None)
        return _wording(words, language) if words else value


@dataclass(frozen=True, slots=True)
class Reading:
    """What is needed to read values: the time, the form of order numbers, the country of phone numbers."""

    now: datetime
    order_number: str
    region: str = "US"
    regions: tuple[str, ...] = field(default=("US", "GB", "DE", "FR", "CN"))

    @property
    def today(self) -> date:
        """The day it is where the company is."""
        return (timezone.localtime(self.now) if timezone.is_aware(self.now) else self.now).date()


@dataclass(frozen=True, slots=True)
class Misfit:
    """What was written is none of these; `question` asks again and says what would fit."""

    question: str


def of_rows(rows: Iterable[Mapping[str, Any]]) -> tuple[Slot, ...]:
    """The slots of an intent's row; entries that cannot be read are left out."""
    return tuple(
        Slot(
            name=str(row["name"]),
            kind=str(row["kind"]),
            ask=str(row.get("ask") or ""),
            ask_zh=str(row.get("ask_zh") or ""),
            required=bool(row.get("required", True)),
            pattern=str(row.get("pattern") or ""),
            choices=tuple(map(str, row.get("choices") or ())),
        )
        for row in rows
        if isinstance(row, Mapping) and row.get("name") and row.get("kind") in KINDS
    )


def find(slots: Sequence[Slot], text: str, reading: Reading) -> dict[str, str]:
    """The values a message has for these slots, by name; each stretch of the message is used once.

    What can be read in two ways is left to be asked for. Free text is found by its pattern only.
    """
    found: dict[str, str] = {}
    left = text
    for slot in sorted(slots, key=lambda slot: _SEARCHED.index(slot.kind)):
        spans = _FINDERS[slot.kind](slot, left, reading)
        if spans:
            start, end, value = spans[0]
            found[slot.name] = value
            left = left[:start] + " " * (end - start) + left[end:]
    return found


def without(slots: Sequence[Slot], text: str, reading: Reading) -> str:
    """The message without codes, addresses, phone numbers and days: what is left says what is wanted."""
    for slot in slots:
        if slot.kind in {"order_number", "email", "phone", "date"}:
            for start, end, _value in _FINDERS[slot.kind](slot, text, reading):
                text = text[:start] + " " * (end - start) + text[end:]
    return text


def read(slot: Slot, text: str, reading: Reading) -> str | Misfit:
    """The value in the answer to a slot's question, or what to ask then."""
    text = text.strip()
    spans = _FINDERS[slot.kind](slot, text, reading)
    if slot.kind == "date" and not spans:
        return _date_misfit(text, reading)
    if spans:
        return spans[0][2]
    if slot.kind == "text" and not slot.pattern and text:
        return text if len(text) <= LONGEST_TEXT else Misfit(_too_long())
    if slot.kind == "number" and (bare := numerals(f"{text}个")):
        return _digits(bare[0].value)
    if slot.kind == "choice" and (chosen := _by_place(slot, text)):
        return chosen
    return Misfit(_hint(slot))


def require_usable(slot: Slot, field_name: str) -> None:
    """Raise InvalidInput, naming a field, for a slot that could never be filled."""
    if slot.pattern:
        try:
            safe_pattern.check(slot.pattern)
        except InvalidInput as error:
            raise InvalidInput(error.detail, field=f"{field_name}-pattern") from error
    if slot.kind == "choice" and len(slot.wordings) < 2:
        raise InvalidInput(
            _("Write at least two choices, one a line; other wordings behind a bar: refund | money back."),
            field=f"{field_name}-choices",
        )


def _emails(slot: Slot, text: str, reading: Reading) -> list[Span]:
    spans = []
    for match in _EMAIL.finditer(text):
        name, _at, host = match[0].rpartition("@")
        if ".." not in name:
            spans.append((*match.span(), f"{name}@{host.lower()}"))
    return spans


def _order_numbers(slot: Slot, text: str, reading: Reading) -> list[Span]:
    pattern = slot.pattern or reading.order_number
    found = safe_pattern.search(pattern, text.translate(_NARROW))
    return [(*m.span(), re.sub(r"\s+", "", m[0]).upper()) for m in found]


def _phones(slot: Slot, text: str, reading: Reading) -> list[Span]:
    import phonenumbers

    regions = dict.fromkeys([reading.region, *reading.regions])
    for region in regions:
        spans = [
            (
                match.start,
                match.end,
                phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164),
            )
            for match in phonenumbers.PhoneNumberMatcher(text.translate(_NARROW), region)
        ]
        if spans:
            return spans
    return []


def _dates(slot: Slot, text: str, reading: Reading) -> list[Span]:
    found = days(text.translate(_NARROW), reading.today)
    return [(day.start, day.end, day.days[0].isoformat()) for day in found if len(day.days) == 1]


def _numbers(slot: Slot, text: str, reading: Reading) -> list[Span]:
    found = numerals(text.translate(_NARROW))
    return [(one.start, one.end, _digits(one.value)) for one in found if one.firm]


def _choices(slot: Slot, text: str, reading: Reading) -> list[Span]:
    spans = []
    for words in slot.wordings:
        for word in words:
            edge = r"(?<![A-Za-z0-9]){}(?![A-Za-z0-9])" if word.isascii() else "{}"
            match = re.search(edge.format(re.escape(word)), text, re.IGNORECASE)
            if match:
                spans.append((*match.span(), words[0]))
    spans.sort(key=lambda span: span[0] - span[1])  # the longest wording is the most telling
    return spans


def _texts(slot: Slot, text: str, reading: Reading) -> list[Span]:
    if not slot.pattern:
        return []
    return [(*match.span(), match[0]) for match in safe_pattern.search(slot.pattern, text)]


_FINDERS: dict[str, Callable[[Slot, str, Reading], list[Span]]] = {
    "order_number": _order_numbers,
    "email": _emails,
    "date": _dates,
    "number": _numbers,
    "phone": _phones,
    "choice": _choices,
    "text": _texts,
}
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
"""Full-width letters, digits and signs as narrow ones; places in a text stay as they are."""


def _by_place(slot: Slot, text: str) -> str:
    """ "2", "the first one", 第二个: the choice at that place."""
    match = _NTH.fullmatch(text.strip(" .。!！").lower())
    if not match:
        return ""
    names = [words[0] for words in slot.wordings]
    place = len(names) - 1 if match[1] == "last" else _PLACES.get(match[1], len(names))
    return names[place] if place < len(names) else ""


def _wording(words: tuple[str, ...], language: str) -> str:
    """The first wording in the language's script, else the first."""
    chinese = language.startswith("zh")
    return next((word for word in words if bool(_HAN.search(word)) == chinese), words[0])


def _date_misfit(text: str, reading: Reading) -> Misfit:
    for day in days(text.translate(_NARROW), reading.today):
        if len(day.days) > 1:
            one, other = (spoken_date(found) for found in day.days[:2])
            return Misfit(
                _("Do you mean %(one)s or %(other)s? Please write the month as a word.")
                % {"one": one, "other": other}
            )
    return Misfit(_("I could not read a day in that. Please write it like 3 March 2026, or yesterday."))


def _digits(value: Any) -> str:
    return str(int(value)) if value == int(value) else f"{float(value):g}"


def _too_long() -> str:
    return _("That is too long for me to keep. Please say it in at most %(n)d characters.") % {
        "n": LONGEST_TEXT
    }


def _hint(slot: Slot) -> str:
    """What would fit, as a question."""
    if slot.kind == "choice":
        listed = pgettext("between choices", ", ").join(slot.options(get_language() or "en"))
        return _("Which of these is it: %(choices)s?") % {"choices": listed}
    return {
        "order_number": _("That does not look like an order number. It is usually in the subject of the "
                          "confirmation email. Which number is it?"),
        "email": _("That does not look like an email address. Please write it like name@example.com."),
        "number": _("I need a number here, such as 2. How many is it?"),
        "phone": _("That does not look like a phone number. Please write it with its country code, such as "
                   "+44 20 7946 0018."),
    }.get(slot.kind, _("That does not fit. Please look at it again and write just that."))  # fmt: skip
