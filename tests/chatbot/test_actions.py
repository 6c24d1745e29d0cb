"""The company's own service, on a real local server: what is sent, what is believed, what is never said."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from chatbot import actions
from services.errors import FetchRefused, InvalidInput, SuiteError


@dataclass
class Service:
    """A company's system: remembers what it was asked, and answers as it is told."""

    port: int = 0
    status: int = 200
    body: bytes = b'{"order": {"status": "packed", "eta": "2026-03-07"}}'
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def service() -> Iterator[Service]:
    """The company's system, listening."""
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.asked.append(
                {
                    "method": self.command,
                    "path": self.path,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "body": sent,
                }
            )
            time.sleep(told.wait_s)
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_args: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()


def place(*hosts: str, own: str = "https://chat.example.com") -> actions.Place:
    return actions.Place(hosts, own)


def ask(service: Service, action: dict[str, Any], **values: str) -> actions.Answered:
    return actions.perform(action, values, place(f"127.0.0.1:{service.port}"))


def test_values_are_escaped_in_path_and_query_and_the_reply_is_picked(service: Service) -> None:
    action = {
        "method": "GET",
        "url": f"{service.url}/orders/{{number}}?mail={{mail}}&x=1",
        "reply_path": "order",
    }
    found = ask(service, action, number="a/../b?c#d&e=f%2e", mail="a&b=c@d.de #")
    assert (found.outcome, found.reply) == ("ok", {"status": "packed", "eta": "2026-03-07"})
    assert service.asked[0]["path"] == (
        "/orders/a%2F..%2Fb%3Fc%23d%26e%3Df%252e?mail=a%26b%3Dc%40d.de%20%23&x=1"
    )
    assert found.trace["host"] == f"127.0.0.1:{service.port}"
    assert found.trace["status"] == 200


def test_a_post_sends_its_fields_as_json_or_every_value_and_names_the_message_once(service: Service) -> None:
    action = {"method": "POST", "url": f"{service.url}/x", "body": {"order": "{number}", "from": "chat"}}
    values = {"number": '1"},{"a":"', "other": "y"}
    actions.perform(action, values, place(f"127.0.0.1:{service.port}"), key="turn-7")
    ask(service, {"method": "POST", "url": f"{service.url}/x"}, **values)
    assert json.loads(service.asked[0]["body"]) == {"order": '1"},{"a":"', "from": "chat"}
    assert service.asked[0]["headers"]["idempotency-key"] == "turn-7"
    assert json.loads(service.asked[1]["body"]) == values


def test_a_secret_comes_from_the_environment_or_its_file(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    action = {
        "method": "GET",
        "url": f"{service.url}/x",
        "headers": {"Authorization": "Bearer secret:ORDER_API", "X-Shop": "blue"},
    }
    assert ask(service, action).outcome == "failed"
    assert service.asked == []
    monkeypatch.setenv("CHATBOT_SECRET_ORDER_API", "s3cret")
    assert ask(service, action).outcome == "ok"
    assert service.asked[0]["headers"]["authorization"] == "Bearer s3cret"
    assert service.asked[0]["headers"]["x-shop"] == "blue"
    (tmp_path / "token").write_text("from-a-file\n")
    monkeypatch.setenv("CHATBOT_SECRET_ORDER_API_FILE", str(tmp_path / "token"))
    ask(service, action)
    assert service.asked[1]["headers"]["authorization"] == "Bearer from-a-file"


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (404, b"{}", "not_found"),
        (410, b"", "not_found"),
        (500, b"Traceback: secret", "failed"),
        (302, b"", "failed"),
        (200, b"<html>", "failed"),
        (200, b'{"order": null}', "failed"),
        (200, b"[" * 30_000, "failed"),
        (200, b"\xff\xfe{}", "failed"),
        (200, b'{"order": "' + b"x" * 70_000 + b'"}', "failed"),
        (204, b"", "failed"),
    ],
)
def test_what_cannot_be_believed_is_a_calm_failure(
    service: Service, status: int, body: bytes, outcome: str
) -> None:
    service.status, service.body = status, body
    found = ask(service, {"method": "GET", "url": f"{service.url}/x", "reply_path": "order"})
    assert (found.outcome, found.reply) == (outcome, None)
    assert "secret" not in repr(found)


