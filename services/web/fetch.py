"""The only way out: asks a public http(s) address and nothing else.

The address is checked where it counts, at connect: the name is resolved here, once, every address it
has must be public, and the socket goes to the very address that was checked, so a name that changes
its answer in between gains nothing. Each redirect is a new request and is checked again.
Every wait (name, connection, TLS, each read and write) ends at one common time, so a server that drips
bytes gains nothing either; the answer is unpacked here, and never further than the caller's limit.
No proxy, cookie or credential is taken from the environment. What is not done here: retries, caching.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from json import dumps
from typing import Any

import httpcore
import httpx

from services.errors import FetchFailed, FetchRefused, InvalidInput, TooLarge

USER_AGENT = "Trefoil/0.1"
PORTS = frozenset({80, 443, 8000, 8008, 8080, 8443})
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
MAX_REDIRECTS = 5
MAX_BYTES = 10 * 2**20
MAX_CALL_BYTES = 2**20  # of a call's answer, and of the JSON that is sent
MAX_HEAD_BYTES = 256 * 2**10
TIMEOUT_S = 20.0
SILENCE_S = 10.0  # the longest wait for a single step: a connection, some bytes
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

# Zones, percent signs, and numbers that some resolvers take for an address: 2130706433, 0x7f.1, 127.1.
_ODD_HOST = re.compile(r".*%.*|\.*|(?![0-9]+(\.[0-9]+){3}$)([^:]*\.)?([0-9]+|0x[0-9a-f]*)\.*")
_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")  # all of IPv6 that is given out
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214: these 32 bits, then an IPv4 address
# CGNAT, protocol assignments (Teredo in 2001::/23), 6to4 and its relays, benchmarks, documentation
_SPECIAL_V4 = "100.64.0.0/10 192.0.0.0/24 192.88.99.0/24 198.18.0.0/15"
_SPECIAL_V6 = "2001::/23 2001:db8::/32 2002::/16 3ffe::/16 3fff::/20"
_NOT_PUBLIC_EITHER = [ipaddress.ip_network(block) for block in f"{_SPECIAL_V4} {_SPECIAL_V6}".split()]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The last answer: `url` after redirects, lower-case header names, the unpacked body in bytes."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    moved_permanently: bool


def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    secret_headers: Iterable[str] = (),
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    follow: bool = True,
    wants_body: Callable[[int, Mapping[str, str]], bool] | None = None,
    allow_hosts: Iterable[str] = (),
    allow_private: bool = False,
) -> Fetched:
    """GET an address; any HTTP status is an answer, not an error.

    Headers named in `secret_headers`, and Authorization, Cookie, Proxy-Authorization and X-Api-Key, are
    not sent on to another origin. `follow=False` gives a redirect back as the answer.
    `wants_body(status, headers)` may say no: the body is then left unread and given as empty.
    `allow_hosts`: hosts an operator named in the settings ("crm.internal", "crm.internal:9000"); they may
    lie in the private network and on the port named, the others still may not. `allow_private` lifts both
    checks for every hop: it is for tests. Neither may ever come from data.
    Raises FetchRefused (scheme, port, private address), TooLarge (over `max_bytes`, packed or not),
    FetchFailed (no answer in `timeout_s` seconds over all hops, broken answer, too many redirects).
    """
    trip = _Trip("GET", _head(headers), secret_headers, max_bytes, timeout_s, allow_hosts, allow_private)
    trip.follow, trip.wants_body = follow, wants_body
    return _travel(trip, url)


def call(
    method: str,
    url: str,
    *,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    secret_headers: Iterable[str] = (),
    max_bytes: int = MAX_CALL_BYTES,
    timeout_s: float = SILENCE_S,
    allow_hosts: Iterable[str] = (),
    allow_private: bool = False,
) -> Fetched:
    """Ask an HTTP service: METHODS, with `json` as the body unless it is None; any status is an answer.

    A redirect is followed for a GET without body only; else it is the answer, and nothing is sent on.
    The other parameters and errors are those of `fetch`; after FetchFailed the service may have done
    what it was asked, so give it a key to know a repetition by. Raises InvalidInput for another method
    or for `json` that is not JSON, TooLarge when it is over MAX_CALL_BYTES; nothing was sent then.
    """
    method = method.upper()
    if method not in METHODS:
        raise InvalidInput(f"The method must be one of {', '.join(sorted(METHODS))}.", field="method")
    sent, body = _head(headers, accept="application/json"), b""
    if json is not None:
        try:
            body = dumps(json, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput("The body cannot be written as JSON.", field="json") from error
        if len(body) > MAX_CALL_BYTES:
            raise TooLarge("The body is larger than is sent: send less.", limit_bytes=MAX_CALL_BYTES)
        sent.setdefault("content-type", "application/json")
    trip = _Trip(method, sent, secret_headers, max_bytes, timeout_s, allow_hosts, allow_private)
    trip.sent, trip.follow = body, method == "GET" and not body
    return _travel(trip, url)


def check_address(address: str) -> None:
    """Raise FetchRefused unless an IP address is a public unicast one, whatever it is wrapped in."""
    ip = _unwrapped(address)
    public = ip.is_global and not ip.is_multicast and not ip.is_reserved
    if isinstance(ip, ipaddress.IPv6Address):
        public = ip in _UNICAST_V6 and (int(ip) >> 32) & 0xFFFFFFFF not in _ISATAP
    if not public or any(ip in network for network in _NOT_PUBLIC_EITHER if network.version == ip.version):
        raise _refused(
            "The address leads into a private network, which is not fetched: give a public address, "
            "or have the operator allow this host."
        )


def plain_url(url: str) -> str:
    """An address in the one spelling that is sent: lower-case ASCII host, no default port or fragment.

    Raises FetchRefused when it is not an http(s) address, or one in a spelling made to deceive.
    """
    return str((usable := _usable(url)).copy_with(fragment=None, raw_path=usable.raw_path))


def gunzip(data: bytes, max_bytes: int) -> bytes:
    """Unpack gzip bytes, at most `max_bytes` of them. Raises TooLarge, or FetchFailed when damaged."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        out = unpacker.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise FetchFailed("The answer is broken: it cannot be unpacked.", transient=False) from error
    if len(out) > max_bytes:
        raise _too_large(max_bytes)
    if not unpacker.eof or unpacker.unused_data.startswith(b"\x1f\x8b"):
        raise FetchFailed("The answer is broken: it ends too early, or is packed in several pieces.")
    return out


