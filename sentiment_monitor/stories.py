"""Copies become one story: same link or same words at once, near-copies by MinHash and meaning.

A near-copy shares word triples (MinHash estimates how many), is close in meaning (cosine), and does
not contradict: numbers and watched companies must agree, so that Q2 is not Q3 and this week's buy-back
is not last week's. Entries are taken in the order they happened, each in a transaction of its own: a
worker killed between two goes on with the next, and comes to the same stories.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from django.db import transaction
from django.db.models import F
from numpy.typing import NDArray

from sentiment_monitor.conf import MonitorSettings
from sentiment_monitor.entities import Watched, find
from sentiment_monitor.models import Entry, Story
from services.inference.engine import Engine
from services.inference.values import Priority

PERMUTATIONS = 96
MIN_JACCARD = 0.28
LEAD_CHARS = 600
_NUMBER = re.compile(r"\d[\d.,]*\d|\d")
_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+")


@dataclass(slots=True)
class Window:
    """The stories an entry may join: those of the last hours, with what is compared of them."""

    ids: list[int] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    signatures: list[NDArray[np.uint32]] = field(default_factory=list)
    vecs: list[NDArray[np.float32]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)

    def add(
        self,
        story: Story,
        signature: NDArray[np.uint32],
        vec: NDArray[np.float32],
        body: str,
    ) -> None:
        """Let later entries join this story too."""
        self.ids.append(story.pk)
        self.times.append(story.happened_at)
        self.signatures.append(signature)
        self.vecs.append(vec)
        self.texts.append((story.title, body))


def waiting(limit: int = 512) -> list[Entry]:
    """Entries that belong to no story yet, in the order they happened."""
    return list(Entry.objects.filter(story=None).order_by("happened_at", "pk")[:limit])


def assign(
    entries: Sequence[Entry], watched: Sequence[Watched], *, engine: Engine, settings: MonitorSettings
) -> list[int]:
    """Give each entry its story, old or new; the ids of the new stories."""
    if not entries:
        return []
    version = engine.encoder().version
    vecs = engine.embed([lead(e.title, e.body) for e in entries], priority=Priority.BATCH)
    window_h = timedelta(hours=settings.monitor_story_window_h)
    window = _window(entries[0].happened_at - window_h, entries[-1].happened_at, version)
    new: list[int] = []
    for entry, vec in zip(entries, vecs, strict=True):
        signature = minhash(lead(entry.title, entry.body))
        story_id = _same(entry, window_h) or _alike(entry, vec, signature, window, watched, settings)
        with transaction.atomic():
            if story_id is None:
                story = Story.objects.create(
                    title=entry.title,
                    language=entry.language,
                    happened_at=entry.happened_at,
                    vec=vec.astype(np.float32).tobytes(),
                    signature=signature.tobytes(),
                    encoder_version=version,
                )
                story_id = story.pk
                new.append(story_id)
                window.add(story, signature, vec, entry.body)
            taken = Entry.objects.filter(pk=entry.pk, story=None).update(story_id=story_id)
            if taken:
                Story.objects.filter(pk=story_id).update(entries_n=F("entries_n") + 1)
    return new


def lead(title: str, body: str) -> str:
    """What of an entry is compared and embedded: its title and the beginning of its text."""
    return f"{title}. {body[:LEAD_CHARS]}" if body else title


def minhash(text: str) -> NDArray[np.uint32]:
    """MinHash signature of a text's word triples (single characters in Chinese): uint32 (96,).

    The share of equal places of two signatures estimates their Jaccard similarity (Broder 1997).
    """
    words = _WORD.findall(text.lower())
    triples = {" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))}
    hashes = np.fromiter((_stable_hash(t) for t in triples), dtype=np.uint64, count=len(triples))
    a, b = _COEFFICIENTS
    # Multiply-add-shift over 64 bits (Dietzfelbinger 1996): the product is meant to overflow.
    values = (a[:, None] * hashes[None, :] + b[:, None]) >> np.uint64(32)
    return values.min(axis=1).astype(np.uint32)


def contradict(one: str, other: str) -> bool:
    """Whether each text has a number the other lacks: two reports, not two copies."""
    first, second = _numbers(one), _numbers(other)
    return bool(first - second) and bool(second - first)


def _same(entry: Entry, window: timedelta) -> int | None:
    """The story of an entry with the same address or the same words."""
    twins = Entry.objects.exclude(story=None).filter(
        happened_at__gte=entry.happened_at - window, happened_at__lte=entry.happened_at + window
    )
    by_words = twins.filter(content_hash=entry.content_hash)
    found = by_words.order_by("happened_at", "pk").values_list("story_id", flat=True).first()
    if found is None and entry.canonical_url:
        by_address = twins.filter(canonical_url=entry.canonical_url)
        found = by_address.order_by("happened_at", "pk").values_list("story_id", flat=True).first()
    return found


def _alike(
    entry: Entry,
    vec: NDArray[np.float32],
    signature: NDArray[np.uint32],
    window: Window,
    watched: Sequence[Watched],
    settings: MonitorSettings,
) -> int | None:
    if not window.ids:
        return None
    jaccard = (np.stack(window.signatures) == signature).mean(axis=1)
    cosine = np.stack(window.vecs) @ vec
    oldest = entry.happened_at - timedelta(hours=settings.monitor_story_window_h)
    for i in np.argsort(-(jaccard + cosine), kind="stable")[:20]:
        if jaccard[i] < MIN_JACCARD or cosine[i] < settings.monitor_story_similarity:
            continue
        if window.times[i] < oldest:
            continue
        title, body = window.texts[i]
        if contradict(lead(title, body), lead(entry.title, entry.body)):
            continue
        ours = {f.company_id for f in find(entry.title, "", watched)}
        theirs = {f.company_id for f in find(title, "", watched)}
        if ours and theirs and not ours & theirs:
            continue
        return window.ids[i]
    return None


def _window(start: datetime, end: datetime, version: str) -> Window:
    window = Window()
    stories = (
        Story.objects.filter(happened_at__gte=start, happened_at__lte=end, encoder_version=version)
        .exclude(vec=None)
        .order_by("happened_at", "pk")
        .prefetch_related("entries")
    )
    for story in stories:
        first = min(story.entries.all(), key=lambda e: (e.happened_at, e.pk), default=None)
        window.add(
            story,
            np.frombuffer(bytes(story.signature or b""), dtype=np.uint32),
            np.frombuffer(bytes(story.vec or b""), dtype=np.float32),
            first.body if first else "",
        )
    return window


def _numbers(text: str) -> set[str]:
    return {found.rstrip(".,") for found in _NUMBER.findall(text)}


def _stable_hash(text: str) -> int:
    import zlib

    return zlib.crc32(text.encode())


def _coefficients() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    rng = np.random.default_rng(20260301)
    a = rng.integers(0, 1 << 63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return a, rng.integers(0, 1 << 63, PERMUTATIONS, dtype=np.uint64)


_COEFFICIENTS = _coefficients()
