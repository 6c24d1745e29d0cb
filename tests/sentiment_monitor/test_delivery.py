"""The outbox: written with the alert, sent once, retried, given up with a reason."""

from __future__ import annotations

import smtplib
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from sentiment_monitor import delivery, evidence
from sentiment_monitor.models import Alert, Bucket, Company, Delivery, Recipient, Score, Story

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)


@pytest.fixture
def alert() -> Alert:
    """An alert with three stories, told to two people in two languages."""
    company = Company.objects.create(slug="acme", name="Acme <Kettles>")
    ids = []
    for i in range(3):
        at = NOW - timedelta(hours=i + 1)
        story = Story.objects.create(title=f"Acme warns {i} <b>", happened_at=at, entries_n=2)
        Score.objects.create(
            story=story, company=company, model_version="v", p_neg=0.9, p_neu=0.1, p_pos=0, created_at=at
        )
        Bucket.objects.create(company=company, hour=at, model_version="v", n_neg=1)
        ids.append(story.pk)
    made = Alert.objects.create(
        company=company, kind="negative_surge", fingerprint="f", started_at=NOW, last_at=NOW, window_h=3,
        observed=3, expected=0.4, share=1, baseline_share=0.2, p_value=1e-4, evidence=ids,
    )  # fmt: skip
    Recipient.objects.create(address="risk@acme.example")
    Recipient.objects.create(address="fengxian@acme.example", language="zh-hans")
    Recipient.objects.create(address="away@acme.example", enabled=False)
    delivery.enqueue(made, NOW)
    return made


def send_all(now: datetime = NOW) -> list[bool]:
    done = []
    for delivery_id in delivery.due(now, LEASE):
        claimed = delivery.claim(delivery_id, now, LEASE)
        assert claimed is not None
        found = evidence.gather(claimed.alert, now)
        done.append(
            delivery.send(claimed, found, public_url="https://t.example", sender="a@t.example", now=now)
        )
    return done


@pytest.mark.django_db
def test_each_recipient_gets_one_message_in_their_language_with_a_picture(alert: Alert) -> None:
    delivery.enqueue(alert, NOW)  # the same alert again makes no second message
    assert send_all() == [True, True]
    assert send_all() == []
    english = next(m for m in mail.outbox if m.to == ["risk@acme.example"])
    assert english.subject.startswith("Negative surge: Acme <Kettles>, 3 negative stories in 3 h")
    parsed = message_from_bytes(english.message().as_bytes(), policy=policy.default)
    types = [part.get_content_type() for part in parsed.walk()]
    assert {"text/plain", "text/html", "image/png"} <= set(types)
    html = parsed.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "Acme &lt;Kettles&gt;" in html
    assert "<b>" not in html
    assert reverse("monitor-acknowledge", args=[alert.token]) in html
    plain = parsed.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert plain.strip().startswith("Acme <Kettles> had 3 negative stories within 3 hours")
    assert "https://t.example" in plain


class _Down:
    """A mail server that answers as a test says."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def send_messages(self, messages: Any) -> int:
        raise self.error


@pytest.mark.django_db
def test_a_mail_server_that_is_down_delays_and_loses_nothing(
    alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "django.core.mail.get_connection", lambda *a, **k: _Down(ConnectionRefusedError(111, "no"))
    )
    assert send_all() == [False, False]
    waiting = Delivery.objects.all()
    assert {d.state for d in waiting} == {Delivery.State.QUEUED}
    assert all(d.next_try_at > NOW and "ConnectionRefusedError" in d.last_error for d in waiting)
    assert send_all() == []  # not before its time
    monkeypatch.undo()
    assert send_all(NOW + timedelta(hours=1)) == [True, True]


@pytest.mark.django_db
def test_an_address_that_is_refused_for_good_is_given_up_at_once(
    alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = smtplib.SMTPRecipientsRefused({"risk@acme.example": (550, b"no such user")})
    monkeypatch.setattr("django.core.mail.get_connection", lambda *a, **k: _Down(refused))
    send_all()
    assert {d.state for d in Delivery.objects.all()} == {Delivery.State.DEAD}


@pytest.mark.django_db
def test_a_server_that_stays_down_is_given_up_after_eight_tries(
    alert: Alert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django.core.mail.get_connection", lambda *a, **k: _Down(TimeoutError()))
    now = NOW
    for _ in range(delivery.MAX_ATTEMPTS):
        send_all(now)
        now += timedelta(days=1)
    assert {d.state for d in Delivery.objects.all()} == {Delivery.State.DEAD}


@pytest.mark.django_db
def test_opening_the_acknowledge_link_changes_nothing_and_the_button_does(
    alert: Alert, client: Client
) -> None:
    url = reverse("monitor-acknowledge", args=[alert.token])
    assert client.get(url).status_code == 200
    alert.refresh_from_db()
    assert alert.acknowledged_at is None
    assert client.post(url).status_code == 302
    alert.refresh_from_db()
    assert alert.acknowledged_at is not None
    assert client.get(reverse("monitor-acknowledge", args=["x" * 32])).status_code == 404
