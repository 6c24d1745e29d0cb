"""From a file's bytes to sections of plain text: Markdown, HTML, FAQ tables.

Markdown becomes HTML first, so there is one reader of structure. A section is what stands under one
heading; its text is plain, and its blocks say where paragraphs, list items and table rows lie in it.
A table row becomes a sentence of its own ("Country: Norway; Time: 3-5 days"), so that it can be quoted.
Knows nothing of rows in the database.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bs4 import BeautifulSoup, Tag
from django.utils.translation import gettext as _
from markdown_it import MarkdownIt

from services.errors import InvalidInput, UnsupportedMediaType
from services.text.language import detect

MEDIA_TYPES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".csv": "text/csv",
    ".jsonl": "application/jsonl",
}
SECTION_CHARS = 1500
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_FURNITURE = (
    "script, style, nav, header, footer, aside, form, noscript, template, iframe, svg, button, dialog"
)
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list item or a table row; offsets in characters into its section's text."""

    kind: str
    start: int
    end: int
    cells: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As it is kept on the passage."""
        plain: dict[str, Any] = {"kind": self.kind, "start": self.start, "end": self.end}
        return {**plain, "cells": [list(cell) for cell in self.cells]} if self.cells else plain


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading: plain text, its blocks, and for an FAQ its question's variants."""

    title_path: tuple[str, ...]
    text: str
    blocks: tuple[Block, ...]
    language: str
    variants: tuple[str, ...] = ()


@dataclass(slots=True)
class _Open:
    """A section being read."""

    title_path: tuple[str, ...]
    parts: list[tuple[str, str, tuple[tuple[str, str], ...]]] = field(default_factory=list)

    def close(self) -> Iterator[Section]:
        """The section, cut at block borders where it is longer than SECTION_CHARS."""
        chunk: list[tuple[str, str, tuple[tuple[str, str], ...]]] = []
        size = 0
        for part in self.parts:
            if chunk and size + len(part[1]) > SECTION_CHARS:
                yield _section(self.title_path, chunk)
                chunk, size = [], 0
            chunk.append(part)
            size += len(part[1])
        if chunk:
            yield _section(self.title_path, chunk)


def media_type_of(filename: str) -> str:
    """The type a file's ending stands for. Raises UnsupportedMediaType naming those that are read."""
    ending = "." + filename.rsplit(".", 1)[-1].lower() if "." in filename else ""
    if ending not in MEDIA_TYPES:
        raise UnsupportedMediaType(
            _("Files of this type are not read. Use one of: %(endings)s.")
            % {"endings": ", ".join(MEDIA_TYPES)},
            field="file",
        )
    return MEDIA_TYPES[ending]


def read_sections(data: bytes, media_type: str, title: str) -> list[Section]:
    """The sections of a file, in order; `title` heads those that stand under no heading.

    Raises InvalidInput naming what cannot be read (not text, a missing column, the line).
    """
    text = _decode(data)
    if not text.strip():
        raise InvalidInput(_("The file holds no text. Upload a file with some."), field="file")
    if media_type == "text/markdown":
        sections = list(_from_html(MarkdownIt("commonmark").enable("table").render(text), title))
    elif media_type == "text/html":
        sections = list(_from_html(text, title))
    elif media_type == "text/csv":
        sections = [_faq_entry(row, line) for line, row in _csv_rows(text)]
    elif media_type == "application/jsonl":
        sections = [_faq_entry(row, line) for line, row in _json_rows(text)]
    else:
        raise UnsupportedMediaType(field="file")
    if not sections:
        raise InvalidInput(_("No text was found in the file."), field="file")
    return sections


def _decode(data: bytes) -> str:
    if b"\x00" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InvalidInput(
            _("This is a binary file, not text. Save it as text and upload that."), field="file"
        )
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "gb18030"):
        try:
            return _CONTROL.sub("", data.decode(encoding))
        except UnicodeDecodeError:
            continue
    raise InvalidInput(
        _("The file's characters cannot be read. Save it as UTF-8 and upload that."), field="file"
    )


def _from_html(html: str, title: str) -> Iterator[Section]:
    soup = BeautifulSoup(html, "lxml")
    page_title = _words(soup.title.get_text(" ")) if soup.title else ""
    for furniture in soup.select(_FURNITURE):
        furniture.decompose()
    found = soup.find("main") or soup.find("article") or soup.body
    root = found if isinstance(found, Tag) else soup
    path: list[tuple[int, str]] = []
    current = _Open((page_title or title,))
    for element in _elements(root):
        if element.name in _HEADINGS:
            yield from current.close()
            level, words = int(element.name[1]), _words(element.get_text(" "))
            path = [(at, name) for at, name in path if at < level] + [(level, words)]
            current = _Open(tuple(name for _level, name in path))
        elif element.name == "table":
            current.parts.extend(_table_rows(element))
        elif words := _words(element.get_text(" ")):
            current.parts.append(("item" if element.name == "li" else "paragraph", words, ()))
    yield from current.close()


