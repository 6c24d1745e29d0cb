"""Copies become one story; reports that contradict do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sentiment_monitor import feeds, stories
from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.models import Entry, Story
from services.inference.fake import FakeEngine

T0 = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
LONG = (
    "Acme recalls its latest kettle after reports of overheating in several countries and asks customers "
    "to stop using it at once while it looks into the cause with the regulator"
)


def arrive(title: str, minutes: int = 0, body: str = "", url: str = "", source: str = "wire") -> Entry:
    at = T0 + timedelta(minutes=minutes)
    raw = feeds.Raw(f"{source}-{minutes}-{title[:20]}", url, title, body, "", at)
    feeds.keep(feeds.push_source(source), [raw], at)
    return Entry.objects.get(external_id=raw.external_id)


def assign(settings: MonitorSettings | None = None) -> None:
    stories.assign(stories.waiting(), [], engine=FakeEngine(), settings=settings or MonitorSettings())


@pytest.mark.django_db
def test_the_same_link_or_the_same_words_are_the_same_story() -> None:
    arrive("Acme recalls kettles", 0, url="https://n.example/a")
    arrive("Something else entirely", 1, url="https://n.example/a?utm_medium=mail")
    arrive("ACME recalls kettles", 2, source="blog")
    assign()
    assert Story.objects.count() == 1
    assert Story.objects.get().entries_n == 3


@pytest.mark.django_db
def test_a_near_copy_joins_and_an_unrelated_report_does_not() -> None:
    arrive("Acme recalls kettle", 0, body=LONG)
    arrive("Acme recalls the kettle", 30, body=LONG.replace("several", "a number of"), source="paper")
    arrive(
        "Birch raises its forecast for the year", 40, body="Orders for saws grew in spring.", source="paper"
    )
    assign(MonitorSettings(monitor_story_similarity=0.8))
    assert sorted(Story.objects.values_list("entries_n", flat=True)) == [1, 2]


@pytest.mark.django_db
def test_reports_with_other_numbers_stay_apart() -> None:
    text = (
        "Acme bought back {} of its own shares in the week to {} March under the programme announced in June"
    )
    arrive("Acme buys back shares", 0, body=text.format("41,200", 4))
    arrive("Acme buys back shares again", 60, body=text.format("38,700", 11))
    assign(MonitorSettings(monitor_story_similarity=0.5))
    assert Story.objects.count() == 2


@pytest.mark.django_db
def test_a_copy_after_the_window_is_a_new_story() -> None:
    arrive("Acme recalls kettle", 0, body=LONG)
    arrive("Acme recalls kettle", 80 * 60, body=LONG, source="late")
    assign()
    assert Story.objects.count() == 2


@pytest.mark.django_db
def test_stopping_between_any_two_entries_gives_the_same_stories() -> None:
    def all_of_it(batches: int) -> list[tuple[str, int]]:
        Entry.objects.all().delete()
        Story.objects.all().delete()
        for i in range(6):
            arrive(f"Acme recalls kettle number {'abc'[i % 3]}", i, body=LONG + f" {'abc'[i % 3]}" * 9)
        waiting = stories.waiting()
        for part in np.array_split(np.arange(len(waiting)), batches):
            stories.assign([waiting[i] for i in part], [], engine=FakeEngine(), settings=MonitorSettings())
        return sorted(Story.objects.values_list("title", "entries_n"))

    assert all_of_it(1) == all_of_it(2) == all_of_it(6)


def test_minhash_estimates_how_much_two_texts_share() -> None:
    words = [f"w{i}" for i in range(400)]
    same = stories.minhash(" ".join(words))
    half = stories.minhash(" ".join(words[:266] + [f"x{i}" for i in range(134)]))
    other = stories.minhash(" ".join(f"y{i}" for i in range(400)))
    assert (same == stories.minhash(" ".join(words))).all()
    assert 0.3 < (same == half).mean() < 0.7
    assert (same == other).mean() < 0.05


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("Profit in Q2 up 3 %", "Profit in Q3 up 4 %", True),
        ("Profit up 3 %", "Profit up 3 % to 12 million", False),
        ("No numbers", "None here", False),
    ],
)
def test_numbers_contradict_only_when_both_sides_have_their_own(one: str, other: str, apart: bool) -> None:
    assert stories.contradict(one, other) is apart
