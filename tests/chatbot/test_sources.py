"""Web sites as knowledge: read page by page, again when they change, stopped, resumed, failed in words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from chatbot import knowledge, page_files, site_reading, sources
from chatbot.models import Document, KnowledgeBase, Passage, Source
from services.console.storage import storage
from services.errors import Conflict, InvalidInput, StorageFailed
from services.inference.engine import get_engine
from services.web.site import Limits
from tests.builders import NOON, make_knowledge_base
from tests.services.web.test_crawl import Answer, Site, html, site, sitemap, status, text, to, xml

__all__ = ["site"]  # the fixture

pytestmark = pytest.mark.django_db
LEASE = timedelta(seconds=60)
State = Source.State


class Clock:
    """Noon, and a second later at every look."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def base() -> KnowledgeBase:
    return make_knowledge_base()


def hosts(site: Site) -> list[str]:
    return [f"127.0.0.1:{site.port}", f"localhost:{site.port}"]


def add(base: KnowledgeBase, site: Site, path: str = "/", **fields: Any) -> Source:
    return sources.add(base, site.url + path, allow_hosts=hosts(site), **fields)


def read(source: Source, site: Site, clock: Clock, **options: Any) -> Source:
    """Queue the source if need be, claim it, and read it to its end."""
    Source.objects.filter(pk=source.pk).exclude(state=State.RUNNING).update(state=State.QUEUED)
    claimed = sources.claim(source.pk, clock(), LEASE)
    assert claimed is not None
    options = {"max_bytes": 2**20, "allow_hosts": hosts(site), "sleep": site.slept.append, **options}
    site_reading.read(claimed, storage(), clock, **options)
    source.refresh_from_db()
    return source


def counts(source: Source) -> tuple[int, int, int]:
    return source.pages_changed, source.pages_same, source.pages_skipped


def paths(site: Site, **having: Any) -> set[str]:
    """The paths of the documents that are in the knowledge."""
    rows = Document.objects.filter(**having).exclude(state=Document.State.REMOVED)
    return {row.page.get("url", row.url).removeprefix(site.url) for row in rows}


def why(source: Source, site: Site) -> dict[str, str]:
    return {row["url"].removeprefix(site.url): row["reason"] for row in source.problems}


def page(words: str, *targets: str, etag: str = "") -> Callable[[dict[str, str]], Answer]:
    """A page with a heading, words and links, which says 304 to those who have it."""
    made = html(
        f"<h1>{words}</h1><p>{words} is told here.</p>" + "".join(f'<a href="{x}">x</a>' for x in targets)
    )
    tag = f'"{etag or words}"'

    def answer(headers: dict[str, str]) -> Answer:
        if headers.get("if-none-match") == tag:
            return 304, {"ETag": tag}, b""
        return made[0], {**made[1], "ETag": tag}, made[2]

    return answer


def ingest_all() -> None:
    for document_id in knowledge.waiting(timezone.now(), LEASE):
        claimed = knowledge.claim(document_id, timezone.now(), LEASE)
        assert claimed is not None
        knowledge.ingest(claimed, get_engine(), storage(), timezone.now)


