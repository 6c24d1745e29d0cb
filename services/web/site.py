"""A site, asked politely, and what it says: robots.txt, sitemaps, headers, the head and links of a page.

One request at a time with a pause before each; a busy server is asked again when it says, and slower.
What is not known here: which pages there are, which were read, and what changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from services.errors import FetchFailed, FetchRefused, SuiteError
from services.web.fetch import Fetched, fetch, gunzip

AGENT = "trefoil"  # the name in robots.txt, as in fetch.USER_AGENT
PAGE_TYPES = ("text/html", "application/xhtml+xml", "text/plain", "text/markdown", "application/pdf")
TRIES = 3  # of one address while the server is busy
FAILURES = 5  # in a row, then the site is left alone
_ROBOTS_BYTES = 512 * 2**10
_SLICE_S = 5.0  # how often a long pause asks whether to go on
Reason = Literal[
    "robots", "noindex", "gone", "moved", "duplicate", "content_type", "too_large", "too_deep", "too_many",
    "trap", "failed", "busy", "refused",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is read of a site: counts, bytes, seconds. `depth` counts links from the start page."""

    pages: int = 500
    requests: int = 2_000
    depth: int = 8
    addresses: int = 20_000
    queries: int = 50  # addresses of one path that differ in what stands after "?"
    sitemaps: int = 50
    page_bytes: int = 10 * 2**20
    total_bytes: int = 500 * 2**20
    timeout_s: float = 20.0
    delay_s: float = 1.0
    busy_wait_s: float = 30.0  # when a busy server does not say for how long
    longest_wait_s: float = 120.0


class Stopped(Exception):
    """The caller does not go on."""


@dataclass(slots=True)
class Visitor:
    """The requests of one crawl: how many, how far apart, and whether the site has had enough of them."""

    limits: Limits
    going_on: Callable[[], bool]
    sleep: Callable[[float], object]
    allow_hosts: tuple[str, ...]
    delay_s: float = 0.0
    requests: int = 0
    failures: int = 0
    stopped: tuple[Reason, str] | None = None

    def ask_robots(self, origin: str) -> Robots:
        self.delay_s = self.limits.delay_s
        try:
            answer = self.ask(f"{origin}/robots.txt", lambda status, _: status == 200, follow=True)
            if answer.status == 429 or answer.status >= 500:
                raise FetchFailed(f"The server answers with status {answer.status}: try again later.")
            robots = read_robots(answer.body) if answer.status == 200 else Robots()
        except FetchRefused as error:
            return Robots(closed=("refused", error.detail))
        except SuiteError as error:
            return Robots(closed=("failed", f"The site's robots.txt cannot be read. {error.detail}"))
        if robots.delay_s > self.limits.longest_wait_s:
            detail = f"The site's robots.txt asks for {robots.delay_s:g} seconds between two pages: "
            robots.closed = "busy", detail + "ask its owner for less, or raise the longest wait."
        self.delay_s = max(self.limits.delay_s, robots.delay_s)
        return robots

    def ask(
        self,
        url: str,
        wants: Callable[[int, Mapping[str, str]], bool],
        headers: Mapping[str, str] | None = None,
        follow: bool = False,
    ) -> Fetched:
        """One request after a pause; while the server is busy, again when it says."""
        limits = self.limits
        for tried in range(TRIES):
            self._pause(self.delay_s if self.requests else 0.0)
            self.requests += 1
            try:
                answer = fetch(
                    url,
                    headers=headers,
                    max_bytes=limits.page_bytes,
                    timeout_s=limits.timeout_s,
                    follow=follow,
                    wants_body=wants,
                    allow_hosts=self.allow_hosts,
                )
            except FetchFailed:
                self._count(True)
                raise
            if answer.status not in {429, 503}:
                break
            wait_s = _retry_after_s(answer.headers, limits.busy_wait_s * 2**tried)
            self.delay_s = min(2 * self.delay_s, limits.longest_wait_s)
            if wait_s > limits.longest_wait_s:
                self.stopped = (
                    "busy",
                    f"The site asks to be left alone for {wait_s:g} seconds: try again then.",
                )
                break
            if tried + 1 < TRIES:
                self._pause(wait_s)
        self._count(answer.status == 429 or answer.status >= 500)
        return answer

    def _count(self, failed: bool) -> None:
        self.failures = self.failures + 1 if failed else 0
        if self.failures >= FAILURES and not self.stopped:
            self.stopped = "busy", f"The site failed {FAILURES} times in a row: try again later."

    def _pause(self, seconds: float) -> None:
        while self.going_on():
            if seconds <= 0:
                return
            self.sleep(min(seconds, _SLICE_S))
            seconds -= _SLICE_S
        raise Stopped


@dataclass(slots=True)
class Robots:
    """What a site's robots.txt tells Trefoil; `closed`: why nothing at all may be read."""

    rules: list[tuple[str, bool]] = field(default_factory=list)  # a pattern, and whether it allows
    sitemaps: list[str] = field(default_factory=list)
    delay_s: float = 0.0
    closed: tuple[Reason, str] | None = None

    def refusal(self, url: str) -> tuple[Reason, str] | None:
        """Why an address is not read: the longest rule that fits decides, at a draw the one that allows."""
        parts = urlsplit(url)
        path = _octets(parts.path or "/") + (f"?{_octets(parts.query)}" if parts.query else "")
        fitting = [(len(rule), allows) for rule, allows in self.rules if _fits(rule, path)]
        if self.closed or max(fitting, default=(0, True))[1]:
            return self.closed
        return "robots", "The site's robots.txt does not allow it: ask its owner to allow Trefoil."


