"""Hour by hour: a surge opens one alert, an earnings day none of that kind, and nothing is judged twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sentiment_monitor import alerts
from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Alert, Bucket, Company, Delivery, Reading, Recipient, Score, Story

pytestmark = pytest.mark.django_db
START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 24
VERSION = "head-1"
SETTINGS = MonitorSettings(monitor_false_alarms_per_year=1)


@pytest.fixture
def companies() -> list[Company]:
    """Three watched companies with three weeks of ordinary news behind them."""
    Recipient.objects.create(address="risk@acme.example")
    rng = np.random.default_rng(3)
    made = [
        Company.objects.create(slug=slug, name=slug.title(), evaluated_at=START)
        for slug in ("acme", "birch", "cedar")
    ]
    for company in made:
        for hour in range(24 * DAYS):
            at = START + timedelta(hours=hour)
            if 7 <= at.hour <= 18 and rng.random() < 0.08:
                tell(company, at, "negative" if rng.random() < 0.2 else "neutral", 1)
    return made


def tell(company: Company, at: datetime, label: str, n: int) -> None:
    """n stories of one label in the hour of `at`."""
    p = {"negative": (0.9, 0.1, 0.0), "neutral": (0.1, 0.8, 0.1), "positive": (0.0, 0.1, 0.9)}[label]
    for i in range(n):
        story = Story.objects.create(title=f"{company.slug} {label} {at} {i}", happened_at=at, scored_at=at)
        story.mentions.create(company=company, relevance=1.0, matched=company.name)
        Score.objects.create(
            story=story,
            company=company,
            model_version=VERSION,
            p_neg=p[0],
            p_neu=p[1],
            p_pos=p[2],
            created_at=at,
        )
    bucket, _made = Bucket.objects.get_or_create(company=company, hour=at, model_version=VERSION)
    column = {"negative": "n_neg", "neutral": "n_neu", "positive": "n_pos"}[label]
    setattr(bucket, column, getattr(bucket, column) + n)
    bucket.save()


def watch(companies: list[Company], until: datetime) -> int:
    fresh = list(Company.objects.filter(pk__in=[c.pk for c in companies]).order_by("pk"))
    return alerts.watch(fresh, VERSION, SETTINGS, until)


def crisis(company: Company, at: datetime) -> None:
    """Three negative stories an hour for ten hours, then fewer."""
    for hour in range(10):
        tell(company, at + timedelta(hours=hour), "negative", 3)
    for hour in range(10, 24):
        tell(company, at + timedelta(hours=hour), "negative", 1)


def test_a_surge_of_bad_news_opens_one_alert_with_its_stories_and_tells_once(
    companies: list[Company],
) -> None:
    at = START + timedelta(days=20, hours=8)
    crisis(companies[0], at)
    watch(companies, START + timedelta(days=DAYS))
    alert = Alert.objects.get()
    assert (alert.company, alert.kind) == (companies[0], Alert.Kind.NEGATIVE_SURGE)
    assert at < alert.started_at <= at + timedelta(hours=5)
    assert alert.observed > 3 * alert.expected
    assert set(Story.objects.filter(pk__in=alert.evidence).values_list("scores__company", flat=True)) == {
        companies[0].pk
    }
    assert alert.state == Alert.State.RESOLVED
    assert alert.resolved_at is not None
    assert Delivery.objects.count() == 1


def test_a_busy_day_of_good_news_opens_no_negative_alert(companies: list[Company]) -> None:
    at = START + timedelta(days=20, hours=7)
    for hour in range(8):
        tell(companies[1], at + timedelta(hours=hour), "positive", 2)
        tell(companies[1], at + timedelta(hours=hour), "neutral", 1)
    tell(companies[1], at + timedelta(hours=3), "negative", 1)
    watch(companies, START + timedelta(days=DAYS))
    assert not Alert.objects.filter(kind=Alert.Kind.NEGATIVE_SURGE).exists()
    assert not Delivery.objects.exists()


def test_quiet_weeks_open_no_alert(companies: list[Company]) -> None:
    assert watch(companies, START + timedelta(days=DAYS)) == 24 * DAYS
    assert not Alert.objects.exists()
    assert Reading.objects.count() == 3 * 24 * DAYS


def test_judging_in_pieces_comes_to_the_same_as_judging_at_once(companies: list[Company]) -> None:
    crisis(companies[0], START + timedelta(days=20, hours=8))

    def told() -> list[tuple[object, ...]]:
        return list(Reading.objects.order_by("company", "hour").values_list("hour", "p_value", "phase"))

    watch(companies, START + timedelta(days=DAYS))
    at_once, first = told(), Alert.objects.values_list("fingerprint", "started_at", "resolved_at").get()
    Reading.objects.all().delete()
    Alert.objects.all().delete()
    Company.objects.update(evaluated_at=START, surge_state={})
    for hours in (1, 7, 100, 485, 490, 491, 24 * DAYS):
        watch(companies, START + timedelta(hours=hours, minutes=30))
    assert told() == at_once
    assert Alert.objects.values_list("fingerprint", "started_at", "resolved_at").get() == first


def test_an_hour_is_judged_once(companies: list[Company]) -> None:
    until = START + timedelta(days=2)
    assert watch(companies, until) == 48
    assert watch(companies, until) == 0


def test_a_company_that_is_new_is_judged_from_now_on(companies: list[Company]) -> None:
    new = Company.objects.create(slug="dune", name="Dune")
    watch([*companies, new], START + timedelta(days=2))
    assert Reading.objects.filter(company=new).count() == 1
