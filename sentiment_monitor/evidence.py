"""What an alert rests on: the hours around it and the stories in it, with their sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sentiment_monitor.models import Alert, Bucket, Score, Story

BEFORE_H = 72
AFTER_H = 72


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour's counts of stories."""

    at: datetime
    n_neg: int
    n_all: int


@dataclass(frozen=True, slots=True)
class Told:
    """A story as an alert shows it: `polarity` −1 to 1 towards the company."""

    story_id: int
    title: str
    url: str
    source: str
    copies: int
    happened_at: datetime
    polarity: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """The hours before and after the alert began, and its stories, most negative first."""

    hours: tuple[Hour, ...]
    stories: tuple[Told, ...]


def gather(alert: Alert, now: datetime) -> Evidence:
    """Everything an alert's page and message show, as it was known at `now`."""
    ends = min(now, (alert.resolved_at or alert.last_at) + timedelta(hours=AFTER_H))
    stories = told(alert.evidence, alert.company_id)
    return Evidence(
        hours_of(alert.company_id, alert.started_at - timedelta(hours=BEFORE_H), ends),
        tuple(story for story in stories if story.happened_at <= now),
    )


def hours_of(company_id: int, start: datetime, end: datetime) -> tuple[Hour, ...]:
    """Every hour from start to end, those without news as zeros."""
    start = start.replace(minute=0, second=0, microsecond=0)
    counts: dict[datetime, tuple[int, int]] = {}
    for bucket in Bucket.objects.filter(company_id=company_id, hour__gte=start, hour__lte=end):
        counts[bucket.hour] = (bucket.n_neg, bucket.n_neg + bucket.n_neu + bucket.n_pos)
    hours = int((end - start).total_seconds() // 3600) + 1
    return tuple(
        Hour(at, *counts.get(at, (0, 0))) for at in (start + timedelta(hours=i) for i in range(hours))
    )


def told(story_ids: Sequence[int], company_id: int) -> tuple[Told, ...]:
    """The stories with these ids as they are shown, most negative first."""
    scores: dict[int, Score] = {}
    for score in Score.objects.filter(story_id__in=story_ids, company_id=company_id).order_by("created_at"):
        scores[score.story_id] = score
    found = []
    for story in Story.objects.filter(pk__in=story_ids).prefetch_related("entries__source"):
        entries = sorted(story.entries.all(), key=lambda e: (e.happened_at, e.pk))
        judged = scores.get(story.pk)
        found.append(
            Told(
                story_id=story.pk,
                title=story.title,
                url=next((e.url for e in entries if e.url.startswith(("http://", "https://"))), ""),
                source=entries[0].source.name if entries else "",
                copies=max(0, story.entries_n - 1),
                happened_at=story.happened_at,
                polarity=judged.polarity if judged else 0.0,
            )
        )
    return tuple(sorted(found, key=lambda t: (t.polarity, t.happened_at)))
