"""Does a classifier still say the same when people mistype, or say it a little differently?

Typing errors and paraphrases are made from the test texts, seeded; what the question is about (the company)
is never touched. The paraphrases are simple ones: contractions written out or drawn together, and words for
which English has another that says the same.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.inference.values import Pair
from services.training.dataset import Example
from services.training.evaluation import evaluate

Floats = NDArray[np.float32]
Classify = Callable[[list[Pair]], Floats]

_TYPED = re.compile(r"[^\W\d_]{4,}")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_ROWS_OF_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_CONTRACTIONS = {
    "don't": "do not",
    "doesn't": "does not",
    "didn't": "did not",
    "isn't": "is not",
    "aren't": "are not",
    "wasn't": "was not",
    "can't": "cannot",
    "won't": "will not",
    "wouldn't": "would not",
    "i'm": "I am",
    "i've": "I have",
    "i'd": "I would",
    "it's": "it is",
    "you're": "you are",
    "we're": "we are",
    "they're": "they are",
}
_SAME = (
    ("buy", "purchase"),
    ("help", "assist"),
    ("start", "begin"),
    ("starts", "begins"),
    ("get", "receive"),
    ("need", "require"),
    ("needs", "requires"),
    ("show", "display"),
    ("shows", "displays"),
    ("big", "large"),
    ("firm", "company"),
    ("shares", "stock"),
    ("says", "states"),
    ("said", "stated"),
    ("sees", "expects"),
    ("quarterly", "three-month"),
    ("revenue", "turnover"),
    ("about", "around"),
    ("also", "too"),
    ("maybe", "perhaps"),
    ("quickly", "fast"),
    ("wrong", "incorrect"),
    ("ask", "enquire"),
    ("fix", "repair"),
    ("phone", "telephone"),
)
_OTHER = dict(_SAME) | {other: one for one, other in _SAME} | _CONTRACTIONS


def robustness(
    classify: Classify,
    examples: Sequence[Example],
    truth: NDArray[np.int64],
    labels: tuple[str, ...],
    seed: int = 0,
    rate: float = 0.15,
) -> dict[str, Any]:
    """The figures on the texts as they are, with typing errors, and paraphrased; as JSON.

    `truth` are label indices (n,). clean has accuracy and macro_f1; typos and paraphrase have these over all
    rows, `changed` (the share whose text changed) and `flipped` (the share of these whose answer did).
    """
    clean = classify([(example.text, example.entity) for example in examples])
    found: dict[str, Any] = {"rows": len(examples), "clean": _figures(clean, truth, labels)}
    for name, change in (("typos", typos), ("paraphrase", paraphrased)):
        rng = random.Random(f"{seed} {name}")
        texts = [change(example.text, example.entity, rng, rate) for example in examples]
        said = classify([(text, example.entity) for text, example in zip(texts, examples, strict=True)])
        changed = np.array([text != example.text for text, example in zip(texts, examples, strict=True)])
        flips = (said.argmax(axis=1) != clean.argmax(axis=1))[changed]
        found[name] = _figures(said, truth, labels) | {
            "changed": round(float(changed.mean()), 4),
            "flipped": round(float(flips.mean()), 4) if len(flips) else 0.0,
        }
    return found


def typos(text: str, entity: str | None, rng: random.Random, rate: float) -> str:
    """The text with one typing error in about `rate` of its words of four letters and more, at least in one.

    Two letters swapped, one left out, one doubled, or one from the next key.
    """
    words = _free(text, entity, _TYPED)
    chosen = rng.sample(words, min(len(words), max(1, round(rate * len(words)))))
    for start, end in sorted(chosen, reverse=True):
        text = text[:start] + _mistyped(text[start:end], rng) + text[end:]
    return text


def paraphrased(text: str, entity: str | None, rng: random.Random, rate: float) -> str:
    """The text with every contraction written out and every word replaced that has another like it.

    `rng` and `rate` are not needed: a paraphrase of this kind has only one form.
    """
    for start, end in reversed(_free(text, entity, _WORD)):
        word = text[start:end]
        other = _OTHER.get(word.lower().replace("’", "'"))
        if other:
            text = text[:start] + (other[0].upper() + other[1:] if word[0].isupper() else other) + text[end:]
    return text


def _mistyped(word: str, rng: random.Random) -> str:
    at = rng.randrange(1, len(word) - 1)
    kind = rng.choice(("swap", "drop", "double", "neighbour"))
    if kind == "swap" and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == "double":
        return word[:at] + word[at] + word[at:]
    if kind == "neighbour" and (keys := _beside(word[at])):
        return word[:at] + rng.choice(keys) + word[at + 1 :]
    return word[:at] + word[at + 1 :]


def _beside(letter: str) -> str:
    """The keys left and right of a letter's on an English keyboard; none for other letters."""
    row = next((row for row in _ROWS_OF_KEYS if letter in row), "")
    at = row.find(letter)
    return row[max(0, at - 1) : at] + row[at + 1 : at + 2] if row else ""


def _free(text: str, entity: str | None, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
    """Where words are that do not touch the entity."""
    taken = [m.span() for m in re.finditer(re.escape(entity), text, re.IGNORECASE)] if entity else []
    spans = [match.span() for match in pattern.finditer(text)]
    return [(start, end) for start, end in spans if not any(a < end and start < b for a, b in taken)]


def _figures(probs: Floats, truth: NDArray[np.int64], labels: tuple[str, ...]) -> dict[str, float]:
    found = evaluate(probs, truth, labels)
    return {"accuracy": round(found.accuracy, 4), "macro_f1": round(found.macro_f1, 4)}
