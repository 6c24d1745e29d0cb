"""Tables as people make them: where one begins, which row names the columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Cells = list[str]

_VALUE = re.compile(r"\d|[@€$£¥✓✔✗✘×]|https?://")
_PERIOD = re.compile(r"(19|20)\d\d|[QH][1-4]( (19|20)\d\d)?")
HEAD_CHARS = 80
"""Characters of a column's name, at most: longer words are data."""


@dataclass(slots=True)
class Sheet:
    """A grid of words. `rows` are (number in the file, cells); `bold` the numbers of rows in bold type."""

    name: str
    rows: list[tuple[int, Cells]]
    bold: frozenset[int] = frozenset()


@dataclass(slots=True)
class Region:
    """One table of a sheet, or with no `head` and single cells some lines of text, under its captions."""

    captions: list[str] = field(default_factory=list)
    head: Cells = field(default_factory=list)
    rows: list[tuple[int, Cells]] = field(default_factory=list)
    columns: set[int] = field(default_factory=set)


def has_head(rows: Sequence[Sequence[str]], *, is_bold: bool = False, assume: bool = False) -> bool:
    """Whether the first row names the columns. `assume` is the answer where nothing speaks either way.

    Values (digits, prices, addresses) in the first row speak against it, bold type and values only
    below it for it; so do three columns or more.
    """
    if len(rows) < 2:
        return False
    first = [words for words in rows[0] if words]
    width = max(len(row) for row in rows)
    if len(first) < max(2, width - 1) or len(set(first)) < len(first) or max(map(len, first)) > HEAD_CHARS:
        return False
    if is_bold:
        return True
    named = [words for words in rows[0][1:] if words]
    if named and all(_PERIOD.fullmatch(words) for words in named) and not _VALUE.search(rows[0][0]):
        return True
    if any(_VALUE.search(words) for words in first):
        return False
    return assume or width > 2 or _values_below(rows, 1)


def regions(sheet: Sheet) -> Iterator[Region]:
    """The tables of a sheet. Blank rows part them where a caption, bold type or other columns follow."""
    captions: list[str] = []
    last: Region | None = None
    for block in _blocks(sheet.rows):
        wide = next((i for i, (_n, row) in enumerate(block) if _filled(row) > 1), len(block))
        lines = [" ".join(filter(None, row)) for _n, row in block[:wide]]
        table = block[wide:]
        if not table:
            captions += lines
            continue
        starts_anew = captions or lines or table[0][0] in sheet.bold
        if last is not None and not starts_anew and _columns(table) <= last.columns:
            last.rows += table[1:] if table[0][1] == last.head else table
            continue
        if last is not None:
            yield last
        last = Region(captions + lines, columns=_columns(table))
        captions = []
        bold = table[0][0] in sheet.bold
        if has_head([row for _n, row in table], is_bold=bold, assume=True):
            last.head, table = table[0][1], table[1:]
        last.rows = list(table)
    if last is not None:
        yield last
    if captions:
        yield Region(rows=[(0, [line]) for line in captions])


def _blocks(rows: list[tuple[int, Cells]]) -> Iterator[list[tuple[int, Cells]]]:
    block: list[tuple[int, Cells]] = []
    before = 0
    for number, row in rows:
        blank = not any(row)
        if block and (blank or number > before + 1):
            yield block
            block = []
        if not blank:
            block.append((number, row))
        before = number
    if block:
        yield block


def _values_below(rows: Sequence[Sequence[str]], column: int) -> bool:
    below = [row[column] for row in rows[1:] if len(row) > column and row[column]]
    return bool(below) and sum(bool(_VALUE.search(words)) for words in below) > len(below) / 2


def _filled(row: Cells) -> int:
    return sum(1 for words in row if words)


def _columns(rows: Sequence[tuple[int, Cells]]) -> set[int]:
    return {i for _n, row in rows for i, words in enumerate(row) if words}
