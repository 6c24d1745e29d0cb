"""PDF to parts: pages become lines with place, size and weight; `layout` and `flow` make text of them.

Read with pdfplumber (pdfminer.six): pure Python, so a hostile file costs time and memory, which the
child process has little of, and no more. Scripts, forms, attachments and pictures are not read, nor
text that runs at an angle or lies outside the page.
"""

from __future__ import annotations

import io
from bisect import bisect_left, bisect_right
from collections import Counter
from typing import Any, BinaryIO

import pdfplumber
from pdfminer.pdfdocument import PDFEncryptionError, PDFPasswordIncorrect
from pdfplumber.utils import extract_words
from pdfplumber.utils.exceptions import PdfminerException

from chatbot.formats import flow
from chatbot.formats.layout import Line, PageText, is_bold, lines_of
from chatbot.formats.parts import Part, clean
from chatbot.formats.prose import join
from chatbot.formats.refusal import MAX_CHARS, MAX_PAGES, Refusal
from chatbot.formats.rows import rows_of, table_line

_END_BYTES = 4096
_LETTERS_A_PAGE = 10
"""Fewer letters than these on a page that is a picture: the page was scanned."""
_WORD_GAP = 0.15
"""White space between two words, in font sizes, at least."""


def read(stream: BinaryIO) -> list[Part]:
    """The parts of a PDF, each with its page.

    Raises Refusal: broken, password, pages, pictures, unmapped, text.
    """
    data = stream.read()
    if b"%%EOF" not in data[-_END_BYTES:]:  # cut off: what is left may still be readable in part
        raise Refusal("broken")
    try:
        document = pdfplumber.open(io.BytesIO(data), raise_unicode_errors=False)
        found = document.pages
    except PdfminerException as error:
        cause = error.args[0] if error.args else error
        locked = isinstance(cause, PDFPasswordIncorrect | PDFEncryptionError)
        raise Refusal("password" if locked else "broken") from error
    if not found:
        raise Refusal("broken")
    if len(found) > MAX_PAGES:
        raise Refusal("pages", pages=len(found), limit=MAX_PAGES)
    pages, pictures, chars, unmapped = [], 0, 0, 0
    for page in found:
        text = _page(page)
        letters = sum(len(line.text) for line in text.lines)
        pictures += letters < _LETTERS_A_PAGE and _is_picture(page)
        chars += letters
        unmapped += sum(line.text.count("\ufffd") for line in text.lines)
        pages.append(text)
        page.close()
        if chars > MAX_CHARS:
            raise Refusal("text", limit=MAX_CHARS)
    if pictures > len(pages) / 2:
        raise Refusal("pictures")
    if unmapped > chars / 5:
        raise Refusal("unmapped")
    return flow.parts_of(pages)


def _page(page: Any) -> PageText:
    chars = [char for char in page.chars if char["upright"] and _is_inside(char, page)]
    chars = _without_copies(chars)
    for char in chars:
        char["base"] = round(float(page.height) - char["matrix"][5], 1)
    tables, boxes = _tables(page, chars)
    free = [char for char in chars if not any(_is_in_box(char, box) for box in boxes)]
    lines = [*lines_of(_words(free), page.page_number), *tables]
    return PageText(page.page_number, float(page.width), float(page.height), lines)


def _tables(page: Any, chars: list[dict[str, Any]]) -> tuple[list[Line], list[tuple[float, ...]]]:
    """The ruled tables of a page, and where they stand; frames and charts are none."""
    if len(page.lines) + len(page.rects) + len(page.curves) < 2:
        return [], []
    tables: list[Line] = []
    boxes: list[tuple[float, ...]] = []
    for table in page.find_tables():
        grid = _grid(table, chars)
        rows = [row for row in grid if any(row)]
        width = max((sum(1 for words in row if words) for row in rows), default=0)
        filled = sum(1 for row in rows for words in row if words)
        if len(rows) < 2 or width < 2 or filled < 0.4 * sum(map(len, rows)):
            continue
        in_box = [char for char in chars if _is_in_box(char, table.bbox)]
        size = Counter(round(char["size"], 1) for char in in_box).most_common(1)[0][0]
        stands_out = _first_row_stands_out(page, table, in_box)
        made = table_line(page.page_number, table.bbox, size, rows, stands_out)
        tables.append(made)
        boxes.append(tuple(table.bbox))
    return tables, boxes