# ------------------------------------------------------------------ adding


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("", "Write the address"),
        ("ftp://example.com/", "Only http and https"),
        ("https://user:secret@example.com/", "user name or password"),
        ("http://127.0.0.1/", "CHATBOT_SITE_HOSTS"),
        ("http://[::1]/", "CHATBOT_SITE_HOSTS"),
        ("http://10.1.2.3/wiki", "CHATBOT_SITE_HOSTS"),
        ("http://169.254.169.254/latest/meta-data/", "CHATBOT_SITE_HOSTS"),
        ("http://localhost:8000/", "CHATBOT_SITE_HOSTS"),
        ("https://wiki.internal/", "CHATBOT_SITE_HOSTS"),
        ("http://2130706433/", "usual way"),
        ("https://example.com:22/", "Port 22"),
        ("https://exa mple.com/", "not a usable address"),
        ("https://example.com/" + "a" * 600, "too long"),
    ],
)
def test_an_address_that_cannot_be_read_is_refused_by_name(
    base: KnowledgeBase, address: str, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        sources.add(base, address)
    assert refused.value.field == "url"
    assert not Source.objects.exists()


def test_an_address_is_kept_in_one_spelling_once_and_with_numbers_in_range(base: KnowledgeBase) -> None:
    made = sources.add(base, " Help.Example.com/docs#top ", every_h=24)
    assert (made.url, made.state, made.every_h) == ("https://help.example.com/docs", State.QUEUED, 24)
    with pytest.raises(InvalidInput, match="there already") as refused:
        sources.add(base, "https://help.example.com:443/docs")
    assert refused.value.field == "url"
    assert sources.add(make_knowledge_base("Other"), made.url).url == made.url
    assert sources.add(base, "http://wiki.internal:9000/", allow_hosts=["wiki.internal:9000"])
    for field, value in (("every_h", 0), ("most_pages", 0), ("most_pages", 10**6)):
        with pytest.raises(InvalidInput) as refused:
            sources.add(base, "https://example.com/", **{field: value})
        assert refused.value.field == field


# ------------------------------------------------------------------ rounds


def test_a_site_becomes_documents_and_the_next_round_takes_only_what_changed(
    base: KnowledgeBase, site: Site, clock: Clock
) -> None:
    site.pages = {
        "/": page("Help", "/refunds", "/delivery.html", "/old", "/card.png", "/guide.pdf"),
        "/refunds": page("Refunds", "/deep"), "/deep": page("Deep"),
        "/delivery.html": page("Delivery"), "/old": page("Old ways"),
        "/guide.pdf": (200, {"Content-Type": "application/pdf"}, b"not a PDF"),
    }  # fmt: skip
    told: list[int] = []
    source = add(base, site, every_h=24)
    read(source, site, clock, received=lambda document: told.append(document.pk))
    assert (source.state, counts(source)) == (State.DONE, (5, 0, 2))
    assert why(source, site) == {"/card.png": "content_type", "/guide.pdf": "unreadable"}
    assert len(told) == 5
    assert source.due_at is not None
    assert source.read_at is not None
    assert timedelta(hours=23) < source.due_at - source.read_at <= timedelta(hours=24, seconds=5)
    ingest_all()
    refunds = Document.objects.get(title="Refunds")
    assert (refunds.url, refunds.source, refunds.state) == (site.url + "/refunds", source, "done")
    assert knowledge.build_index(base, get_engine(), storage(), timezone.now())

    site.pages["/refunds"] = page("Refunds anew", "/deep", "/fresh")
    site.pages |= {"/fresh": page("Fresh"), "/delivery.html": to("/shipping"), "/shipping": page("Shipping")}
    del site.pages["/old"]
    site.asked.clear()
    read(source, site, clock)
    assert counts(source) == (3, 2, 4)
    assert paths(site) == {"/", "/refunds", "/deep", "/fresh", "/shipping"}
    assert Document.objects.get(pk=refunds.pk).state == "queued"  # the same row, its file replaced
    assert Document.objects.filter(state="removed").count() == 2
    assert not Passage.objects.filter(document__state="removed", retired_at=None).exists()
    assert why(source, site) == {"/card.png": "content_type", "/guide.pdf": "unreadable"}
    # what leads to pages that failed then is followed though the page that links did not change
    site.pages["/card.png"], site.pages["/guide.pdf"] = status(404), status(500)
    assert why(read(source, site, clock), site)["/guide.pdf"] == "failed"


def test_a_page_in_another_charset_is_read_as_it_says_and_its_scripts_are_words_at_most(
    base: KnowledgeBase, site: Site, clock: Clock
) -> None:
    def in_charset(words: str, charset: str, header: str, meta: str = "") -> Answer:
        head = f'<meta charset="{meta}">' if meta else ""
        body = f"<html><head>{head}<title>{words}</title></head><body><p>{words}.</p></body></html>"
        return 200, {"Content-Type": f"text/html{header}"}, body.encode(charset)

    site.pages = {
        "/": html(
            "<h1>Start</h1><p>Words <b onclick=alert(1)>bold</b> &lt;script&gt;x()&lt;/script&gt;</p>"
            "<script>evil()</script>" + "".join(f'<a href="/{n}">x</a>' for n in range(6))
        ),
        "/0": in_charset("Größe ändern", "latin-1", "; charset=ISO-8859-1"),
        "/1": in_charset("退款说明", "gbk", "", "gb2312"),
        "/2": in_charset("Возврат", "windows-1251", "; charset=windows-1251"),
        "/3": in_charset("Crème brûlée", "utf-8", "; charset=nonsense"),
        "/4": in_charset("Rückgabe €5", "cp1252", ""),
        "/5": in_charset("Ελληνικά", "utf-16", ""),
    }
    read(add(base, site), site, clock)
    ingest_all()
    said = " ".join(Passage.objects.values_list("text", flat=True))
    for words in ("Größe ändern", "退款说明", "Возврат", "Crème brûlée", "Rückgabe €5", "Ελληνικά"):
        assert words in said
    assert "<script>x()</script>" in said  # as words, which every page escapes
    assert "evil()" not in said
    assert "alert" not in said


def test_a_circular_sitemap_a_redirect_loop_and_a_page_larger_than_is_read_end(
    base: KnowledgeBase, site: Site, clock: Clock
) -> None:
    site.pages = {
        "/sitemap.xml": lambda _: xml(sitemap(site.url + "/more.xml", kind="sitemap")),
        "/more.xml": lambda _: xml(sitemap(site.url + "/sitemap.xml", kind="sitemap")),
        "/": page("Start", "/a", "/huge", "/ok"),
        "/a": to("/b"), "/b": to("/a"), "/ok": page("Fine"),
        "/huge": (200, {"Content-Type": "text/html"}, b"x" * (2 * 2**20)),
    }  # fmt: skip
    source = read(add(base, site), site, clock)
    assert source.state == State.DONE
    assert paths(site) == {"/", "/ok"}
    assert why(source, site) == {"/huge": "too_large"}

    site.pages = {"/": to("/x"), "/x": to("/"), "/other": page("Other")}
    read(source, site, clock)
    assert source.state == State.FAILED
    assert "in a circle" in source.failure
    assert paths(site) == {"/", "/ok"}  # nothing removed


@pytest.mark.parametrize(
    ("pages", "says"),
    [
        ({"/": status(500)}, "status 500"),
        ({"/": status(404)}, "not there any more"),
        ({"/robots.txt": text("User-agent: *\nDisallow: /")}, "robots.txt does not allow"),
        ({"/robots.txt": status(503)}, "robots.txt cannot be read"),
        ({"/": to("http://10.0.0.1/")}, "private network"),
        ({"/": (200, {"Content-Type": "image/png"}, b"x")}, "type image/png"),
    ],
)
def test_where_the_start_page_cannot_be_had_it_says_why_and_nothing_is_removed(
    base: KnowledgeBase, site: Site, clock: Clock, pages: dict[str, Any], says: str
) -> None:
    site.pages = {"/": page("Help", "/a"), "/a": page("A")}
    source = read(add(base, site, every_h=1), site, clock)
    assert paths(site) == {"/", "/a"}
    site.pages |= pages
    read(source, site, clock)
    assert source.state == State.FAILED
    assert says in source.failure
    assert source.due_at is not None
    assert source.due_at > clock.now
    assert paths(site) == {"/", "/a"}


def test_two_sites_that_share_a_page_leave_it_to_the_one_that_had_it_first(
    base: KnowledgeBase, site: Site, clock: Clock
) -> None:
    site.pages = {
        "/": page("Home", "/docs/a", "/b"), "/b": page("B"), "/docs/": page("Docs", "/docs/a"),
        "/docs/a": page("Shared"),
    }  # fmt: skip
    docs, whole = add(base, site, "/docs/"), add(base, site)
    read(docs, site, clock)
    read(whole, site, clock)
    assert counts(whole) == (2, 1, 0)
    assert paths(site, source=docs) == {"/docs/", "/docs/a"}
    assert paths(site, source=whole) == {"/", "/b"}
    site.pages["/docs/a"] = page("Shared anew")
    read(whole, site, clock)
    assert counts(whole) == (1, 2, 0)
    assert paths(site, source=docs) == {"/docs/", "/docs/a"}
    assert counts(read(docs, site, clock)) == (0, 2, 0)

    assert sources.remove(docs, clock(), keep_documents=True) == 2
    assert paths(site, source=None) == {"/docs/", "/docs/a"}
    assert sources.remove(whole, clock(), keep_documents=False) == 2
    assert paths(site) == {"/docs/", "/docs/a"}
    assert not Source.objects.exists()


# ------------------------------------------------------------------ stopped, killed, broken


def test_a_killed_worker_is_followed_by_one_that_asks_only_for_what_is_new(
    base: KnowledgeBase, site: Site, clock: Clock
) -> None:
    site.pages = {"/": page("Help", *(f"/{n}" for n in range(4)))} | {
        f"/{n}": page(f"P{n}") for n in range(4)
    }
    source = add(base, site)

    class Killed(BaseException):
        pass

    def killed(document: Document) -> None:
        if Document.objects.count() == 3:
            raise Killed

    with pytest.raises(Killed):
        read(source, site, clock, received=killed)
    assert Source.objects.get().state == State.RUNNING
    assert sources.claim(source.pk, clock(), LEASE) is None
    assert sources.waiting(clock.now, LEASE) == []
    clock.now += LEASE + timedelta(seconds=1)
    assert sources.waiting(clock.now, LEASE) == [source.pk]
    site.asked.clear()
    site.headers.clear()
    read(source, site, clock)
    assert (source.state, source.attempts, counts(source)) == (State.DONE, 0, (5, 0, 0))
    conditional = [p for p, h in zip(site.asked, site.headers, strict=True) if "if-none-match" in h]
    assert conditional == ["/", "/0", "/1"]
    assert {"/2", "/3"} <= set(site.asked)


def test_a_reading_stops_between_two_pages_and_ends_when_its_row_is_gone(
    base: KnowledgeBase, site: Site, clock: Clock
) -> None:
    site.pages = {"/": page("Help", "/a", "/b"), "/a": page("A"), "/b": page("B")}
    source = add(base, site, every_h=5)
    read(source, site, clock, received=lambda _: sources.stop(source))
    assert (source.state, source.stop_asked, counts(source)) == (State.STOPPED, False, (1, 0, 0))
    assert source.due_at is not None
    with pytest.raises(Conflict):
        sources.stop(source)
    sources.ask(source)
    with pytest.raises(Conflict):
        sources.ask(source)
    sources.stop(source)  # before anyone took it
    assert Source.objects.get().state == State.STOPPED
    site.pages["/a"] = page("A anew")
    gone = Source.objects.get()

    def remove(_: Document) -> None:
        sources.remove(gone, clock(), keep_documents=False)

    sources.ask(source)
    claimed = sources.claim(source.pk, clock(), LEASE)
    assert claimed is not None
    options: dict[str, Any] = {"max_bytes": 2**20, "allow_hosts": hosts(site), "sleep": site.slept.append}
    assert not site_reading.read(claimed, storage(), clock, received=remove, **options)
    assert paths(site) == set()


def test_what_fails_three_times_is_failed_with_its_reason(
    base: KnowledgeBase, site: Site, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages = {"/": page("Help")}
    source = add(base, site)

    def full(*_: Any, **__: Any) -> None:
        raise StorageFailed("The disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(knowledge, "receive", full)
        for attempt in (1, 2):
            read(source, site, clock)
            assert (source.state, source.attempts) == (State.RUNNING, attempt)
            assert sources.waiting(clock(), LEASE) == [source.pk]
        read(source, site, clock)
    assert source.state == State.FAILED
    assert "disk is full" in source.failure
    assert read(source, site, clock).state == State.DONE
    Source.objects.update(state=State.RUNNING, attempts=3, claimed_at=None)  # killed three times
    read(source, site, clock)
    assert source.state == State.FAILED
    assert "several times" in source.failure


def test_due_sources_are_queued_and_one_site_is_asked_by_one_worker(
    base: KnowledgeBase, site: Site, clock: Clock
) -> None:
    first, second = (sources.add(base, f"https://example.com/{name}", every_h=2) for name in "ab")
    Source.objects.update(state=State.DONE, due_at=NOON)
    assert sources.due(NOON - timedelta(seconds=1)) == []
    assert sources.due(NOON) == [first.pk, second.pk]
    assert sources.due(NOON) == []
    assert sources.waiting(NOON, LEASE) == [first.pk, second.pk]
    assert sources.claim(first.pk, NOON, LEASE) is not None
    assert sources.waiting(NOON, LEASE) == []
    assert sources.claim(second.pk, NOON, LEASE) is None
    sources.change(second, every_h=None, most_pages=7, now=NOON)
    assert Source.objects.filter(pk=second.pk, every_h=None, due_at=None, most_pages=7).exists()
    with pytest.raises(InvalidInput):
        sources.change(second, every_h=-1, most_pages=7, now=NOON)


def test_a_site_being_read_holds_the_index_back_for_minutes_at_most(
    base: KnowledgeBase, clock: Clock
) -> None:
    source = sources.add(base, "https://example.com/")
    assert not knowledge.more_to_read(base.pk, NOON)
    sources.claim(source.pk, NOON, LEASE)
    assert knowledge.more_to_read(base.pk, NOON + timedelta(minutes=4))
    assert not knowledge.more_to_read(base.pk, NOON + timedelta(minutes=6))


def test_problems_are_kept_the_worst_first_and_not_without_end(
    base: KnowledgeBase, site: Site, clock: Clock
) -> None:
    site.pages = {"/": page("Help", *(f"/{n}.zip" for n in range(250)), "/broken"), "/broken": status(500)}
    source = read(add(base, site), site, clock, limits=Limits(queries=1))
    assert source.pages_skipped == 251
    assert len(source.problems) == site_reading.MOST_PROBLEMS
    assert source.problems[0]["reason"] == "failed"
    for row in source.problems:
        assert site_reading.problem_words(row["reason"]) != row["reason"]
    assert page_files.ENDINGS["text/html"] == ".html"
