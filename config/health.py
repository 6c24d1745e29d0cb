"""`/live`: the process answers. `/ready`: a real query, a real embedding, and files that can be written."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpRequest, JsonResponse

from services.console.storage import storage
from services.errors import SuiteError
from services.inference.engine import get_engine


def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process can answer at all."""
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:
    """200 when everything an answer needs works now; 503 with the failing part named otherwise."""
    checks = {
        "database": _checked(_query),
        "inference": _checked(_embed),
        "storage": _checked(storage().probe),
    }
    ok = all(check["ok"] for check in checks.values())
    body = {"status": "ready" if ok else "not ready", "checks": checks}
    return JsonResponse(body, status=200 if ok else 503)


def _query() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


def _embed() -> None:
    get_engine().probe(deadline_s=5.0)


def _checked(check: Callable[[], None]) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        check()
    except SuiteError as error:
        return {"ok": False, "error": error.code, "detail": error.detail}
    except Exception as error:  # a driver's own error: named by its type, without its words
        return {"ok": False, "error": type(error).__name__}
    return {"ok": True, "ms": round((time.perf_counter() - started) * 1000, 1)}
