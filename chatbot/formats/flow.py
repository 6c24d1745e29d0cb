"""Pages of lines to parts: running heads out, lines re-flowed to paragraphs, headings by size and weight.

What repeats at the same height of many pages is a running head or foot. A heading is printed larger
than the text or stands alone in bold type; its level is the rank of its size.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from chatbot.formats.layout import Line, PageText, reading_order
from chatbot.formats.parts import HEADING, ITEM, PARAGRAPH, Part, clean, row_part
from chatbot.formats.prose import ends_sentence, is_cjk_between, item_words, join
from chatbot.formats.rows import rows_of, with_tables
from chatbot.formats.tables import has_head

_EDGE = 0.14
"""Share of a page's height at its top and at its foot where running heads stand."""
_LARGER = 1.12
"""A heading's size over the text's, at least."""
HEADING_CHARS = 160
BOLD_HEADING_CHARS = 100
_DIGITS = re.compile(r"\d+")
_FOLIO = re.compile(
    r"\W*(?:(?:page|seite|página|pagina|sida|side|p\.?|第)\W*)?(?:#|[ivxlc]{1,6})\W*页?"
    r"(?:\W*(?:of|/|von|de|di|av|共)?\W*#\W*页?)?\W*",
    re.IGNORECASE,
)
_LEADERS = re.compile(r"(?:\.\s?){4,}\s*[\divxlc]+\s*$|…{2,}\s*\d+\s*$")
_NUMBERED = re.compile(r"\d{1,2}(?:\.\d{1,2}){1,3}\.?\s+\w")


@dataclass(slots=True, eq=False)
class _Block:
    """Lines that make one heading, paragraph or item; or a table."""

    words: str
    kind: str
    lines: list[Line]
    flow: int

    @property
    def size(self) -> float:
        return self.lines[0].size

    @property
    def bold(self) -> bool:
        return all(line.bold for line in self.lines)


def parts_of(pages: list[PageText]) -> list[Part]:
    """The parts of a document's pages, in reading order."""
    body = _body_size(pages)
    furniture = _furniture(pages, body)
    flows: list[list[Line]] = []
    gutter = None
    for page in pages:
        lines = [line for line in page.lines if id(line) not in furniture and not _LEADERS.search(line.text)]
        found, gutter = reading_order(lines, gutter)
        for flow in found:
            read = list(with_tables(rows_of(flow)))
            if flows and _is_just_below(flows[-1][-1], read[0]):
                flows[-1] += read
            else:
                flows.append(read)
    known = {word for flow in flows for line in flow for word in _vocabulary(line.text)}
    blocks: list[_Block] = []
    pitches = _pitches(flows)
    for number, flow in enumerate(flows):
        for block in _blocks(flow, number, pitches, known):
            if not _continues(blocks, block, body, known):
                blocks.append(block)
    return list(_as_parts(blocks, body))


def _is_just_below(above: Line, line: Line) -> bool:
    """Whether a line follows another on the same page as the next line of a paragraph does."""
    near = abs(line.x0 - above.x0) < 3 and 0 < line.base - above.base < 1.7 * above.size
    return near and line.page == above.page and not above.rows and not line.rows


def _body_size(pages: list[PageText]) -> float:
    letters: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            letters[round(line.size * 2) / 2] += len(line.text)
    return letters.most_common(1)[0][0] if letters else 10.0


