"""Lines that stand beside each other: one printed line again, or rows of a table without rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from chatbot.formats.layout import Line, height_of, is_on_one_line
from chatbot.formats.prose import item_words, join

_LEAST_TABLE_ROWS = 3


def rows_of(lines: list[Line]) -> list[list[Line]]:
    """The stretches of a flow that stand beside each other, from top to bottom and left to right."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=height_of):
        last = rows[-1][0] if rows else None
        if last and not line.rows and not last.rows and is_on_one_line(last, line.base, line.size):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.x0) for row in rows]


def with_tables(rows: list[list[Line]]) -> Iterator[Line]:
    """The rows of a flow as whole lines, runs of rows in columns as tables."""
    at = 0
    while at < len(rows):
        end = _table_end(rows, at)
        if end - at >= _LEAST_TABLE_ROWS and (table := _table(rows[at:end])) is not None:
            yield table
            at = end
        else:
            yield _one_line(rows[at])
            at += 1


def _table_end(rows: list[list[Line]], start: int) -> int:
    """The row after the last that stands in columns like `start`; cells may run on over more lines."""
    if len(rows[start]) < 2 or item_words(rows[start][0].text + " x") is not None:
        return start
    edges = [line.x0 for line in rows[start]]
    pitch = 3.5 * median(line.size for line in rows[start])
    end = start + 1
    while end < len(rows):
        row = rows[end]
        if row[0].rows or row[0].top - rows[end - 1][0].top > pitch:
            break
        aligned = [min(abs(line.x0 - edge) for edge in edges) < 3 for line in row]
        runs_on = len(row) == 1 and aligned[0] and row[0].x0 > edges[0] + 3
        if not runs_on and (len(row) < 2 or not aligned[0]):
            break
        edges += [line.x0 for line, known in zip(row, aligned, strict=True) if not known]
        end += 1
    while end > start and len(rows[end - 1]) < 2 and rows[end - 1][0].x0 <= edges[0] + 3:
        end -= 1
    return end


def _table(rows: list[list[Line]]) -> Line | None:
    """Rows whose words stand in columns, as one table; None when the columns run into each other."""
    lines = sorted((line for row in rows for line in row), key=lambda line: line.x0)
    columns: list[list[float]] = []
    for line in lines:
        if columns and line.x0 < columns[-1][1]:
            columns[-1][1] = max(columns[-1][1], line.x1)
        else:
            columns.append([line.x0, line.x1])
    full = [row for row in rows if len(row) > 1]
    if len(columns) < 2 or len(full) < _LEAST_TABLE_ROWS:
        return None
    grid: list[list[str]] = []
    for row in rows:
        words = [""] * len(columns)
        for line in row:
            at = next(i for i, (x0, x1) in enumerate(columns) if x0 <= line.x0 <= x1)
            words[at] = join(words[at], line.text)
        if len(row) == 1 and grid:
            at = next(i for i, said in enumerate(words) if said)
            grid[-1][at] = join(grid[-1][at], words[at])
        else:
            grid.append(words)
    if sum(1 for row in grid for words in row if words) < 0.6 * len(grid) * len(columns):
        return None
    first = full[0][0]
    stands_out = all(line.bold for line in rows[0]) and not all(line.bold for line in rows[-1])
    last = rows[-1][0]
    return table_line(
        first.page, (columns[0][0], first.top, columns[-1][1], last.bottom), first.size, grid, stands_out
    )


def table_line(
    page: int, box: tuple[float, ...], size: float, rows: list[list[str]], stands_out: bool
) -> Line:
    """A table as what stands at its place; `stands_out` says whether the first row does."""
    x0, top, x1, bottom = map(float, box)
    return Line(page, x0, x1, top, bottom, bottom, size, False, "", rows=rows, stands_out=stands_out)


def _one_line(row: list[Line]) -> Line:
    first = row[0]
    if len(row) == 1:
        return first
    main = max(row, key=lambda line: len(line.text))
    sizes = sum((line.sizes for line in row), Counter())
    return replace(
        main,
        x0=first.x0,
        x1=row[-1].x1,
        bold=all(line.bold for line in row),
        text=" ".join(line.text for line in row),
        first_word=first.first_word,
        sizes=sizes,
    )
