"""From a file's bytes to sections of plain text: documents, pages, plain text, tables and FAQs.

The readers in `formats/` give parts (headings, paragraphs, items, rows); here they become sections.
A section is what stands under one heading; its text is plain, and its blocks say where paragraphs, list
items and table rows lie in it. PDF, DOCX and XLSX are read in a process of their own (`converting`).
Knows nothing of rows in the database.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from markdown_it import MarkdownIt

from chatbot import converting
from chatbot.formats import markup, plain
from chatbot.formats.parts import HEADING, PARAGRAPH, Part, clean, row_part
from chatbot.formats.refusal import MAX_COLUMNS, MAX_ROWS
from chatbot.formats.tables import Region, Sheet, regions
from services.errors import InvalidInput, TooLarge, UnsupportedMediaType
from services.text.language import detect

MEDIA_TYPES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".csv": "text/csv",
    ".jsonl": "application/jsonl",
    ".txt": "text/plain",
    ".pdf": converting.PDF,
    ".docx": converting.DOCX,
    ".xlsx": converting.XLSX,
}
SECTION_CHARS = 1500
FAQ_COLUMNS = {
    "question": "question",
    "问题": "question",
    "answer": "answer",
    "答案": "answer",
    "回答": "answer",
    "variants": "variants",
    "相似问法": "variants",
    "相似问题": "variants",
    "section": "section",
    "分类": "section",
    "language": "language",
    "语言": "language",
}
_MEANS_QUESTION = {"question", "questions", "q", "faq", "问题", "问", "标准问题"}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a list item or a table row; offsets in characters into its section's text."""

    kind: str
    start: int
    end: int
    cells: tuple[tuple[str, str], ...] = ()
    page: int = 0
    """Of the file, from 1; 0 where it has no pages."""

    def as_json(self) -> dict[str, Any]:
        """As it is kept on the passage."""
        plain: dict[str, Any] = {"kind": self.kind, "start": self.start, "end": self.end}
        if self.cells:
            plain["cells"] = [list(cell) for cell in self.cells]
        return {**plain, "page": self.page} if self.page else plain


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading: plain text, its blocks, and for an FAQ its question's variants."""

    title_path: tuple[str, ...]
    text: str
    blocks: tuple[Block, ...]
    language: str
    variants: tuple[str, ...] = ()
    is_faq: bool = False
    """Whether the last of `title_path` is a question and `text` its answer."""


@dataclass(slots=True)
class _Open:
    """A section being read."""

    title_path: tuple[str, ...]
    parts: list[Part] = field(default_factory=list)

    def close(self) -> Iterator[Section]:
        """The section, cut at block borders where it is longer than SECTION_CHARS."""
        chunk: list[Part] = []
        size = 0
        for part in self.parts:
            if chunk and size + len(part.words) > SECTION_CHARS:
                yield _section(self.title_path, chunk)
                chunk, size = [], 0
            chunk.append(part)
            size += len(part.words)
        if chunk:
            yield _section(self.title_path, chunk)


def media_type_of(filename: str, data: bytes = b"") -> str:
    """The type a file's ending stands for; its first bytes decide when they tell another that is read.

    Raises UnsupportedMediaType naming the endings that are read, or what the bytes are instead.
    """
    ending = "." + filename.rsplit(".", 1)[-1].lower() if "." in filename else ""
    if ending not in MEDIA_TYPES:
        raise UnsupportedMediaType(
            _("Files of this type are not read. Use one of: %(endings)s.")
            % {"endings": ", ".join(MEDIA_TYPES)},
            field="file",
        )
    return converting.sniff(data, MEDIA_TYPES[ending])


def read_sections(
    data: bytes,
    media_type: str,
    title: str,
    *,
    wall_s: float = converting.WALL_S,
    alive: Callable[[], object] | None = None,
) -> list[Section]:
    """The sections of a file, in order; `title` heads those that stand under no heading.

    `wall_s` and `alive`: see `converting.convert`. Raises InvalidInput naming what cannot be read (not
    text, a missing column, the line), and what `converting.convert` raises.
    """
    if not data.strip():
        raise InvalidInput(_("The file holds no text. Upload a file with some."), field="file")
    if media_type in converting.KINDS:
        found = converting.convert(data, media_type, wall_s=wall_s, alive=alive)
        sections = [*_folded(found.parts, title), *_of_workbook(found.sheets, title)]
    else:
        sections = list(_of_text(decoded(data), media_type, title))
    if not sections:
        raise InvalidInput(_("No text was found in the file."), field="file")
    return sections


def document_title(sections: Sequence[Section], media_type: str) -> str:
    """The title a file gives itself, "" without one: its first heading, where all else stands under it."""
    first = sections[0].title_path[0]
    if media_type in {"text/markdown", "text/html"}:
        return first
    if media_type not in {"text/plain", converting.PDF, converting.DOCX}:
        return ""
    return first if all(section.title_path[0] == first for section in sections) else ""


def markdown_parts(text: str) -> list[Part]:
    """The headings, paragraphs, items and rows of a Markdown text."""
    return markup.read(_rendered(text))[1]