def read_robots(body: bytes) -> Robots:
    """A robots.txt by RFC 9309, with Crawl-delay and Sitemap; what cannot be read in it is passed over."""
    robots = Robots()
    groups: dict[str, list[tuple[str, str]]] = {}
    agents: list[str] = []
    naming = False
    for line in body[:_ROBOTS_BYTES].decode("utf-8-sig", "replace").splitlines():
        key, _, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        key = key.lower()
        if key == "user-agent":
            agents = [*(agents if naming else []), value.lower().partition("/")[0]]
            groups.setdefault(agents[-1], [])
        elif key == "sitemap":
            robots.sitemaps.append(value)
        elif key in {"allow", "disallow", "crawl-delay"}:
            for agent in agents:
                groups[agent].append((key, value))
        naming = key == "user-agent" or (naming and key in {"", "sitemap"})
    for key, value in groups.get(AGENT, groups.get("*", [])):
        if key != "crawl-delay":
            robots.rules += [(_octets(value), key == "allow")] if value else []
        elif re.fullmatch(r"[0-9]{1,6}(\.[0-9]+)?", value):
            robots.delay_s = float(value)
    return robots


def _fits(rule: str, path: str) -> bool:
    """Whether a pattern with * and a final $ fits, in time that grows with the path and no faster."""
    first, *rest = rule.removesuffix("$").split("*")
    if not path.startswith(first):
        return False
    at = len(first)
    for piece in rest:
        found = path.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return not rule.endswith("$") or (path.endswith(rest[-1]) if rest else at == len(path))


def _octets(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="/*$?&=:@!,;+'()~[]|")


def read_sitemap(body: bytes, max_bytes: int) -> tuple[list[str], list[str]]:
    """The pages and the further sitemaps that a sitemap lists (XML or lines of text, gzip or not).

    Raises FetchFailed when it is neither, TooLarge when it unpacks to more than `max_bytes`.
    """
    from lxml import etree

    if body.startswith(b"\x1f\x8b"):
        body = gunzip(body, max_bytes)
    if not body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = [line.strip() for line in body.decode("utf-8-sig", "replace").splitlines()]
        return [line for line in lines if line.startswith(("http://", "https://"))], []
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        root = None
    if root is None or etree.QName(root).localname not in {"urlset", "sitemapindex"}:
        raise FetchFailed("It is not a sitemap.", transient=False)
    listed: dict[str, list[str]] = {"url": [], "sitemap": []}
    for place in root.iter("{*}loc"):
        kind = etree.QName(place.getparent()).localname
        if kind in listed and place.text:
            listed[kind].append(place.text.strip())
    return listed["url"], listed["sitemap"]


@dataclass(slots=True)
class Html:
    """What a crawl needs of a page; `words` is what its hash is of."""

    words: bytes
    base: str = ""
    canonical: str = ""
    links: list[str] = field(default_factory=list)
    rules: set[str] = field(default_factory=set)


def read_html(body: bytes, charset: str, url: str) -> Html:
    """An HTML page's words, links and rules; one too damaged to read has its bytes as words, and no links."""
    from lxml import etree, html

    try:
        if not charset:
            body.decode()
            charset = "utf-8"
    except UnicodeDecodeError:
        charset = ""  # the page's own <meta charset> decides
    try:
        root = html.document_fromstring(body, parser=html.HTMLParser(encoding=charset or None))
        base = urljoin(url, next(iter(root.xpath("//base/@href")), ""))
    except (LookupError, ValueError, etree.LxmlError):
        return Html(body, url)
    metas = [meta for meta in root.iter("meta") if (meta.get("name") or "").lower() in {"robots", AGENT}]
    named = [link for link in root.iter("link") if "canonical" in (link.get("rel") or "").lower().split()]
    shown = [a for a in root.iter("a", "area") if "nofollow" not in (a.get("rel") or "").lower().split()]
    read = Html(b"", base, next((link.get("href") or "" for link in named), ""))
    read.links = [a.get("href") for a in shown if a.get("href")]
    read.rules = {rule for meta in metas for rule in rules_of(meta.get("content") or "")}
    etree.strip_elements(
        root, "script", "style", "template", "noscript", etree.Comment, etree.PI, with_tail=False
    )
    read.words = " ".join(" ".join(root.itertext()).split()).encode()
    return read


def rules_of(text: str) -> set[str]:
    """The words of a robots <meta> or X-Robots-Tag that are said to everyone or to Trefoil."""
    found: set[str] = set()
    agent = AGENT
    for part in text.lower().split(","):
        name, colon, value = part.partition(":")
        if colon and not name.strip().startswith(("unavailable_after", "max-")):
            agent, part = name.strip(), value
        if agent == AGENT:
            found.add(part.strip())
    return found | ({"noindex", "nofollow"} if "none" in found else set())


def media_type(headers: Mapping[str, str]) -> tuple[str, str]:
    """The media type and the charset that the header tells, each in lower case, empty when untold."""
    kind, _, rest = headers.get("content-type", "").lower().partition(";")
    charset = re.search(r"charset=[\"']?([a-z0-9_.:-]+)", rest)
    return kind.strip(), charset.group(1) if charset else ""


def is_page(status: int, headers: Mapping[str, str]) -> bool:
    """Whether an answer is a page of a type that is read."""
    return status == 200 and media_type(headers)[0] in PAGE_TYPES


def _retry_after_s(headers: Mapping[str, str], otherwise_s: float) -> float:
    """What Retry-After asks for; a date counts from the server's own Date."""
    told = headers.get("retry-after", "")
    if told.isdecimal():
        return float(told[:9])
    try:
        gap = parsedate_to_datetime(told) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return otherwise_s
    return max(0.0, gap.total_seconds())
