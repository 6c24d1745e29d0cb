"""More examples from the ones there are, for what labels seldom show.

Applied to the training side of a split only; nothing made here is ever evaluated on.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from services.training.dataset import Example

_JOINTS = (", ", "; ", " while ", " as ", " but ")
_LONGEST_WORDS = 9


def agreeing_wholes(examples: Sequence[Example]) -> tuple[Example, ...]:
    """Whole-text examples from texts whose companies all have one label and that have no label as a whole.

    A headline that is bad for everyone it names is bad news; one on which they differ is left out.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        labels[example.text].add(example.label)
    wholes = {example.text for example in examples if example.entity is None}
    return tuple(
        Example(text, None, next(iter(found)))
        for text, found in labels.items()
        if len(found) == 1 and text not in wholes
    )


def joined_headlines(examples: Sequence[Example], count: int, seed: int) -> tuple[Example, ...]:
    """At most `count` headlines put together from two short ones, each asked about for both companies.

    The two labels differ, so only the words near a company tell its own. Halves are headlines of one
    company that they name; two halves that name each other's company are not joined. Fewer come back,
    perhaps none, when there are too few such halves.
    """
    halves = _halves(examples)
    labels = sorted(halves)
    if len(labels) < 2:
        return ()
    rng = random.Random(seed)
    found: list[Example] = []
    for _ in range(count):
        one, other = (rng.choice(halves[label]) for label in rng.sample(labels, 2))
        text = f"{one.text}{rng.choice(_JOINTS)}{other.text}"
        if not (_names(one.text, other.entity) or _names(other.text, one.entity)):
            found += (Example(text, half.entity, half.label) for half in (one, other))
    return tuple(found)


def _halves(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Short headlines about one company, by label."""
    by_text: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_text[example.text].append(example)
    halves: dict[str, list[Example]] = defaultdict(list)
    for text, rows in by_text.items():
        if len(rows) == 1 and len(text.split()) <= _LONGEST_WORDS and _names(text, rows[0].entity):
            halves[rows[0].label].append(rows[0])
    return halves


def _names(text: str, entity: str | None) -> bool:
    return entity is not None and entity.lower() in text.lower()
