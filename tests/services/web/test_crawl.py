"""A site is read politely: what it asks for is respected, what did not change does not come back."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.errors import FetchFailed, FetchRefused, TooLarge
from services.web.crawl import Known, Page, Skipped, Unchanged, crawl
from services.web.site import Limits, read_robots, read_sitemap

Answer = tuple[int, dict[str, str], bytes]
Item = Page | Unchanged | Skipped


def html(body: str, head: str = "", **headers: str) -> Answer:
    told = {
        "Content-Type": "text/html; charset=utf-8",
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    return 200, told, f"<!doctype html><html><head>{head}</head><body>{body}</body></html>".encode()


def links(*targets: str) -> Answer:
    """A page with words of its own and links."""
    return html(f"Leads to {' and '.join(targets)}. " + "".join(f'<a href="{to}">x</a>' for to in targets))


def text(body: str, **headers: str) -> Answer:
    return 200, {"Content-Type": "text/plain", **headers}, body.encode()


def status(code: int, **headers: str) -> Answer:
    return code, {k.replace("_", "-"): v for k, v in headers.items()}, b"trouble"


def to(location: str, code: int = 302) -> Answer:
    return code, {"Location": location}, b""


def sitemap(*urls: str, kind: str = "url") -> bytes:
    root = {"url": "urlset", "sitemap": "sitemapindex"}[kind]
    rows = "".join(f"<{kind}><loc>{url}</loc><lastmod>2026-01-01</lastmod></{kind}>" for url in urls)
    return f'<{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</{root}>'.encode()


def xml(body: bytes) -> Answer:
    return 200, {"Content-Type": "application/xml"}, body


@dataclass
class Site:
    """A site on this machine: answers by path, what was asked, and what the crawl slept."""

    port: int = 0
    pages: dict[str, Answer | Callable[[dict[str, str]], Answer]] = field(default_factory=dict)
    otherwise: Callable[[str], Answer] = lambda path: status(404)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        self.asked.append(path)
        self.headers.append(headers)
        found = self.pages.get(path) or self.otherwise(path)
        return found(headers) if callable(found) else found

    def crawl(self, start: str = "/", **options: Any) -> list[Item]:
        start = start if "://" in start else self.url + start
        allowed = [f"127.0.0.1:{self.port}", f"localhost:{self.port}"]
        options = {"sleep": self.slept.append, "allow_hosts": allowed, **options}
        return list(crawl(start, **options))

    def path(self, item: Item) -> str:
        return item.url.removeprefix(self.url)

    def read(self, items: list[Item]) -> list[str]:
        return [self.path(item) for item in items if isinstance(item, Page)]

    def skipped(self, items: list[Item]) -> dict[str, str]:
        return {self.path(item): item.reason for item in items if isinstance(item, Skipped)}

    def kept(self, items: list[Item]) -> dict[str, Known]:
        return {item.url: item.known for item in items if not isinstance(item, Skipped)}


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                made.busy += 1
                made.busiest = max(made.busiest, made.busy)
            code, headers, body = made.answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            with lock:
                made.busy -= 1
            with suppress(OSError):
                self.send_response_only(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


# ------------------------------------------------------------------ what is read


def test_a_site_is_read_from_its_start_along_its_links(site: Site) -> None:
    site.pages = {
        "/": links("/a", "b.html#part", "?page=2", "mailto:me@example.com", "http://[", "javascript:x"),
        "/a": links("/", "/c"), "/b.html": text("B"), "/?page=2": html("Two"),
        "/c": (200, {"Content-Type": "application/pdf"}, b"%PDF-1.7"),
    }  # fmt: skip
    found = site.crawl()
    assert site.read(found) == ["/", "/a", "/b.html", "/?page=2", "/c"]
    assert site.skipped(found) == {}
    first = found[0]
    assert isinstance(first, Page)
    assert (first.content_type, first.charset, first.canonical) == ("text/html", "utf-8", first.url)
    assert b"Leads to" in first.body
    assert [item.known.depth for item in found if isinstance(item, Page)] == [0, 1, 1, 1, 2]
    assert site.asked[:3] == ["/robots.txt", "/", "/sitemap.xml"]
    assert len(site.asked) == len(set(site.asked))


@pytest.mark.parametrize("start", ["/docs", "/docs/", "/docs/start.html"])
def test_only_the_same_host_and_path_are_within_reach(site: Site, start: str) -> None:
    outside = [
        "/",
        "/docs-old/x",
        "/shop",
        f"http://localhost:{site.port}/docs/x",
        "http://example.com/docs/",
    ]
    site.pages = {
        start: links("/docs/in", "../docs/also", *outside),
        "/docs/in": text("1"),
        "/docs/also": text("2"),
    }
    found = site.crawl(start)
    assert site.read(found) == [start, "/docs/in", "/docs/also"]
    assert set(site.asked) == {"/robots.txt", "/sitemap.xml", start, "/docs/in", "/docs/also"}


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(FetchRefused):
        list(crawl("ftp://example.com/"))


def test_the_private_network_is_not_read(site: Site) -> None:
    found = site.crawl(allow_hosts=[])
    assert site.skipped(found) == {"/": "refused"}
    assert site.asked == []


def test_requests_come_one_at_a_time_with_a_pause_before_each_but_the_first(site: Site) -> None:
    site.pages = {"/": links(*(f"/{n}" for n in range(6))), **{f"/{n}": text(str(n)) for n in range(6)}}
    site.crawl(limits=Limits(delay_s=2.5))
    assert site.busiest == 1
    assert len(site.asked) == 9
    assert site.slept == [2.5] * 8


def test_addresses_that_differ_in_tracking_only_are_one(site: Site) -> None:
    site.pages = {"/": links("/a?utm_source=x&b=1", "/a?b=1&gclid=9", "/a?b=1#top"), "/a?b=1": text("A")}
    assert site.read(site.crawl()) == ["/", "/a?b=1"]


def test_a_base_address_and_odd_spellings_are_understood(site: Site) -> None:
    head = '<base href="/docs/">'
    site.pages = {
        "/": html('<a href=" a ">x</a><a href="HTTP:b">y</a><a href="ü?q=ö">z</a><area href="c">', head),
        "/docs/a": text("A"), "/docs/%C3%BC?q=%C3%B6": text("U"), "/docs/c": text("C"),
    }  # fmt: skip
    assert {"/", "/docs/a", "/docs/%C3%BC?q=%C3%B6", "/docs/c"} <= set(site.read(site.crawl()))


# ------------------------------------------------------------------ robots.txt


def test_robots_txt_is_respected_before_a_request_is_made(site: Site) -> None:
    robots = "User-agent: *\nDisallow: /private\nAllow: /private/open\nDisallow: /*.php$\nSitemap: /none"
    targets = ["/private/x", "/private/open/y", "/a.php", "/a.php?b", "/%70rivate/z"]
    site.pages = {
        "/robots.txt": text(robots),
        "/": links(*targets),
        "/private/open/y": text("Y"),
        "/a.php?b": text("B"),
    }
    found = site.crawl()
    assert site.read(found) == ["/", "/private/open/y", "/a.php?b"]
    refused = {"/private/x", "/a.php", "/%70rivate/z"}
    assert {path for path, why in site.skipped(found).items() if why == "robots"} == refused
    assert not refused & set(site.asked)


@pytest.mark.parametrize(
    ("body", "path", "allowed"),
    [
        ("", "/x", True),
        ("User-agent: *\nDisallow: /", "/x", False),
        ("User-agent: *\nDisallow:", "/x", True),
        ("user-AGENT: *\ndisALLOW : /x # why\n", "/x/y", False),
        ("\ufeffUser-agent: *\r\nDisallow: /x\r\n", "/x", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: Trefoil\nDisallow: /x", "/y", True),
        ("User-agent: trefoil/2.0\nUser-agent: b\n\nDisallow: /x\n\nUser-agent: *\nAllow: /", "/x", False),
        ("User-agent: Trefoil\nAllow: /\nUser-agent: a\n\nUser-agent: TREFOIL\nDisallow: /x", "/x", False),
        ("User-agent: Trefoil\n\nUser-agent: *\nDisallow: /", "/x", False),
        ("User-agent: Trefoil\nAllow: /\n\nUser-agent: *\nDisallow: /", "/x", True),
        ("User-agent: Trefoiler\nDisallow: /", "/x", True),
        ("User-agent: *\nDisallow: /a\nAllow: /a/b", "/a/b/c", True),
        ("User-agent: *\nAllow: /a\nDisallow: /a", "/a", True),
        ("User-agent: *\nDisallow: /*/secret", "/deep/down/secret/x", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/a.pdf?x=1", True),
        ("User-agent: *\nDisallow: /*.pdf$", "/a.pdf.pdf", False),
        ("User-agent: *\nDisallow: /$", "/", False),
        ("User-agent: *\nDisallow: /$", "/x", True),
        ("User-agent: *\nDisallow: /*?", "/x?y=1", False),
        ("User-agent: *\nDisallow: /ü", "/%C3%BC", False),
        ("User-agent: *\nDisallow: /%C3%BC", "/%c3%bc", False),
        ("Disallow: /\n<html>no robots at all</html>\n\x00\xff", "/x", True),
        ("User-agent: *\nDisallow: /" + "*a" * 5_000 + "$", "/" + "a" * 900, True),
    ],
)  # fmt: skip
def test_the_rules_of_robots_txt(body: str, path: str, allowed: bool) -> None:
    refusal = read_robots(body.encode()).refusal(f"http://example.com{path}")
    assert (refusal is None) is allowed


def test_a_crawl_delay_is_kept_and_the_longer_one_counts(site: Site) -> None:
    site.pages = {"/robots.txt": text("User-agent: *\nCrawl-delay: 3.5"), "/": text("A")}
    site.crawl()
    assert site.slept == [3.5, 3.5]
    site.slept.clear()
    site.crawl(limits=Limits(delay_s=4))
    assert site.slept == [4, 4]


def test_a_crawl_delay_nobody_can_keep_ends_the_crawl(site: Site) -> None:
    site.pages = {"/robots.txt": text("User-agent: *\nCrawl-delay: 86400"), "/": text("A")}
    found = site.crawl()
    assert site.skipped(found) == {"/": "busy"}
    assert site.asked == ["/robots.txt"]
    assert not any(item.stale for item in found if isinstance(item, Skipped))


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_site_without_robots_txt_is_read(site: Site, code: int) -> None:
    site.pages = {"/robots.txt": status(code), "/": text("A")}
    assert site.read(site.crawl()) == ["/"]


@pytest.mark.parametrize("code", [500, 503, 429])
def test_a_robots_txt_that_cannot_be_read_closes_the_site_and_makes_nothing_stale(
    site: Site, code: int
) -> None:
    site.pages = {"/robots.txt": status(code), "/": text("A"), "/a": text("B")}
    found = site.crawl(known={site.url + "/a": Known(sha256="x")})
    assert site.skipped(found) == {"/": "failed", "/a": "failed"}
    assert not any(item.stale for item in found if isinstance(item, Skipped))
    assert set(site.asked) == {"/robots.txt"}


def test_a_robots_txt_that_redirects_is_followed(site: Site) -> None:
    site.pages = {"/robots.txt": to("/real"), "/real": text("User-agent: *\nDisallow: /"), "/": text("A")}
    assert site.skipped(site.crawl()) == {"/": "robots"}


# ------------------------------------------------------------------ sitemaps


def test_the_sitemaps_robots_txt_lists_are_read_an_index_and_gzip_too(site: Site) -> None:
    u = site.url
    index = sitemap(u + "/maps/one.xml.gz", u + "/index.xml", u + "/two.xml", "http://[", kind="sitemap")
    site.pages = {
        "/robots.txt": text(f"Sitemap: {u}/index.xml\nSitemap: {u}/list.txt"), "/": text("Start"),
        "/index.xml": xml(index), "/two.xml": xml(sitemap(u + "/c", u + "/a", "http://example.com/far")),
        "/maps/one.xml.gz": xml(gzip.compress(sitemap(u + "/a", u + "/b"))),
        "/list.txt": text(f"{u}/d\n\nnot an address\n"),
        **{f"/{name}": text(name) for name in "abcd"},
    }  # fmt: skip
    found = site.crawl()
    assert sorted(site.read(found)) == ["/", "/a", "/b", "/c", "/d"]
    assert "/sitemap.xml" not in site.asked
    assert len(site.asked) == len(set(site.asked))


def test_a_sitemap_in_the_usual_place_is_found_and_one_that_is_none_does_no_harm(site: Site) -> None:
    site.pages = {
        "/": text("Start"),
        "/sitemap.xml": xml(sitemap(site.url + "/hidden")),
        "/hidden": text("H"),
    }
    assert site.read(site.crawl()) == ["/", "/hidden"]
    site.pages["/sitemap.xml"] = html("Not here, but politely")
    found = site.crawl()
    assert (site.read(found), site.skipped(found)) == (["/"], {})


def test_a_sitemap_as_the_start_is_read_without_links(site: Site) -> None:
    site.pages = {
        "/maps/sitemap.xml": xml(sitemap(site.url + "/a", site.url + "/b")),
        "/a": links("/c"), "/b": text("B"), "/c": text("C"),
    }  # fmt: skip
    assert site.read(site.crawl("/maps/sitemap.xml")) == ["/a", "/b"]
    site.pages["/robots.txt"] = text("User-agent: *\nDisallow: /maps/")
    assert site.skipped(site.crawl("/maps/sitemap.xml")) == {"/maps/sitemap.xml": "robots"}


def test_a_sitemap_that_is_listed_and_cannot_be_read_is_told(site: Site) -> None:
    site.pages = {"/robots.txt": text(f"Sitemap: {site.url}/s.xml"), "/": text("A"), "/s.xml": status(500)}
    assert site.skipped(site.crawl()) == {"/s.xml": "failed"}
    assert site.skipped(site.crawl("/gone.xml")) == {"/gone.xml": "failed"}


def test_a_sitemap_at_another_host_is_read_only_when_robots_txt_lists_it(site: Site) -> None:
    other = f"http://localhost:{site.port}"
    site.pages = {
        "/": text("Start"), "/sitemap.xml": xml(sitemap(other + "/far.xml", kind="sitemap")),
        "/far.xml": xml(sitemap(site.url + "/a")), "/a": text("A"),
    }  # fmt: skip
    assert site.read(site.crawl()) == ["/"]
    site.pages["/robots.txt"] = text(f"Sitemap: {other}/far.xml")
    assert site.read(site.crawl()) == ["/", "/a"]


def test_sitemaps_without_end_are_left_at_the_limit(site: Site) -> None:
    def more(path: str) -> Answer:
        return xml(sitemap(f"{site.url}/m{len(site.asked)}.xml", kind="sitemap"))

    site.otherwise = more
    site.pages = {"/robots.txt": status(404), "/": text("A")}
    site.crawl(limits=Limits(sitemaps=7))
    assert len(site.asked) == 2 + 7


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html><body>no</body></html>", FetchFailed),
        (b"<", FetchFailed),
        (gzip.compress(b"<urlset>" + b" " * 2_000_000 + b"</urlset>"), TooLarge),
        (gzip.compress(sitemap("http://example.com/"))[:-9], FetchFailed),
    ],
)
def test_a_sitemap_that_is_none_or_too_large_is_an_error(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_sitemap(body, 1_000_000)


def test_entities_of_a_sitemap_are_not_resolved() -> None:
    bomb = '<!DOCTYPE u [<!ENTITY a "http://example.com/aaaaaaaaaaaaaa">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    file = '<!DOCTYPE u [<!ENTITY i SYSTEM "file:///etc/passwd">'
    for start in (bomb, file):
        pages, maps = read_sitemap(f"{start}]><urlset><url><loc>&i;</loc></url></urlset>".encode(), 10**6)
        assert (pages, maps) == ([], [])


def test_what_a_sitemap_says_of_pictures_is_no_page() -> None:
    body = (
        b'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:i="http://g/i">'
        b"<url><loc> http://e/a </loc><i:image><i:loc>http://e/p.png</i:loc></i:image></url></urlset>"
    )
    assert read_sitemap(body, 10_000) == (["http://e/a"], [])


# ------------------------------------------------------------------ what did not change


def test_a_second_crawl_asks_conditionally_and_gives_only_what_changed(site: Site) -> None:
    def tagged(name: str, body: str) -> Callable[[dict[str, str]], Answer]:
        def answer(headers: dict[str, str]) -> Answer:
            same = headers.get("if-none-match") == f'"{body}"'
            return (304, {}, b"") if same else html(f"{name} {body}", ETag=f'"{body}"')

        return answer

    date = "Wed, 14 Oct 2026 06:30:00 GMT"

    def dated(headers: dict[str, str]) -> Answer:
        return (304, {}, b"") if headers.get("if-modified-since") == date else html("D", Last_Modified=date)

    site.pages = {
        "/": links("/etag", "/date", "/hash", "/new", "/gone"), "/etag": tagged("E", "1"), "/date": dated,
        "/hash": html("same words", '<script nonce="1"></script>'), "/new": html("old"),
        "/gone": html("here"),
    }  # fmt: skip
    first = site.crawl()
    assert len(site.read(first)) == 6
    site.pages |= {
        "/hash": html("same\n words ", '<script nonce="2"></script>'),
        "/new": html("new"),
        "/gone": status(410),
    }
    second = site.crawl(known=site.kept(first))
    assert site.read(second) == ["/new"]
    unchanged = [site.path(item) for item in second if isinstance(item, Unchanged)]
    assert unchanged == ["/", "/etag", "/date", "/hash"]
    gone = second[-1]
    assert isinstance(gone, Skipped)
    assert (site.path(gone), gone.reason, gone.stale) == ("/gone", "gone", True)
    site.pages["/etag"] = tagged("E", "2")
    third = site.crawl(known=site.kept(second) | site.kept(first))
    assert "/etag" in site.read(third)


def test_known_pages_that_an_unchanged_page_led_to_are_read_again(site: Site) -> None:
    def start(headers: dict[str, str]) -> Answer:
        return (304, {}, b"") if "if-none-match" in headers else links("/a")

    site.pages = {"/": start, "/a": links("/b"), "/b": text("B")}
    known = site.kept(site.crawl())
    known[site.url + "/"] = Known(etag='"1"', sha256="x")
    site.pages |= {"/a": links("/b", "/c"), "/b": text("B2"), "/c": text("C")}
    found = site.crawl(known=known)
    assert site.read(found) == ["/a", "/b", "/c"]
    assert [item.known.depth for item in found if isinstance(item, Page)] == [1, 2, 2]


def test_a_304_nobody_asked_for_is_a_failure(site: Site) -> None:
    site.pages = {"/": (304, {}, b"")}
    assert site.skipped(site.crawl()) == {"/": "failed"}


# ------------------------------------------------------------------ one page at several addresses


def test_a_canonical_address_names_a_page_once(site: Site) -> None:
    head = '<link rel="canonical" href="/shoe">'
    site.pages = {
        "/": links("/shoe?size=1", "/shoe?size=2", "/shoe"), "/shoe?size=1": html("One", head),
        "/shoe?size=2": html("Two", head), "/shoe": html("Shoe", head),
    }  # fmt: skip
    found = site.crawl()
    assert site.read(found) == ["/", "/shoe?size=1"]
    assert isinstance(found[1], Page)
    assert (found[1].canonical, found[1].known.canonical) == (site.url + "/shoe",) * 2
    assert site.skipped(found) == {"/shoe?size=2": "duplicate", "/shoe": "duplicate"}
    again = site.crawl(known=site.kept(found))
    assert (site.read(again), site.skipped(again)) == ([], site.skipped(found))


def test_a_canonical_address_at_another_site_is_not_believed(site: Site) -> None:
    site.pages = {"/": html("A", '<link rel="canonical" href="http://example.com/">')}
    found = site.crawl()
    assert isinstance(found[0], Page)
    assert found[0].canonical == site.url + "/"


def test_the_same_words_at_two_addresses_are_one_page_and_its_links_one_set(site: Site) -> None:
    site.pages = {
        "/": links("/a", "/b"), "/a": html('Same<a href="/c"></a>'), "/b": html('Same<a href="/d"></a>'),
        "/c": text("C"), "/d": text("D"),
    }  # fmt: skip
    found = site.crawl()
    assert site.read(found) == ["/", "/a", "/c"]
    assert site.skipped(found) == {"/b": "duplicate"}


# ------------------------------------------------------------------ redirects


def test_redirects_are_pages_of_their_own_and_circles_end(site: Site) -> None:
    site.pages = {
        "/robots.txt": text("User-agent: *\nDisallow: /private"),
        "/": links("/old", "/circle", "/self", "/away", "/into", "/inside"),
        "/old": to("/new", 301), "/new": text("New"), "/circle": to("/circle2"), "/circle2": to("/circle"),
        "/self": to("/self"), "/away": to("http://example.com/"), "/into": to("/private/x"),
        "/inside": to("http://10.0.0.1/"), "/private/x": text("secret"),
    }  # fmt: skip
    found = site.crawl()
    assert site.read(found) == ["/", "/new"]
    skipped = site.skipped(found)
    assert skipped.pop("/private/x") == "robots"
    assert skipped == dict.fromkeys(
        ["/old", "/circle", "/circle2", "/self", "/away", "/into", "/inside"], "moved"
    )
    assert "/private/x" not in site.asked


def test_a_chain_of_redirects_ends_at_the_fifth(site: Site) -> None:
    site.pages = {"/": links("/0"), **{f"/{n}": to(f"/{n + 1}") for n in range(20)}}
    found = site.crawl()
    assert site.skipped(found)["/5"] == "failed"
    assert "/6" not in site.asked


def test_a_start_that_moves_to_another_host_or_path_takes_the_reach_along(site: Site) -> None:
    other = f"http://localhost:{site.port}"
    site.pages = {
        "/help": to(other + "/docs/", 301),
        "/docs/": links("/docs/a", "/help/b"),
        "/docs/a": text("A"),
    }
    found = site.crawl("/help")
    assert [item.url for item in found if isinstance(item, Page)] == [other + "/docs/", other + "/docs/a"]
    assert site.skipped(found) == {"/help": "moved"}
    assert site.asked == ["/robots.txt", "/help", "/robots.txt", "/docs/", "/sitemap.xml", "/docs/a"]


def test_a_start_that_moves_in_circles_between_hosts_ends(site: Site) -> None:
    def swing(headers: dict[str, str]) -> Answer:
        other = "localhost" if headers["host"].startswith("127") else "127.0.0.1"
        return to(f"http://{other}:{site.port}/")

    site.pages = {"/": swing}
    found = site.crawl()
    assert site.read(found) == []
    assert site.asked.count("/") == 6


def test_a_start_that_moves_into_the_private_network_is_refused(site: Site) -> None:
    site.pages = {"/": to("http://10.0.0.1/admin")}
    found = site.crawl()
    assert {item.url: item.reason for item in found if isinstance(item, Skipped)} == {
        site.url + "/": "moved",
        "http://10.0.0.1/admin": "refused",
    }


# ------------------------------------------------------------------ traps and limits


def test_links_without_end_come_to_an_end(site: Site) -> None:
    def trap(path: str) -> Answer:
        n = len(site.asked)
        return links(
            f"{path.rstrip('/')}/more/", f"/calendar?day={n}", f"/calendar?day={n}&x=1", f"/p{n}", f"/q{n}"
        )

    site.otherwise = trap
    site.pages = {"/robots.txt": status(404), "/sitemap.xml": status(404)}
    limits = Limits(pages=40, depth=5, queries=10)
    found = site.crawl(limits=limits)
    assert len(site.read(found)) == 40
    reasons = set(site.skipped(found).values())
    assert "too_many" in reasons
    assert sum("calendar" in path for path in site.asked) <= 10
    assert len(site.asked) <= 50


def test_segments_that_repeat_and_addresses_that_grow_are_a_trap(site: Site) -> None:
    site.pages = {"/": links("/a/b/a/b/a/b/a/b/", "/" + "x" * 1000, "/a/b/a/b/"), "/a/b/a/b/": text("B")}
    found = site.crawl()
    assert site.read(found) == ["/", "/a/b/a/b/"]
    assert set(site.skipped(found).values()) == {"trap"}


def test_pages_that_lie_too_deep_are_told_and_not_asked_for(site: Site) -> None:
    site.pages = {"/": links("/1"), "/1": links("/2"), "/2": links("/3"), "/3": text("deep")}
    found = site.crawl(limits=Limits(depth=2))
    assert site.read(found) == ["/", "/1", "/2"]
    assert site.skipped(found) == {"/3": "too_deep"}


@pytest.mark.parametrize(
    "limits",
    [Limits(pages=2), Limits(requests=4), Limits(total_bytes=150)],
    ids=["pages", "requests", "bytes"],
)
def test_what_a_limit_leaves_is_told(site: Site, limits: Limits) -> None:
    site.pages = {"/": links("/a", "/b", "/c"), **{f"/{name}": text(name * 50) for name in "abc"}}
    found = site.crawl(limits=limits)
    assert site.read(found) == ["/", "/a"]
    assert site.skipped(found) == {"/b": "too_many", "/c": "too_many"}


def test_addresses_over_the_limit_are_counted(site: Site) -> None:
    site.pages = {"/": links(*(f"/{n}" for n in range(30)))}
    last = site.crawl(limits=Limits(addresses=10))[-1]
    assert isinstance(last, Skipped)
    assert (last.reason, last.detail[:3]) == ("too_many", "21 ")


def test_a_page_over_the_size_limit_is_told(site: Site) -> None:
    site.pages = {"/": links("/big", "/bomb"), "/big": text("x" * 3000)}
    site.pages["/bomb"] = (
        200,
        {"Content-Type": "text/html", "Content-Encoding": "gzip"},
        gzip.compress(b"x" * 10**6),
    )
    assert site.skipped(site.crawl(limits=Limits(page_bytes=2000))) == {
        "/big": "too_large",
        "/bomb": "too_large",
    }


def test_other_types_are_told_and_files_by_their_ending_are_not_asked_for(site: Site) -> None:
    site.pages = {
        "/": links("/photo.JPG?x=1", "/a.zip", "/data", "/video", "/note", "/old"),
        "/data": (200, {"Content-Type": "application/json"}, b"{}"), "/old": (200, {}, b"untold"),
        "/video": (200, {"Content-Type": "video/mp4", "Content-Length": "1"}, b"0"),
        "/note": (200, {"Content-Type": "Text/Markdown; Charset=GBK"}, b"# Note"),
    }  # fmt: skip
    found = site.crawl()
    assert site.read(found) == ["/", "/note"]
    assert isinstance(found[-1], Page | Skipped)
    assert set(site.skipped(found).values()) == {"content_type"}
    assert len(site.skipped(found)) == 5
    assert not {"/photo.JPG?x=1", "/a.zip"} & set(site.asked)
    note = next(item for item in found if site.path(item) == "/note")
    assert isinstance(note, Page)
    assert (note.content_type, note.charset) == ("text/markdown", "gbk")


# ------------------------------------------------------------------ noindex and nofollow


@pytest.mark.parametrize(
    ("head", "headers", "kept", "followed"),
    [
        ("", {}, True, True),
        ('<meta name="robots" content="noindex">', {}, False, True),
        ('<META NAME="ROBOTS" CONTENT="NoFollow, NoArchive">', {}, True, False),
        ('<meta name="robots" content="none">', {}, False, False),
        ('<meta name="trefoil" content="noindex, nofollow">', {}, False, False),
        ('<meta name="googlebot" content="noindex, nofollow">', {}, True, True),
        ("", {"X-Robots-Tag": "noindex"}, False, True),
        ("", {"X-Robots-Tag": "nofollow"}, True, False),
        ("", {"X-Robots-Tag": "googlebot: noindex, nofollow"}, True, True),
        ("", {"X-Robots-Tag": "googlebot: noindex, trefoil: nofollow"}, True, False),
        ("", {"X-Robots-Tag": "unavailable_after: 25 Jun 2030 15:00:00 GMT, noindex"}, False, True),
        ("", {"X-Robots-Tag": "max-snippet:20, nofollow"}, True, False),
    ],
)  # fmt: skip
def test_noindex_and_nofollow_are_respected(
    site: Site, head: str, headers: dict[str, str], kept: bool, followed: bool
) -> None:
    site.pages = {"/": html('Start <a href="/a">a</a>', head, **headers), "/a": text("A")}
    found = site.crawl()
    assert site.read(found) == ["/"] * kept + ["/a"] * followed
    assert site.skipped(found) == ({} if kept else {"/": "noindex"})


def test_a_link_with_nofollow_is_not_followed(site: Site) -> None:
    site.pages = {"/": html('<a rel="external NoFollow" href="/a">a</a><a href="/b">b</a>'), "/b": text("B")}
    assert site.read(site.crawl()) == ["/", "/b"]


# ------------------------------------------------------------------ servers in trouble


def test_errors_of_a_page_are_told_and_the_rest_is_read(site: Site) -> None:
    site.pages = {
        "/": links("/404", "/500", "/403", "/torn", "/ok"),
        "/500": status(500),
        "/403": status(403),
    }
    site.pages |= {
        "/ok": text("fine"),
        "/torn": (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, b"no"),
    }
    found = site.crawl()
    assert site.read(found) == ["/", "/ok"]
    assert site.skipped(found) == {"/404": "gone", "/500": "failed", "/403": "failed", "/torn": "failed"}
    stale = [site.path(item) for item in found if isinstance(item, Skipped) and item.stale]
    assert stale == ["/404"]


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_server_is_asked_again_when_it_says_and_slower_from_then_on(site: Site, code: int) -> None:
    answers = iter([status(code, Retry_After="7"), text("A")])
    site.pages = {"/": lambda headers: next(answers), "/sitemap.xml": status(404)}
    assert site.read(site.crawl()) == ["/"]
    assert site.slept == [1, 5, 2, 2, 2]  # the delay; seven seconds in two parts, twice the delay; the same


@pytest.mark.parametrize(
    ("after", "date", "waited_s"),
    [
        ("Wed, 14 Oct 2026 06:30:04 GMT", "Wed, 14 Oct 2026 06:30:00 GMT", [4]),
        ("Wed, 14 Oct 2026 06:00:00 GMT", "Wed, 14 Oct 2026 06:30:00 GMT", []),
        ("Wed, 14 Oct 2026 06:30:04 GMT", "", [3]),
        ("soon", "Wed, 14 Oct 2026 06:30:00 GMT", [3]),
        ("", "", [3]),
        ("-5", "", [3]),
    ],
)
def test_retry_after_may_be_a_date_by_the_server_s_own_clock(
    site: Site, after: str, date: str, waited_s: list[float]
) -> None:
    answers = iter([status(503, Retry_After=after, Date=date), text("A")])
    site.pages = {"/": lambda headers: next(answers)}
    assert site.read(site.crawl(limits=Limits(busy_wait_s=3))) == ["/"]
    assert site.slept == [1, *waited_s, 2, 2]


def test_a_server_that_stays_busy_is_left_with_what_was_not_read_told(site: Site) -> None:
    site.pages = {"/": links("/a", "/b"), "/a": status(429, Retry_After="3600"), "/b": text("B")}
    found = site.crawl()
    assert site.read(found) == ["/"]
    assert site.skipped(found) == {"/a": "busy", "/b": "busy"}
    assert sum(site.slept) < 10
    assert site.asked.count("/a") == 1


def test_a_page_is_tried_three_times_while_the_server_is_busy(site: Site) -> None:
    site.pages = {"/": links("/a", "/b"), "/a": status(503), "/b": text("B")}
    found = site.crawl()
    assert site.asked.count("/a") == 3
    assert site.skipped(found) == {"/a": "busy"}
    assert site.read(found) == ["/", "/b"]


def test_a_site_that_fails_five_times_in_a_row_is_left_alone(site: Site) -> None:
    names = [f"/{n}" for n in range(9)]
    site.pages = {"/": links(*names), **dict.fromkeys(names, status(500))}
    found = site.crawl()
    assert sum(path in names for path in site.asked) == 5
    assert list(site.skipped(found).values()) == ["failed"] * 5 + ["busy"] * 4


def test_a_crawl_ends_when_it_is_not_to_go_on(site: Site) -> None:
    site.pages = {"/": links("/a", "/b"), "/a": text("A"), "/b": text("B")}
    found = site.crawl(going_on=lambda: "/a" not in site.asked)
    assert [type(item) for item in found] == [Page, Page]
    assert "/b" not in site.asked


def test_a_long_pause_is_left_when_the_crawl_is_not_to_go_on(site: Site) -> None:
    site.pages = {"/": status(503, Retry_After="100")}
    found = site.crawl(going_on=lambda: len(site.slept) < 4)
    assert (found, len(site.slept)) == ([], 4)


# ------------------------------------------------------------------ pages made to do harm


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\x00\xff\xfe", b"<div>" * 200_000, b"<a href=" * 50_000, b"<!--" * 100_000,
        b'<a href="' + b"a" * 500_000 + b'">', b'<base href="http://["><a href="x">', b"<p>" + b"\xff" * 99,
        b'<meta name="robots"><link rel="canonical"><a>', b"<![CDATA[" * 1000, b"&#xfffffffff;&nosuch;" * 99,
    ],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize(
    "charset", ["", "; charset=utf-8", "; charset=utf-16", "; charset=nosuch", "; charset=idna"]
)
def test_a_damaged_page_does_not_end_the_crawl(site: Site, body: bytes, charset: str) -> None:
    site.pages = {"/": links("/bad", "/good"), "/bad": (200, {"Content-Type": "text/html" + charset}, body)}
    site.pages["/good"] = text("G")
    found = site.crawl()
    assert "/good" in site.read(found)
    assert "/bad" in [site.path(item) for item in found]


def test_a_page_in_another_charset_is_read_by_its_header_or_its_meta(site: Site) -> None:
    gbk = '<a href="/一">x</a>'.encode("gbk")
    site.pages = {
        "/": links("/header", "/meta"),
        "/header": (200, {"Content-Type": "text/html; charset=GBK"}, b"1" + gbk),
        "/meta": (200, {"Content-Type": "text/html"}, b'<meta charset="gbk">2' + gbk),
        "/%E4%B8%80": text("One"),
    }  # fmt: skip
    assert site.read(site.crawl()) == ["/", "/header", "/meta", "/%E4%B8%80"]


def test_a_page_that_did_not_change_leads_where_it_led_before(site: Site) -> None:
    def start(headers: dict[str, str]) -> Answer:
        if headers.get("if-none-match") == '"1"':
            return status(304)
        return html('Start <a href="/a">a</a> <a href="/late?utm_source=x">b</a>', ETag='"1"')

    site.pages = {"/": start, "/a": html("A")}
    first = site.crawl()
    assert site.read(first) == ["/", "/a"]
    assert site.kept(first)[site.url + "/"].links == (site.url + "/a", site.url + "/late")
    site.pages["/late"] = html("Late")
    second = site.crawl(known=site.kept(first))
    assert site.read(second) == ["/late"]


def test_a_start_page_that_redirects_in_a_circle_says_so(site: Site) -> None:
    site.pages = {"/": to("/x"), "/x": to("/")}
    assert site.skipped(site.crawl()) == {"/": "moved", "/x": "failed"}
