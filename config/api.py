"""Mounts the apps' routers under /api/v1 and maps every error to problem+json, once."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from chatbot.api import router as chatbot_router
from chatbot.knowledge_api import router as knowledge_router
from recommender.api import router as recommender_router
from sentiment_monitor.api import router as monitor_router
from services.errors import InvalidInput, MalformedRequest, NotFound, SuiteError, TooLarge
from services.logs import get_logger

log = get_logger(__name__)

api = NinjaAPI(
    title="Trefoil",
    version="1",
    urls_namespace="api",
    docs_url="/docs",
    description="Chatbot, sentiment monitor and recommender on one inference service. "
    "Errors are `application/problem+json` with a stable `code`.",
)
api.add_router("/chatbot", chatbot_router, tags=["chatbot"])
api.add_router("/knowledge", knowledge_router, tags=["knowledge"])
api.add_router("/monitor", monitor_router, tags=["monitor"])
api.add_router("/recommender", recommender_router, tags=["recommender"])


def problem(error: SuiteError) -> HttpResponse:
    """A SuiteError as an RFC 9457 problem document."""
    body: dict[str, Any] = {
        "type": f"/docs/errors#{error.code}",
        "title": _(error.title),
        "status": error.http_status,
        "code": error.code,
        "detail": error.detail,
        **({"field": error.field} if error.field else {}),
        **error.extra,
    }
    response = HttpResponse(
        json.dumps(body, ensure_ascii=False),
        status=error.http_status,
        content_type="application/problem+json",
    )
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        response["Retry-After"] = str(max(1, round(retry_after_s)))
    return response


@api.exception_handler(SuiteError)
def _suite_error(request: HttpRequest, error: SuiteError) -> HttpResponse:
    if error.http_status >= 500:
        log.error("request_failed", code=error.code, path=request.path)
    return problem(error)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    field = ".".join(str(part) for part in first["loc"][1:] if part != "payload") or None
    return problem(InvalidInput(first["msg"].removeprefix("Value error, "), field=field))


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if error.status_code == 400:
        return problem(MalformedRequest(_("The body is not valid JSON in UTF-8.")))
    wrapped = SuiteError(str(error))
    wrapped.http_status = error.status_code  # type: ignore[misc]
    return problem(wrapped)


@api.exception_handler(Http404)
def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(NotFound())


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    detail = _("At most %(limit)d MiB are taken in one request.") % {"limit": limit // 2**20}
    return problem(TooLarge(detail, limit_bytes=limit))


def unknown_address(request: HttpRequest) -> HttpResponse:
    """What no operation answers under /api."""
    return problem(NotFound(_("There is nothing at this address; /api/v1/docs lists what there is.")))


@api.exception_handler(Exception)
def _bug(request: HttpRequest, error: Exception) -> HttpResponse:
    log.exception("bug", path=request.path)
    return problem(SuiteError(_("An unexpected error was logged. Nothing of your request was kept.")))
