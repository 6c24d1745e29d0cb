"""XLSX to sheets of words, as a person sees them in the program: 6.90 EUR, 15%, 2026-03-04.

Read row by row, so that a large sheet needs little memory. Formulas count by the value they had when
the file was saved; hidden sheets, charts, comments and macros are not read.
"""

from __future__ import annotations

import re
import zipfile
from datetime import date, datetime, time, timedelta
from typing import Any, BinaryIO

import openpyxl
from openpyxl.utils import range_boundaries

from chatbot.formats.parts import clean
from chatbot.formats.refusal import MAX_COLUMNS, MAX_ROWS, Refusal
from chatbot.formats.tables import Sheet

_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*?\bref="([A-Z]{1,3}\d{1,7}:[A-Z]{1,3}\d{1,7})"')
_MERGED_IN_BYTES = 64 * 2**20
_TOKEN = re.compile(r'"([^"]*)"|\[\$([^\]-]*)[^\]]*\]|\[[^\]]*\]|[_*].|\\(.)|([0#?][0#?,.]*)|(.)')
_ERRORS = re.compile(r"#(N/A|REF!|DIV/0!|VALUE!|NAME\?|NULL!|NUM!|SPILL!|CALC!)")


def read(stream: BinaryIO) -> list[Sheet]:
    """The visible sheets of an XLSX that `archive.check` let through, empty ones left out.

    Raises Refusal: rows, columns, with the sheet's name.
    """
    book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
    sheets = []
    left = MAX_ROWS
    for page in book.worksheets:
        if page.sheet_state != "visible":
            continue
        sheet = _sheet(page, left)
        _fill_merged(sheet, _merged(stream, page))
        left -= len(sheet.rows)
        if sheet.rows:
            sheets.append(sheet)
    return sheets


def _sheet(page: Any, most: int) -> Sheet:
    name = clean(str(page.title))
    rows: list[tuple[int, list[str]]] = []
    bold: set[int] = set()
    page.reset_dimensions()  # what the file says of its size need not be true
    for number, cells in enumerate(page.iter_rows(), start=1):
        filled = [(at, cell, words) for at, cell in enumerate(cells) if (words := shown(cell))]
        if not filled:
            continue
        if len(rows) >= most:
            raise Refusal("rows", sheet=name, limit=MAX_ROWS)
        if filled[-1][0] >= MAX_COLUMNS:
            raise Refusal("columns", sheet=name, limit=MAX_COLUMNS)
        row = [""] * (filled[-1][0] + 1)
        for at, _cell, words in filled:
            row[at] = words
        rows.append((number, row))
        if all(cell.font is not None and cell.font.b for _at, cell, _words in filled):
            bold.add(number)
    if rows and {number for number, _row in rows} == bold:
        bold = set()
    return Sheet(name, rows, frozenset(bold))


def shown(cell: Any) -> str:
    """A cell's value in words and lines, by its number format where that is a plain one; errors are empty."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return _number(value, str(cell.number_format or ""))
    if isinstance(value, datetime):
        is_day = (value.hour, value.minute, value.second) == (0, 0, 0)
        return value.date().isoformat() if is_day else value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, time):
        return value.strftime("%H:%M")
    if isinstance(value, timedelta):
        return str(value)
    words = "\n".join(filter(None, map(clean, str(value).splitlines())))
    return "" if _ERRORS.fullmatch(words) else words


def _number(value: float, pattern: str) -> str:
    before, core, after, share = _taken_apart(pattern.split(";")[0])
    if not core:
        plain = f"{value:.10f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
        return plain if len(plain) < 40 else repr(value)
    digits = len(core.partition(".")[2].rstrip("#?"))
    grouped = "," if "," in core else ""
    return clean(f"{before}{value * 100 if share else value:{grouped}.{digits}f}{after}")


def _taken_apart(pattern: str) -> tuple[str, str, str, bool]:
    """A number format as (words before, digits, words after, whether it is a share of a hundred).

    No digits for one that is not plain (General, fractions, 1.5E+03).
    """
    said, core = ["", ""], ""
    for token in _TOKEN.finditer(pattern):
        quoted, currency, escaped, number, other = token.groups()
        if (number and core) or other in {"/", "E", "e", "G", "@"}:
            return "", "", "", False
        core = core or number or ""
        said[bool(core)] += quoted or currency or escaped or other or ""
    return said[0], core, said[1], "%" in said[0] + said[1]


def _merged(stream: BinaryIO, page: Any) -> list[tuple[int, int, int, int]]:
    """The merged ranges of a sheet as (column, row, last column, last row), from 1.

    openpyxl's row-by-row reader leaves them out, so they are looked up in the sheet's own file.
    """
    with zipfile.ZipFile(stream) as archive:
        path = getattr(page, "_worksheet_path", "")
        if path not in archive.namelist() or archive.getinfo(path).file_size > _MERGED_IN_BYTES:
            return []
        refs = _MERGED.findall(archive.read(path))
    return [range_boundaries(ref.decode()) for ref in refs]


def _fill_merged(sheet: Sheet, ranges: list[tuple[int, int, int, int]]) -> None:
    """Words of a cell that spans rows stand in each of them, so that every row can be quoted."""
    rows = dict(sheet.rows)
    for column, first, _last_column, last in ranges:
        words = rows.get(first, [])[column - 1 : column]
        if not any(words):
            continue
        for number in range(first + 1, min(last, first + MAX_ROWS) + 1):
            row = rows.get(number)
            if row is not None and (len(row) < column or not row[column - 1]):
                row.extend([""] * (column - len(row)))
                row[column - 1] = words[0]