@dataclass(slots=True)
class _Trip:
    """One request over all its hops: what is sent, what may be reached, until when (monotonic clock)."""

    method: str
    headers: dict[str, str]
    secret: Iterable[str]
    max_bytes: int
    timeout_s: float
    allow_hosts: Iterable[str]
    allow_private: bool
    sent: bytes = b""
    follow: bool = True
    wants_body: Callable[[int, Mapping[str, str]], bool] | None = None
    ends: float = 0.0
    head_left: int | None = None

    def __post_init__(self) -> None:
        self.ends = time.monotonic() + self.timeout_s
        self.allow_hosts = frozenset(re.sub(r"[][]", "", name.lower()) for name in self.allow_hosts)
        self.secret = _SECRET | {name.lower() for name in self.secret}

    def left_s(self) -> float:
        """How long the next step may wait."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise FetchFailed(f"The answer takes over {self.timeout_s:g} seconds: try again later.")
        return min(left, SILENCE_S)

    def received(self, count: int) -> None:
        """Count bytes before the body; endless headers end here."""
        if self.head_left is not None:
            self.head_left -= count
            if self.head_left < 0:
                raise FetchFailed("The answer is broken: its headers do not end.", transient=False)

    def named(self, host: str, port: int) -> bool:
        """Whether an operator named this host, with this port or one of PORTS."""
        return f"{host}:{port}" in self.allow_hosts or (host in self.allow_hosts and port in PORTS)

    def check(self, host: str, port: int, address: str) -> None:
        """Raise FetchRefused unless an address of this host may be connected to."""
        if self.allow_private:
            return
        if not self.named(host, port):
            check_address(address)
        ip = _unwrapped(address)
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
            raise _refused("The address is not one of a single server: correct it.")


def _travel(trip: _Trip, url: str) -> Fetched:
    at = _usable(url)
    permanent = True
    for hop in range(MAX_REDIRECTS + 1):
        port = _port(at)
        if not (trip.allow_private or port in PORTS or trip.named(at.raw_host.decode(), port)):
            raise _refused(f"Port {port} is not fetched: use one of {sorted(PORTS)}.", port=port)
        with httpcore.ConnectionPool(ssl_context=_tls(), network_backend=_Sockets(trip)) as pool:
            answer = _ask(pool, trip, at)
        target = answer.headers.get("location")
        if not trip.follow or answer.status not in _REDIRECTS or not target:
            return replace(answer, moved_permanently=hop > 0 and permanent)
        permanent = permanent and answer.status in {301, 308}
        onward = _usable(target, at)
        if (onward.scheme, onward.raw_host, _port(onward)) != (at.scheme, at.raw_host, _port(at)):
            trip.headers = {name: value for name, value in trip.headers.items() if name not in trip.secret}
        at = onward
    raise FetchFailed(f"The address redirects more than {MAX_REDIRECTS} times.", transient=False)


def _ask(pool: httpcore.ConnectionPool, trip: _Trip, url: httpx.URL) -> Fetched:
    headers = [(b"Host", url.netloc), (b"Connection", b"close")]
    headers += [(name.encode(), value.encode()) for name, value in trip.headers.items()]
    if trip.method in {"POST", "PUT", "PATCH"} or trip.sent:
        headers.append((b"Content-Length", str(len(trip.sent)).encode()))
    to = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=_port(url), target=url.raw_path)
    trip.head_left = MAX_HEAD_BYTES
    try:
        made = pool.handle_request(httpcore.Request(trip.method, to, headers=headers, content=trip.sent))
        trip.head_left = None
        try:
            told = dict(httpx.Headers(made.headers))  # names in lower case, repeated ones joined
            onward = trip.follow and made.status in _REDIRECTS and "location" in told
            read = not onward and (trip.wants_body is None or trip.wants_body(made.status, told))
            body = _body(made, told, trip.max_bytes) if read else b""
            return Fetched(str(url), made.status, told, body, False)
        finally:
            made.close()
    except httpcore.ProtocolError as error:
        raise FetchFailed("The answer is broken: it is not HTTP as it should be.") from error
    except ssl.SSLCertVerificationError as error:
        raise FetchFailed("The certificate does not fit this address.", transient=False) from error
    except (httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
        raise FetchFailed("The address does not answer: check it, or try again later.") from error


def _body(made: httpcore.Response, headers: Mapping[str, str], max_bytes: int) -> bytes:
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)
    raw = bytearray()
    for chunk in made.iter_stream():
        raw += chunk
        if len(raw) > max_bytes:
            raise _too_large(max_bytes)
    packed = headers.get("content-encoding", "identity").strip().lower()
    if not raw or packed in {"", "identity"}:
        return bytes(raw)
    if packed not in {"gzip", "x-gzip"}:
        raise FetchFailed("The answer is packed in a way that was not asked for.", transient=False)
    return gunzip(bytes(raw), max_bytes)


def _usable(url: str, base: httpx.URL | None = None) -> httpx.URL:
    """Read an address, against `base` when it is a redirect's target."""
    try:
        parsed = httpx.URL(url) if base is None else base.join(url)
        parsed = httpx.URL(str(parsed))  # a scheme in capitals hides the default port from the first reading
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise _refused("That is not a usable address: correct its spelling.") from error
    host = parsed.raw_host.decode()
    if parsed.scheme not in {"http", "https"} or not host:
        raise _refused("Only http and https addresses are fetched: write it with https:// in front.")
    if parsed.userinfo:
        raise _refused("An address with a user name or password in it is not fetched: take them out.")
    if _ODD_HOST.fullmatch(host):
        raise _refused("That is not a usable address: write its host the usual way.")
    return parsed


