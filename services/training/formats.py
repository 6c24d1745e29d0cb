"""How a file of rows is written: its encoding, its columns by the names used here, its rows as they are.

CSV with commas, semicolons or tabs, and JSONL. What a row means is not known here.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from services.training.dataset import Shape
from services.training.encodings import binary_kind, encoding_of
from services.training.validation import Problem, Unusable

Row = dict[str, Any] | Unusable

NEEDED: Mapping[Shape, tuple[str, ...]] = {
    "labelled": ("text", "label"),
    "multi": ("text", "labels"),
    "spans": ("text", "spans"),
    "pairs": ("text", "second"),
    "rewrites": ("text", "second"),
    "dialogues": ("messages",),
    "texts": ("text",),
}
_TOLD = ("id", "group", "time", "source", "language")
_OPTIONAL: Mapping[Shape, tuple[str, ...]] = {"labelled": ("entity",), "pairs": ("negative",)}
_ALSO_CALLED = {"question": "text", "query": "text", "sentence": "text", "answer": "second"}
_ALSO_CALLED |= {"positive": "second", "target": "second", "summary": "second", "translation": "second"}
_SURROGATES = range(0xDC80, 0xDD00)
_LONGEST_LINE = 1 << 22


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written. `names` are its columns by the names used here, in the order of the file."""

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    ignored: tuple[str, ...]
    problem: Problem | None = None


def layout_of(stream: BinaryIO, filename: str, shape: Shape) -> Layout:
    """How a seekable file is written; `filename` tells the format by its end."""
    stream.seek(0)
    if kind := binary_kind(stream.read(8)):
        return Layout("", "", (), (), Problem(0, "not_text_file", {"kind": kind}))
    stream.seek(0)
    encoding = encoding_of(stream)
    if filename.lower().endswith((".jsonl", ".ndjson", ".json")):
        return _json_layout(stream, encoding, shape)
    with _text(stream, encoding) as file:
        header = file.readline(_LONGEST_LINE).rstrip("\r\n")
    delimiter = max(",;\t", key=lambda sign: _fit(_split(header, sign), shape))
    columns = _split(header, delimiter) if header.strip() else []
    problem = _missing(columns, shape) if columns else Problem(0, "nothing")
    return Layout(encoding, delimiter, *_named(columns, shape), problem)


def _json_layout(stream: BinaryIO, encoding: str, shape: Shape) -> Layout:
    """From the keys of the first hundred objects."""
    keys: dict[str, None] = {}
    with _text(stream, encoding) as file:
        for line in (file.readline(_LONGEST_LINE) for _ in range(100)):
            if not keys and line.lstrip().startswith("["):
                return Layout(encoding, "", (), (), Problem(0, "json_array"))
            if isinstance(found := _object(line), dict):
                keys |= dict.fromkeys(found)
    problem = _missing(list(keys), shape) if keys else None
    return Layout(encoding, "", *_named(list(keys), shape), problem)


def _named(columns: Sequence[str], shape: Shape) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Each column's name as used here ("" when it is not used), and the columns that are not used."""
    used = (*NEEDED[shape], *_OPTIONAL.get(shape, ()), *_TOLD)
    names: list[str] = []
    plain = [column.strip().lower() for column in columns]
    for name in plain:
        other = _ALSO_CALLED.get(name, "")
        name = other if other and other not in plain else name
        names.append(name if name in used and name not in names else "")
    return tuple(names), tuple(c for c, name in zip(columns, names, strict=True) if not name)


def _missing(columns: Sequence[str], shape: Shape) -> Problem | None:
    names, ignored = _named(columns, shape)
    for needed in NEEDED[shape]:
        if needed not in names:
            near = difflib.get_close_matches(needed, [c.strip().lower() for c in ignored], 1, 0.6)
            if near:
                return Problem(0, "missing_column_near", {"column": needed, "near": near[0]})
            listed = ", ".join(columns)[:200]
            return Problem(0, "missing_column", {"column": needed, "columns": listed})
    return None


def _fit(columns: Sequence[str], shape: Shape) -> tuple[int, int]:
    return sum(bool(name) for name in _named(columns, shape)[0]), len(columns)


def _split(header: str, delimiter: str) -> list[str]:
    return next(csv.reader([header], delimiter=delimiter), [])


def raw_rows(stream: BinaryIO, layout: Layout, shape: Shape) -> Iterator[tuple[int, Row]]:
    """Each row with the line it begins on: values by the names used here, or what is wrong with the line."""
    with _text(stream, layout.encoding) as file:
        for line, row in _csv(file, layout) if layout.delimiter else _jsonl(file, shape):
            yield line, _whole(row, layout.encoding)


def _csv(file: io.TextIOWrapper, layout: Layout) -> Iterator[tuple[int, Row]]:
    """Each row after the header with the line it begins on; empty lines are no rows."""
    reader = csv.reader(file, delimiter=layout.delimiter)
    next(reader)
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield line, Unusable("broken_csv")
            continue
        if len(values) > len(layout.names):
            yield line, Unusable("too_many_values", delimiter=layout.delimiter)
        elif values:
            yield line, {n: value for n, value in zip(layout.names, values, strict=False) if n}


def _jsonl(file: io.TextIOWrapper, shape: Shape) -> Iterator[tuple[int, Row]]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if not line.strip():
            continue
        found = _object(line)
        if not isinstance(found, dict):
            yield number, Unusable("broken_json")
            continue
        names, _ = _named(list(found), shape)
        yield number, {n: value for n, value in zip(names, found.values(), strict=True) if n}


def _object(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _whole(row: Row, encoding: str) -> Row:
    """The row, when all its bytes could be read."""
    if isinstance(row, Unusable):
        return row
    for value in row.values():
        if isinstance(value, str) and not value.isascii() and not _readable(value, encoding):
            return Unusable("other_encoding", encoding=encoding.removesuffix("-sig").upper())
    return row


def _readable(value: str, encoding: str) -> bool:
    if encoding.startswith("utf-16"):
        return "\ufffd" not in value
    return not any(ord(sign) in _SURROGATES for sign in value)


@contextmanager
def _text(stream: BinaryIO, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The stream from its start as text; bytes that do not fit stay marked, and the stream stays open."""
    stream.seek(0)
    errors = "replace" if encoding.startswith("utf-16") else "surrogateescape"
    file = io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline="")
    try:
        yield file
    finally:
        if not stream.closed:
            file.detach()
