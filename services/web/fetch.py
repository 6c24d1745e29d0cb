"""The only way out: fetches a public http(s) address and nothing else.

The address is checked where it counts, at connect: the name is resolved here, every address it has
must be public, and the connection goes to the very address that was checked, so a name that changes
its answer in between gains nothing. Each redirect is a new request and is checked again.
No proxy, cookie or credential is taken from the environment. What is not done here: retries, caching.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore
import httpx

from services.errors import FetchFailed, FetchRefused, TooLarge

USER_AGENT = "Trefoil/0.1 (+feed reader)"
PORTS = frozenset({80, 443, 8000, 8008, 8080, 8443})
MAX_REDIRECTS = 5
MAX_BYTES = 10 * 2**20
TIMEOUT_S = 20.0
_NOT_PUBLIC_EITHER = [
    ipaddress.ip_network(block)
    for block in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "100.64.0.0/10",
        "2001::/23",
        "fec0::/10",
    )
]
_PREFIXES_WITH_AN_IPV4 = {
    ipaddress.ip_network("64:ff9b::/96"): 0,  # NAT64, RFC 6052
    ipaddress.ip_network("2002::/16"): 80,  # 6to4, RFC 3056: the 32 bits after the prefix
}


@dataclass(frozen=True, slots=True)
class Fetched:
    """The last answer: `url` after redirects, lower-case header names, the decoded body in bytes."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    moved_permanently: bool


def fetch(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    allow_private: bool = False,
) -> Fetched:
    """GET an address; any HTTP status is an answer, not an error.

    `allow_private` is for tests and for targets an operator names in the settings, never for data.
    Raises FetchRefused (scheme, port, private address), TooLarge (more than `max_bytes` decoded),
    FetchFailed (no answer in `timeout_s` seconds over all hops, broken answer, too many redirects).
    """
    ends = time.monotonic() + timeout_s
    sent = {"User-Agent": USER_AGENT, **(headers or {})}
    permanent = True
    with httpx.Client(
        transport=_Guarded(allow_private), follow_redirects=False, trust_env=False, timeout=10.0
    ) as client:
        for hop in range(MAX_REDIRECTS + 1):
            _check_url(url, allow_private)
            answer = _get(client, url, sent, max_bytes, ends)
            target = answer.headers.get("location")
            if answer.status not in {301, 302, 303, 307, 308} or not target:
                return Fetched(url, answer.status, answer.headers, answer.body, hop > 0 and permanent)
            permanent = permanent and answer.status in {301, 308}
            onward = urljoin(url, target)
            if urlsplit(onward)[:2] != urlsplit(url)[:2]:
                sent = {k: v for k, v in sent.items() if k.lower() not in {"authorization", "cookie"}}
            url = onward
    raise FetchFailed("The address redirects more than 5 times.", transient=False)


def _get(client: httpx.Client, url: str, headers: Mapping[str, str], max_bytes: int, ends: float) -> Fetched:
    try:
        with client.stream("GET", url, headers=headers) as answer:
            body = bytearray()
            for chunk in answer.iter_bytes(65536):
                body += chunk
                if len(body) > max_bytes:
                    raise TooLarge("The answer is larger than is read.", limit_bytes=max_bytes)
                if time.monotonic() > ends:
                    raise FetchFailed("The answer took too long.")
            lower = {name.lower(): value for name, value in answer.headers.items()}
            return Fetched(url, answer.status_code, lower, bytes(body), False)
    except (httpx.DecodingError, httpx.RemoteProtocolError, httpcore.RemoteProtocolError) as error:
        raise FetchFailed("The answer is broken.") from error
    except (httpx.HTTPError, httpcore.NetworkError, httpcore.TimeoutException, OSError) as error:
        raise FetchFailed(f"The address does not answer ({type(error).__name__}).") from error
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchRefused("That is not a usable address.", field="url") from error


def check_address(address: str) -> None:
    """Raise FetchRefused unless an IP address is a public unicast one, whatever it is wrapped in."""
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or _embedded(ip)
        if inner is not None:
            check_address(str(inner))
            return
    special = any(ip in network for network in _NOT_PUBLIC_EITHER if network.version == ip.version)
    if special or not ip.is_global or ip.is_multicast or ip.is_reserved:
        raise FetchRefused("The address leads into a private network, which is not fetched.", field="url")


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    for network, shift in _PREFIXES_WITH_AN_IPV4.items():
        if ip in network:
            return ipaddress.IPv4Address((int(ip) >> shift) & 0xFFFFFFFF)
    return None


def _check_url(url: str, allow_private: bool) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise FetchRefused("That is not a usable address.", field="url") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise FetchRefused("Only http and https addresses are fetched.", field="url")
    if parts.username or parts.password:
        raise FetchRefused("An address with a user name or password in it is not fetched.", field="url")
    if port not in PORTS and not allow_private:
        raise FetchRefused(f"Port {port} is not fetched.", field="url", port=port)


class _Guarded(httpx.BaseTransport):
    """httpx over a connection pool whose sockets are made by `_Sockets`."""

    def __init__(self, allow_private: bool) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False), network_backend=_Sockets(allow_private)
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        made = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        assert isinstance(made.stream, Iterable)
        return httpx.Response(made.status, headers=made.headers, stream=_Body(made))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """The answer's body, with the pool's own errors left to `_get`."""

    def __init__(self, made: httpcore.Response) -> None:
        self._made = made

    def __iter__(self) -> Iterator[bytes]:
        yield from self._made.iter_stream()

    def close(self) -> None:
        self._made.close()


class _Sockets(httpcore.NetworkBackend):
    """Resolves a name, refuses it when any address is not public, connects to the checked address."""

    def __init__(self, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name cannot be resolved") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._allow_private:
            for address in addresses:
                check_address(address)
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in addresses:
            try:
                return self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.NetworkError as error:
                failure = error
        raise failure

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        raise FetchRefused("Only network addresses are fetched.")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
