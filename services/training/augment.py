"""More examples from the ones there are, for what labels seldom show.

Applied to the training side of a split only; nothing made here is ever evaluated on.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from services.training.augment_words import Word, changeable, telling
from services.training.dataset import Example

if TYPE_CHECKING:
    from services.training.word_table import WordTable

Translate = Callable[[list[str]], list[str]]

_JOINTS = (", ", "; ", " while ", " as ", " but ")
_LONGEST_WORDS = 9
_FEWEST_WORDS = 4
_NUMBER = re.compile(r"\d[\d.,]*")


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


def token_edits(examples: Sequence[Example], seed: int, share: float = 0.1) -> tuple[Example, ...]:
    """A copy of each example with about `share` of its words (one at least) left out, doubled or swapped.

    Numbers, negations, polarity, names and telling words stay as they are. Examples with spans or messages,
    texts of fewer than four words, and texts with no word that may be changed, have no copy.
    """
    rng, kept = random.Random(seed), telling(examples)
    copies = (
        replace(
            example, id="", text=_edited(example, changeable(example.text, example.entity, kept), share, rng)
        )
        for example in _plain(examples)
    )
    return _different(examples, copies)


def synonyms(
    examples: Sequence[Example], table: WordTable, seed: int, share: float = 0.2, least: float = 0.6
) -> tuple[Example, ...]:
    """A copy of each example with about `share` of its words (one at least) replaced by near ones.

    Near are words of the encoder's own table with a cosine of `least` and more; what may not be changed is as
    in `token_edits`. Nearness is of use, not of meaning: polarity and telling words are therefore kept out on
    both sides.
    """
    rng, kept = random.Random(seed), telling(examples)
    places = {id(e): changeable(e.text, e.entity, kept) for e in _plain(examples)}
    near = table.near(
        {e.text[w.start : w.end].lower() for e in _plain(examples) for w in places[id(e)]}, least, kept
    )
    copies = (
        replace(e, id="", text=_replaced(e.text, places[id(e)], near, share, rng)) for e in _plain(examples)
    )
    return _different(examples, copies)


def back_translated(examples: Sequence[Example], there: Translate, back: Translate) -> tuple[Example, ...]:
    """A copy of each example, said in another language and back again.

    Left out are copies that say nothing new, or whose numbers or entity are not those of the example.
    """
    plain = _plain(examples)
    texts = back(there([example.text for example in plain]))
    copies = (
        replace(example, id="", text=text.strip())
        for example, text in zip(plain, texts, strict=True)
        if sorted(_NUMBER.findall(text)) == sorted(_NUMBER.findall(example.text))
        and (example.entity is None or _names(text, example.entity))
    )
    return _different(examples, copies)


def _plain(examples: Sequence[Example]) -> list[Example]:
    """Examples whose text can change without anything else of them."""
    return [example for example in examples if not example.spans and not example.messages]


def _different(examples: Sequence[Example], copies: Iterable[Example]) -> tuple[Example, ...]:
    """The copies whose words are new and not empty."""
    known = {example.text for example in examples}
    return tuple(copy for copy in copies if copy.text and copy.text not in known)


def _edited(example: Example, places: list[Word], share: float, rng: random.Random) -> str:
    text = example.text
    if len(text.split()) < _FEWEST_WORDS:
        return text
    chosen = _some(places, share, rng)
    for place in sorted(chosen, key=lambda word: word.start, reverse=True):
        word, after = text[place.start : place.end], text[place.end :]
        following = next((other for other in places if other.start > place.end), None)
        following = None if following in chosen else following
        kind = rng.choice(("leave", "double", "swap"))
        if kind == "swap" and following and text[place.end : following.start].isspace():
            other = text[following.start : following.end]
            text = f"{text[: place.start]}{other} {word}{text[following.end :]}"
        elif kind == "double":
            text = f"{text[: place.end]} {word}{after}"
        else:
            text = text[: place.start] + after.lstrip(" ") if after else text[: place.start].rstrip()
    return text


def _replaced(
    text: str, places: list[Word], near: dict[str, list[str]], share: float, rng: random.Random
) -> str:
    known = [place for place in places if near.get(text[place.start : place.end].lower())]
    for place in sorted(_some(known, share, rng), key=lambda word: word.start, reverse=True):
        word = text[place.start : place.end]
        other = rng.choice(near[word.lower()])
        text = text[: place.start] + (other.capitalize() if word[0].isupper() else other) + text[place.end :]
    return text


def _some(places: list[Word], share: float, rng: random.Random) -> list[Word]:
    return rng.sample(places, min(len(places), max(1, round(share * len(places)))))


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
