"""Hour by hour: what the surge detector says, and the alert it opens, keeps or closes.

Each ended hour is judged once, with what was known of the hours up to it; its readings, the detectors'
states, alerts and outbox rows are written together, so a worker killed anywhere goes on with the next
hour. A company has one open alert: a volume surge that turns negative is the same alert, raised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from django.db import transaction

from sentiment_monitor import delivery
from sentiment_monitor.baseline import Baseline, History, SurgeSettings, baseline, shared_profile
from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Alert, Bucket, Company, Reading, Score, Story
from sentiment_monitor.surge import SurgeReading, SurgeState, advance, freezes, scan

PAST_D = 120
HOUR = timedelta(hours=1)
_kept: dict[str, Any] = {}


def watch(companies: Sequence[Company], model_version: str, settings: MonitorSettings, now: datetime) -> int:
    """Judge every ended hour that was not judged yet, for these companies; the number of hours.

    A company seen for the first time is judged from the last ended hour on.
    """
    end = now.replace(minute=0, second=0, microsecond=0)
    for company in companies:
        if company.evaluated_at is None:
            company.evaluated_at = end - HOUR
    if not companies or not settings.monitor_false_alarms_per_year:
        return 0
    surge = SurgeSettings(
        alarms_per_year=settings.monitor_false_alarms_per_year, watched=max(len(companies), 1)
    )
    hours = 0
    hour = min(c.evaluated_at for c in companies if c.evaluated_at)
    known: tuple[datetime, History, Baseline] | None = None
    while hour < end:
        day = hour.replace(hour=0)
        if known is None or known[0] != day:
            known = (day, *_known(companies, model_version, day, surge))
        _judge(companies, hour, known[1], known[2], surge)
        hour += HOUR
        hours += 1
    return hours


def acknowledge(alert: Alert, who: str, now: datetime) -> None:
    """Somebody has seen it; the first one stands."""
    Alert.objects.filter(pk=alert.pk, acknowledged_at=None).update(
        acknowledged_at=now, acknowledged_by=who[:120]
    )


def take_back(alert: Alert) -> None:
    """Nobody has seen it after all."""
    Alert.objects.filter(pk=alert.pk).update(acknowledged_at=None, acknowledged_by="")


def _judge(
    companies: Sequence[Company],
    hour: datetime,
    history: History,
    base: Baseline,
    surge: SurgeSettings,
) -> None:
    column = _hours_since_1970(hour) - history.start_h
    scanned = scan(history, column, column + 1, base, surge)
    readings, moved = [], []
    with transaction.atomic():
        for row, company in enumerate(companies):
            if company.evaluated_at is None or company.evaluated_at > hour:
                continue
            reading = scanned.reading(row, 0)
            before = SurgeState(**company.surge_state) if company.surge_state else SurgeState()
            after = advance(before, reading, surge)
            if before.phase != "normal" or after.phase != "normal":
                _act(company, before, after, reading, hour + HOUR)
            readings.append(
                Reading(
                    company=company,
                    hour=hour,
                    p_value=reading.p_value,
                    level=reading.level,
                    kind=reading.kind,
                    phase=after.phase,
                    expected=reading.expected,
                    frozen=freezes(after, surge),
                )
            )
            company.surge_state, company.evaluated_at = asdict(after), hour + HOUR
            moved.append(company)
        Reading.objects.bulk_create(readings, ignore_conflicts=True)
        Company.objects.bulk_update(moved, ["surge_state", "evaluated_at"])


def _act(
    company: Company,
    before: SurgeState,
    after: SurgeState,
    reading: SurgeReading,
    at: datetime,
) -> None:
    """Open, raise, keep or close the company's alert, as of the end of an hour."""
    if after.alarms > before.alarms:
        _raise(company, reading, at)
        return
    alert = company.alerts.exclude(state=Alert.State.RESOLVED).first()
    if alert is None:
        return
    if after.phase == "normal":
        alert.state, alert.resolved_at = Alert.State.RESOLVED, at
    elif after.phase == "recovering":
        alert.state = Alert.State.RECOVERING
    else:
        alert.state, alert.last_at = Alert.State.FIRING, at
        alert.evidence = _merged(alert.evidence, _evidence(company, reading, at))
    alert.save()


