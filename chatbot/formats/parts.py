"""What every reader of a format gives: headings, paragraphs, list items and table rows, in reading order.

A table row becomes a sentence of its own ("Country: Norway; Time: 3-5 days"), so that it can be quoted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

HEADING, PARAGRAPH, ITEM, ROW = "heading", "paragraph", "item", "row"

_SPACE = re.compile(r"\s+")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b\ufeff\ud800-\udfff]")
# Ligatures, and the radicals that stand for plain characters in many Chinese PDFs.
_COMPATIBILITY = re.compile("[\ufb00-\ufb06\u2e80-\u2fdf]")


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of text. `level` is a heading's, 1 to 6; `cells` are a row's (column name, words).

    `page` counts from 1; 0 where the format has no pages.
    """

    kind: str
    words: str
    level: int = 0
    cells: tuple[tuple[str, str], ...] = ()
    page: int = 0

    def as_json(self) -> list[Any]:
        """As the child process hands it over."""
        return [self.kind, self.words, self.level, self.cells, self.page]

    @classmethod
    def from_json(cls, plain: list[Any]) -> Part:
        """The part `as_json` was made of."""
        kind, words, level, cells, page = plain
        return cls(str(kind), str(words), int(level), tuple((str(a), str(b)) for a, b in cells), int(page))


def clean(text: str) -> str:
    """The text in one line: white space as single spaces, no control characters, plain letters."""
    text = _COMPATIBILITY.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    return _SPACE.sub(" ", _CONTROL.sub("", text)).strip()


def row_part(head: Sequence[str], row: Sequence[str], page: int = 0) -> Part | None:
    """A table row as one sentence, empty cells left out; None for an empty row.

    Without column names two cells are a name and its value ("Orders: +47 22 33 44").
    """
    cells = tuple((head[i] if i < len(head) else "", words) for i, words in enumerate(row) if words)
    if not cells:
        return None
    if len(cells) == 2 and not any(name for name, _words in cells):
        name, value = cells[0][1], cells[1][1]
        sentence = f"{name.rstrip(':：')}: {value}"
    else:
        sentence = "; ".join(f"{name}: {words}" if name else words for name, words in cells)
    return Part(ROW, sentence, cells=cells, page=page)
