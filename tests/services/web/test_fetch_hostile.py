"""What a hostile address, name, redirect or server can do to `fetch`: nothing.

Real servers on this machine: FRONT (127.0.0.2) stands for a public one, 127.0.0.1 is the inside, on the
same port. Both count what they accept, and every address a socket is connected to is written down.
Names are answered by a table in the place of `socket.getaddrinfo`.
"""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.errors import FetchFailed, FetchRefused, InvalidInput, SuiteError, TooLarge
from services.web import fetch as fetching
from services.web.fetch import MAX_CALL_BYTES, call, check_address, fetch, plain_url

FRONT, INSIDE = "127.0.0.2", "127.0.0.1"
Reply = Callable[[socket.socket], None]


@dataclass
class Server:
    """Answers each path with what a test put there; `accepted` counts connections, `heard` requests."""

    host: str
    port: int
    replies: dict[str, Reply] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    accepted: int = 0
    heard: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def serve(self, listening: socket.socket) -> None:
        while True:
            try:
                made, _ = listening.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._answer, args=(made,), daemon=True).start()

    def _answer(self, made: socket.socket) -> None:
        with suppress(OSError, ValueError), closing(made):
            made.settimeout(30)
            if self.tls:
                made = self.tls.wrap_socket(made, server_side=True)
            head = b""
            while b"\r\n\r\n" not in head:
                got = made.recv(65536)
                if not got:
                    return
                head += got
            first, *lines = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
            body = head.partition(b"\r\n\r\n")[2]
            while len(body) < int(headers.get("content-length", "0")):
                body += made.recv(65536)
            method, path, _ = first.split(" ")
            self.heard.append((method, path, headers, body))
            self.replies.get(path, reply(200, b"hello"))(made)


