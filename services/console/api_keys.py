"""Keys for programs: made once, shown once, kept as a hash, limited to scopes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence

from django.http import HttpRequest
from django.utils.translation import gettext as _

from services.console.models import ApiKey
from services.errors import InvalidInput, NotAllowed, NotAuthenticated

PREFIX = "tf_"


def make(name: str, scopes: Sequence[str]) -> tuple[ApiKey, str]:
    """A new key's row and the key itself, which cannot be shown again. Raises InvalidInput on a scope."""
    unknown = set(scopes) - set(ApiKey.Scope.values)
    if unknown or not scopes:
        raise InvalidInput(
            _("Choose from these scopes: %(scopes)s.") % {"scopes": ", ".join(ApiKey.Scope.values)},
            field="scopes",
        )
    key = PREFIX + secrets.token_urlsafe(32)
    row = ApiKey.objects.create(name=name, prefix=key[:9], key_hash=hash_of(key), scopes=sorted(set(scopes)))
    return row, key


def requires(scope: str) -> Callable[[HttpRequest], ApiKey]:
    """An `auth=` for a router or an operation: the caller's key, if it has the scope.

    Takes `Authorization: Bearer tf_…` or `X-Api-Key: tf_…`.
    Raises NotAuthenticated (no key, unknown, revoked) and NotAllowed (the scope is missing).
    """

    def check(request: HttpRequest) -> ApiKey:
        key = given(request)
        row = ApiKey.objects.filter(key_hash=hash_of(key), revoked_at=None).first() if key else None
        if row is None:
            raise NotAuthenticated(_("Send a valid key as Authorization: Bearer tf_…"))
        if scope not in row.scopes:
            raise NotAllowed(_("This key may not do that; it needs the scope %(scope)s.") % {"scope": scope})
        return row

    return check


def given(request: HttpRequest) -> str:
    """The key a request carries, or an empty string."""
    scheme, _space, bearer = request.headers.get("Authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else request.headers.get("X-Api-Key", "").strip()


def hash_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
