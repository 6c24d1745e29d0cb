"""HTML to parts: headings, innermost text blocks and table rows; page furniture is left out.

Words that stand beside blocks, in no block of their own, are a paragraph: no word of a page is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bs4 import BeautifulSoup, Tag
from bs4.element import CData, NavigableString

from chatbot.formats.parts import HEADING, ITEM, PARAGRAPH, Part, clean, row_part
from chatbot.formats.tables import has_head

_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_FURNITURE = (
    "script, style, nav, header, footer, aside, form, noscript, template, iframe, svg, button, dialog, "
    "[role=navigation], [role=menu], [role=search], [aria-hidden=true], .toc, #toc, .table-of-contents, "
    ".navheader, .navfooter, .breadcrumb, .breadcrumbs, .pagination, .headerlink"
)
_INLINE = frozenset(
    {
        *("a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em"),
        *("font", "i", "ins", "kbd", "label", "mark", "q", "ruby", "rb", "s", "samp", "small", "span"),
        *("strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    }
)
_FLOWING = _INLINE | {"br", "img", "picture", "input", "select", "option", "map", "area"}
"""What words run through; anything else begins and ends a block."""
_WHOLE = frozenset({*_HEADINGS, "p", "pre", "table"})
"""Blocks that are one part, or a table's rows, whatever stands in them."""
_MAX_SPAN = 200


def read(html: str) -> tuple[str, list[Part]]:
    """The page's title ("" without one) and its parts in reading order."""
    soup = BeautifulSoup(html, "lxml")
    title = words_of(soup.title) if soup.title else ""
    for furniture in soup.select(_FURNITURE):
        furniture.decompose()
    found = soup.find("main") or soup.find("article") or soup.body
    return title, list(parts_of(found if isinstance(found, Tag) else soup))


def parts_of(root: Tag) -> Iterator[Part]:
    """The parts under one element."""
    for name, nodes in _blocks(root):
        if name == "table":
            yield from _table_parts(nodes[0])
        elif words := words_of(nodes):
            if name in _HEADINGS:
                yield Part(HEADING, words, level=int(name[1]))
            else:
                yield Part(ITEM if name == "li" else PARAGRAPH, words)


def words_of(element: Tag | Sequence[Any]) -> str:
    """The words of an element, or of nodes in a row, in one line.

    Blocks and line breaks part words; bold type and links do not.
    """
    said: list[str] = []
    todo: list[Any] = [element] if isinstance(element, Tag) else list(reversed(element))
    while todo:
        node = todo.pop()
        if isinstance(node, str):
            if type(node) in (NavigableString, CData, str):  # and not a comment
                said.append(node)
        elif node.name in _INLINE:
            todo.extend(reversed(node.contents))
        else:
            todo.extend([" ", *reversed(node.contents), " "])
    return clean("".join(said))


def _blocks(root: Tag) -> Iterator[tuple[str, list[Any]]]:
    """Headings, tables and innermost blocks in reading order: (name, the nodes that are its words).

    Words between the blocks of an element are a block by that element's name. Goes as deep as a page does
    without calling itself.
    """
    holders = _holders(root)
    run: list[Any] = []
    open_ones: list[tuple[str, Iterator[Any]]] = [(root.name, iter(root.contents))]
    while open_ones:
        within, nodes = open_ones[-1]
        node = next(nodes, None)
        if node is not None and not _is_block(node, holders):
            run.append(node)
            continue
        if run:
            yield within, run
            run = []
        if node is None:
            open_ones.pop()
        elif id(node) in holders and node.name not in _WHOLE:
            open_ones.append((node.name, iter(node.contents)))
        else:
            yield node.name, [node]


def _is_block(node: Any, holders: set[int]) -> bool:
    return isinstance(node, Tag) and (node.name not in _FLOWING or id(node) in holders)


def _holders(root: Tag) -> set[int]:
    """The elements that have a block in them, by id."""
    found: set[int] = set()
    for element in root.find_all(True):
        above = element.parent if element.name not in _FLOWING else None
        while above is not None and id(above) not in found:
            found.add(id(above))
            above = above.parent if above is not root else None
    return found


def _table_parts(table: Tag) -> Iterator[Part]:
    """A row each; a table of one column is a frame around what stands in it."""
    lines = [line for line in table.find_all("tr") if line.find_parent("table") is table]
    rows = [row for row in _grid(lines) if any(row)]
    if not rows:
        return
    if all(len(row) == 1 for row in rows):
        for cell in table.find_all(["th", "td"]):
            if cell.find_parent("table") is table:
                yield from parts_of(cell)
        return
    first = lines[0]
    named = first.find("td") is None and len(rows) > 1
    if not named and table.find("th") is None:
        named = has_head(rows, is_bold=_is_bold(first) and not _is_bold(lines[-1]))
    head = rows[0] if named else []
    for row in rows[1:] if named else rows:
        if (part := row_part(head, row)) is not None:
            yield part


def _grid(lines: list[Tag]) -> list[list[str]]:
    """The cells by row and column. Words that span rows stand in each of them, across columns once."""
    grid: list[list[str]] = []
    spanning: dict[int, tuple[str, int]] = {}  # column -> words, rows they still span
    for line in lines:
        cells = iter([cell for cell in line.find_all(["th", "td"]) if cell.find_parent("tr") is line])
        row: list[str] = []
        below: dict[int, tuple[str, int]] = {}
        while True:
            if len(row) in spanning:
                (words, down), across = spanning.pop(len(row)), 1
            elif (cell := next(cells, None)) is not None:
                words, down, across = words_of(cell), _span(cell, "rowspan"), _span(cell, "colspan")
            else:
                break
            for said in [words, *[""] * (across - 1)]:
                if down > 1:
                    below[len(row)] = (said, down - 1)
                row.append(said)
        grid.append(row)
        spanning = below
    return grid


def _span(cell: Tag, name: str) -> int:
    value = str(cell.get(name, "1"))
    return min(max(int(value), 1), _MAX_SPAN) if value.isdecimal() and len(value) < 6 else 1


def _is_bold(line: Tag) -> bool:
    """Whether every cell with words has all of them in bold type."""
    cells = [cell for cell in line.find_all("td") if words_of(cell)]
    return bool(cells) and all(all_bold(cell) for cell in cells)


def all_bold(element: Tag) -> bool:
    """Whether an element has words and all of them are in bold type."""
    inside = [bold for bold in element.find_all(["strong", "b"]) if not bold.find_parent(["strong", "b"])]
    said = "".join("".join(words_of(bold).split()) for bold in inside)
    return bool(said) and said == "".join(words_of(element).split())
