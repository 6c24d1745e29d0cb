"""Plain words out of what the web wraps them in: markup in titles, tracking in addresses."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_BLOCK = re.compile(r"(?is)<(script|style|template|iframe)\b.*?(</\1\s*>|\Z)")
_TAG = re.compile(r"(?s)<!--.*?-->|</?[a-zA-Z!][^<>]*>")
_SPACE = re.compile(r"\s+")
_TRACKING = re.compile(r"^(utm_\w+|fbclid|gclid|mc_[ce]id|cmpid|ref|src|source|spm)$", re.IGNORECASE)


def plain_text(text: str) -> str:
    """Words without tags, scripts and entities (resolved twice: feeds escape their markup)."""
    for _ in range(2):
        text = _TAG.sub(" ", _BLOCK.sub(" ", text))
        text = html.unescape(text)
    return _SPACE.sub(" ", _TAG.sub(" ", text)).strip()


def without_tracking(url: str) -> str:
    """The address in one spelling: lower-case host, no default port, fragment or tracking parameters.

    An address that cannot be read is given back as it is.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return url
    if not parts.hostname:
        return url
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = parts.hostname if port in {None, default} else f"{parts.hostname}:{port}"
    kept = [
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if not _TRACKING.match(name)
    ]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/") or "/", urlencode(sorted(kept)), ""))
