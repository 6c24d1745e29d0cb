"""The company's own HTTP service, asked with what a visitor told: "where is order LM-204518?".

An action is {"method", "url", "headers", "body", "reply_path"} as an operator wrote it. Values go into path
segments, query values and JSON strings, each escaped there, never into a host. Only hosts that the settings
list are asked; an address that begins with / is this installation's own (PUBLIC_URL). Secrets are named in
the row and kept in the environment: `secret:ORDER_API` is the variable CHATBOT_SECRET_ORDER_API, or the file
that CHATBOT_SECRET_ORDER_API_FILE names.
What comes back is read as JSON and never shown as it is. Nothing is tried twice.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from django.utils.translation import gettext as _

from chatbot import filling
from services.errors import FetchRefused, InvalidInput, SuiteError
from services.logs import get_logger
from services.web import fetch

TIMEOUT_S = 5.0
MAX_BYTES = 64 * 2**10
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
SECRET_VARIABLE = "CHATBOT_SECRET_"  # noqa: S105 - what such variables begin with
_SECRET = re.compile(r"secret:([A-Za-z0-9_]+)")
_SECRET_HEADER = re.compile(r"auth|cookie|token|secret|key|passw|session|signature", re.IGNORECASE)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,60}")
_NOT_THERE = frozenset({404, 410})
Call = Callable[..., fetch.Fetched]
log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where actions may go: the hosts that the settings list, and this installation's own address."""

    hosts: tuple[str, ...]
    own_url: str

    @property
    def own_host(self) -> str:
        """Host and port of this installation."""
        return _host_of(self.own_url)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a service said: `reply` is the JSON value at the action's path. `trace` names no value."""

    outcome: Literal["ok", "not_found", "failed"]
    reply: Any = None
    trace: Mapping[str, Any] = field(default_factory=dict)


def hosts_of(setting: str) -> tuple[str, ...]:
    """The hosts in the setting, lower case: "crm.internal:9000, api.example.com"."""
    return tuple(name.strip().lower() for name in setting.split(",") if name.strip())


def perform(
    action: Mapping[str, Any],
    values: Mapping[str, str],
    place: Place,
    *,
    key: str = "",
    call: Call = fetch.call,
) -> Answered:
    """Ask the service once, and pick the reply out of its JSON. Never raises; trouble is `failed`.

    `values` are the slots by name. `key` goes along as Idempotency-Key, so that a service which knows such
    keys does a thing once though it is asked again. 404 and 410 are `not_found`.
    """
    began, trace = time.monotonic(), {"host": "", "status": 0, "code": ""}
    try:
        url = address(action, values, place)
        trace["host"] = urlsplit(url).netloc
        headers, secret_names = _headers(action)
        if key:
            headers["Idempotency-Key"] = key
        method = str(action.get("method") or "GET").upper()
        answer = call(
            method,
            url,
            json=_body(action, values, method),
            headers=headers,
            secret_headers=secret_names,
            max_bytes=MAX_BYTES,
            timeout_s=TIMEOUT_S,
            allow_hosts=(*place.hosts, place.own_host),
        )
        trace["status"] = answer.status
        found = _read(answer, str(action.get("reply_path") or ""))
    except SuiteError as error:
        log.warning("action_failed", host=trace["host"], code=error.code, status=trace["status"])
        found = Answered("failed")
        trace |= {"code": error.code, **({"field": error.field} if error.field else {})}
    trace["ms"] = round((time.monotonic() - began) * 1000)
    return Answered(found.outcome, found.reply, trace)


def address(action: Mapping[str, Any], values: Mapping[str, str], place: Place) -> str:
    """The action's address with these values in it. Raises InvalidInput, FetchRefused."""
    template = _whole(str(action.get("url") or ""), place)
    require_listed(template, place)
    parts = urlsplit(template)
    path = "/".join(_segment(piece, values) for piece in parts.path.split("/"))
    query = "&".join(_filled(piece, values) for piece in parts.query.split("&")) if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{path or '/'}{f'?{query}' if query else ''}"


def require_listed(template: str, place: Place) -> None:
    """Raise FetchRefused unless an address leads to a listed host, or to this installation."""
    try:
        parts = urlsplit(template)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise FetchRefused(_("That is not a usable address: correct its spelling."), field="url") from error
    host = (parts.hostname or "").lower()
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        raise FetchRefused(
            _("Write the address with https:// in front, or begin it with / for this installation."),
            field="url",
        )
    if "{" in parts.netloc or "}" in parts.netloc:
        raise FetchRefused(
            _("A value may not choose the host: put it into the path or behind the ?."), field="url"
        )
    listed = f"{host}:{port}" in place.hosts or (host in place.hosts and port in fetch.PORTS)
    if not listed and _host_of(template) != place.own_host:
        raise FetchRefused(
            _("The host %(host)s may not be asked. Whoever runs Trefoil adds it to CHATBOT_ACTION_HOSTS.")
            % {"host": f"{host}:{port}" if parts.port else host},
            field="url",
        )