def reply(status: int, body: bytes = b"", **headers: str) -> Reply:
    told = {"Content-Length": str(len(body)), **{k.replace("_", "-"): v for k, v in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return lambda made: made.sendall(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode("latin-1") + body)


def endless(start: bytes, more: bytes) -> Reply:
    """Sends until the other side hangs up."""

    def send(made: socket.socket) -> None:
        made.sendall(start)
        while True:
            made.sendall(more)

    return send


def drip(start: bytes, more: bytes) -> Reply:
    """A byte now and then, for as long as the other side listens: never silent, never done."""

    def send(made: socket.socket) -> None:
        made.sendall(start)
        while True:
            for byte in more:
                made.sendall(bytes([byte]))
                time.sleep(0.02)

    return send


@dataclass
class World:
    """The two servers, the table of names, and every address a connection was tried to."""

    front: Server
    inside: Server
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.front.port

    def url(self, path: str = "/", host: str = "front.example") -> str:
        return f"http://{host}:{self.port}{path}"

    def resolve(self, host: str, port: int, *args: Any, **kinds: Any) -> Any:
        self.asked.append(host)
        answers = self.names.get(host)
        if answers is None:
            if host.endswith(".example"):
                raise socket.gaierror("no such name")
            return _resolve(host, port, *args, **kinds)
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
            for ip in addresses
        ]

    def assert_inside_untouched(self) -> None:
        assert self.inside.accepted == 0
        assert set(self.connected) <= {FRONT}


_resolve = socket.getaddrinfo
_connect = socket.socket.connect


def listening_pair() -> tuple[socket.socket, socket.socket]:
    """A socket at FRONT and one INSIDE, listening on the same port."""
    for _ in range(50):
        front, inside = socket.socket(), socket.socket()
        try:
            front.bind((FRONT, 0))
            inside.bind((INSIDE, front.getsockname()[1]))
            front.listen(20)
            inside.listen(20)
        except OSError:  # the port is taken at one of the two
            front.close()
            inside.close()
        else:
            return front, inside
    raise OSError("no port is free at both addresses")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    front, inside = listening_pair()
    with front, inside:
        port = front.getsockname()[1]
        made = World(Server(FRONT, port), Server(INSIDE, port))
        made.names |= {"front.example": [[FRONT]], "localhost.": [[INSIDE]]}
        for server, listening in ((made.front, front), (made.inside, inside)):
            threading.Thread(target=server.serve, args=(listening,), daemon=True).start()

        def spy(self: socket.socket, address: Any) -> None:
            made.connected.append(address[0])
            _connect(self, address)

        def check(address: str) -> None:
            if address != FRONT:
                check_address(address)

        monkeypatch.setattr(socket, "getaddrinfo", made.resolve)
        monkeypatch.setattr(socket.socket, "connect", spy)
        monkeypatch.setattr(fetching, "check_address", check)
        monkeypatch.setattr(fetching, "PORTS", frozenset({port}))
        yield made
        for listening in (front, inside):
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def test_the_stand_in_for_a_public_server_answers(world: World) -> None:
    assert fetch(world.url()).body == b"hello"
    assert (world.front.accepted, world.inside.accepted) == (1, 0)


# ------------------------------------------------------------------ addresses, in every wrapping

PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.20.0.1", "192.168.0.1",
    "169.254.169.254", "100.64.0.1", "100.127.255.254", "192.0.0.170", "192.0.2.7", "192.88.99.1",
    "198.19.255.1", "198.51.100.9", "203.0.113.9", "224.0.0.251", "233.1.1.1", "250.0.0.1",
    "255.255.255.255", "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::1", "fdff::1", "ff02::1",
    "ff0e::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "::7f00:1", "::a00:1", "::ffff:7f00:1",
    "::ffff:a9fe:a9fe", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b::c0a8:1", "64:ff9b:1::7f00:1",
    "64:ff9b:1::101:101", "2002:7f00:1::1", "2002:101:101::1", "2001::1", "2001:0:4136::80ff:fffe",
    "2001:10::1", "2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1", "4000::1", "e000::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_redirect_into_any_private_network_is_refused(world: World, address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    world.front.replies["/"] = reply(302, Location=world.url("/secret", host))
    with pytest.raises(FetchRefused, match="private network"):
        fetch(world.url())
    assert world.front.accepted == 1
    world.assert_inside_untouched()


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_stands_for_a_private_address_is_refused(world: World, address: str) -> None:
    world.names["inside.example"] = [[FRONT, address]]
    with pytest.raises(FetchRefused, match="private network"):
        fetch(world.url("/", "inside.example"))
    assert (world.front.accepted, world.connected) == (0, [])
    world.assert_inside_untouched()


SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.0.0.1", "0x7f.1", "017700000001",
    "0177.0.0.1", "0177.1", "127.0.0.1.", "127.0.0.1..", "2130706433.", "127.0.0.01", "localhost",
    "LOCALHOST", "localhost.", "%3127.0.0.1", "ⓛocalhost", "１２７.０.０.１", "127。0。0。1", "127%2e0.0.1",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::127.0.0.1]",
    "[::1%25lo]", "[fe80::1%25lo]", "[::1%lo]", "front.example@127.0.0.1", "front.example:80@127.0.0.1",
    "front.example\\@127.0.0.1", "front.example%40127.0.0.1", "front.example%00.127.0.0.1",
    "front.example\t@127.0.0.1", "front.example #@127.0.0.1", "", ".", "%", "[127.0.0.1]", "256.256.256.256",
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_the_own_machine_is_reached(world: World, host: str) -> None:
    with pytest.raises(FetchRefused) as caught:
        fetch(world.url("/secret", host))
    assert caught.value.field == "url"
    assert world.connected == []
    world.assert_inside_untouched()


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_the_own_machine_is_redirected_to(world: World, host: str) -> None:
    world.front.replies["/"] = lambda made: made.sendall(
        f"HTTP/1.1 307 X\r\nLocation: http://{host}:{world.port}/secret\r\nContent-Length: 0\r\n\r\n".encode()
    )
    with pytest.raises((FetchRefused, FetchFailed)):
        fetch(world.url())
    assert world.front.accepted == 1
    world.assert_inside_untouched()


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd", "gopher://front.example/", "ftp://front.example/", "data:text/plain,hi",
        "javascript:alert(1)", "ldap://127.0.0.1/", "dict://127.0.0.1:11211/", "unix:///var/run/docker.sock",
        "http://front.example:22/", "http://front.example:6379/", "http://front.example:0/",
        "http://front.example:99999/", "http://front.example:-1/", "http://[::1", "http://user:pw@front.example/",
    ],
)  # fmt: skip
def test_a_redirect_to_another_scheme_or_port_is_refused(world: World, target: str) -> None:
    world.front.replies["/"] = reply(302, Location=target)
    with pytest.raises(FetchRefused) as caught:
        fetch(world.url())
    assert caught.value.field == "url"
    assert world.front.accepted == 1
    world.assert_inside_untouched()


