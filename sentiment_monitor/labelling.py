"""Stories get their companies, their scores and their place in the hours, in one short transaction each.

The model works first, with no transaction open; what it said is then written together with the mark
that the story is done. A story in a language the live model does not read is marked done without a
score: it is listed, and not counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from sentiment_monitor import scoring
from sentiment_monitor.entities import Found, Watched, find
from sentiment_monitor.models import Bucket, Mention, Score, Story
from services.inference.engine import Engine
from services.text.sentences import sentences

MIN_RELEVANCE = 0.3


@dataclass(frozen=True, slots=True)
class _Job:
    """One thing to be scored: a story's text, as a whole or towards a company."""

    story: Story
    company_id: int | None
    text: str
    entity: str | None


def waiting(limit: int = 256) -> list[Story]:
    """Stories that are not scored yet, in the order they happened."""
    found = Story.objects.filter(scored_at=None).order_by("happened_at", "pk").prefetch_related("entries")
    return list(found[:limit])


def label(
    stories: Sequence[Story],
    watched: Sequence[Watched],
    *,
    engine: Engine,
    model: scoring.SentimentModel,
    now: datetime,
) -> int:
    """Find companies, score, count into hours; the number of stories done."""
    found = {story.pk: find(story.title, _body(story), watched) for story in stories}
    readable = [story for story in stories if model.reads(story.language)]
    jobs = [job for story in readable for job in _jobs(story, found[story.pk])]
    scored = scoring.score([(job.text, job.entity) for job in jobs], engine) if jobs else None
    version = scored.model_version if scored else model.model_version
    probs = scored.probs.tolist() if scored else []
    with transaction.atomic():
        Mention.objects.bulk_create(
            [
                Mention(story=story, company_id=f.company_id, relevance=f.relevance, matched=f.matched)
                for story in stories
                for f in found[story.pk]
            ],
            ignore_conflicts=True,
        )
        Score.objects.bulk_create(
            [
                Score(
                    story=job.story,
                    company_id=job.company_id,
                    model_version=version,
                    p_neg=p[0],
                    p_neu=p[1],
                    p_pos=p[2],
                    created_at=now,
                )
                for job, p in zip(jobs, probs, strict=True)
            ],
            ignore_conflicts=True,
        )
        Story.objects.filter(pk__in=[story.pk for story in stories]).update(scored_at=now)
        touched = {(f.company_id, hour_of(s.happened_at)) for s in stories for f in found[s.pk]}
        fold(touched, version)
    return len(stories)


def fold(touched: Iterable[tuple[int, datetime]], model_version: str) -> None:
    """Count the stories of these (company, hour) pairs anew: doing it twice changes nothing."""
    for company_id, hour in sorted(touched):
        counts = {"negative": 0, "neutral": 0, "positive": 0}
        sum_w = sum_wv = 0.0
        scores = Score.objects.filter(
            company_id=company_id,
            model_version=model_version,
            story__happened_at__gte=hour,
            story__happened_at__lt=hour + timedelta(hours=1),
        )
        for score in scores.order_by("story_id"):
            counts[score.label] += 1
            sum_w += 1.0
            sum_wv += score.polarity
        Bucket.objects.update_or_create(
            company_id=company_id,
            hour=hour,
            model_version=model_version,
            defaults={
                "n_neg": counts["negative"],
                "n_neu": counts["neutral"],
                "n_pos": counts["positive"],
                "sum_w": sum_w,
                "sum_wv": sum_wv,
            },
        )


def hour_of(at: datetime) -> datetime:
    """The beginning of the hour a time lies in."""
    return at.replace(minute=0, second=0, microsecond=0)


def _jobs(story: Story, found: Sequence[Found]) -> list[_Job]:
    jobs = [_Job(story, None, story.title, None)]
    for f in found:
        if f.relevance >= MIN_RELEVANCE:
            jobs.append(_Job(story, f.company_id, _about(story, f.matched), f.matched))
    return jobs


def _about(story: Story, name: str) -> str:
    """The title when it names the company, else the first sentence of the text that does."""
    if name in story.title:
        return story.title
    body = _body(story)
    for span in sentences(body):
        words = body[span.start : span.end]
        if name in words:
            return words
    return story.title


def _body(story: Story) -> str:
    first = min(story.entries.all(), key=lambda e: (e.happened_at, e.pk), default=None)
    return first.body if first else ""
