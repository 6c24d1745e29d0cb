"""Stop strings in a text that comes in pieces: cut before them, wherever the pieces break."""

from __future__ import annotations

from collections.abc import Sequence


class StopFilter:
    """Feed it pieces; it gives back what is certain not to begin a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self._over = False

    def take(self, piece: str) -> tuple[str, bool]:
        """The text that may be shown now, and whether a stop string has ended it."""
        if self._over:
            return "", True
        text = self._held + piece
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:  # the one that was complete first, as if the text had come letter by letter
            self._held, self._over = "", True
            return text[: min(found)[1]], True
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], False

    def rest(self) -> str:
        """What was held back, once no more comes."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of the text that may be the beginning of the stop string."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
