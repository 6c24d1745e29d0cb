"""Plain text to parts: blank lines part paragraphs, bullets begin items, underlined lines are headings.

Lines broken at the same width run together again; a break with room left for the next word is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatbot.formats.parts import HEADING, ITEM, PARAGRAPH, Part, clean
from chatbot.formats.prose import ends_sentence, item_words, join

_UNDERLINE = re.compile(r"\s*([=\-~*])\1{2,}\s*")
HEADING_CHARS = 80


def read(text: str) -> Iterator[Part]:
    """The parts of a plain text file."""
    level = {"=": 1, "*": 1}
    blocks = [block.split("\n") for block in re.split(r"\n[ \t]*\n", text.expandtabs().strip("\n"))]
    widths = sorted(len(line.rstrip()) for block in blocks for line in block[:-1] if line.strip())
    width = widths[int(len(widths) * 0.9)] if widths else 0
    for at, block in enumerate(blocks):
        lines = [line.rstrip() for line in block if line.strip()]
        while lines:
            if len(lines) > 1 and (under := _UNDERLINE.fullmatch(lines[1])) and clean(lines[0]):
                yield Part(HEADING, clean(lines[0]), level=level.get(under[1], 2))
                lines = lines[2:]
            elif len(lines) == 1 and at + 1 < len(blocks) and _is_heading(lines[0], blocks[at + 1]):
                yield Part(HEADING, clean(lines[0]), level=2)
                lines = []
            elif _UNDERLINE.fullmatch(lines[0]):
                lines = lines[1:]
            else:
                part, lines = _paragraph(lines, width)
                yield part


def _paragraph(lines: list[str], width: int) -> tuple[Part, list[str]]:
    item = item_words(lines[0])
    words = clean(lines[0] if item is None else item)
    at = 1
    while at < len(lines):
        line = lines[at]
        room = len(lines[at - 1]) + 1 + len(line.split()[0]) <= width * 0.95
        underlined = at + 1 < len(lines) and _UNDERLINE.fullmatch(lines[at + 1])
        begins = item_words(line) is not None or underlined or _UNDERLINE.fullmatch(line)
        if begins or (room and (item is None or not line.startswith(" "))):
            break
        words = join(words, clean(line))
        at += 1
    return Part(PARAGRAPH if item is None else ITEM, words), lines[at:]


def _is_heading(line: str, following: list[str]) -> bool:
    """A short line by itself, no sentence and no item, with longer text below it."""
    words = clean(line)
    below = clean(" ".join(following))
    return (
        len(words) <= HEADING_CHARS
        and not ends_sentence(words)
        and not words.endswith((",", ";", "，", "；", "、"))
        and item_words(line) is None
        and len(below) > 1.5 * len(words)
    )
