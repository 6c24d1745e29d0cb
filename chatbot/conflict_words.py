"""A conflict as people see it: each passage's sentence with the words that differ, and what is around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chatbot.differences import marked
from chatbot.models import Conflict

AROUND = 160
"""Characters shown before and after the sentence."""


@dataclass(frozen=True, slots=True)
class Side:
    """One passage's words. `parts`: (does it differ, words) of the sentence at `span` of the passage."""

    before: str
    parts: tuple[tuple[bool, str], ...]
    after: str
    span: tuple[int, int]


def sides(conflict: Conflict) -> tuple[Side, Side]:
    """The first passage's side and the second's. Offsets that no longer fit show the passage's beginning."""
    texts = conflict.first.text, conflict.second.text
    spans = [
        _span(text, conflict.evidence.get(name))
        for text, name in zip(texts, ("first", "second"), strict=True)
    ]
    said = [text[start:end] for text, (start, end) in zip(texts, spans, strict=True)]
    if conflict.kind == Conflict.Kind.FIGURE:
        parts = [
            _around_words(words, str(conflict.evidence.get(name, "")))
            for words, name in zip(said, ("first_says", "second_says"), strict=True)
        ]
    else:
        told = marked(*said)
        parts = [tuple(_own(told, kind)) for kind in ("gone", "new")]
    made = [_side(text, span, own) for text, span, own in zip(texts, spans, parts, strict=True)]
    return made[0], made[1]


def _span(text: str, given: list[int] | None) -> tuple[int, int]:
    start, end = given or (0, 0)
    return (start, end) if 0 <= start < end <= len(text) else (0, min(len(text), AROUND))


def _around_words(sentence: str, words: str) -> tuple[tuple[bool, str], ...]:
    at = sentence.find(words) if words else -1
    if at < 0:
        return ((False, sentence),)
    parts = ((False, sentence[:at]), (True, words), (False, sentence[at + len(words) :]))
    return tuple(part for part in parts if part[1])


def _own(told: Iterable[tuple[str, str]], own: str) -> Iterator[tuple[bool, str]]:
    """One side of two texts laid over each other; the space before what differs is not marked."""
    for kind, words in told:
        if kind == own and (bare := words.strip()):
            space = words[: len(words) - len(words.lstrip())]
            yield from ((False, space), (True, bare), (False, words[len(space) + len(bare) :]))
        elif kind in {"same", own}:
            yield False, words


def _side(text: str, span: tuple[int, int], parts: tuple[tuple[bool, str], ...]) -> Side:
    start, end = span
    before, after = text[max(0, start - AROUND) : start], text[end : end + AROUND]
    return Side(
        ("…" if start > AROUND else "") + before,
        parts,
        after + ("…" if end + AROUND < len(text) else ""),
        span,
    )