@pytest.mark.parametrize("user", ["me", "me:pw", ":pw", "inside.example%2f:"])
def test_a_name_and_password_in_the_address_are_refused(world: World, user: str) -> None:
    world.front.replies["/"] = reply(302, Location=world.url("/", f"{user}@front.example"))
    for url in (world.url("/", f"{user}@front.example"), world.url()):
        with pytest.raises(FetchRefused, match="password"):
            fetch(url)
    assert world.front.accepted == 1


def test_a_redirect_without_a_scheme_is_checked_as_well(world: World) -> None:
    world.front.replies["/"] = reply(302, Location=f"//{INSIDE}:{world.port}/secret")
    with pytest.raises(FetchRefused, match="private network"):
        fetch(world.url())
    world.assert_inside_untouched()


# ------------------------------------------------------------------ names that change their answer


def test_a_name_that_turns_private_after_the_check_gains_nothing(world: World) -> None:
    world.names["rebind.example"] = [[FRONT], [INSIDE]]
    assert fetch(world.url("/", "rebind.example")).status == 200
    assert world.asked == ["rebind.example"]
    assert world.front.accepted == 1
    world.assert_inside_untouched()


def test_a_name_that_turns_private_between_two_hops_is_refused(world: World) -> None:
    world.names["rebind.example"] = [[FRONT], [INSIDE]]
    world.front.replies["/"] = reply(302, Location="/secret")
    with pytest.raises(FetchRefused, match="private network"):
        fetch(world.url("/", "rebind.example"))
    assert world.asked == ["rebind.example"] * 2
    assert world.front.accepted == 1
    world.assert_inside_untouched()


def test_a_name_that_turns_private_between_two_fetches_is_refused(world: World) -> None:
    world.names["rebind.example"] = [[FRONT], [INSIDE]]
    fetch(world.url("/", "rebind.example"))
    with pytest.raises(FetchRefused, match="private network"):
        fetch(world.url("/", "rebind.example"))
    world.assert_inside_untouched()


def test_a_call_is_bound_to_the_checked_address_too(world: World) -> None:
    world.names["rebind.example"] = [[INSIDE], [FRONT]]
    with pytest.raises(FetchRefused, match="private network"):
        call("POST", world.url("/", "rebind.example"), json={"order": 1})
    assert world.connected == []
    world.assert_inside_untouched()


def test_a_name_without_an_answer_fails(world: World) -> None:
    with pytest.raises(FetchFailed):
        fetch(world.url("/", "nowhere.example"))
    assert world.connected == []


def test_a_resolver_that_hangs_ends_with_the_time_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: let_go.wait(60))
    with pytest.raises(FetchFailed):
        fetch(world.url(), timeout_s=0.3)
    let_go.set()
    assert world.connected == []


# ------------------------------------------------------------------ redirects without end


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_too_many_redirects_fail_after_the_fifth(world: World, status: int) -> None:
    for hop in range(10):
        world.front.replies[f"/{hop}"] = reply(status, Location=f"/{hop + 1}")
    with pytest.raises(FetchFailed, match="more than 5 times"):
        fetch(world.url("/0"))
    assert world.front.accepted == 6
    world.front.replies["/5"] = reply(200, b"at last")
    assert fetch(world.url("/0")).body == b"at last"


def test_the_body_of_a_redirect_is_not_read(world: World) -> None:
    world.front.replies["/"] = endless(b"HTTP/1.1 302 X\r\nLocation: /there\r\n\r\n", b"x" * 65536)
    assert fetch(world.url(), max_bytes=1000).body == b"hello"


def test_a_redirect_is_the_answer_when_none_is_to_be_followed(world: World) -> None:
    world.front.replies["/"] = reply(302, Location=world.url("/secret", INSIDE))
    answer = fetch(world.url(), follow=False)
    assert (answer.status, world.front.accepted) == (302, 1)
    world.assert_inside_untouched()


