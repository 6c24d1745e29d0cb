"""The sample catalogue as plain dicts, read once from its file."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
INBOX_KEY = "larkmoor"


@cache
def items() -> list[dict[str, Any]]:
    """Every item that may be shown, in the file's order."""
    lines = (FOLDER / "catalogue" / "items.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines if line.strip()]
    return [item for item in found if not item.get("hidden") and not item.get("expires_at")]


def like(item: dict[str, Any], n: int = 4) -> list[dict[str, Any]]:
    """Up to `n` other items of the same leaf category, nearest in price first."""
    same = [i for i in items() if i["categories"] == item["categories"] and i["id"] != item["id"]]
    return sorted(same, key=lambda i: abs(i["price"] - item["price"]))[:n]


@cache
def by_id() -> dict[str, dict[str, Any]]:
    """Every item that may be shown, by its id."""
    return {item["id"]: item for item in items()}
