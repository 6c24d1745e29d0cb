"""Feeds are read, kept once, looked at politely, and never given up."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sentiment_monitor import feeds
from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Entry, Source
from services.errors import InvalidInput
from services.web.fetch import fetch

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
SETTINGS = MonitorSettings()
RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>
<item><title>Acme &lt;b&gt;plunges&lt;/b&gt; &amp;amp; recovers</title><link>https://n.example/a?utm_source=x</link>
<guid>a</guid><pubDate>Wed, 04 Mar 2026 09:00:00 GMT</pubDate>
<description>&lt;script&gt;alert(1)&lt;/script&gt;Words</description></item>
<item><title>From the future</title><guid>b</guid><pubDate>Sat, 04 Mar 2090 09:00:00 GMT</pubDate></item>
<item><title>No date</title><guid>c</guid></item>
<item><title>Nonsense date</title><guid>d</guid><pubDate>the day after</pubDate></item>
</channel></rss>"""


class _Feed(BaseHTTPRequestHandler):
    """A feed server whose answer a test sets."""

    answer: tuple[int, dict[str, str], bytes] = (200, {}, RSS)
    seen: list[dict[str, str]] = []

    def do_GET(self) -> None:
        type(self).seen.append({k.lower(): v for k, v in self.headers.items()})
        status, headers, body = type(self).answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Silence."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real feed server on this machine; the fetch seam is told that it may go there."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Feed)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    _Feed.answer, _Feed.seen = (200, {}, RSS), []

    def fetch_here(url: str, **options: Any) -> Any:
        return fetch(url, allow_private=True, **options)

    monkeypatch.setattr(feeds, "fetch", fetch_here)
    yield f"http://127.0.0.1:{made.server_address[1]}/feed"
    made.shutdown()


def make_source(url: str, **more: Any) -> Source:
    return Source.objects.create(name="News", slug="news", url=url, **more)


@pytest.mark.django_db
def test_a_feed_is_read_into_plain_entries_with_times_that_make_sense(server: str) -> None:
    source = make_source(server)
    assert feeds.poll(source, SETTINGS, NOW) == 4
    first, future, undated, nonsense = (Entry.objects.get(external_id=i) for i in "abcd")
    assert first.title == "Acme plunges & recovers"
    assert first.body == "Words"
    assert first.canonical_url == "https://n.example/a"
    assert first.happened_at == datetime(2026, 3, 4, 9, tzinfo=UTC)
    for odd in (future, undated, nonsense):
        assert odd.happened_at == odd.first_seen_at == NOW
    assert nonsense.published_raw == "the day after"
    source.refresh_from_db()
    assert source.state == Source.State.OK
    assert source.last_success_at == NOW


@pytest.mark.django_db
def test_the_same_feed_again_writes_nothing_and_asks_conditionally(server: str) -> None:
    _Feed.answer = (200, {"ETag": '"v1"', "Last-Modified": "Wed, 04 Mar 2026 09:00:00 GMT"}, RSS)
    source = make_source(server)
    feeds.poll(source, SETTINGS, NOW)
    source.refresh_from_db()
    _Feed.answer = (304, {}, b"")
    assert feeds.poll(source, SETTINGS, NOW) == 0
    assert _Feed.seen[-1]["if-none-match"] == '"v1"'
    assert _Feed.seen[-1]["if-modified-since"] == "Wed, 04 Mar 2026 09:00:00 GMT"
    assert Entry.objects.count() == 4


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((500, {}, b"oops"), Source.State.DEGRADED),
        ((404, {}, b""), Source.State.GONE),
        ((410, {}, b""), Source.State.GONE),
        ((200, {}, b"<html><body>a page</body></html>"), Source.State.DEGRADED),
        ((200, {"Content-Type": "application/json"}, b'{"items": 3'), Source.State.DEGRADED),
    ],
)
def test_a_feed_in_trouble_says_why_and_is_looked_at_again(
    server: str, answer: tuple[int, dict[str, str], bytes], state: str
) -> None:
    _Feed.answer = answer
    source = make_source(server)
    assert feeds.poll(source, SETTINGS, NOW) == 0
    source.refresh_from_db()
    assert (source.state, source.failures) == (state, 1)
    assert source.last_error
    assert source.next_fetch_at is not None
    assert source.next_fetch_at > NOW
    assert source.claimed_at is None


@pytest.mark.django_db
def test_a_dead_feed_is_never_given_up_and_recovers(server: str) -> None:
    source = make_source("http://127.0.0.1:9/feed")
    for _ in range(12):
        feeds.poll(source, SETTINGS, NOW)
        source.refresh_from_db()
    assert source.state == Source.State.BACKING_OFF
    assert source.next_fetch_at is not None
    assert source.next_fetch_at <= NOW + timedelta(seconds=SETTINGS.monitor_poll_cap_s)
    assert feeds.due(source.next_fetch_at, timedelta(seconds=60)) == [source.pk]
    Source.objects.update(url=server)
    source.refresh_from_db()
    feeds.poll(source, SETTINGS, NOW)
    source.refresh_from_db()
    assert (source.state, source.failures, source.last_error) == (Source.State.OK, 0, "")


@pytest.mark.django_db
def test_a_private_address_is_refused_and_said_to_be() -> None:
    source = make_source("http://127.0.0.1:80/feed")
    feeds.poll(source, SETTINGS, NOW)
    source.refresh_from_db()
    assert "private network" in source.last_error


@pytest.mark.django_db
def test_what_the_server_asks_for_is_respected(server: str) -> None:
    _Feed.answer = (429, {"Retry-After": "7200"}, b"")
    source = make_source(server)
    feeds.poll(source, SETTINGS, NOW)
    source.refresh_from_db()
    assert source.next_fetch_at is not None
    assert source.next_fetch_at >= NOW + timedelta(seconds=7200)


def test_waiting_grows_with_failures_up_to_the_cap() -> None:
    rng = random.Random(1)
    longest = [
        max(feeds.next_look(n, SETTINGS, None, rng).total_seconds() for _ in range(200)) for n in range(12)
    ]
    assert longest[0] < longest[2] < longest[4]
    assert max(longest) <= SETTINGS.monitor_poll_cap_s


@pytest.mark.django_db
def test_two_workers_never_look_at_the_same_feed() -> None:
    source = make_source("http://n.example/feed")
    lease = timedelta(seconds=60)
    assert feeds.claim(source.pk, NOW, lease) is not None
    assert feeds.claim(source.pk, NOW, lease) is None
    assert feeds.claim(source.pk, NOW + timedelta(minutes=5), lease) is not None


def test_a_json_feed_is_read_too() -> None:
    body = (
        b'{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": 7, "title": "T", "url": '
        b'"https://n.example/7", "content_html": "<p>Hi</p>", "date_published": "2026-03-04T09:00:00Z"}, 3]}'
    )
    raws = feeds.parse(body)
    assert [(r.external_id, r.title, r.body) for r in raws] == [("7", "T", "Hi")]


@pytest.mark.parametrize("body", [b"", b"\x00\x01\x02", b"plain words", b"{}", b"<a>"])
def test_what_is_no_feed_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        feeds.parse(body)
