"""Lines back to running text: where a sentence ends, how two broken lines join."""

from __future__ import annotations

import re

_GLYPH = re.compile(r"\s*(?:[•◦▪●○■□‣⁃∙·➢➤✓\-–*+\uf0b7\uf0a7\ufffd]\s+|[•●▪■➢➤\uf0b7\uf0a7]\s*)(?=\S)")
_NUMBER = re.compile(
    r"\s*(?:\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]\s+|[①-⑳]\s*|[（(]\d{1,2}[)）]\s*|\d{1,2}、\s*)(?=\S)"
)
_CJK = "\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
_CJK_END = re.compile(f"[{_CJK}]$")
_CJK_START = re.compile(f"[{_CJK}]")
_BROKEN = re.compile("(\\w+)[-\u2010\u00ad]$")
_FIRST_WORD = re.compile(r"\w+")
_SENTENCE_END = re.compile("[.!?…。！？｡]['\"”’」』）)\\]]*$")
_SUSPENDED = frozenset(["und", "oder", "bzw", "sowie", "and", "or", "to", "et", "ou", "y", "o", "e"])
_KEEP_HYPHEN = frozenset(["self", "non", "e", "anti", "ex"])


def item_words(line: str) -> str | None:
    """What a line says when it begins a list item, None when it begins none.

    A bullet is dropped; a number is kept, since other text may refer to it.
    """
    if glyph := _GLYPH.match(line):
        return line[glyph.end() :]
    return line.strip() if _NUMBER.match(line) else None


def ends_sentence(words: str) -> bool:
    """Whether the text stops at the end of a sentence."""
    return bool(_SENTENCE_END.search(words))


def is_cjk_between(before: str, after: str) -> bool:
    """Whether two stretches meet in Chinese or Japanese, which puts no space between words."""
    return bool(_CJK_END.search(before) and _CJK_START.match(after))


def join(before: str, after: str, known: frozenset[str] | set[str] = frozenset()) -> str:
    """Two lines of one paragraph as running text, a word broken at the line's end in one.

    `known`: the document's other words, lower case; a compound that stands there with its hyphen keeps it.
    """
    if not before or not after:
        return before or after
    broken, head = _BROKEN.search(before), _FIRST_WORD.match(after)
    if broken and head:
        stem, rest = broken[1], head[0]
        if rest.lower() in _SUSPENDED:
            return f"{before} {after}"
        is_word = stem.isalpha() and rest[0].isalpha() and rest[0].islower()
        compound, whole = f"{stem}-{rest}".lower(), f"{stem}{rest}".lower()
        if is_word and (whole in known or (compound not in known and stem.lower() not in _KEEP_HYPHEN)):
            return before[:-1] + after
        return before + after
    return before + after if is_cjk_between(before, after) else f"{before} {after}"