def test_a_service_that_does_not_answer_costs_five_seconds_at_most(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert actions.TIMEOUT_S == 5
    monkeypatch.setattr(actions, "TIMEOUT_S", 0.3)
    service.wait_s = 2
    began = time.monotonic()
    found = ask(service, {"method": "GET", "url": f"{service.url}/x"})
    assert (found.outcome, found.trace["code"]) == ("failed", "fetch_failed")
    assert time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/x",
        "http://127.0.0.1:1/x",
        "http://localhost:{port}/x",
        "http://user:pw@127.0.0.1:{port}/x",
        "ftp://127.0.0.1/x",
        "//127.0.0.1:{port}/x",
        "/\\127.0.0.1:{port}/x",
        "x",
        "",
        "http://[::1/x",
        "http://169.254.169.254/latest",
    ],
)
def test_a_host_that_is_not_listed_is_never_asked(service: Service, url: str) -> None:
    action = {"method": "GET", "url": url.replace("{port}", str(service.port))}
    assert actions.perform(action, {}, place("api.example.com")).outcome == "failed"
    assert service.asked == []


def test_a_value_never_chooses_the_host_nor_climbs_the_path(service: Service) -> None:
    host = f"127.0.0.1:{service.port}"
    for url in ("http://{a}/x", "http://{a}.example.com/x", f"http://{{a}}@{host}/x", "{a}"):
        assert actions.perform({"method": "GET", "url": url}, {"a": host}, place(host)).outcome == "failed"
    for value in ("..", ".", ""):
        action = {"method": "GET", "url": f"{service.url}/a/{{a}}/b"}
        assert actions.perform(action, {"a": value}, place(host)).outcome == "failed"
    assert service.asked == []


def test_an_address_that_begins_with_a_slash_is_this_installations_own(service: Service) -> None:
    own = place(own=service.url)
    assert actions.perform({"method": "GET", "url": "/orders/{a}"}, {"a": "1"}, own).outcome == "ok"
    assert service.asked[0]["path"] == "/orders/1"


@pytest.mark.parametrize(
    ("action", "field"),
    [
        ({"method": "BREW", "url": "https://api.example.com/"}, "method"),
        ({"method": "GET", "url": "https://other.example.com/"}, "url"),
        ({"method": "GET", "url": "https://api.example.com:444/"}, "url"),
        ({"method": "GET", "url": "https://api.example.com/{nmber}"}, "url"),
        ({"method": "GET", "url": "https://{number}/"}, "url"),
        (
            {"method": "GET", "url": "https://api.example.com/", "headers": {"Authorization": "abc"}},
            "headers",
        ),
        ({"method": "GET", "url": "https://api.example.com/", "headers": {"X-Api-Key": "abc"}}, "headers"),
        ({"method": "GET", "url": "https://api.example.com/", "headers": {"a b": "c"}}, "headers"),
        ({"method": "GET", "url": "https://api.example.com/", "body": {"a": "b"}}, "body"),
        ({"method": "POST", "url": "https://api.example.com/", "body": {"a": "{nmber}"}}, "body"),
    ],
)
def test_an_action_that_cannot_work_is_refused_at_its_field(action: dict[str, Any], field: str) -> None:
    with pytest.raises((InvalidInput, FetchRefused)) as told:
        actions.require_usable(action, ["number"], place("api.example.com"))
    assert isinstance(told.value, SuiteError)
    assert told.value.field == field


def test_a_usable_action_is_taken() -> None:
    action = {
        "method": "POST",
        "url": "https://API.example.com/orders/{number}",
        "headers": {"Authorization": "secret:ORDER_API"},
        "body": {"n": "{number}"},
    }
    actions.require_usable(action, ["number"], place("api.example.com"))
