"""Passages written out as Markdown that is read as the same passages again.

Headings become levels, list items and tables what they were; every sign that Markdown would take for its own
is made plain.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from chatbot.models import Passage

MOST_LEVELS = 6
_ANYWHERE = re.compile(r"([\\`*_\[\]<>&~|])")
_AT_START = re.compile(r"^([#+=-]|\d{1,9}(?=[.)]))")


def written(passages: Iterable[Passage]) -> str:
    """The passages, in their order, as a Markdown text; each heading stands once."""
    lines: list[str] = []
    above: list[str] = []
    for passage in passages:
        path = passage.heading.split(" › ")
        if path != above:
            lines += _headings(above, path)
            above = path
        for kind, blocks in groupby(passage.blocks, key=lambda block: str(block["kind"])):
            lines += [*_blocks(kind, list(blocks), passage.text), ""]
    return "\n".join(lines).strip() + "\n"


def _headings(above: Sequence[str], path: Sequence[str]) -> Iterator[str]:
    """The headings that are new in the path, one below another."""
    same = 0
    while same < min(len(above), len(path) - 1) and above[same] == path[same]:
        same += 1
    for level, name in enumerate(path[same:], start=same + 1):
        yield f"{'#' * min(level, MOST_LEVELS)} {_plain(name)}"
        yield ""


def _blocks(kind: str, blocks: Sequence[dict[str, Any]], text: str) -> Iterator[str]:
    if kind == "row":
        yield from _rows(blocks, text)
        return
    for n, block in enumerate(blocks):
        words = _plain(text[block["start"] : block["end"]])
        if kind == "item":
            yield f"- {words}"
        else:
            yield from ([""] if n else [])
            yield words


def _rows(blocks: Sequence[dict[str, Any]], text: str) -> Iterator[str]:
    """Rows with the same columns as a table; others as the sentences they are."""
    for names, rows in groupby(blocks, key=lambda block: [name for name, _words in block.get("cells", [])]):
        if len(names) > 1 and all(names):
            yield from _table(names, [[words for _name, words in row["cells"]] for row in rows])
            yield ""
        else:
            for row in rows:
                yield _plain(text[row["start"] : row["end"]])
                yield ""


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _cells(names)
    yield _cells(["---"] * len(names), plain=True)
    yield from (_cells(row) for row in rows)


def _cells(words: Sequence[str], plain: bool = False) -> str:
    return f"| {' | '.join(one if plain else _plain(one) for one in words)} |"


def _plain(words: str) -> str:
    words = " ".join(words.split())
    return _AT_START.sub(_escaped_start, _ANYWHERE.sub(r"\\\1", words))


def _escaped_start(found: re.Match[str]) -> str:
    """A number before a dot is no list: the dot is made plain, for a digit cannot be."""
    return f"\\{found[1]}" if not found[1].isdigit() else f"&#{ord(found[1][0])};{found[1][1:]}"
