"""An encoder's own table of word vectors: which words it takes for near, before any layer has read them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.errors import ModelUnavailable
from services.training.augment_words import NEGATIONS, POLARITY

_SHORTEST = 3
_MOST = 3
_ROWS = 512
_WHOLE = ("\u2581", "\u0120")
_TABLE = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight", "wte.weight")


@dataclass(frozen=True, slots=True)
class WordTable:
    """Whole lower-case words and their vectors, float32 (n, dim), centred and L2-normalised."""

    words: tuple[str, ...]
    vecs: NDArray[np.float32]

    def near(self, asked: Collection[str], least: float, kept: Collection[str] = ()) -> dict[str, list[str]]:
        """At most three other words for each of `asked` with a cosine of `least` and more, nearest first.

        Negations, words of polarity and those of `kept` are near to nothing.
        """
        places = {word: at for at, word in enumerate(self.words)}
        known = sorted(word for word in asked if word in places)
        found: dict[str, list[str]] = {}
        for first in range(0, len(known), _ROWS):
            part = known[first : first + _ROWS]
            cosines = self.vecs[[places[word] for word in part]] @ self.vecs.T
            best = np.argsort(-cosines, axis=1, kind="stable")[:, : 4 * _MOST]
            for word, row, order in zip(part, cosines, best, strict=True):
                others = (self.words[at] for at in order if row[at] >= least)
                fit = [o for o in others if o != word and not _fixed(o) and o not in kept]
                if fit and not _fixed(word) and word not in kept:
                    found[word] = fit[:_MOST]
        return found


def word_table(folder: Path) -> WordTable:
    """The table of a model's folder (model.safetensors, tokenizer.json).

    Raises ModelUnavailable when the files are not there or hold no such table.
    """
    from safetensors import safe_open

    try:
        vocabulary = _vocabulary(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
        with safe_open(folder / "model.safetensors", framework="numpy") as file:
            name = next(key for key in file.keys() if key.endswith(_TABLE))  # noqa: SIM118
            table = np.asarray(file.get_tensor(name), np.float32)
    except (OSError, ValueError, KeyError, StopIteration) as error:
        raise ModelUnavailable("The model's folder has no table of word vectors to read.") from error
    words = {word: at for word, at in vocabulary.items() if at < len(table)}
    vecs = table[list(words.values())]
    vecs = vecs - vecs.mean(axis=0)
    vecs /= np.linalg.norm(vecs, axis=1, keepdims=True) + 1e-9
    return WordTable(tuple(words), vecs)


def _vocabulary(tokenizer: dict[str, Any]) -> dict[str, int]:
    """Whole words of letters and their numbers, whatever way the tokeniser marks them."""
    model = tokenizer["model"]
    listed = model["vocab"]
    pieces = listed.items() if isinstance(listed, dict) else ((p[0], at) for at, p in enumerate(listed))
    marked = model.get("type") != "WordPiece"
    found: dict[str, int] = {}
    for piece, at in pieces:
        if marked == piece.startswith(_WHOLE):
            word = piece.lstrip("".join(_WHOLE))
            if len(word) >= _SHORTEST and word.isalpha() and word.islower():
                found.setdefault(word, at)
    return found


def _fixed(word: str) -> bool:
    return word in NEGATIONS or word in POLARITY
