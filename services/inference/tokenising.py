"""Texts to token ids, straight from an encoder's `tokenizer.json`, cut at what it can take.

Knows nothing of padding: runtimes pad, because only they know the shapes they like.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_CHARS_PER_TOKEN = 32
"""A text is first cut to this many characters for each token the encoder takes: far above any language."""


class Tokeniser:
    """Callable from any thread. `pad_id` is what the model was taught to ignore."""

    def __init__(self, tokenizer_json: Path, max_tokens: int, lowercase: bool = False) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(tokenizer_json))
        padding = self._tokenizer.padding or {}
        self.pad_id = int(padding.get("pad_id", self._token_id("[PAD]", "<pad>")))
        self.max_tokens = max_tokens
        self._lowercase = lowercase
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

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
