"""The API's OpenAPI document as it is kept in tests/data/openapi.json.

A change of the API shows in that file: run `python -m tests.config.openapi_snapshot`, read the
difference, commit it with the change and its line in CHANGELOG.md.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

SNAPSHOT = Path(__file__).parents[1] / "data" / "openapi.json"


def current() -> str:
    """The document as the API gives it now, one key a line."""
    from config.api import api

    return json.dumps(api.get_openapi_schema(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    """Write the snapshot anew and say whether it changed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    before = SNAPSHOT.read_text(encoding="utf-8") if SNAPSHOT.exists() else ""
    now = current()
    SNAPSHOT.write_text(now, encoding="utf-8")
    print(f"{SNAPSHOT.name} {'is as it was' if before == now else 'was written anew'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