def _grid(table: Any, chars: list[dict[str, Any]]) -> list[list[str]]:
    """The words of each cell; those of a cell that spans rows in each of its rows, of columns once."""
    columns = sorted({round(cell[0], 1) for cell in table.cells})
    tops = sorted({round(cell[1], 1) for cell in table.cells})
    grid = [[""] * len(columns) for _top in tops]
    chars = sorted(chars, key=_middle)
    heights = [_middle(char) for char in chars]
    for cell in table.cells:
        beside = chars[bisect_left(heights, cell[1]) : bisect_right(heights, cell[3])]
        words, column = _cell_words(cell, beside), columns.index(round(cell[0], 1))
        for at, top in enumerate(tops):
            if cell[1] - 1 <= top < cell[3] - 1:
                grid[at][column] = words
    return grid


def _cell_words(cell: tuple[float, ...], chars: list[dict[str, Any]]) -> str:
    inside = [char for char in chars if _is_in_box(char, cell)]
    said = ""
    for row in rows_of(lines_of(_words(inside), 0)):
        said = join(said, " ".join(line.text for line in row))
    return clean(said)


def _words(chars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return extract_words(
        chars, x_tolerance_ratio=_WORD_GAP, y_tolerance=2, extra_attrs=["fontname", "size", "base"]
    )


def _first_row_stands_out(page: Any, table: Any, chars: list[dict[str, Any]]) -> bool:
    """Whether the first row is in bold type, or on a ground of its own, and the last is not."""
    first, last = table.rows[0].bbox, table.rows[-1].bbox

    def bold(box: tuple[float, ...]) -> bool:
        inside = [char for char in chars if _is_in_box(char, box) and char["text"].strip()]
        return bool(inside) and sum(is_bold(char["fontname"]) for char in inside) > 0.9 * len(inside)

    def shaded(box: tuple[float, ...]) -> bool:
        area = (box[2] - box[0]) * (box[3] - box[1])
        grounds = [
            rect
            for rect in page.rects
            if rect["fill"] and _is_in_box(rect, box) and not _is_white(rect["non_stroking_color"])
        ]
        return sum(rect["width"] * rect["height"] for rect in grounds) > 0.7 * area

    return (bold(first) and not bold(last)) or (shaded(first) and not shaded(last))


def _is_white(colour: Any) -> bool:
    values = colour if isinstance(colour, tuple | list) else (colour,)
    numbers = [value for value in values if isinstance(value, int | float)]
    return len(numbers) in {1, 3} and all(value > 0.97 for value in numbers)


def _is_picture(page: Any) -> bool:
    covered = sum(image["width"] * image["height"] for image in page.images)
    return bool(covered > 0.5 * float(page.width) * float(page.height))


def _is_inside(char: dict[str, Any], page: Any) -> bool:
    return _is_in_box(char, page.bbox)


def _is_in_box(thing: dict[str, Any], box: tuple[float, ...]) -> bool:
    x, y = (thing["x0"] + thing["x1"]) / 2, _middle(thing)
    return bool(box[0] <= x <= box[2] and box[1] <= y <= box[3])


def _middle(thing: dict[str, Any]) -> float:
    return float(thing["top"] + thing["bottom"]) / 2


def _without_copies(chars: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each letter once: some programs print a letter twice, a hair apart, to make it bold."""
    seen: set[tuple[str, float, int, int, int]] = set()
    kept = []
    for char in chars:
        hair = round(0.15 * float(char["size"]), 1) or 1.0
        x, y = char["x0"] / hair, char["top"] / hair
        places = {(char["text"], hair, half, int(x + half / 2), int(y + half / 2)) for half in (0, 1)}
        if char["text"].isspace() or not places & seen:
            kept.append(char)
        seen |= places
    return kept