def _furniture(pages: list[PageText], body: float) -> set[int]:
    """The ids of running heads, running feet and page numbers."""
    seen: dict[str, list[tuple[int, float, Line]]] = defaultdict(list)
    slots: dict[int, list[tuple[str, Line]]] = defaultdict(list)
    found: set[int] = set()
    for page in pages:
        for line in page.lines:
            middle = (line.top + line.bottom) / 2 / max(page.height, 1.0)
            if line.rows or _EDGE < middle < 1 - _EDGE:
                continue
            # The number in a large line may be all that tells one heading from the next.
            key = line.text if line.size > _LARGER * body else _DIGITS.sub("#", line.text)
            seen[key].append((page.number, middle, line))
            if line.size <= _LARGER * body:
                slots[round(line.base)].append((key, line))
            if line.size <= _LARGER * body and _FOLIO.fullmatch(key) and len(pages) > 1:
                found.add(id(line))
    for places in seen.values():
        height = median(middle for _page, middle, _line in places)
        same = [(page, line) for page, middle, line in places if abs(middle - height) < 0.01]
        count = len({page for page, _line in same})
        if count >= 2 and count >= (0.5 if len(pages) < 6 else 0.3) * len(pages):
            found |= {id(line) for _page, line in same}
    for lines in slots.values():  # a head that names the chapter: few texts in one place on many pages
        texts = {key for key, _line in lines}
        if len(lines) >= 6 and len(lines) > 0.5 * len(pages) and len(texts) <= 0.5 * len(lines):
            found |= {id(line) for _key, line in lines}
    return found


def _vocabulary(text: str) -> list[str]:
    """A line's words in lower case, but for its last: that one may be broken."""
    return re.findall(r"\w+(?:-\w+)*(?![\w-]*$)", text.lower())


def _pitches(flows: list[list[Line]]) -> dict[int, float]:
    """From one line of a paragraph to the next, in points, by font size."""
    steps: dict[int, list[float]] = defaultdict(list)
    for flow in flows:
        for above, line in pairwise(flow):
            step = line.top - above.top
            if not line.rows and not above.rows and abs(line.size - above.size) < 0.6 and step > 0:
                steps[round(line.size)].append(step)
    return {size: min(median(found), 1.9 * size) for size, found in steps.items()}


def _blocks(flow: list[Line], number: int, pitches: dict[int, float], known: set[str]) -> Iterator[_Block]:
    open_: _Block | None = None
    for at, line in enumerate(flow):
        if line.rows:
            if open_:
                yield open_
            yield _Block("", "table", [line], number)
            open_ = None
            continue
        right = max(near.x1 for near in flow[max(at - 3, 0) : at + 3] if not near.rows)
        item = item_words(line.text)
        if open_ and not _begins(open_, line, item is not None, right, pitches):
            open_.words = join(open_.words, line.text, known)
            open_.lines.append(line)
            continue
        if open_:
            yield open_
        words = line.text if item is None else clean(item)
        open_ = _Block(words, PARAGRAPH if item is None else ITEM, [line], number)
    if open_:
        yield open_


def _begins(block: _Block, line: Line, is_item: bool, right: float, pitches: dict[int, float]) -> bool:
    """Whether a line begins something new below a block."""
    last = block.lines[-1]
    size = max(line.size, 1.0)
    if not line.is_set_like(last):
        return True
    pitch = pitches.get(round(line.size), 1.3 * size)
    step = line.top - last.top
    if step > 1.25 * pitch or step < -size:
        return True
    room = right - last.x1
    fits = line.first_word + 0.3 * size < 0.9 * room
    if line.bold != last.bold and (fits or step > 1.1 * pitch or ends_sentence(block.words)):
        return True
    is_glyph = is_item and not line.text[:1].isalnum()
    if is_glyph or (is_item and (fits or ends_sentence(block.words) or block.kind == ITEM)):
        return True
    left = min(near.x0 for near in block.lines)
    if block.kind == ITEM:
        hangs = line.x0 > block.lines[0].x0 + 0.4 * size
        return (len(block.lines) > 1 or not hangs) and (fits or line.x0 < left - 0.4 * size)
    indented = line.x0 > left + 0.8 * size and line.x0 > last.x0 + 0.8 * size
    if indented and (len(block.lines) > 1 or ends_sentence(block.words)):
        return True
    return fits and (ends_sentence(block.words) or room > 0.3 * (right - left))


