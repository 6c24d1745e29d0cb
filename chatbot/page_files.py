"""A web page as a file of the knowledge: its name, its characters as UTF-8, what the next crawl compares.

The name is made of the page's address and stays the same from round to round.
What is not known here: rows, and how a page is fetched.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from services.web.crawl import Known, Page

ENDINGS = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "application/pdf": ".pdf",
}
MOST_LINKS = 1000
MOST_URL_CHARS = 500
_META = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_.:-]{2,40})", re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# As browsers read these names (https://encoding.spec.whatwg.org/#names-and-labels): the larger set.
_MEANT = {
    "iso-8859-1": "cp1252", "iso8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "ascii": "cp1252",
    "us-ascii": "cp1252", "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "gb_2312-80": "gb18030",
    "shift_jis": "cp932", "x-sjis": "cp932", "ks_c_5601-1987": "cp949", "euc-kr": "cp949",
    "big5": "big5hkscs",
}  # fmt: skip


def filename_of(page: Page) -> str:
    """A name that only this address has, with its type's ending: "help.example.com-refunds-1f2e3d.html"."""
    parts = urlsplit(page.url)
    words = re.sub(r"[^\w.]+", "-", f"{parts.netloc}{unquote(parts.path)}").strip("-.")[:120]
    return f"{words}-{hashlib.sha256(page.url.encode()).hexdigest()[:12]}{ENDINGS[page.content_type]}"


def title_of(page: Page) -> str:
    """What to call a page until it is read: the last words of its address."""
    parts = urlsplit(page.url)
    last = unquote(parts.path).rstrip("/").rsplit("/", 1)[-1]
    words = re.sub(r"[-_+\s]+", " ", re.sub(r"\.\w{2,5}$", "", last)).strip()
    return (words.capitalize() or parts.netloc)[:200]


def data_of(page: Page) -> bytes:
    """A page's bytes; those of text in UTF-8, whatever the page said they were in."""
    if page.content_type == "application/pdf":
        return page.body
    return _text_of(page.body, page.charset).encode()


def address_of(page: Page) -> str:
    """The address to show people; "" for one that is too long to keep."""
    shown = page.canonical if len(page.canonical) <= MOST_URL_CHARS else page.url
    return shown if len(shown) <= MOST_URL_CHARS else ""


def as_kept(url: str, known: Known, at: datetime) -> dict[str, Any]:
    """What is kept of a page for the next crawl; `at`: when it was received."""
    return {
        "url": url,
        "etag": known.etag[:500],
        "last_modified": known.last_modified[:100],
        "sha256": known.sha256,
        "canonical": known.canonical,
        "depth": known.depth,
        "links": list(known.links[:MOST_LINKS]),
        "at": at.isoformat(),
    }


def known_of(kept: Mapping[str, Any]) -> Known:
    """The same, as the crawl takes it."""
    return Known(
        etag=str(kept.get("etag", "")),
        last_modified=str(kept.get("last_modified", "")),
        sha256=str(kept.get("sha256", "")),
        canonical=str(kept.get("canonical", "")),
        depth=int(kept.get("depth", 0)),
        links=tuple(map(str, kept.get("links", []))),
    )


def _text_of(body: bytes, charset: str) -> str:
    """By byte order mark, the header's charset, UTF-8 where it is that, the page's <meta>, else Latin."""
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return body.decode(encoding, "replace")
    told = _META.search(body[:4096])
    header, meta = (_MEANT.get(name, name) for name in (charset, told[1].decode().lower() if told else ""))
    strictly = [(header, "strict"), ("utf-8", "strict"), (meta, "strict")]
    for name, errors in [*strictly, (header, "replace"), (meta, "replace")]:
        with suppress(LookupError, UnicodeError):  # no such name; not in it
            if name:
                return body.decode(name, errors)
    return body.decode("cp1252", "replace")
