"""Words that mean the same to whoever wrote the texts: "refund" = "money back" = "退款".

Such a group is found in a text by any of its words, as a phrase of stemmed tokens ("Refunds", "money-back")
or, where a word has Chinese, Japanese or Korean characters, as those characters. The longest word that stands
at a place is the one that counts there. What the group is then good for is its users' business: the lexical
index counts it as one more term, and a question can be worded with another of its words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.search.tokens import runs, tokenize
from services.text.language import HAN, HANGUL, KANA

_JOINER = re.compile(r"(?<=\w)[-_./](?=\w)")
_NO_SPACES = re.compile(f"[{HAN}{KANA}{HANGUL}]")


@dataclass(frozen=True, slots=True)
class Match:
    """A group's word in a text: `terms` are its tokens, `start` and `end` characters of the folded text."""

    group: int
    word: int
    terms: tuple[str, ...]
    start: int
    end: int


class Equivalents:
    """Groups of words, each at least two; immutable. `language`: as in `tokenize`."""

    def __init__(self, groups: Sequence[Sequence[str]], language: str | None = None) -> None:
        self.groups = tuple(tuple(group) for group in groups)
        self._language = language
        self._phrases: dict[str, list[tuple[tuple[str, ...], int, int]]] = defaultdict(list)
        glyphs: dict[str, tuple[int, int]] = {}
        for group, words in enumerate(self.groups):
            for place, word in enumerate(words):
                plain = fold(word).lower().strip()
                if _NO_SPACES.search(plain):
                    glyphs.setdefault(plain, (group, place))
                else:
                    for terms in _spellings(plain, language):
                        self._phrases[terms[0]].append((terms, group, place))
        for phrases in self._phrases.values():
            phrases.sort(key=lambda one: -len(one[0]))
        self._glyphs: Mapping[str, tuple[int, int]] = glyphs
        longest_first = sorted(glyphs, key=lambda word: (-len(word), word))
        self._glyph = re.compile("|".join(map(re.escape, longest_first))) if glyphs else None

    def __bool__(self) -> bool:
        return bool(self.groups)

    def matches(self, text: str) -> list[Match]:
        """The groups' words in a text, from left to right, none over another."""
        if not self.groups:
            return []
        folded = fold(text)
        found = sorted(
            [*self._by_tokens(folded), *self._by_characters(folded)],
            key=lambda one: (one.start, -one.end, one.group),
        )
        kept: list[Match] = []
        for one in found:
            if not kept or one.start >= kept[-1].end:
                kept.append(one)
        return kept

    def counts(self, text: str) -> Counter[int]:
        """How often each group stands in a text."""
        return Counter(one.group for one in self.matches(text))

    def reworded(self, text: str, known: Mapping[tuple[int, int], int]) -> str | None:
        """The text with the first word of each group in it replaced by another; None where there is none.

        The other word is one written like it (with or without spaces between words), of those the one that
        most texts have, by `known`: (group, place of the word) -> texts; one that none has is no gain.
        """
        folded, made, at, used = fold(text), [], 0, set[int]()
        for one in self.matches(text):
            other = None if one.group in used else self._other(one, known)
            if other is not None:
                used.add(one.group)
                made += [folded[at : one.start], other]
                at = one.end
        return "".join([*made, folded[at:]]) if made else None

    def _other(self, one: Match, known: Mapping[tuple[int, int], int]) -> str | None:
        words = self.groups[one.group]
        alike = bool(_NO_SPACES.search(words[one.word]))
        best: tuple[int, int] | None = None
        for place, word in enumerate(words):
            texts = known.get((one.group, place), 0)
            if place != one.word and texts and bool(_NO_SPACES.search(word)) == alike:
                best = max(best or (0, 0), (texts, -place))
        return words[-best[1]] if best is not None else None

    def _by_tokens(self, folded: str) -> Iterator[Match]:
        if not self._phrases:
            return
        tokens = [(term, run) for run in runs(folded, self._language) for term in run.terms]
        terms = tuple(term for term, _ in tokens)
        at = 0
        while at < len(terms):
            for phrase, group, place in self._phrases.get(terms[at], ()):
                if terms[at : at + len(phrase)] == phrase:
                    end = at + len(phrase)
                    yield Match(group, place, phrase, tokens[at][1].start, tokens[end - 1][1].end)
                    at = end - 1
                    break
            at += 1

    def _by_characters(self, folded: str) -> Iterator[Match]:
        if self._glyph is None:
            return
        for hit in self._glyph.finditer(_lower(folded)):
            group, place = self._glyphs[hit.group()]
            terms = tuple(tokenize(hit.group(), self._language))
            yield Match(group, place, terms, hit.start(), hit.end())


def _spellings(word: str, language: str | None) -> Iterator[tuple[str, ...]]:
    """A word's tokens, and those of a code written with spaces: TX-200/B is also "tx 200 b"."""
    whole, spaced = tuple(tokenize(word, language)), tuple(tokenize(_JOINER.sub(" ", word), language))
    yield from filter(None, dict.fromkeys((whole, spaced)))


def fold(text: str) -> str:
    """Full-width and other compatible forms as the plain ones: ＴＸ－２００ -> TX-200."""
    return unicodedata.normalize("NFKC", text)


def _lower(folded: str) -> str:
    """In lower case, every character at its place (İ would become two)."""
    low = folded.lower()
    return low if len(low) == len(folded) else "".join(c if len(c.lower()) > 1 else c.lower() for c in folded)