def _raise(company: Company, reading: SurgeReading, at: datetime) -> None:
    values = {
        "kind": reading.kind,
        "state": Alert.State.FIRING,
        "last_at": at,
        "window_h": reading.window_h,
        "observed": reading.observed,
        "expected": reading.expected,
        "share": reading.share,
        "baseline_share": reading.baseline_share,
        "p_value": reading.p_value,
        "evidence": _evidence(company, reading, at),
    }
    alert = company.alerts.exclude(state=Alert.State.RESOLVED).first()
    if alert is None:
        fingerprint = hashlib.sha256(f"{company.slug}|{at.isoformat()}".encode()).hexdigest()
        alert, _made = Alert.objects.get_or_create(
            fingerprint=fingerprint, defaults={"company": company, "started_at": at, **values}
        )
    else:
        for name, value in values.items():
            setattr(alert, name, value)
        alert.save()
    if reading.kind == Alert.Kind.NEGATIVE_SURGE:
        delivery.enqueue(alert, at)


def _evidence(company: Company, reading: SurgeReading, at: datetime) -> list[int]:
    """The window's stories that count: the negative ones, or all of them for a volume surge."""
    stories = Story.objects.filter(
        mentions__company=company,
        happened_at__gte=at - timedelta(hours=reading.window_h),
        happened_at__lt=at,
    )
    scores = Score.objects.filter(company=company, story__in=stories).order_by("story__happened_at")
    wanted = [s for s in scores if reading.kind != Alert.Kind.NEGATIVE_SURGE or s.label == "negative"]
    return [score.story_id for score in wanted][:200]


def _merged(old: list[int], new: list[int]) -> list[int]:
    return (old + [story for story in new if story not in set(old)])[:200]


def _known(
    companies: Sequence[Company], model_version: str, day: datetime, surge: SurgeSettings
) -> tuple[History, Baseline]:
    """The hours up to the end of a day, and what was usual before it began.

    Hours after the one that is judged are in the arrays and are not looked at.
    """
    first = Story.objects.order_by("happened_at").values_list("happened_at", flat=True).first() or day
    start = max(
        day - timedelta(days=PAST_D), min(first.replace(hour=0, minute=0, second=0, microsecond=0), day)
    )
    start_h, now_index = _hours_since_1970(start), _hours_since_1970(day) - _hours_since_1970(start)
    hours = now_index + 24
    rows = {company.pk: i for i, company in enumerate(companies)}
    negative, total = np.zeros((len(rows), hours)), np.zeros((len(rows), hours))
    buckets = Bucket.objects.filter(
        company_id__in=rows, model_version=model_version, hour__gte=start, hour__lt=day + 24 * HOUR
    )
    for bucket in buckets:
        at = rows[bucket.company_id], _hours_since_1970(bucket.hour) - start_h
        negative[at] = bucket.n_neg
        total[at] = bucket.n_neg + bucket.n_neu + bucket.n_pos
    exposure = np.zeros((len(rows), hours))
    exposure[:, max(0, _hours_since_1970(first) - start_h) :] = 1.0  # before any news, nothing was read
    history = History(start_h, negative, total, exposure)
    frozen = np.zeros((len(rows), hours), dtype=np.bool_)
    for reading in Reading.objects.filter(company_id__in=rows, frozen=True, hour__gte=start, hour__lt=day):
        frozen[rows[reading.company_id], _hours_since_1970(reading.hour) - start_h] = True
    past = History(start_h, negative[:, :now_index], total[:, :now_index], exposure[:, :now_index])
    return history, _usual((day, tuple(rows), surge), past, frozen, now_index)


def _usual(asked: tuple[object, ...], past: History, frozen: np.ndarray, now_index: int) -> Baseline:
    """What was usual before a day; kept as long as the hours it was learnt from are the same."""
    digest = hashlib.sha256(
        past.negative.tobytes() + past.total.tobytes() + past.exposure.tobytes() + frozen.tobytes()
    ).hexdigest()
    key = (*asked, digest)
    if _kept.get("key") != key:
        surge = asked[-1]
        assert isinstance(surge, SurgeSettings)
        _kept["key"], _kept["baseline"] = (
            key,
            baseline(past, now_index, surge, shared_profile(past), frozen),
        )
    kept: Baseline = _kept["baseline"]
    return kept


def _hours_since_1970(at: datetime) -> int:
    return int(at.astimezone(UTC).timestamp() // 3600)
