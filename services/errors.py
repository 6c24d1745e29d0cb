"""One tree of errors for the whole suite.

Every failure a caller can act on is a `SuiteError`: a stable `code`, the HTTP status it maps to, and
a message that is safe to show to a stranger (no paths, no secrets, nobody's words).
`config/api.py` turns the tree into problem+json, once; nothing else maps errors.
What is not in the tree is a bug: it is logged and answered with a plain 500.
"""

from __future__ import annotations

from typing import Any, ClassVar


class SuiteError(Exception):
    """The root. `detail` says what happened, what was kept and what to do.

    `field` names the offending input, `extra` holds further safe JSON values (numbers, short strings).
    """

    code: ClassVar[str] = "internal_error"
    http_status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str = "", *, field: str | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.field = field
        self.extra = extra


class InvalidInput(SuiteError):
    """The request can be read but a value in it cannot be used; `field` names it."""

    code = "invalid_input"
    http_status = 422
    title = "A value is not usable"


class MalformedRequest(SuiteError):
    """The request cannot be read at all: broken JSON, broken UTF-8."""

    code = "malformed_request"
    http_status = 400
    title = "The request could not be read"


class UnsupportedMediaType(SuiteError):
    """The body or the file is of a type this door does not take."""

    code = "unsupported_media_type"
    http_status = 415
    title = "That type of content is not supported"


class TooLarge(SuiteError):
    """The body or the file is over the limit; `extra` has `limit_bytes`."""

    code = "too_large"
    http_status = 413
    title = "Too large"


class NotAuthenticated(SuiteError):
    """No key or token, or one that is not known."""

    code = "not_authenticated"
    http_status = 401
    title = "Sign in or send a key"


class NotAllowed(SuiteError):
    """The caller is known and may not do this."""

    code = "not_allowed"
    http_status = 403
    title = "Not allowed"


class NotFound(SuiteError):
    """No such row, or none the caller may see: the two are answered alike."""

    code = "not_found"
    http_status = 404
    title = "Not found"


class Conflict(SuiteError):
    """The row is not in the state this needs; nothing was changed."""

    code = "conflict"
    http_status = 409
    title = "In conflict with the present state"


class RateLimited(SuiteError):
    """Too many requests; `retry_after_s` says when to come back."""

    code = "rate_limited"
    http_status = 429
    title = "Too many requests"

    def __init__(self, detail: str = "", *, retry_after_s: float = 1.0, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s


class Unavailable(SuiteError):
    """Something this needs is down; trying again later may work."""

    code = "unavailable"
    http_status = 503
    title = "Not available at the moment"


class Overloaded(Unavailable):
    """The engine's queue is full; nothing was started. `retry_after_s` says when to come back."""

    code = "overloaded"
    title = "Too busy"

    def __init__(self, detail: str = "", *, retry_after_s: float = 1.0, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(Unavailable):
    """The answer did not come within the caller's deadline; its work was dropped."""

    code = "deadline_exceeded"
    http_status = 504
    title = "Took too long"


class ModelUnavailable(Unavailable):
    """A model cannot be loaded; the detail names the model and the remedy."""

    code = "model_unavailable"
    title = "The model is not available"


class ModelFailed(SuiteError):
    """A loaded model raised or produced values that are not finite."""

    code = "model_failed"
    title = "The model failed"


class IndexMismatch(Unavailable):
    """A search index was made by another encoder version than the one serving; it must be rebuilt."""

    code = "index_mismatch"
    title = "The search index belongs to another model version"


class StorageFailed(Unavailable):
    """Files could not be read or written (full, read-only, unreachable); the old state stands."""

    code = "storage_failed"
    title = "The file store failed"


class Misconfigured(SuiteError):
    """A setting is wrong: the message names the variable and the remedy. Stops the start."""

    code = "misconfigured"
    title = "A setting is wrong"


class FetchRefused(SuiteError):
    """An outgoing request was refused before it was made (address, scheme, port)."""

    code = "fetch_refused"
    http_status = 422
    title = "That address may not be fetched"


class FetchFailed(Unavailable):
    """An outgoing request failed; `transient` says whether trying again can help."""

    code = "fetch_failed"
    http_status = 502
    title = "The other server did not answer as needed"

    def __init__(self, detail: str = "", *, transient: bool = True, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.transient = transient


def every_error() -> list[type[SuiteError]]:
    """Every class of the tree, root first (for the docs and the OpenAPI document)."""
    found: list[type[SuiteError]] = [SuiteError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return found
