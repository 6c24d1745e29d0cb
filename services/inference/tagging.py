"""A tagger's logits into entities: words, not halves of words, with the characters they stand for.

Labels are B-X / I-X / O (or X alone, without a prefix); a word has the label of its first token. Long texts
come in overlapping windows: a word that two of them read is taken from the one it lies deeper in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.inference.tokenising import Window
from services.inference.values import Entity

Floats = NDArray[np.float32]
_NOTHING = {"O", ""}
_PREFIXES = {"B-", "I-"}


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    label: str
    score: float
    depth: int


def entities(
    count: int, windows: Sequence[Window], logits: Sequence[Floats], labels: Sequence[str], temperature: float
) -> tuple[tuple[Entity, ...], ...]:
    """The entities of each of `count` texts. `logits[i]` is float32 (tokens, n_labels) of `windows[i]`."""
    words: list[dict[int, _Word]] = [{} for _ in range(count)]
    for window, logit in zip(windows, logits, strict=True):
        known = words[window.row]
        for word_id, word in _words(window, _softmax(logit / temperature), labels).items():
            known[word_id] = _whole(known[word_id], word) if word_id in known else word
    return tuple(_joined([found[word_id] for word_id in sorted(found)]) for found in words)


def _words(window: Window, probs: Floats, labels: Sequence[str]) -> dict[int, _Word]:
    """Each word by its number in the text; a window's edge may have cut the first and the last."""
    found: dict[int, _Word] = {}
    last = len(window.ids) - 1
    for at, ((start, end), word_id) in enumerate(zip(window.offsets, window.word_ids, strict=True)):
        if word_id is None or start == end:
            continue
        if word_id in found:
            found[word_id] = replace(found[word_id], end=end)
        else:
            best = int(probs[at].argmax())
            found[word_id] = _Word(start, end, labels[best], float(probs[at, best]), min(at, last - at))
    return found


def _whole(one: _Word, other: _Word) -> _Word:
    """A word that two windows read, the earlier one first: what the deeper reading says of all of it."""
    said = other if other.depth > one.depth else one
    return replace(said, start=min(one.start, other.start), end=max(one.end, other.end))


def _joined(words: Sequence[_Word]) -> tuple[Entity, ...]:
    """Words of one label side by side are one entity, until a B- says that another begins."""
    found: list[Entity] = []
    scores: list[float] = []
    continues = ""
    for word in words:
        prefix, _, kind = word.label.partition("-") if word.label[:2] in _PREFIXES else ("", "", word.label)
        if word.label in _NOTHING:
            continues = ""
        elif found and kind == continues and prefix != "B":
            scores.append(word.score)
            found[-1] = Entity(found[-1].start, word.end, kind, sum(scores) / len(scores))
        else:
            scores = [word.score]
            found.append(Entity(word.start, word.end, kind, word.score))
            continues = kind
    return tuple(found)


def _softmax(logit: Floats) -> Floats:
    grown = np.exp(logit - logit.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True), np.float32)