def _elements(root: Tag) -> Iterator[Tag]:
    """Headings, tables and innermost text blocks in reading order."""
    wanted = {*_HEADINGS, "p", "li", "table", "pre", "blockquote", "dt", "dd", "div", "section", "figcaption"}
    for element in root.find_all(wanted):
        if element.find_parent("table") is not None and element.name != "table":
            continue
        if element.name in {"div", "section", "li", "blockquote", "dd", "dt"} and element.find(
            ["p", "li", "table", "div", "section", *_HEADINGS]
        ):
            if element.name == "li":
                yield from _own_words(element)
            continue
        yield element


def _own_words(item: Tag) -> Iterator[Tag]:
    """The words a list item has before its inner list, as an element of its own."""
    if item.find("p") is not None:
        return
    own = BeautifulSoup("<li></li>", "lxml").li
    assert own is not None
    for child in list(item.children):
        if isinstance(child, Tag) and child.name in {"ul", "ol", "table", "div"}:
            break
        own.append(str(child.get_text(" ")) if isinstance(child, Tag) else str(child))
    yield own


def _table_rows(table: Tag) -> Iterator[tuple[str, str, tuple[tuple[str, str], ...]]]:
    rows = [
        [_words(cell.get_text(" ")) for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")
    ]
    rows = [row for row in rows if any(row)]
    if not rows:
        return
    first = table.find("tr")
    has_head = first is not None and first.find("td") is None and len(rows) > 1
    head = rows[0] if has_head else []
    for row in rows[1:] if has_head else rows:
        cells = tuple((head[i] if i < len(head) else "", words) for i, words in enumerate(row) if words)
        yield "row", "; ".join(f"{name}: {words}" if name else words for name, words in cells), cells


def _section(path: tuple[str, ...], parts: list[tuple[str, str, tuple[tuple[str, str], ...]]]) -> Section:
    blocks, texts, at = [], [], 0
    for kind, words, cells in parts:
        blocks.append(Block(kind, at, at + len(words), cells))
        texts.append(words)
        at += len(words) + 1
    text = "\n".join(texts)
    return Section(path, text, tuple(blocks), detect(" ".join((*path, text))))


def _faq_entry(row: dict[str, Any], line: int) -> Section:
    question, answer = (_words(str(row.get(name) or "")) for name in ("question", "answer"))
    for name, value in (("question", question), ("answer", answer)):
        if not value:
            raise InvalidInput(
                _("Line %(line)d has no %(name)s. Every entry needs a question and an answer.")
                % {"line": line, "name": name},
                field=name,
                line=line,
            )
    variants = row.get("variants") or []
    if isinstance(variants, str):
        variants = variants.split("|")
    topic = _words(str(row.get("section") or ""))
    parts = [("paragraph", _words(p), ()) for p in str(row["answer"]).splitlines() if p.strip()]
    made = _section((topic, question) if topic else (question,), parts)  # type: ignore[arg-type]
    language = str(row.get("language") or "") or made.language
    cleaned = tuple(words for v in variants if (words := _words(str(v))))
    return Section(made.title_path, made.text, made.blocks, language, cleaned)


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        names = [name.strip().lower() for name in reader.fieldnames or []]
        reader.fieldnames = names
        for name in ("question", "answer"):
            if name not in names:
                raise InvalidInput(
                    _(
                        "The table has no column “%(name)s”. Its first line must name the columns question "
                        "and answer."
                    )
                    % {"name": name},
                    field=name,
                )
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise InvalidInput(_("The table cannot be read: %(why)s.") % {"why": error}, field="file") from error


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, words in enumerate(text.splitlines(), start=1):
        if not words.strip():
            continue
        try:
            row = json.loads(words)
        except json.JSONDecodeError as error:
            raise InvalidInput(
                _("Line %(line)d is not valid JSON.") % {"line": line}, field="file", line=line
            ) from error
        if not isinstance(row, dict):
            raise InvalidInput(
                _("Line %(line)d is not an object with question and answer.") % {"line": line},
                field="file",
                line=line,
            )
        yield line, row


def _words(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
