"""The one way out: public addresses only, checked where the connection is made, on every hop."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from services.errors import FetchFailed, FetchRefused, TooLarge
from services.web import fetch as fetching
from services.web.fetch import check_address, fetch


class _Handler(BaseHTTPRequestHandler):
    """Answers by path; keeps the headers it was sent."""

    seen: list[tuple[str, dict[str, str]]] = []

    def do_GET(self) -> None:
        type(self).seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        port = self.server.server_address[1]
        if self.path == "/ok":
            self._send(200, b"hello")
        elif self.path == "/loop":
            self._send(302, b"", Location="/loop")
        elif self.path == "/moved":
            self._send(301, b"", Location="/ok")
        elif self.path == "/elsewhere":
            self._send(302, b"", Location=f"http://localhost:{port}/ok")
        elif self.path == "/to-file":
            self._send(302, b"", Location="file:///etc/passwd")
        elif self.path == "/bomb":
            self._send(200, gzip.compress(b"0" * 5_000_000), **{"Content-Encoding": "gzip"})
        elif self.path == "/torn":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif self.path == "/garbage":
            self.wfile.write(b"\x00\x01\x02 no http at all\r\n\r\n")
        else:
            self._send(404, b"nothing")

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Silence."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1",
        "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::",
        "2002:a00:1::", "2002:c0a8:101::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(FetchRefused):
        check_address(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_a_public_address_is_not_refused(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)", "",
        "http://", "http://user:secret@example.com/", "http://example.com:22/", "http://example.com:6379/",
        "http://[::1", "http://example.com:99999/", "data:text/plain,hi", "//example.com/x",
    ],
)  # fmt: skip
def test_an_address_of_another_kind_is_refused_by_name(url: str) -> None:
    with pytest.raises(FetchRefused) as caught:
        fetch(url)
    assert caught.value.field == "url"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::1]"])
def test_the_own_machine_is_refused_in_every_spelling(server: str, host: str) -> None:
    port = server.rsplit(":", 1)[1]
    before = len(_Handler.seen)
    fetching_ports = fetching.PORTS
    fetching.PORTS = frozenset({int(port)})
    try:
        with pytest.raises(FetchRefused):
            fetch(f"http://{host}:{port}/ok")
    finally:
        fetching.PORTS = fetching_ports
    assert len(_Handler.seen) == before


def test_a_name_with_one_private_address_among_public_ones_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (ip, port)) for ip in ("93.184.216.34", "10.0.0.5")]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    with pytest.raises(FetchRefused):
        fetch("http://two-faced.example/")


def test_a_name_that_changes_its_answer_is_resolved_once_and_connected_to_what_was_checked(
    monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    port = int(server.rsplit(":", 1)[1])
    answers = iter(["127.0.0.1", "10.9.9.9"])
    asked: list[str] = []

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        if not host.endswith(".example"):  # an address is its own answer
            return [(socket.AF_INET, 1, 6, "", (host, port))]
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", (next(answers), port))]

    monkeypatch.setattr(fetching.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetching, "check_address", lambda address: None)
    monkeypatch.setattr(fetching, "PORTS", frozenset({port}))
    assert fetch(f"http://rebinding.example:{port}/ok").body == b"hello"
    assert asked == ["rebinding.example"]


def test_an_answer_comes_with_status_headers_and_body(server: str) -> None:
    answer = fetch(f"{server}/ok", allow_private=True)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"hello", "5")
    assert fetch(f"{server}/none", allow_private=True).status == 404


def test_redirects_are_followed_and_a_permanent_move_is_told(server: str) -> None:
    answer = fetch(f"{server}/moved", allow_private=True)
    assert (answer.url, answer.body, answer.moved_permanently) == (f"{server}/ok", b"hello", True)


def test_credentials_do_not_cross_to_another_origin(server: str) -> None:
    fetch(f"{server}/elsewhere", headers={"Authorization": "Bearer secret"}, allow_private=True)
    (first, sent_first), (second, sent_second) = _Handler.seen[-2:]
    assert (first, second) == ("/elsewhere", "/ok")
    assert "authorization" in sent_first
    assert "authorization" not in sent_second


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/loop", FetchFailed),
        ("/to-file", FetchRefused),
        ("/bomb", TooLarge),
        ("/torn", FetchFailed),
        ("/garbage", FetchFailed),
    ],
)
def test_a_hostile_answer_ends_in_an_error_of_its_own(server: str, path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        fetch(f"{server}{path}", allow_private=True, max_bytes=1_000_000, timeout_s=5)


def test_a_dead_address_fails_and_may_be_tried_again() -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch("http://127.0.0.1:9/", allow_private=True, timeout_s=3)
    assert caught.value.transient


def test_a_proxy_from_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert fetch(f"{server}/ok", allow_private=True).status == 200
