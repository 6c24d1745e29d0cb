"""Passages cut into the pieces that are embedded: the title, short stretches of the body, question variants.

A short piece says one thing, so its vector says it clearly; what is found through it is the whole passage
(small-to-big). An answer is embedded under its question: "It takes five days" means little without it;
the section of a document is not embedded under its heading, which mostly makes neighbours look alike
(figures: docs/decisions/0003-fusion-weights.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.text.sentences import sentences

TITLE = "title"
BODY = "body"
VARIANT = "variant"
PIECE_CHARS = 256
"""Characters of body in one piece, at most."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`text` is what the passage says there; `embedded` is what the encoder reads of it."""

    kind: str
    text: str
    embedded: str


def cut_passage(
    title: str, body: str, variants: Sequence[str] = (), *, is_faq: bool, limit: int = PIECE_CHARS
) -> list[Piece]:
    """The pieces of one passage: its title, its body, its variants; blank ones are left out.

    `is_faq`: the title is a question and the body its answer.
    """
    above = title if is_faq else ""
    pieces = [Piece(TITLE, title.strip(), title.strip())]
    pieces += [Piece(BODY, text, under_question(above, text)) for text in cut_body(body, limit)]
    pieces += [Piece(VARIANT, variant.strip(), variant.strip()) for variant in variants]
    return [piece for piece in pieces if piece.text]


def under_question(question: str, text: str) -> str:
    """A stretch of an answer as it is to be embedded."""
    return f"{question.strip()}\n{text}" if question.strip() else text


def cut_body(body: str, limit: int = PIECE_CHARS) -> Iterator[str]:
    """Whole sentences joined up to `limit` characters; a longer one is cut at white space, or anywhere."""
    joined = ""
    for span in sentences(body):
        for part in _parts(span.of(body), limit):
            if joined and len(joined) + 1 + len(part) > limit:
                yield joined
                joined = part
            else:
                joined = f"{joined} {part}" if joined else part
    if joined:
        yield joined


def _parts(sentence: str, limit: int) -> Iterator[str]:
    start = 0
    while len(sentence) - start > limit:
        at = max(sentence.rfind(space, start + 1, start + limit + 1) for space in " \t\n")
        end = at if at > start else start + limit
        yield sentence[start:end].strip()
        start = end
    yield sentence[start:].strip()
