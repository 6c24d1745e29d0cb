"""Texts to token ids, straight from an encoder's `tokenizer.json`, cut at what it can take.

Knows nothing of padding: runtimes pad, because only they know the shapes they like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CHARS_PER_TOKEN = 32
"""A text is first cut to this many characters for each token the encoder takes: far above any language."""


_OVERLAP = 32
"""Tokens that two neighbouring pieces of a long text share."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of text number `row`: its ids, and the characters (start, end) each stands for.

    (0, 0) stands for a special token. `word_ids` says which word of the text a token belongs to.
    """

    row: int
    ids: list[int]
    offsets: list[tuple[int, int]]
    word_ids: list[int | None]


class Tokeniser:
    """Callable from any thread. `pad_id` is what the model was taught to ignore.

    What looks like a special token inside a text is read as the characters it is written with.
    """

    def __init__(self, tokenizer_json: Path, max_tokens: int, lowercase: bool = False) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(tokenizer_json))
        padding = self._tokenizer.padding or {}
        self.pad_id = int(padding.get("pad_id", self._token_id("[PAD]", "<pad>")))
        self.max_tokens = max_tokens
        self._lowercase = lowercase
        self.separator = self._token_id("[SEP]", "</s>")
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.encode_special_tokens = True
        self._windows = Tokenizer.from_str(self._tokenizer.to_str())
        self._windows.encode_special_tokens = True
        self._windows.enable_truncation(max_tokens, stride=min(_OVERLAP, max(0, max_tokens - 3) // 2))
        self._pairs = Tokenizer.from_str(self._tokenizer.to_str())
        self._pairs.encode_special_tokens = True
        self._pairs.enable_truncation(max_tokens, strategy="longest_first")

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, special tokens included, at most `max_tokens` each.

        Half a surrogate pair, which no tokenizer takes, becomes a question mark.
        """
        chars = self.max_tokens * _CHARS_PER_TOKEN
        ids = self._encode([text[:chars] for text in texts])
        for row, text in enumerate(texts):
            if len(text) > chars and len(ids[row]) < self.max_tokens:  # mostly blanks or endless words
                ids[row] = self._encode([text])[0]
        return ids

    def pairs(self, firsts: Sequence[str], seconds: Sequence[str]) -> list[list[int]]:
        """The ids of each two texts together; the longer one is cut so that both fit."""
        chars = self.max_tokens * _CHARS_PER_TOKEN
        rows = [
            (self._clean(first[:chars]), self._clean(second[:chars]))
            for first, second in zip(firsts, seconds, strict=True)
        ]
        return [found.ids for found in self._pairs.encode_batch_fast(rows)]

    def windows(self, texts: Sequence[str]) -> list[Window]:
        """Every text whole, in overlapping pieces where one is too long; in the order of the texts."""
        found: list[Window] = []
        for row, text in enumerate(texts):
            first = self._windows.encode(self._clean(text))
            for piece in (first, *first.overflowing):
                found.append(Window(row, piece.ids, piece.offsets, piece.word_ids))
        return found

    def _clean(self, text: str) -> str:
        """Lowercase where the model wants it (if no character moves), without half surrogate pairs."""
        if self._lowercase and len(text.lower()) == len(text):
            text = text.lower()
        return text.encode("utf-8", "replace").decode("utf-8")

    def _encode(self, texts: list[str]) -> list[list[int]]:
        if self._lowercase:
            texts = [text.lower() for text in texts]
        try:
            return [found.ids for found in self._tokenizer.encode_batch_fast(texts)]
        except (TypeError, UnicodeError):
            clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
            return [found.ids for found in self._tokenizer.encode_batch_fast(clean)]

    def _token_id(self, *tokens: str) -> int:
        return next((found for t in tokens if (found := self._tokenizer.token_to_id(t)) is not None), 0)
