"""What the dashboard shows: the index and the volume over time, what is open, who is in the news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from django.db.models import Sum

from sentiment_monitor import series
from sentiment_monitor.models import Alert, Bucket, Company, Score, Source, Story

RANGES = {"24h": 24, "7d": 168, "30d": 720, "90d": 2160}


@dataclass(frozen=True, slots=True)
class Line:
    """One company's hours for a chart: hours ISO 8601, counts of stories, index −1 to 1 or None in gaps."""

    hours: list[str]
    negative: list[int]
    neutral: list[int]
    positive: list[int]
    index: list[float | None]
    low: list[float | None]
    high: list[float | None]


def overview(range_name: str, now: datetime, company_id: int | None = None) -> dict[str, Any]:
    """The page's numbers: companies with their counts against the range before, open alerts, sources.

    Stories, shares and alerts are those of one company, or of all; shares 0 to 1, None without news.
    """
    hours = RANGES[range_name]
    since, before = now - timedelta(hours=hours), now - timedelta(hours=2 * hours)
    recent, earlier = _counts(since, now), _counts(before, since)
    stories, alerts = Story.objects.all(), Alert.objects.select_related("company")
    if company_id is not None:
        stories = stories.filter(mentions__company_id=company_id)
        alerts = alerts.filter(company_id=company_id)
    sources = Source.objects.filter(enabled=True)
    companies = []
    for company in Company.objects.filter(watched=True):
        counts = recent.get(company.pk, {})
        companies.append(
            {
                "company": company,
                "stories": counts.get("all", 0),
                "negative": counts.get("neg", 0),
                "positive": counts.get("pos", 0),
                "index": counts.get("index"),
                "before": earlier.get(company.pk, {}).get("all", 0),
                "alert": company.alerts.exclude(state=Alert.State.RESOLVED).first(),
            }
        )
    companies.sort(key=lambda c: (-c["negative"], -c["stories"], c["company"].name))
    return {
        "companies": companies,
        "stories": stories.filter(happened_at__gte=since, happened_at__lte=now).count(),
        "stories_before": stories.filter(happened_at__gte=before, happened_at__lt=since).count(),
        "negative_share": _negative_share(recent, company_id),
        "negative_share_before": _negative_share(earlier, company_id),
        "alerts": list(alerts.filter(last_at__gte=since)[:20]),
        "open_alerts": alerts.exclude(state=Alert.State.RESOLVED).count(),
        "sources": list(sources.exclude(state=Source.State.OK)[:10]),
        "sources_ok": sources.filter(state=Source.State.OK).count(),
        "sources_n": sources.count(),
    }


def line(company_id: int | None, range_name: str, now: datetime, half_life_h: float = 24.0) -> Line:
    """The hours of one company, or of the whole watch-list, as a chart draws them."""
    hours_n = RANGES[range_name]
    end = now.replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(hours=hours_n - 1)
    warm_up = timedelta(hours=7 * half_life_h)
    buckets = Bucket.objects.filter(hour__gte=start - warm_up, hour__lte=end)
    if company_id is not None:
        buckets = buckets.filter(company_id=company_id)
    rows = list(
        buckets.values("hour")
        .annotate(neg=Sum("n_neg"), neu=Sum("n_neu"), pos=Sum("n_pos"), w=Sum("sum_w"), wv=Sum("sum_wv"))
        .order_by("hour")
    )
    by_hour = {row["hour"]: row for row in rows}
    times = [start + timedelta(hours=i) for i in range(hours_n)]
    at, low, high = _index(rows, times, half_life_h)
    counted = [by_hour.get(t, {"neg": 0, "neu": 0, "pos": 0}) for t in times]
    return Line(
        [t.isoformat() for t in times],
        [c["neg"] for c in counted],
        [c["neu"] for c in counted],
        [c["pos"] for c in counted],
        *(_rounded(values) for values in (at, low, high)),
    )


def _index(rows: Sequence[Any], times: list[datetime], half_life_h: float) -> Any:
    if not rows:
        empty = np.full(len(times), np.nan)
        return empty, empty, empty
    first = min(rows[0]["hour"], times[0])
    hours = int((times[-1] - first).total_seconds() // 3600) + 1
    sum_w, sum_wv, stories = np.zeros(hours), np.zeros(hours), np.zeros(hours)
    for row in rows:
        i = int((row["hour"] - first).total_seconds() // 3600)
        sum_w[i], sum_wv[i] = row["w"], row["wv"]
        stories[i] = row["neg"] + row["neu"] + row["pos"]
    ends = np.arange(1.0, hours + 1.0)
    found = series.ewma_index(ends, sum_w, sum_wv, half_life_h, n_stories=stories)
    return tuple(values[-len(times) :] for values in (found.polarity, found.low, found.high))


def _counts(since: datetime, until: datetime) -> dict[int, dict[str, Any]]:
    found = {}
    rows = (
        Bucket.objects.filter(hour__gte=since.replace(minute=0, second=0, microsecond=0), hour__lt=until)
        .values("company_id")
        .annotate(neg=Sum("n_neg"), neu=Sum("n_neu"), pos=Sum("n_pos"), w=Sum("sum_w"), wv=Sum("sum_wv"))
    )
    for row in rows:
        found[row["company_id"]] = {
            "all": row["neg"] + row["neu"] + row["pos"],
            "neg": row["neg"],
            "pos": row["pos"],
            "index": row["wv"] / row["w"] if row["w"] else None,
        }
    return found


def _negative_share(counts: dict[int, dict[str, Any]], company_id: int | None) -> float | None:
    rows = [row for key, row in counts.items() if company_id in (None, key)]
    stories = sum(row["all"] for row in rows)
    return sum(row["neg"] for row in rows) / stories if stories else None


def _rounded(values: Any) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), 4) for v in values]


def latest_stories(company_id: int | None, now: datetime, n: int = 12) -> list[dict[str, Any]]:
    """The newest stories with their scores, of one company or of all."""
    stories = Story.objects.filter(happened_at__lte=now).prefetch_related("entries__source")
    if company_id is not None:
        stories = stories.filter(mentions__company_id=company_id)
    shown = list(stories.order_by("-happened_at")[:n])
    scores = {
        score.story_id: score
        for score in Score.objects.filter(story__in=shown, company=company_id).order_by("created_at")
    }
    return [{"story": story, "score": scores.get(story.pk)} for story in shown]
