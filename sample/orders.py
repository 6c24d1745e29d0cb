"""The demo shop's order system, as far as a chat may ask it: where an order is. Made up from its number.

A real shop would look into its database here; the assistant only sees the JSON.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

_NUMBER = re.compile(r"(?:LM-?)?(\d{6})", re.IGNORECASE)
_STATES = (
    ("in packing", "正在打包", 0),
    ("on its way to you", "正在配送途中", 1),
    ("at the carrier's depot near you", "已到达您附近的配送站", 2),
    ("delivered", "已送达", 4),
)
FIRST, LAST = 200_000, 229_999
"""The numbers the shop has given out; others are not found."""


def status_of(number: str, today: date) -> dict[str, Any] | None:
    """Number, status in English and Chinese, day of dispatch and expected day; None for no such order."""
    found = _NUMBER.fullmatch(number.strip())
    if found is None or not FIRST <= int(found[1]) <= LAST:
        return None
    digits = int(found[1])
    status, status_zh, days_ago = _STATES[digits % len(_STATES)]
    sent = today - timedelta(days=days_ago)
    return {
        "order": f"LM-{digits}",
        "status": status,
        "status_zh": status_zh,
        "sent": sent.isoformat(),
        "expected": (sent + timedelta(days=3)).isoformat(),
    }
