"""Placeholders in an operator's sentences and addresses: {order_number}, {reply.status}.

Only names are looked up; nothing is evaluated. A value is put in as it is here: who writes it into an
address or into JSON escapes it for that place (`actions`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)\}")
REPLY = "reply"
"""The name under which a template finds what an action was answered."""
LONGEST_VALUE = 300
_ODD = re.compile(r"[{}]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_ISO_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:T[\d:.+Z-]*)?")


class Unfilled(LookupError):
    """A placeholder has no value that can be said; the argument is its name."""


def placeholders(text: str) -> list[str]:
    """The names in curly brackets, in order, each once."""
    return list(dict.fromkeys(PLACEHOLDER.findall(text)))


def unknown(text: str, names: Iterable[str], *, has_reply: bool) -> list[str]:
    """Placeholders that nothing will ever fill, and brackets that are none, as they are written."""
    known = set(names)
    lost = [
        "{" + name + "}"
        for name in placeholders(text)
        if not (name in known or (has_reply and name.split(".")[0] == REPLY))
    ]
    rest = PLACEHOLDER.sub("", text)
    return lost + ([rest[max(0, m.start() - 10) : m.end() + 10].strip()] if (m := _ODD.search(rest)) else [])


def fill(text: str, values: Mapping[str, Any], as_text: Callable[[Any], str | None]) -> str:
    """The text with each placeholder's value in it. Raises Unfilled where there is none to say."""

    def value_of(match: re.Match[str]) -> str:
        said = as_text(at(values, match[1]))
        if said is None:
            raise Unfilled(match[1])
        return said

    return PLACEHOLDER.sub(value_of, text)


def at(values: Any, path: str) -> Any:
    """What lies at a path of names and positions ("order.lines.0.name"); None where it leads nowhere."""
    found = values
    for part in path.split(".") if path else ():
        if isinstance(found, Mapping):
            found = found.get(part)
        elif isinstance(found, list) and part.isdecimal() and int(part[:6]) < len(found):
            found = found[int(part[:6])]
        else:
            return None
    return found


def spoken(value: Any) -> str | None:
    """A value as a sentence holds it, in the active language; None for what cannot be said (lists, objects).

    ISO dates are written out, yes and no are words, control signs are taken out, long texts are cut.
    """
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int | float):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if not isinstance(value, str):
        return None
    text = _CONTROL.sub(" ", value).strip()[:LONGEST_VALUE]
    found = _ISO_DATE.fullmatch(text)
    if found:
        try:
            return spoken_date(date(*map(int, found.groups())))
        except ValueError:
            return text
    return text or None


def spoken_date(day: date) -> str:
    """A day as the active language writes it."""
    chinese = (translation.get_language() or "").startswith("zh")
    return date_format(day, "Y年n月j日" if chinese else "j F Y")
