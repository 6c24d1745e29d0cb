"""Feeds: which are due, what they hold, when to look again.

feedparser is given bytes and never fetches. A failing feed is looked at ever more rarely, with jitter,
and never given up: interval × 2^n up to a cap of a day. What the server asks for (Retry-After,
Cache-Control) is respected. Times: a date that cannot be read, or lies ahead of when the entry was
seen, changes nothing before it was seen.
"""

from __future__ import annotations

import calendar
import hashlib
import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from django.db.models import F, Q

from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Entry, Source
from services.errors import FetchFailed, InvalidInput, SuiteError
from services.text.plain import plain_text, without_tracking
from services.web.fetch import Fetched, fetch

MAX_ENTRIES = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Raw:
    """An entry as a feed or a file gives it; `published_raw` is kept even where it cannot be read."""

    external_id: str
    url: str
    title: str
    body: str
    published_raw: str
    published_at: datetime | None
    language: str = ""


def due(now: datetime, lease: timedelta, limit: int = 50) -> list[int]:
    """Feeds whose time has come and that no worker holds, longest waiting first."""
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - lease)
    when = Q(next_fetch_at=None) | Q(next_fetch_at__lte=now)
    found = Source.objects.filter(free, when, kind=Source.Kind.FEED, enabled=True)
    return list(found.order_by(F("next_fetch_at").asc(nulls_first=True)).values_list("pk", flat=True)[:limit])


def claim(source_id: int, now: datetime, lease: timedelta) -> Source | None:
    """Take a due feed; None when another worker has it."""
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - lease)
    taken = Source.objects.filter(free, pk=source_id, enabled=True).update(claimed_at=now)
    return Source.objects.get(pk=source_id) if taken else None


def poll(source: Source, settings: MonitorSettings, now: datetime) -> int:
    """Look at one claimed feed, keep what is new, say when to look again; the number of new entries."""
    headers = {"Accept": "application/rss+xml, application/atom+xml, application/feed+json, */*;q=0.5"}
    if source.etag:
        headers["If-None-Match"] = source.etag
    if source.last_modified:
        headers["If-Modified-Since"] = source.last_modified
    try:
        answer = fetch(source.url, headers=headers)
        if answer.status == 304:
            _succeeded(source, answer, settings, now)
            return 0
        if answer.status != 200:
            raise FetchFailed(
                f"The server answers with status {answer.status}.",
                status=answer.status,
                asked_s=_asked_s(answer.headers, now),
            )
        new = keep(source, parse(answer.body, answer.headers.get("content-type", "")), now)
    except SuiteError as error:
        _failed(source, error, settings, now)
        return 0
    _succeeded(source, answer, settings, now)
    return new


def parse(body: bytes, content_type: str = "") -> list[Raw]:
    """The entries of an RSS, Atom or JSON feed. Raises InvalidInput when it is none of them."""
    if "json" in content_type or body.lstrip()[:1] == b"{":
        return _parse_json(body)
    import feedparser

    told = {"content-type": content_type} if content_type else {}
    try:
        parsed = feedparser.parse(body, response_headers=told)
    except Exception as error:  # the parser has errors of many kinds on damaged bytes
        raise InvalidInput("The feed is damaged: it cannot be read.", field="url") from error
    if not parsed.get("entries") and not parsed.get("version"):
        raise InvalidInput("This is not a feed: neither RSS, Atom nor JSON Feed.", field="url")
    language = str(parsed.feed.get("language", ""))
    return [_raw(entry, language) for entry in parsed.entries[:MAX_ENTRIES]]


def keep(source: Source, raws: Iterable[Raw], now: datetime) -> int:
    """Write the entries that are not there yet; the number written. Twice the same batch writes once."""
    rows = [_entry(source, raw, now) for raw in raws if raw.title or raw.body]
    known = set(
        Entry.objects.filter(source=source, external_id__in=[r.external_id for r in rows]).values_list(
            "external_id", flat=True
        )
    )
    new = {row.external_id: row for row in reversed(rows) if row.external_id not in known}
    Entry.objects.bulk_create(new.values(), ignore_conflicts=True)
    return len(new)


def push_source(slug: str) -> Source:
    """The source that pushed or imported entries come in by; made on first use."""
    source, _made = Source.objects.get_or_create(
        slug=slug, defaults={"name": slug.replace("-", " ").title(), "kind": Source.Kind.PUSH}
    )
    return source


def raw_from(row: dict[str, Any]) -> Raw:
    """An entry from a JSON object or a CSV row. Raises InvalidInput naming the field."""
    title = clean(row.get("title"))
    if not title:
        raise InvalidInput("An entry needs a title.", field="title")
    published_raw = str(row.get("published_at") or "").strip()[:100]
    published_at = read_time(published_raw)
    if published_raw and published_at is None:
        raise InvalidInput(
            "The time cannot be read; write it like 2026-10-14T06:30:00Z.", field="published_at"
        )
    url = str(row.get("url") or "").strip()[:1000]
    body = clean(row.get("body"))
    external_id = str(row.get("id") or url or _hash(title, body))[:500]
    return Raw(external_id, url, title, body, published_raw, published_at, str(row.get("language") or ""))


