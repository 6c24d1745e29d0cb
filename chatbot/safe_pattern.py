"""Regular expressions that operators write, met by what strangers write: none may take long.

Python's engine goes back over every way a pattern can match. The ways are counted here from the parsed
pattern, over a window of text of limited length; a pattern with too many is refused before it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from django.utils.translation import gettext as _

from services.errors import InvalidInput

WINDOW = 64
"""Characters a match may begin and end within."""
LONGEST_PATTERN = 200
LONGEST_TEXT = 600
MOST_WAYS = 5000
_EDGE_BEFORE, _EDGE_AFTER = r"(?<![A-Za-z0-9])(?:", r")(?![A-Za-z0-9])"


def check(pattern: str) -> None:
    """Raise InvalidInput, with the remedy, for a pattern that is wrong, matches nothing, or may take long."""
    if len(pattern) > LONGEST_PATTERN:
        raise InvalidInput(_("The pattern is too long: at most %(n)d characters.") % {"n": LONGEST_PATTERN})
    try:
        ways = _ways(parser.parse(pattern))
        matches_nothing = re.compile(pattern, re.IGNORECASE).fullmatch("") is not None
    except (re.error, RecursionError, OverflowError) as error:
        reason = str(error) if isinstance(error, re.error) else type(error).__name__
        raise InvalidInput(
            _("The pattern cannot be read (%(reason)s). Try for example LM-\\d{6}.")
            % {"reason": reason[:120]}
        ) from error
    if matches_nothing:
        raise InvalidInput(_("The pattern fits an empty text too: say what has to be there."))
    if ways > MOST_WAYS:
        raise InvalidInput(
            _("The pattern may take very long on some texts: use fewer of * and +, or lengths such as {4,8}.")
        )


def search(pattern: str, text: str) -> Iterator[re.Match[str]]:
    """Matches that stand alone in a text (of its first LONGEST_TEXT characters), letter case not minded.

    One of up to half a WINDOW is always found; positions are those in `text`.
    """
    compiled, text, place = _compiled(pattern), text[:LONGEST_TEXT], 0
    for start in range(0, len(text), WINDOW // 2):
        end = min(len(text), start + WINDOW)
        for found in compiled.finditer(text, start, end):
            if found.start() >= start + WINDOW // 2 and end < len(text):
                break  # the next window sees it whole
            cut = found.end() == end < len(text) and re.match("[A-Za-z0-9]", text[end])
            if found.start() >= place and not cut:
                yield found
                place = found.end()


def fits(pattern: str, text: str) -> bool:
    """Whether the whole of a short text is what the pattern describes."""
    return len(text) <= WINDOW and re.compile(pattern, re.IGNORECASE).fullmatch(text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(f"{_EDGE_BEFORE}{pattern}{_EDGE_AFTER}", re.IGNORECASE)


def _ways(items: Any) -> int:
    """An upper bound on the ways in which parsed items can match from one place in a window."""
    ways = 1
    for kind, value in items:
        if kind in {kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT}:
            least, most, body = value
            ways *= _repeated(_ways(body), int(least), min(int(most), WINDOW))
        elif kind is kinds.BRANCH:
            ways *= sum(_ways(branch) for branch in value[1])
        elif kind is kinds.SUBPATTERN:
            ways *= _ways(value[-1])
        elif kind in {kinds.ASSERT, kinds.ASSERT_NOT}:
            ways *= _ways(value[1])
        elif kind is kinds.ATOMIC_GROUP:
            ways *= _ways(value)
        elif kind is kinds.GROUPREF_EXISTS:
            ways *= _ways(value[1]) + (_ways(value[2]) if value[2] else 1)
        if ways > MOST_WAYS:
            return ways
    return ways


def _repeated(ways: int, least: int, most: int) -> int:
    if ways == 1:
        return max(1, most - least + 1)
    total = 0
    for times in range(least, most + 1):
        total += ways**times
        if total > MOST_WAYS:
            break
    return max(1, total)
