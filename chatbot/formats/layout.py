"""Where words stand on a page, and the order they are read in: lines and columns.

Columns are found by their gutter: a strip of white with prose on both sides. What crosses it (a title,
a wide table) parts the page into bands, each read column by column.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from chatbot.formats.parts import clean
from chatbot.formats.prose import is_cjk_between

_PART_GAP = 1.2
"""White space between two stretches of one line, in font sizes, beyond which they may be of two columns."""
_WORD_GAP = 0.12
"""White space between two words, in font sizes, at least."""
_STRIP = 8.0
"""Lines are looked up by strips of a page this high, in points."""
_UNKNOWN_SIGN = re.compile(r"\(cid:\d+\)")
_LEAST_COLUMN_LINES = 4
_LEAST_COLUMN_EMS = 8
_MOST_COLUMNS = 4

Strip = tuple[float, float]
"""A vertical strip of a page: its left and its right border, in points."""


@dataclass(slots=True, eq=False)
class Line:
    """A stretch of one printed line, or with `rows` a table; points from the page's upper left corner."""

    page: int
    x0: float
    x1: float
    top: float
    bottom: float
    base: float
    """The height the letters stand on."""
    size: float
    """Of most of its letters, in points."""
    bold: bool
    text: str
    first_word: float = 0.0
    """Width of the first word."""
    sizes: Counter[float] = field(default_factory=Counter)
    """Letters by size."""
    rows: list[list[str]] = field(default_factory=list)
    stands_out: bool = False
    """Whether the first of `rows` is set unlike the last."""

    @property
    def width(self) -> float:
        """In points."""
        return self.x1 - self.x0

    def is_set_like(self, other: Line) -> bool:
        """Whether both are of one size, a few words in another aside."""
        if abs(self.size - other.size) < 0.6:
            return True
        share = self.sizes[other.size] / max(sum(self.sizes.values()), 1)
        return max(share, other.sizes[self.size] / max(sum(other.sizes.values()), 1)) > 0.15


@dataclass(slots=True)
class PageText:
    """What stands on one page, in no order yet."""

    number: int
    width: float
    height: float
    lines: list[Line]


def is_bold(fontname: Any) -> bool:
    """Whether a font is bold by its name."""
    name = str(fontname).lower()
    return any(weight in name for weight in ("bold", "black", "heavy", "demi"))


def lines_of(words: list[dict[str, Any]], page: int) -> list[Line]:
    """Words (as pdfplumber gives them) joined to stretches of lines; footnote marks are left out."""
    made = _Joining(page)
    for word in sorted(words, key=lambda word: (word["x0"], word["top"])):
        made.add(word)
    return made.finished()


class _Joining:
    """Lines that grow word by word, from left to right."""

    def __init__(self, page: int) -> None:
        self.page = page
        self.lines: list[Line] = []
        self.bold: list[int] = []  # letters of a line in bold type
        self.by_height: dict[int, list[int]] = {}

    def add(self, word: dict[str, Any]) -> None:
        """Put a word at the end of the line it continues, or begin one."""
        text = clean(_UNKNOWN_SIGN.sub("\ufffd", str(word["text"]).replace("\u00ad", "\u2010")))
        size = round(float(word["size"]), 1)
        if not text or size <= 0:
            return
        bold = len(text) if is_bold(word["fontname"]) else 0
        at = self._left_of(word, size)
        if at is None:
            self._begin(word, text, size, bold)
            return
        line = self.lines[at]
        if word["base"] < line.base - 0.15 * line.size and text.isdigit() and len(text) < 3:
            return
        gap = word["x0"] - line.x1
        glued = gap < _WORD_GAP * size or (is_cjk_between(line.text, text) and gap < 0.8 * size)
        if glued and " " not in line.text:
            line.first_word = word["x1"] - line.x0
        line.text += text if glued else f" {text}"
        line.x1 = max(line.x1, word["x1"])
        if line.sizes[size] + len(text) > line.sizes[line.size] and size != line.size:
            line.size, line.top, line.bottom, line.base = size, word["top"], word["bottom"], word["base"]
        line.sizes[size] += len(text)
        self.bold[at] += bold

    def finished(self) -> list[Line]:
        """The lines, each bold when nearly all its letters are."""
        for line, bold in zip(self.lines, self.bold, strict=True):
            line.bold = bold > 0.9 * sum(line.sizes.values())
        return self.lines

    def _begin(self, word: dict[str, Any], text: str, size: float, bold: int) -> None:
        x0, x1, top, bottom = word["x0"], word["x1"], word["top"], word["bottom"]
        self.by_height.setdefault(int(word["base"] / _STRIP), []).append(len(self.lines))
        line = Line(self.page, x0, x1, top, bottom, word["base"], size, False, text, first_word=x1 - x0)
        line.sizes[size] = len(text)
        self.lines.append(line)
        self.bold.append(bold)

    def _left_of(self, word: dict[str, Any], size: float) -> int | None:
        strips = range(int((word["base"] - size) / _STRIP), int((word["base"] + size) / _STRIP) + 1)
        best, least = None, _PART_GAP * size
        for at in (at for strip in strips for at in self.by_height.get(strip, [])):
            line = self.lines[at]
            gap = word["x0"] - line.x1
            if -0.5 * size <= gap <= max(least, 0.0) and is_on_one_line(line, word["base"], size):
                best, least = at, gap
        return best


def is_on_one_line(line: Line, base: float, size: float) -> bool:
    """Whether letters stand on a line, or a little above or below it and are smaller (5 m²)."""
    reach = 0.2 if abs(size - line.size) < 0.15 * line.size else 0.5
    return abs(line.base - base) <= reach * max(size, line.size)