def _rendered(markdown: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(markdown)


def _of_text(text: str, media_type: str, title: str) -> Iterator[Section]:
    if not text.strip():
        raise InvalidInput(_("The file holds no text. Upload a file with some."), field="file")
    if media_type == "text/markdown":
        text = _rendered(text)
    if media_type in {"text/markdown", "text/html"}:
        page_title, parts = markup.read(text)
        yield from _folded(parts, page_title or title)
    elif media_type == "text/plain":
        yield from _folded(plain.read(text), title)
    elif media_type == "text/csv":
        yield from _of_csv(text, title)
    elif media_type == "application/jsonl":
        yield from (_faq_entry(row, line) for line, row in json_rows(text))
    else:
        raise UnsupportedMediaType(field="file")


def decoded(data: bytes) -> str:
    """The text of a file, without control characters. Raises InvalidInput for what is not text."""
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


def _folded(parts: Iterable[Part], title: str) -> Iterator[Section]:
    """Sections under their headings. A file of pages without a heading has a section for each page."""
    parts = list(parts)
    by_page = parts and all(part.kind != HEADING for part in parts) and parts[-1].page > 1
    path: list[tuple[int, str]] = []
    current = _Open((title,))
    for part in parts:
        if part.kind == HEADING:
            yield from current.close()
            path = [(at, name) for at, name in path if at < part.level] + [(part.level, part.words)]
            current = _Open(tuple(name for _level, name in path))
            continue
        if by_page and (not current.parts or current.parts[-1].page != part.page):
            yield from current.close()
            current = _Open((title, _("page %(number)d") % {"number": part.page}))
        current.parts.append(part)
    yield from current.close()


def _section(path: tuple[str, ...], parts: Sequence[Part]) -> Section:
    blocks, at = [], 0
    for part in parts:
        blocks.append(Block(part.kind, at, at + len(part.words), part.cells, part.page))
        at += len(part.words) + 1
    text = "\n".join(part.words for part in parts)
    return Section(path, text, tuple(blocks), detect(" ".join((*path, text))))


def _of_workbook(sheets: Sequence[Sheet], title: str) -> Iterator[Section]:
    for sheet in sheets:
        path = (title, sheet.name) if len(sheets) > 1 else (title,)
        for region in regions(sheet):
            yield from _of_region(region, path, sheet.name)


def _of_csv(text: str, title: str) -> Iterator[Section]:
    """A table with a question and an answer column is an FAQ; any other gives one sentence a row."""
    sheet = Sheet("", list(csv_rows(text)))
    columns = [name.strip().lower() for name in sheet.rows[0][1]] if sheet.rows else []
    known = {FAQ_COLUMNS.get(name) for name in columns}
    if not known >= {"question", "answer"} and _MEANS_QUESTION & set(columns):
        missing = "answer" if "question" in known else "question"
        raise InvalidInput(
            _("The table has no column “%(name)s”. Its first line must name the columns question and answer.")
            % {"name": missing},
            field=missing,
        )
    if known >= {"question", "answer"}:
        yield from _of_region(Region(head=columns, rows=sheet.rows[1:]), (title,))
        return
    if len(sheet.rows) > MAX_ROWS or max(len(row) for _line, row in sheet.rows) > MAX_COLUMNS:
        raise TooLarge(
            _("The table has more than %(rows)d rows or %(columns)d columns. Split it.")
            % {"rows": MAX_ROWS, "columns": MAX_COLUMNS},
            field="file",
        )
    for region in regions(sheet):
        yield from _of_region(region, (title,))


def _of_region(region: Region, path: tuple[str, ...], sheet: str = "") -> Iterator[Section]:
    """The entries of an FAQ table, or the rows of any other under the line above it."""
    names = [FAQ_COLUMNS.get(name.strip().lower(), "") for name in region.head]
    if {"question", "answer"} <= set(names):
        for line, row in region.rows:
            yield _faq_entry(dict(zip(names, row, strict=False)), line, sheet)
        return
    captions = [clean(words) for words in region.captions]
    parts = [Part(PARAGRAPH, words) for words in captions[1:]]
    head = [clean(name) for name in region.head]
    for _line, row in region.rows:
        if (part := row_part(head, [clean(words) for words in row])) is not None:
            is_text = len(part.cells) == 1 and not part.cells[0][0]
            parts.append(Part(PARAGRAPH, part.words) if is_text else part)
    yield from _Open((*path, *captions[:1]), parts).close()


def _faq_entry(row: dict[str, Any], line: int, sheet: str = "") -> Section:
    question, answer = (clean(str(row.get(name) or "")) for name in ("question", "answer"))
    for name, value in (("question", question), ("answer", answer)):
        if not value:
            told = _("Line %(line)d has no %(name)s. Every entry needs a question and an answer.")
            if sheet:
                told = _(
                    "Row %(line)d of the sheet “%(sheet)s” has no %(name)s. Every entry needs a question and "
                    "an answer."
                )
            raise InvalidInput(
                told % {"line": line, "name": name, "sheet": sheet[:60]}, field=name, line=line
            )
    variants = row.get("variants") or []
    if isinstance(variants, str):
        variants = variants.split("|")
    topic = clean(str(row.get("section") or ""))
    parts = [Part(PARAGRAPH, words) for p in str(row["answer"]).splitlines() if (words := clean(p))]
    made = _section((topic, question) if topic else (question,), parts)
    language = str(row.get("language") or "") or made.language
    cleaned = tuple(words for v in variants if (words := clean(str(v))))
    return Section(made.title_path, made.text, made.blocks, language, cleaned, is_faq=True)


def delimiter_of(text: str) -> str:
    """What parts the columns of a table."""
    first = re.sub(r'"[^"]*"', "", text.lstrip().split("\n", 1)[0])
    return max(",;\t", key=first.count)


def csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with anything in them, each with its line; the first line tells comma, semicolon or tab."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
        for row in reader:
            if any(words.strip() for words in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InvalidInput(_("The table cannot be read: %(why)s.") % {"why": error}, field="file") from error


def json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects, each with its line. Raises InvalidInput naming the line that is none."""
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
