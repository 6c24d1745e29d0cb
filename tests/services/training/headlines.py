"""A small world of headlines in which sentiment can be learned from a few words."""

from __future__ import annotations

import random

from services.training.dataset import Example

LABELS = ("negative", "neutral", "positive")
COMPANIES = (
    "Aldora",
    "Benwick",
    "Corvane",
    "Dunmere",
    "Elstow",
    "Farrow",
    "Gorsley",
    "Hexam",
    "Inverley",
    "Jarrow",
)
VERBS = {
    "negative": ["plunges", "slumps", "warns", "misses", "cuts"],
    "neutral": ["publishes", "appoints", "schedules", "presents", "names"],
    "positive": ["soars", "rallies", "beats", "wins", "raises"],
}
TOPICS = (
    "forecast",
    "dividend",
    "turnover",
    "margins",
    "exports",
    "licence",
    "factory",
    "software",
    "retail",
)


def headlines(n: int, seed: int = 0) -> list[Example]:
    """n examples: three in four about one company, one in four about two of different fortune."""
    rng = random.Random(seed)
    found: list[Example] = []
    while len(found) < n:
        label, other = rng.sample(LABELS, 2)
        one, two = rng.sample(COMPANIES, 2)
        half = f"{one} {rng.choice(VERBS[label])} on {rng.choice(TOPICS)} {rng.choice(TOPICS)}"
        kind = rng.randrange(4)
        if kind == 0:
            text = f"{half} while {two} {rng.choice(VERBS[other])} on {rng.choice(TOPICS)}"
            found += [Example(text, one, label), Example(text, two, other)]
        else:
            found.append(Example(half, None if kind == 1 else one, label))
    return found[:n]