def reading_order(lines: list[Line], hint: Strip | None = None) -> tuple[list[list[Line]], Strip | None]:
    """The lines of a page in flows (columns, and the bands between them) as they are read, and the gutter.

    `hint` is the gutter of the page before: it counts where it is free, even with little text beside it.
    """
    gutter = _gutter(lines)
    if gutter is None and hint is not None and _is_free(lines, hint):
        gutter = hint
    if gutter is not None:
        return _columns(lines, gutter), gutter
    flows: list[list[Line]] = []
    whole: list[Line] = []
    for stretch in _stretches(lines):
        if (own := _gutter(stretch)) is None:
            whole += stretch
            continue
        flows += [whole] if whole else []
        whole = []
        flows += _columns(stretch, own)
    return [*flows, whole] if whole else flows, None


def _stretches(lines: list[Line]) -> list[list[Line]]:
    """The lines of a page from top to bottom, parted where one is wide: columns may stand between them."""
    if not lines:
        return []
    width = max(line.x1 for line in lines) - min(line.x0 for line in lines)
    stretches: list[list[Line]] = [[]]
    for line in sorted(lines, key=height_of):
        if line.width > 0.6 * width:
            stretches += [[line], []]
        else:
            stretches[-1].append(line)
    return stretches


def _columns(lines: list[Line], gutter: Strip, depth: int = 0) -> list[list[Line]]:
    """The flows on both sides of a gutter, between the lines that cross it."""
    x0, x1 = gutter
    crossing = sorted((line for line in lines if line.x0 < x0 - 1 and line.x1 > x1 + 1), key=height_of)
    across = {id(line) for line in crossing}
    flows: list[list[Line]] = []
    band_top = float("-inf")
    heads: list[Line] = []
    for line in [*crossing, None]:
        below = height_of(line) if line else float("inf")
        band = [other for other in lines if id(other) not in across and band_top <= height_of(other) < below]
        tail = _tail(band, line, gutter) if line else []
        sides = _sides([other for other in band if other not in tail], gutter)
        if all(sides) and _overlap(*sides) > 0:
            flows += [heads] if heads else []
            heads = tail
            for side in sides:
                own = _gutter(side) if depth < _MOST_COLUMNS else None
                flows += [side] if own is None else _columns(side, own, depth + 1)
        else:
            heads += band
        if line:
            heads.append(line)
            band_top = below
    return [*flows, heads] if heads else flows


def _sides(lines: list[Line], gutter: Strip) -> tuple[list[Line], list[Line]]:
    left = [line for line in lines if line.x1 <= gutter[1] + 1]
    return left, [line for line in lines if line.x1 > gutter[1] + 1]


def _tail(band: list[Line], below: Line, gutter: Strip) -> list[Line]:
    """The lines under the shorter column that run on into a line across both: they are of no column."""
    sides = _sides(band, gutter)
    if not all(sides):
        return []
    end = min(max(line.bottom for line in side) for side in sides)
    tail = [line for line in band if line.top >= end]
    return tail if tail and below.top - max(line.bottom for line in tail) < 1.2 * below.size else []


def _is_free(lines: list[Line], strip: Strip) -> bool:
    """Whether text stands on both sides of a strip and hardly any across it."""
    left = [line for line in lines if line.x1 <= strip[1] + 1]
    right = [line for line in lines if line.x0 >= strip[0] - 1]
    few = len(lines) - len(left) - len(right) <= 0.08 * len(lines)
    return bool(left and right and few and _overlap(left, right) > 0.5)


def _gutter(lines: list[Line]) -> Strip | None:
    """The widest strip of white between two columns of prose."""
    if len(lines) < 2 * _LEAST_COLUMN_LINES:
        return None
    left, right = min(line.x0 for line in lines), max(line.x1 for line in lines)
    size = median(line.size for line in lines)
    narrow = [line for line in lines if line.width < 0.6 * (right - left)]
    for x0, x1 in _white_strips(narrow, left, least=0.7 * size):
        sides = [line for line in narrow if line.x1 <= x0 + 1], [line for line in narrow if line.x0 >= x1 - 1]
        if all(_is_column(side) for side in sides) and _overlap(*sides) > 0.4:
            return x0, x1
    return None


def _white_strips(lines: list[Line], left: float, least: float) -> list[Strip]:
    """Strips from top to bottom that one line in twelve crosses at most, the widest first."""
    few = len(lines) // 12
    strips: list[Strip] = []
    covering, since = 0, left
    for x, step in sorted([(line.x0, 1) for line in lines] + [(line.x1, -1) for line in lines]):
        if step > 0 and covering == few and x - since >= least and since > left:
            strips.append((since, x))
        covering += step
        if step < 0 and covering == few:
            since = x
    return sorted(strips, key=lambda strip: strip[0] - strip[1])


def _is_column(lines: list[Line]) -> bool:
    """Whether lines are prose set in one column: enough of them, long ones, most as wide as the column."""
    prose = [line for line in lines if not line.rows]
    if any(line.rows for line in lines) and not prose:
        return True
    if len(prose) < _LEAST_COLUMN_LINES:
        return False
    width = max(line.x1 for line in prose) - min(line.x0 for line in prose)
    typical = median(line.width for line in prose)
    return typical > 0.55 * width and typical > _LEAST_COLUMN_EMS * median(line.size for line in prose)


def _overlap(one: list[Line], other: list[Line]) -> float:
    """How much of the shorter side's height has the other beside it, 0 to 1."""
    spans = [(min(line.top for line in side), max(line.bottom for line in side)) for side in (one, other)]
    common = min(spans[0][1], spans[1][1]) - max(spans[0][0], spans[1][0])
    return common / max(min(end - start for start, end in spans), 1.0)


def height_of(line: Line) -> float:
    """Where a line stands from top to bottom, a table by its upper border."""
    return line.top if line.rows else line.base
