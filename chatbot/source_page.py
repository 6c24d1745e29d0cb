"""A document as its readers see it: its passages under their headings, as HTML, the cited words marked.

Every word is escaped; tags come from here alone. Knows no request and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from chatbot.models import Passage


def sections(passages: Iterable[Passage], cited: tuple[int, int, int] = (0, 0, 0)) -> list[dict[str, Any]]:
    """The passages in order, those under one heading together; `cited`: a passage, from, to."""
    found: list[dict[str, Any]] = []
    for passage in passages:
        heading = passage.heading.rsplit(" › ", 1)[-1]
        if not found or found[-1]["heading"] != heading:
            found.append({"heading": heading, "passages": []})
        is_cited = passage.pk is not None and passage.pk == cited[0]
        found[-1]["passages"].append(
            {
                "id": passage.pk,
                "anchor": passage.anchor,
                "html": passage_html(passage, *(cited[1:] if is_cited else (0, 0))),
                "cited": is_cited,
            }
        )
    return found


def passage_html(passage: Passage, start: int, end: int) -> SafeString:
    """A passage's blocks as HTML, every word escaped, characters start..end inside <mark>."""
    parts: list[str] = []
    open_tag = ""
    for block in passage.blocks:
        kind = block["kind"]
        group = {"item": "ul", "row": "table"}.get(kind, "")
        if group != open_tag:
            parts.append(f"</{open_tag}>" if open_tag else "")
            parts.append(f"<{group}>" if group else "")
            open_tag = group
            if group == "table" and any(name for name, _words in block["cells"]):
                head = "".join(f'<th scope="col">{escape(name)}</th>' for name, _words in block["cells"])
                parts.append(f"<tr>{head}</tr>")
        parts.append(_block_html(passage.text, block, start, end))
    parts.append(f"</{open_tag}>" if open_tag else "")
    return mark_safe("".join(parts))  # noqa: S308 - every piece of text went through escape()


def _block_html(text: str, block: dict[str, Any], start: int, end: int) -> str:
    at, to = block["start"], block["end"]
    inside = start < to and end > at
    if block["kind"] == "row":
        cells = "".join(
            f"<td>{_marked(words, 0, len(words) if inside else 0)}</td>" for _name, words in block["cells"]
        )
        return f"<tr>{cells}</tr>"
    tag = "li" if block["kind"] == "item" else "p"
    words = text[at:to]
    marked = _marked(words, max(start - at, 0), min(end - at, len(words))) if inside else escape(words)
    return f"<{tag}>{marked}</{tag}>"


def _marked(words: str, start: int, end: int) -> str:
    if end <= start:
        return str(escape(words))
    return f"{escape(words[:start])}<mark>{escape(words[start:end])}</mark>{escape(words[end:])}"