def happened_at(published_at: datetime | None, first_seen_at: datetime, oldest_d: int = 3650) -> datetime:
    """The time an entry counts at: as published, unless that is missing, ahead of being seen, or absurd."""
    if published_at is None or published_at > first_seen_at:
        return first_seen_at
    return first_seen_at if first_seen_at - published_at > timedelta(days=oldest_d) else published_at


def next_look(
    failures: int, settings: MonitorSettings, asked_s: float | None, rng: random.Random
) -> timedelta:
    """How long to wait: the interval doubled for each failure up to the cap, full jitter on failures."""
    base = settings.monitor_poll_interval_s
    if failures:
        longest = min(base * 2 ** min(failures, 8), settings.monitor_poll_cap_s)
        wait = rng.uniform(base / 2, longest)
    else:
        wait = base * rng.uniform(0.95, 1.05)
    if asked_s is not None:
        wait = max(wait, min(asked_s, settings.monitor_poll_cap_s))
    return timedelta(seconds=wait)


def clean(text: Any) -> str:
    """Words without markup, entities and control characters."""
    return _CONTROL.sub(" ", plain_text(str(text or ""))).strip()


def read_time(text: str) -> datetime | None:
    """An ISO 8601 or RFC 2822 time as aware UTC; None when it is neither."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = read(text)
        except (ValueError, TypeError, IndexError):
            continue
        try:
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        except (OverflowError, ValueError):
            return None
    return None


def _raw(entry: Any, language: str) -> Raw:
    title = clean(entry.get("title"))
    content = entry.get("content") or [{}]
    body = clean(entry.get("summary") or content[0].get("value"))
    url = str(entry.get("link") or "")[:1000]
    raw = str(entry.get("published") or entry.get("updated") or "")[:100]
    parsed = entry.get("published_parsed") or entry.get("updated_parsed")
    at = None
    if parsed:
        try:
            at = datetime.fromtimestamp(calendar.timegm(parsed), UTC)
        except (OverflowError, ValueError, OSError):
            at = None
    external_id = str(entry.get("id") or url or _hash(title, body))[:500]
    return Raw(external_id, url, title or body[:120], body, raw, at, language)


def _parse_json(body: bytes) -> list[Raw]:
    try:
        feed = json.loads(body)
        items = feed["items"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput("This is not a JSON Feed: there is no list of items.", field="url") from error
    found = []
    for item in items[:MAX_ENTRIES] if isinstance(items, list) else []:
        if not isinstance(item, dict):
            continue
        body_text = clean(item.get("content_text") or item.get("content_html") or item.get("summary"))
        title = clean(item.get("title")) or body_text[:120]
        url = str(item.get("url") or item.get("external_url") or "")[:1000]
        raw = str(item.get("date_published") or "")[:100]
        external_id = str(item.get("id") or url or _hash(title, body_text))[:500]
        language = str(item.get("language") or feed.get("language") or "")
        found.append(Raw(external_id, url, title, body_text, raw, read_time(raw), language))
    return found


def _entry(source: Source, raw: Raw, now: datetime) -> Entry:
    return Entry(
        source=source,
        external_id=raw.external_id,
        url=raw.url,
        canonical_url=without_tracking(raw.url),
        content_hash=_hash(raw.title.lower(), raw.body.lower()),
        title=raw.title[:500],
        body=raw.body[:20_000],
        language=(raw.language or source.language or "en")[:10],
        published_raw=raw.published_raw,
        published_at=raw.published_at,
        first_seen_at=now,
        happened_at=happened_at(raw.published_at, now),
    )


def _succeeded(source: Source, answer: Fetched, settings: MonitorSettings, now: datetime) -> None:
    asked = _asked_s(answer.headers, now)
    Source.objects.filter(pk=source.pk).update(
        state=Source.State.OK,
        failures=0,
        last_error="",
        last_success_at=now,
        etag=answer.headers.get("etag", "")[:300],
        last_modified=answer.headers.get("last-modified", "")[:100],
        url=answer.url if answer.moved_permanently else source.url,
        next_fetch_at=now + next_look(0, settings, asked, random.Random()),
        claimed_at=None,
    )


def _failed(source: Source, error: SuiteError, settings: MonitorSettings, now: datetime) -> None:
    failures = source.failures + 1
    status = error.extra.get("status")
    if status in {404, 410}:
        state = Source.State.GONE
    else:
        state = Source.State.DEGRADED if failures < 3 else Source.State.BACKING_OFF
    Source.objects.filter(pk=source.pk).update(
        state=state,
        failures=failures,
        last_error=error.detail[:300],
        next_fetch_at=now + next_look(failures, settings, error.extra.get("asked_s"), random.Random()),
        claimed_at=None,
    )


def _asked_s(headers: Any, now: datetime) -> float | None:
    found = re.search(r"max-age=(\d{1,9})", headers.get("cache-control", ""))
    after = headers.get("retry-after", "")
    if after.isdecimal():
        return float(after)
    if after and (at := read_time(after)):
        return max(0.0, (at - now).total_seconds())
    return float(found.group(1)) if found else None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