def _continues(blocks: list[_Block], block: _Block, body: float, known: set[str]) -> bool:
    """Join a block to the paragraph before it when a column or page break stands between its lines."""
    if not blocks or block.kind != PARAGRAPH or block.flow == blocks[-1].flow:
        return False
    before = next((b for b in reversed(blocks[-4:]) if b.size > 0.92 * body or b.kind == "table"), None)
    if before is None or before.kind not in {PARAGRAPH, ITEM} or before.flow == block.flow:
        return False
    if (
        not before.lines[-1].is_set_like(block.lines[0])
        or before.bold != block.bold
        or ends_sentence(before.words)
    ):
        return False
    lower = block.words[:1].islower()
    if not (
        lower or before.words.endswith(("-", ",", "\u2010")) or is_cjk_between(before.words, block.words)
    ):
        return False
    before.words = join(before.words, block.words, known)
    before.lines += block.lines
    return True


def _as_parts(blocks: list[_Block], body: float) -> Iterator[Part]:
    heads = [_prominence(blocks, at, body) for at in range(len(blocks))]
    ranks = _ranks([size for size in heads if size])
    # A title as large as the headings: two headings in a row, and nothing before them.
    titled = len(heads) > 2 and heads[0] == heads[1] == max(heads) > 0
    above: Line | None = None
    head: list[str] = []
    for at, block in enumerate(blocks):
        page = block.lines[0].page
        if block.kind == "table":
            table = block.lines[0]
            goes_on = above is not None and _goes_on(above, table, head)
            if not goes_on:
                head = table.rows[0] if has_head(table.rows, is_bold=table.stands_out) else []
            above = table
            for row in table.rows[1:] if head and table.rows[0] == head else table.rows:
                if (part := row_part([clean(c) for c in head], [clean(c) for c in row], page)) is not None:
                    yield part
            continue
        above = None
        if (size := heads[at]) and (words := clean(block.words)):
            yield Part(HEADING, words, level=min(ranks[size] + (titled and at > 0), 6), page=page)
        elif words := clean(block.words):
            yield Part(block.kind, words, page=page)


def _goes_on(above: Line, table: Line, head: list[str]) -> bool:
    """Whether a table is the rest of the one on the page before: as wide, and with no head but the same."""
    alike = abs(above.x0 - table.x0) < 3 and abs(above.x1 - table.x1) < 3
    same_columns = max(map(len, above.rows)) == max(map(len, table.rows))
    no_head = table.rows[0] == head or not table.stands_out
    return above.page < table.page and alike and same_columns and no_head


def _prominence(blocks: list[_Block], at: int, body: float) -> float:
    """A heading's size in half points; the text's own size for one in bold type; 0 for no heading."""
    block = blocks[at]
    words = clean(block.words)
    if block.kind == "table" or sum(char.isalpha() for char in words) < 2:
        return 0.0
    if block.size > _LARGER * body and len(words) <= HEADING_CHARS and len(block.lines) <= 4:
        return round(block.size * 2) / 2
    following = blocks[at + 1] if at + 1 < len(blocks) else None
    if (
        following is None
        or len(words) > BOLD_HEADING_CHARS
        or len(block.lines) > 2
        or block.size < 0.9 * body
    ):
        return 0.0
    is_sentence = (ends_sentence(words) and not words.endswith(("?", "？"))) or words.endswith((",", ";"))
    if is_sentence or (following.kind != "table" and following.bold):
        return 0.0
    shouted = words.isupper() and len(words) > 3 and not following.words.isupper()
    numbered = _NUMBERED.match(words) and len(block.lines) == 1 and len(following.words) > len(words)
    return body if block.bold or shouted or numbered else 0.0


def _ranks(sizes: list[float]) -> dict[float, int]:
    """Heading levels by size: the largest is 1; sizes hardly apart are one level."""
    ranks: dict[float, int] = {}
    level, last = 0, float("inf")
    for size in sorted(set(sizes), reverse=True):
        if last - size > 0.6:
            level, last = level + 1, size
        ranks[size] = min(level, 6)
    return ranks