def require_usable(action: Mapping[str, Any], names: Sequence[str], place: Place) -> None:
    """Raise InvalidInput or FetchRefused when it cannot work; `field` is method, url, headers or body."""
    method = str(action.get("method") or "").upper()
    if method not in METHODS:
        raise InvalidInput(_("Choose a method."), field="method")
    template = str(action.get("url") or "")
    require_listed(_whole(template, place), place)
    _require_known(template, names, "url")
    for name, value in dict(action.get("headers") or {}).items():
        if not _HEADER_NAME.fullmatch(name):
            raise InvalidInput(_("%(name)s cannot be a header.") % {"name": name[:40]}, field="headers")
        if _SECRET_HEADER.search(name) and not _SECRET.search(value):
            raise InvalidInput(
                _("%(name)s is a secret: write secret:NAME, and set %(variable)sNAME where Trefoil runs.")
                % {"name": name, "variable": SECRET_VARIABLE},
                field="headers",
            )
    for value in dict(action.get("body") or {}).values():
        _require_known(str(value), names, "body")
    if action.get("body") and method == "GET":
        raise InvalidInput(_("A GET sends no fields: put the values into the address."), field="body")


def secret(name: str) -> str:
    """A secret from the environment, its file, or `.env`; empty when there is none."""
    variable = SECRET_VARIABLE + name.upper()
    if path := os.environ.get(f"{variable}_FILE"):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""
    if variable in os.environ:
        return os.environ[variable].strip()
    from dotenv import dotenv_values

    return (dotenv_values(".env").get(variable) or "").strip()


def _whole(url: str, place: Place) -> str:
    is_own = url.startswith("/") and not url.startswith(("//", "/\\"))
    return place.own_url.rstrip("/") + url if is_own else url


def _host_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{(parts.hostname or '').lower()}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _segment(piece: str, values: Mapping[str, str]) -> str:
    filled = _filled(piece, values)
    if filled != piece and filled.replace("%2E", ".").replace("%2e", ".") in {"", ".", ".."}:
        raise InvalidInput("The value cannot be part of an address.", field="url")
    return filled


def _filled(piece: str, values: Mapping[str, str]) -> str:
    try:
        return filling.fill(piece, values, lambda value: quote(str(value), safe="") if value else None)
    except filling.Unfilled as error:
        raise InvalidInput("A value for the address is missing.", field="url") from error


def _headers(action: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The headers with their secrets in them, and the names of those that hold one."""
    headers, secret_names = {}, []
    for name, value in dict(action.get("headers") or {}).items():
        wanted = _SECRET.findall(str(value))
        if missing := next((one for one in wanted if not secret(one)), None):
            log.error("action_secret_missing", variable=SECRET_VARIABLE + missing.upper())
            raise InvalidInput("A secret of the action is not set.", field="headers")
        headers[str(name)] = _SECRET.sub(lambda match: secret(match[1]), str(value))
        secret_names += [str(name)] if wanted else []
    return headers, secret_names


def _body(action: Mapping[str, Any], values: Mapping[str, str], method: str) -> dict[str, str] | None:
    """What is sent: the action's fields, or all values where it names none; nothing with GET and DELETE."""
    if method in {"GET", "DELETE"}:
        return None
    fields = dict(action.get("body") or {})
    if not fields:
        return dict(values)
    try:
        return {str(k): filling.fill(str(v), values, lambda found: found or None) for k, v in fields.items()}
    except filling.Unfilled as error:
        raise InvalidInput("A value for the body is missing.", field="body") from error


def _read(answer: fetch.Fetched, path: str) -> Answered:
    if answer.status in _NOT_THERE:
        return Answered("not_found")
    if not 200 <= answer.status < 300:
        return Answered("failed")
    try:
        told = json.loads(answer.body) if answer.body.strip() else {}
    except (ValueError, RecursionError):
        return Answered("failed")
    found = filling.at(told, path)
    return Answered("failed") if found is None else Answered("ok", found)


def _require_known(text: str, names: Sequence[str], where: str) -> None:
    if lost := filling.unknown(text, names, has_reply=False):
        raise InvalidInput(
            _("%(what)s is no slot of this intent. Add the slot, or correct the name.") % {"what": lost[0]},
            field=where,
        )