# ------------------------------------------------------------------ bodies and headers without end

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HOSTILE: dict[str, tuple[Reply, type[SuiteError]]] = {
    "gzip-bomb": (reply(200, gzip.compress(b"0" * 30_000_000), Content_Encoding="gzip"), TooLarge),
    "gzip-in-gzip": (
        reply(200, gzip.compress(gzip.compress(b"0" * 30_000_000)), Content_Encoding="gzip, gzip"),
        FetchFailed,
    ),
    "gzip-members": (reply(200, gzip.compress(b"") * 5_000, Content_Encoding="gzip"), FetchFailed),
    "gzip-torn": (reply(200, gzip.compress(b"hello" * 99)[:-12], Content_Encoding="gzip"), FetchFailed),
    "gzip-not": (reply(200, b"no gzip at all", Content_Encoding="gzip"), FetchFailed),
    "deflate-bomb": (reply(200, zlib.compress(b"0" * 30_000_000), Content_Encoding="deflate"), FetchFailed),
    "unknown-encoding": (reply(200, b"\x00" * 100, Content_Encoding="br"), FetchFailed),
    "said-too-large": (reply(200, b"x", Content_Length="999999999999"), TooLarge),
    "endless-body": (endless(OK + b"\r\n", b"x" * 65536), TooLarge),
    "endless-chunks": (endless(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"), TooLarge),
    "endless-gzip": (
        endless(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:10], b"\x00" * 65536),
        TooLarge,
    ),
    "endless-headers": (endless(OK, b"X-More: and more\r\n" * 1000), FetchFailed),
    "endless-header-line": (endless(OK + b"X-Long: ", b"x" * 65536), FetchFailed),
    "endless-status-line": (endless(b"HTTP/1.1 200 ", b"x" * 65536), FetchFailed),
    "endless-continue": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), FetchFailed),
    "endless-trailers": (endless(CHUNKED + b"0\r\n", b"X-More: and more\r\n" * 1000), FetchFailed),
    "endless-chunk-size": (endless(CHUNKED, b"0" * 65536), FetchFailed),
    "switching-protocols": (
        endless(b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", b"x" * 65536),
        FetchFailed,
    ),
    "hang-up": (lambda made: None, FetchFailed),
    "hang-up-in-body": (lambda made: made.sendall(OK + b"Content-Length: 9\r\n\r\nhalf"), FetchFailed),
    "two-lengths": (
        lambda made: made.sendall(OK + b"Content-Length: 1\r\nContent-Length: 5\r\n\r\nhello"),
        FetchFailed,
    ),
    "binary": (lambda made: made.sendall(bytes(range(256)) * 20), FetchFailed),
    "other-protocol": (lambda made: made.sendall(b"220 ready to serve mail\r\n"), FetchFailed),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_answer_ends_in_an_error_of_its_own(world: World, kind: str) -> None:
    world.front.replies["/"], error = HOSTILE[kind]
    with pytest.raises(error) as caught:
        fetch(world.url(), max_bytes=1_000_000)
    assert caught.value.detail.endswith(".")
    if kind.startswith("endless") and error is FetchFailed:
        assert "broken" in caught.value.detail  # told by what came, and not by the time that passed


def test_a_bomb_is_not_unpacked_further_than_the_limit(world: World) -> None:
    world.front.replies["/"] = HOSTILE["gzip-bomb"][0]
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            fetch(world.url(), max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


SLOW: dict[str, Reply] = {
    "body": drip(OK + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "body-without-length": drip(OK + b"\r\n", b"x"),
    "chunks": drip(CHUNKED, b"1\r\nx\r\n"),
    "headers": drip(OK, b"X-Slow: yes\r\n"),
    "status-line": drip(b"", b"H"),
    "continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "silence": lambda made: time.sleep(30),
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_server_that_drips_bytes_is_left_when_the_time_is_over(world: World, kind: str) -> None:
    world.front.replies["/"] = SLOW[kind]
    with pytest.raises(FetchFailed) as caught:
        fetch(world.url(), timeout_s=0.5)
    assert caught.value.transient


def test_redirects_share_one_time_limit(world: World) -> None:
    for hop in range(5):
        start = f"HTTP/1.1 302 X\r\nLocation: /{hop + 1}\r\n".encode()
        world.front.replies[f"/{hop}"] = drip(start, b"X-Slow: a quarter of a second or so\r\n\r\n")
    with pytest.raises(FetchFailed):
        fetch(world.url("/0"), timeout_s=0.5)


def test_a_server_that_never_finishes_the_tls_handshake_is_left(world: World) -> None:
    with pytest.raises(FetchFailed):
        fetch(f"https://front.example:{world.port}/", timeout_s=0.5)
    world.assert_inside_untouched()


@pytest.mark.parametrize("name", ["front.example", "other.example"])
def test_a_certificate_must_be_one_of_the_name_that_was_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    certificate = self_signed(tmp_path, "front.example")
    inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    inside.load_cert_chain(certificate)
    world.front.tls = inside
    world.names[name] = [[FRONT]]
    monkeypatch.setattr(fetching, "_tls", lambda: ssl.create_default_context(cafile=str(certificate)))
    url = f"https://{name}:{world.port}/"
    if name == "front.example":
        assert fetch(url).body == b"hello"
        return
    with pytest.raises(FetchFailed, match="certificate") as caught:
        fetch(url)
    assert not caught.value.transient
    assert world.front.heard == []


def test_a_certificate_nobody_vouches_for_is_refused(world: World, tmp_path: Path) -> None:
    inside = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    inside.load_cert_chain(self_signed(tmp_path, "front.example"))
    world.front.tls = inside
    with pytest.raises(FetchFailed, match="certificate"):
        fetch(f"https://front.example:{world.port}/")
    assert world.front.heard == []


def self_signed(folder: Path, name: str) -> Path:
    """A key and a certificate of its own making for one name, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path = folder / f"{name}.pem"
    path.write_bytes(key.private_bytes(pem, *private) + made.public_bytes(pem))
    return path


def test_an_unwanted_body_is_left_unread(world: World) -> None:
    world.front.replies["/"] = endless(OK + b"Content-Type: video/mp4\r\n\r\n", b"x" * 65536)
    answer = fetch(world.url(), wants_body=lambda status, told: told["content-type"] != "video/mp4")
    assert (answer.status, answer.body) == (200, b"")


def test_an_honest_gzip_answer_is_unpacked(world: World) -> None:
    world.front.replies["/"] = reply(200, gzip.compress(b"hello" * 20), Content_Encoding="gzip")
    assert fetch(world.url(), max_bytes=100).body == b"hello" * 20
    assert world.front.heard[0][2]["accept-encoding"] == "gzip"


# ------------------------------------------------------------------ credentials and the environment

SECRETS = {
    "Authorization": "Bearer s3cret", "Cookie": "sid=s3cret", "Proxy-Authorization": "Basic s3cret",
    "X-Api-Key": "s3cret", "X-Shop-Token": "s3cret", "Accept-Language": "en",
}  # fmt: skip


def test_secrets_are_dropped_at_another_origin_and_do_not_come_back(world: World) -> None:
    world.names["other.example"] = [[FRONT]]
    world.front.replies["/"] = reply(302, Location=world.url("/there", "other.example"))
    world.front.replies["/there"] = reply(302, Location=world.url("/back"))
    fetch(world.url(), headers=SECRETS, secret_headers=["x-shop-TOKEN"])
    first, there, back = (headers for _method, _path, headers, _body in world.front.heard)
    assert sum("s3cret" in value for value in first.values()) == 5
    for later in (there, back):
        assert not any("s3cret" in value for value in later.values())
        assert later["accept-language"] == "en"


def test_secrets_stay_within_one_origin(world: World) -> None:
    world.front.replies["/"] = reply(302, Location="/there")
    fetch(world.url(), headers=SECRETS)
    assert world.front.heard[1][2]["authorization"] == "Bearer s3cret"


def test_a_cookie_that_is_set_is_not_sent_back(world: World) -> None:
    world.front.replies["/"] = reply(302, Location="/there", Set_Cookie="sid=1; Domain=example")
    fetch(world.url())
    assert "cookie" not in world.front.heard[1][2]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"])
def test_a_proxy_of_the_environment_is_passed_by(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, f"http://{INSIDE}:{world.port}")
    assert fetch(world.url()).status == 200
    world.assert_inside_untouched()


def test_the_passwords_of_netrc_are_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine front.example login a password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    fetch(world.url())
    assert "authorization" not in world.front.heard[0][2]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "inside.example"}, {"Content-Length": "5"}, {"Transfer-Encoding": "chunked"},
        {"Connection": "upgrade"}, {"X-A": "a\r\nHost: inside"}, {"X-A\r\nHost": "b"}, {"X-A": "a\x00b"},
        {"": "a"}, {"X A": "a"}, {"X-A": "a\nb"},
    ],
)  # fmt: skip
def test_headers_that_would_change_the_request_are_refused(world: World, headers: dict[str, str]) -> None:
    for ask in (fetch, lambda url, headers: call("POST", url, json=1, headers=headers)):
        with pytest.raises(FetchRefused) as caught:
            ask(world.url(), headers=headers)
        assert caught.value.field == "headers"
    assert world.connected == []


# ------------------------------------------------------------------ calls, and hosts an operator named


def test_a_call_sends_json_and_gives_any_status_back(world: World) -> None:
    world.front.replies["/orders"] = reply(422, b'{"detail": "no such order"}')
    answer = call("put", world.url("/orders"), json={"id": "A-1", "name": "Zoë"}, headers={"X-Key": "é"})
    assert (answer.status, answer.body) == (422, b'{"detail": "no such order"}')
    method, path, headers, body = world.front.heard[0]
    assert (method, path, json.loads(body)) == ("PUT", "/orders", {"id": "A-1", "name": "Zoë"})
    assert (headers["content-type"], headers["accept"]) == ("application/json", "application/json")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_call_that_changes_something_follows_no_redirect(world: World, method: str, status: int) -> None:
    world.front.replies["/"] = reply(status, Location="/there")
    answer = call(method, world.url(), json={"secret": 1})
    assert (answer.status, answer.headers["location"]) == (status, "/there")
    assert (world.front.accepted, len(world.front.heard)) == (1, 1)


def test_a_get_call_follows_redirects_but_never_with_a_body(world: World) -> None:
    world.front.replies["/"] = reply(307, Location="/there")
    assert call("GET", world.url()).status == 200
    assert call("GET", world.url(), json={"secret": 1}).status == 307


@pytest.mark.parametrize(
    ("method", "body", "error"),
    [
        ("TRACE", None, InvalidInput), ("CONNECT", None, InvalidInput),
        ("GET /x HTTP/1.1\r\n", None, InvalidInput),
        ("POST", {"a": object()}, InvalidInput), ("POST", float("nan"), InvalidInput),
        ("POST", "x" * MAX_CALL_BYTES, TooLarge),
    ],
)  # fmt: skip
def test_a_call_that_cannot_be_sent_is_not(
    world: World, method: str, body: Any, error: type[SuiteError]
) -> None:
    with pytest.raises(error):
        call(method, world.url(), json=body)
    assert world.connected == []


def test_a_server_that_answers_early_and_closes_is_still_heard(world: World) -> None:
    world.front.replies["/"] = reply(413, b"too much")
    assert call("POST", world.url(), json="x" * 900_000).status == 413


def test_a_named_host_may_be_private_and_only_that_one(world: World) -> None:
    world.names |= {"crm.example": [[INSIDE]], "other.example": [[INSIDE]]}
    allowed = ["CRM.example"]
    assert call("POST", world.url("/", "crm.example"), json=1, allow_hosts=allowed).status == 200
    for host in ("other.example", INSIDE, "localhost", "crm.example.", "x.crm.example"):
        with pytest.raises((FetchRefused, FetchFailed)):
            call("POST", world.url("/", host), json=1, allow_hosts=allowed)
    world.inside.replies["/away"] = reply(302, Location=world.url("/", "other.example"))
    with pytest.raises(FetchRefused, match="private network"):
        fetch(world.url("/away", "crm.example"), allow_hosts=allowed)
    assert world.inside.accepted == 2


def test_a_named_port_is_reached_and_only_on_that_host(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PORTS", frozenset({80}))
    world.names["crm.example"] = [[INSIDE]]
    allowed = [f"crm.example:{world.port}"]
    assert fetch(world.url("/", "crm.example"), allow_hosts=allowed).status == 200
    for url in (world.url(), f"http://crm.example:{world.port + 1}/"):
        with pytest.raises(FetchRefused, match="Port"):
            fetch(url, allow_hosts=allowed)
    with pytest.raises(FetchRefused, match="Port"):
        fetch(world.url("/", "crm.example"), allow_hosts=["crm.example"])
    assert (world.inside.accepted, world.front.accepted) == (1, 0)


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::", "::ffff:a9fe:a9fe"]
)
def test_a_named_host_that_stands_for_the_cloud_s_metadata_or_for_many_is_refused(
    world: World, address: str
) -> None:
    world.names["crm.example"] = [[address]]
    with pytest.raises(FetchRefused):
        fetch(world.url("/", "crm.example"), allow_hosts=["crm.example"])
    assert world.connected == []


# ------------------------------------------------------------------ the one spelling of an address


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("HTTP://EXAMPLE.com:80/a/../b#top", "http://example.com/b"),
        ("https://bücher.example:443", "https://xn--bcher-kva.example/"),
        ("http://example.com/ä b?q=ü", "http://example.com/%C3%A4%20b?q=%C3%BC"),
    ],
)
def test_an_address_has_one_plain_spelling(given: str, plain: str) -> None:
    assert plain_url(given) == plain
    assert plain_url(plain) == plain