def _port(url: httpx.URL) -> int:
    return (443 if url.scheme == "https" else 80) if url.port is None else url.port


def _head(headers: Mapping[str, str] | None, **defaults: str) -> dict[str, str]:
    """The headers to send, in lower case. Raises FetchRefused for one that would break the request."""
    given = {name.lower(): str(value).strip() for name, value in (headers or {}).items()}
    for name, value in given.items():
        if name in _OURS or not _HEADER_NAME.fullmatch(name) or _CONTROL.search(value):
            raise FetchRefused("A header is not one that may be set: leave it out.", field="headers")
    return {"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": "gzip", **defaults, **given}


def _unwrapped(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The IPv4 address inside a mapped or NAT64 one; any other as it is."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address) and (ip.ipv4_mapped or ip in _NAT64):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


def _refused(detail: str, **extra: Any) -> FetchRefused:
    return FetchRefused(detail, field="url", **extra)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The answer is over the {max_bytes:,} bytes that are read.", limit_bytes=max_bytes)


_tls = cache(partial(httpx.create_ssl_context, trust_env=False))


def _resolved(host: str, port: int, wait_s: float) -> list[Any]:
    """What the name stands for, as `getaddrinfo` tells it; in a thread, for that call knows no time limit."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(wait_s)
    if not found or isinstance(found[0], Exception):
        raise httpcore.ConnectError("the name cannot be resolved") from (found or [None])[0]
    return list(found[0])


@dataclass(eq=False)
class _Sockets(httpcore.NetworkBackend):
    """Resolves a name, refuses it when any address is not public, connects to a checked address."""

    trip: _Trip

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        found = _resolved(host, port, self.trip.left_s())
        for entry in found:
            self.trip.check(host, port, str(entry[4][0]))
        for family, kind, protocol, _name, place in found[:4]:
            wait_s = self.trip.left_s()
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(wait_s)
                made.connect(place)
                return _Stream(made, self.trip)
            except OSError:
                made.close()
        raise httpcore.ConnectError("no address of the name answers")


@dataclass(eq=False)
class _Stream(httpcore.NetworkStream):
    """A socket whose every step ends with the trip; the pool's own time limits are not used."""

    made: socket.socket
    trip: _Trip

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.made.settimeout(self.trip.left_s())
        got = self.made.recv(max_bytes)
        self.trip.received(len(got))
        return got

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = memoryview(buffer)
        while left:
            self.made.settimeout(self.trip.left_s())
            try:
                left = left[self.made.send(left) :]
            except ConnectionError as error:  # the pool goes on to read what the server said before it closed
                raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self.made.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self.made.settimeout(self.trip.left_s())
        return _Stream(ssl_context.wrap_socket(self.made, server_hostname=server_hostname), self.trip)
