"""Reads a web site politely: one page after another, and only those that changed come back.

Robots.txt is asked first, then the start page, the sitemaps, and the links of every page within the same
host and path; last come the pages known from before that nothing led to. A page that did not change is
answered without its links: those kept from before are followed in their place. One request at a time,
with a pause before each. Everything goes through `fetch`, so no page, redirect or sitemap leads into a
private network. A redirect's target waits its turn like any page: it is asked of robots.txt, and a circle
ends where it began.
What is not known here: rows, files, and what the words of a page are good for.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import sleep as sleep_s
from urllib.parse import urljoin, urlsplit

from services.errors import FetchFailed, FetchRefused, SuiteError, TooLarge
from services.web.fetch import MAX_REDIRECTS, Fetched, plain_url
from services.web.site import (
    PAGE_TYPES,
    Html,
    Limits,
    Reason,
    Robots,
    Stopped,
    Visitor,
    is_page,
    media_type,
    read_html,
    read_sitemap,
    rules_of,
)

_TRACKING = re.compile(r"(utm_\w+|gclid|fbclid|msclkid|mc_[ce]id)(=|$)", re.IGNORECASE)
_FILE = re.compile(  # endings that are never a page
    r"\.(zip|t?gz|7z|rar|dmg|exe|iso|png|jpe?g|gif|webp|avif|svg|ico|css|js|json|xml|rss|atom|mp[34]|webm"
    r"|mov|avi|wav|ogg|woff2?|ttf|docx?|xlsx?|pptx?|csv)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Known:
    """What to keep of a page for the next crawl; `sha256` is of an HTML page's words, else of its bytes.

    `links` are the addresses within reach that it led to.
    """

    etag: str = ""
    last_modified: str = ""
    sha256: str = ""
    canonical: str = ""
    depth: int = 0
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page that is new or changed; `canonical` is the address to show people, often `url` itself."""

    url: str
    canonical: str
    content_type: str
    charset: str
    body: bytes
    known: Known


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A page that is as it was; `known` takes the place of what was kept."""

    url: str
    known: Known


@dataclass(frozen=True, slots=True)
class Skipped:
    """An address that gives no page, why in one word, and in a sentence for people."""

    url: str
    reason: Reason
    detail: str

    @property
    def stale(self) -> bool:
        """Whether a copy kept from before must go; if not, the page may well still be there."""
        return self.reason in {"robots", "noindex", "gone", "moved", "duplicate", "content_type"}


def crawl(
    start: str,
    *,
    known: Mapping[str, Known] | None = None,
    limits: Limits | None = None,
    going_on: Callable[[], bool] = lambda: True,
    sleep: Callable[[float], object] = sleep_s,
    allow_hosts: Iterable[str] = (),
) -> Iterator[Page | Unchanged | Skipped]:
    """Read the site around an address, or the pages of a sitemap (an address that ends in .xml, .xml.gz).

    Within reach is the same host under the path of `start`: "/docs", "/docs/" and "/docs/a.html" all
    reach /docs/...; a start that redirects out of that takes the reach along. `known` has the pages of
    the last crawl by `url`. `going_on` is asked before every request and in long pauses; after a no the
    crawl ends without a word. `sleep` takes seconds. `allow_hosts` is that of `fetch`.
    Raises FetchRefused when `start` is no address; any trouble after that is a Skipped.
    """
    visit = _Visit(known or {}, Visitor(limits or Limits(), going_on, sleep, tuple(allow_hosts)))
    try:
        visit.enter(_Place(plain_url(start), start=True))
        while (step := visit.next_step()) is not None:
            yield from step
    except Stopped:
        return
    reason = visit.visitor.stopped or (
        "too_many",
        "The crawl came to its limits before this page: raise them.",
    )
    yield from (Skipped(place.url, *reason) for place in visit.queue)
    if visit.left_out:
        yield Skipped(visit.origin, "too_many", f"{visit.left_out} more addresses were found and left.")


@dataclass(frozen=True, slots=True)
class _Place:
    """An address that waits for its turn; `hops`: redirects that led to it."""

    url: str
    depth: int = 0
    hops: int = 0
    start: bool = False


@dataclass(slots=True)
class _Visit:
    """One crawl: what waits, what was seen, how the site wants to be treated."""

    known: Mapping[str, Known]
    visitor: Visitor
    origin: str = ""
    prefix: str = "/"
    robots: Robots = field(init=False)
    queue: deque[_Place] = field(default_factory=deque)
    sitemaps: deque[str] = field(default_factory=deque)
    seen: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)  # canonical address or hash -> where it was read
    queries: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    maps: int = 0
    pages: int = 0
    taken_bytes: int = 0
    follow: bool = True
    known_added: bool = False

    def enter(self, place: _Place) -> None:
        """Take the site around a place for the one to read, and learn its rules."""
        parts = urlsplit(place.url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.robots = self.visitor.ask_robots(self.origin)
        folder, _, last = parts.path.rpartition("/")
        is_map = last.endswith((".xml", ".xml.gz")) and not self.robots.refusal(place.url)
        self.follow = not is_map
        self.prefix = "/" if is_map else (folder if "." in last else parts.path).rstrip("/") + "/"
        guess = self.origin + "/sitemap.xml"
        found = self.robots.sitemaps or ([] if self.robots.refusal(guess) else [guess])
        self.sitemaps = deque([place.url] if is_map else found)
        if not is_map:
            self.seen.add(place.url)
            self.queue.appendleft(place)

    def next_step(self) -> Iterator[Page | Unchanged | Skipped] | None:
        """What comes of the next request; None at the end."""
        limits = self.visitor.limits
        full = self.visitor.requests >= limits.requests or self.taken_bytes >= limits.total_bytes
        if self.visitor.stopped or full or self.pages >= limits.pages:
            return None
        if self.sitemaps and not (self.queue and self.queue[0].start):
            return self._read_map(self.sitemaps.popleft())
        if not self.queue and not self.known_added:
            self.known_added = True
            return self._add((url, known.depth) for url, known in self.known.items())
        return self._read(self.queue.popleft()) if self.queue else None

    def _read(self, place: _Place) -> Iterator[Page | Unchanged | Skipped]:
        url, known = place.url, self.known.get(place.url, Known())
        asked = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
        if url in self.told:
            yield _twin(url, self.told[url])
        elif refusal := self.robots.refusal(url):
            yield Skipped(url, *refusal)
        else:
            try:
                answer = self.visitor.ask(
                    url, is_page, {name: value for name, value in asked.items() if value}
                )
                yield from self._answered(place, known, answer)
            except TooLarge as error:
                yield Skipped(url, "too_large", error.detail)
            except FetchRefused as error:
                yield Skipped(url, "refused", error.detail)
            except FetchFailed as error:
                yield Skipped(url, "failed", error.detail)

    def _answered(self, place: _Place, known: Known, answer: Fetched) -> Iterator[Page | Unchanged | Skipped]:
        status, kind = answer.status, media_type(answer.headers)[0]
        if status in {301, 302, 303, 307, 308} and "location" in answer.headers:
            yield self._moved(place, answer.headers["location"])
        elif status == 304 and known.sha256:
            yield (twin := self._first(place.url, known)) or Unchanged(place.url, known)
            if self.follow and not twin:
                yield from self._add((link, place.depth + 1) for link in known.links)
        elif status in {404, 410}:
            yield Skipped(place.url, "gone", "The page is not there any more.")
        elif status != 200:
            reason: Reason = "busy" if status in {429, 503} else "failed"
            yield Skipped(place.url, reason, f"The server answers with status {status}: try again later.")
        elif kind not in PAGE_TYPES:
            yield Skipped(
                place.url, "content_type", f"It is of the type {kind or 'unknown'}, which is not read."
            )
        else:
            yield from self._page(place, known, answer)

    def _page(self, place: _Place, known: Known, answer: Fetched) -> Iterator[Page | Unchanged | Skipped]:
        self.taken_bytes += len(answer.body)
        kind, charset = media_type(answer.headers)
        read = read_html(answer.body, charset, place.url) if "html" in kind else Html(answer.body)
        rules = read.rules | rules_of(answer.headers.get("x-robots-tag", ""))
        canonical = (read.canonical and self._inside(read.canonical, read.base)) or place.url
        near = [] if "nofollow" in rules else [self._inside(link, read.base) for link in read.links]
        links = tuple(dict.fromkeys(link for link in near if link and link != place.url))
        new = Known(
            answer.headers.get("etag", ""),
            answer.headers.get("last-modified", ""),
            hashlib.sha256(read.words).hexdigest(),
            "" if canonical == place.url else canonical,
            place.depth,
            links if self.follow else (),
        )
        twin = None
        if "noindex" in rules:
            yield Skipped(place.url, "noindex", "The page asks not to be kept (noindex).")
        elif twin := self._first(place.url, new):
            yield twin
        elif new.sha256 == known.sha256:
            yield Unchanged(place.url, new)
        else:
            yield Page(place.url, canonical, kind, charset, answer.body, new)
        if self.follow and not twin:
            yield from self._add((link, place.depth + 1) for link in links)

    def _first(self, url: str, known: Known) -> Skipped | None:
        """Count a page; when the same was read at another address, say so instead."""
        keys = [known.canonical or url, known.sha256]
        for key in keys:
            if key in self.told:
                return _twin(url, self.told[key])
        self.told |= dict.fromkeys(keys, url)
        self.pages += 1
        return None

    def _moved(self, place: _Place, location: str) -> Skipped:
        target = _joined(place.url, location)
        inside = self._inside(target)
        if place.hops >= MAX_REDIRECTS:
            return Skipped(place.url, "failed", f"It redirects more than {MAX_REDIRECTS} times.")
        if place.start and inside in self.seen:
            return Skipped(place.url, "failed", f"It redirects in a circle, to {target}.")
        if place.start and (not inside or not target.startswith(self.origin + "/")):
            self.enter(_Place(target, hops=place.hops + 1, start=True))
        elif inside and inside not in self.seen:
            self.seen.add(inside)
            self.queue.appendleft(_Place(inside, place.depth, place.hops + 1, place.start))
        return Skipped(place.url, "moved", f"It redirects to {target}.")

    def _read_map(self, url: str) -> Iterator[Skipped]:
        self.maps += 1
        self.seen.add(url)
        if self.maps > self.visitor.limits.sitemaps:
            self.sitemaps.clear()
            return
        try:
            answer = self.visitor.ask(url, lambda status, _: status == 200, follow=True)
            if answer.status != 200:
                raise FetchFailed(f"The server answers with status {answer.status}.")
            pages, maps = read_sitemap(answer.body, self.visitor.limits.page_bytes)
        except SuiteError as error:
            if url in self.robots.sitemaps or not self.follow:
                yield Skipped(url, "failed", f"The sitemap cannot be read. {error.detail}")
            return
        self.taken_bytes += len(answer.body)
        host = url.split("/")[2:3]
        near = [to for to in dict.fromkeys(maps) if to.split("/")[2:3] == host and to not in self.seen]
        self.seen.update(near)
        self.sitemaps.extend(near)
        yield from self._add((page, 1) for page in pages)

    def _add(self, found: Iterable[tuple[str, int]]) -> Iterator[Skipped]:
        """Put what lies within reach into the queue; what is never asked for comes back with its reason."""
        for link, depth in found:
            url = self._inside(link)
            if url is None or url in self.seen:
                continue
            if len(self.seen) >= self.visitor.limits.addresses:
                self.left_out += 1
                continue
            self.seen.add(url)
            path, _, query = url.partition("?")
            self.queries[path] += bool(query)
            often = max(Counter(path.split("/")[3:]).values())
            if _FILE.search(path):
                yield Skipped(url, "content_type", "Its ending is that of a file which is not read.")
            elif often > 3 or self.queries[path] > self.visitor.limits.queries or len(url) > 1000:
                yield Skipped(url, "trap", "Its address looks like one of an endless series.")
            elif depth > self.visitor.limits.depth:
                yield Skipped(
                    url,
                    "too_deep",
                    f"It is more than {self.visitor.limits.depth} links away: raise the depth.",
                )
            else:
                self.queue.append(_Place(url, depth))

    def _inside(self, link: str, base: str = "") -> str | None:
        """An address as it is asked for, when it lies within reach: the site's scheme, no tracking."""
        try:
            parts = urlsplit(_joined(base or self.origin, link))
        except FetchRefused:
            return None
        near = parts.netloc == urlsplit(self.origin).netloc and f"{parts.path}/".startswith(self.prefix)
        query = "&".join(part for part in parts.query.split("&") if not _TRACKING.match(part))
        return self.origin + parts.path + (f"?{query}" if query else "") if near else None


def _joined(base: str, link: str) -> str:
    try:
        return plain_url(urljoin(base, link.strip()))
    except ValueError as error:
        raise FetchRefused("It leads to an address that cannot be read.", field="url") from error


def _twin(url: str, other: str) -> Skipped:
    return Skipped(url, "duplicate", f"The same page was read at {other}.")
