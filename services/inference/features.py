"""A text, or a text and one company in it, as numbers for a small head.

Two kinds of numbers stand side by side. The encoder's vector says what a text is about, in any words;
hashed words, word pairs and pieces of words say exactly which words they were, which is where "cut to
hold" and "raised to buy" differ most.

Towards a company the same text becomes another input: the company's name is replaced by a mark, the
clause around the mark is read apart, and words before and after the mark count apart. So "Acme plunges
while Borealis soars" gives two different rows, and which names occurred in training does not matter.
Only Latin script is read word by word; the hashes of other scripts are single characters.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from services.inference.values import Pair, Vectors

MARK = "@company"
"""What stands in a text where the company asked about was named."""
_STANDS_FOR = "the company"
"""What the encoder reads in place of the mark: words it knows."""
_LINK = re.compile(r"https?://\S+|www\.\S+|pic\.twitter\.com/\S+")
_TICKER = re.compile(r"\$[A-Za-z]{1,6}\b")
_NUMBER = re.compile(r"(?:(?<!\w)([+\-−]))?\$?\d[\d,.]*")
_TOKEN = re.compile(rf"{MARK}|[+-]?<num>|\$?[^\W\d_]+(?:['’][^\W\d_]+)?|[%!?]")
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_BORDER = re.compile(
    r"\s*[;|,:]\s+|\s+[-–—]+\s+|\.\s+|\s+(?=(?:but|while|as|whereas|amid|despite|after|though|although|"
    r"vs|versus|even|than|against)\b)",
    re.IGNORECASE,
)
_LEAST_CLAUSE_WORDS = 2
_NEAR_BEFORE, _NEAR_AFTER = 5, 6
_PIECE_LENGTHS = (3, 4, 5)
_LONGEST_WORD = 40
"""Characters of a word that are cut into pieces: beyond is no word."""


@dataclass(frozen=True, slots=True)
class HashSpace:
    """Buckets of the three hashed blocks: words of the text, pieces of words, words around the company."""

    words: int = 1 << 15
    pieces: int = 1 << 14
    around: int = 1 << 14

    @property
    def size(self) -> int:
        """Columns of the three blocks together."""
        return self.words + self.pieces + self.around


@dataclass(frozen=True, slots=True)
class Features:
    """Rows for a head.

    `dense`: float32 (n, 3 * dim + 1): the text (company marked), and for rows towards a company the same
    again, the clause, and a one. `hashed`: sparse float32 (n, space.size), each block of a row of length 1.
    """

    dense: NDArray[np.float32]
    hashed: csr_matrix

    @property
    def towards(self) -> NDArray[np.bool_]:
        """Which rows ask about a company: bool (n,)."""
        return np.asarray(self.dense[:, -1] > 0)

    def rows(self, which: NDArray[Any]) -> Features:
        """Some of the rows, by index or mask."""
        return Features(self.dense[which], self.hashed[which])


def featurise(pairs: Sequence[Pair], embed: Callable[[list[str]], Vectors], space: HashSpace) -> Features:
    """Features of texts and of companies in texts; each distinct wording is embedded once.

    `embed` returns float32 (n, dim). A company that its text does not name leaves the text unmarked.
    """
    reading = read(pairs)
    return assemble(reading, embed(reading.wordings), space)


@dataclass(frozen=True, slots=True)
class Reading:
    """Pairs, read: `wordings` is what has to be embedded, each once."""

    views: list[_View]
    marked: list[str]

    @property
    def wordings(self) -> list[str]:
        """What the encoder is to read."""
        return [wording.replace(MARK, _STANDS_FOR) for wording in self.marked]


def read(pairs: Sequence[Pair]) -> Reading:
    """The first half of `featurise`: everything before the encoder."""
    views = [_view(text, company) for text, company in pairs]
    marked = list(dict.fromkeys(w for view in views for w in (view.whole, view.clause) if w is not None))
    return Reading(views, marked)


def assemble(reading: Reading, vecs: Vectors, space: HashSpace) -> Features:
    """The second half: `vecs` float32 (n, dim) are those of `reading.wordings`."""
    row_of = {wording: row for row, wording in enumerate(reading.marked)}
    return Features(_dense(reading.views, vecs, row_of), _hashed(reading.views, space))


def hashed(reading: Reading, space: HashSpace) -> csr_matrix:
    """The hashed blocks alone, sparse float32 (n, space.size)."""
    return _hashed(reading.views, space)


@dataclass(frozen=True, slots=True)
class _View:
    """The wording to embed, the clause when a company is asked about, and the words of both."""

    whole: str
    clause: str | None
    tokens: list[str]
    clause_tokens: list[str]


def _view(text: str, company: str | None) -> _View:
    whole = " ".join(_LINK.sub(" ", text).split())
    if company is None:
        return _View(whole, None, tokens(whole), [])
    marked = _mark(whole, company)
    clause = _clause(marked)
    return _View(marked, clause, tokens(marked), tokens(clause))


def _mark(text: str, company: str) -> str:
    """The text with every occurrence of the name (a possessive with it) replaced by the mark."""
    name = re.escape(" ".join(company.split()))
    if not name:
        return text
    apart = re.compile(rf"(?<!\w){name}(?:['’]s)?(?!\w)", re.IGNORECASE)
    found = apart if apart.search(text) else re.compile(name, re.IGNORECASE)
    return " ".join(found.sub(f" {MARK} ", text).split())


def _clause(marked: str) -> str:
    """The part between two borders that holds the mark, and what follows while it says too little."""
    parts = [part for part in _BORDER.split(marked) if part.strip()]
    at = next((i for i, part in enumerate(parts) if MARK in part), None)
    if at is None:
        return marked
    clause, upto = parts[at], at + 1
    while len(clause.replace(MARK, "").split()) < _LEAST_CLAUSE_WORDS and upto < len(parts):
        clause, upto = f"{clause} , {parts[upto]}", upto + 1
    return clause


def tokens(text: str) -> list[str]:
    """The words of a text, lower case; a number is `<num>` with its sign, a Han character a word."""
    text = _TICKER.sub("$ticker", text)
    text = _NUMBER.sub(lambda m: f" {(m.group(1) or '').replace('−', '-')}<num> ", text)
    text = _HAN.sub(r" \g<0> ", text)
    return [token.lower() for token in _TOKEN.findall(text)]


def _dense(views: Sequence[_View], vecs: Vectors, row_of: dict[str, int]) -> NDArray[np.float32]:
    dim = vecs.shape[1]
    out = np.zeros((len(views), 3 * dim + 1), np.float32)
    for row, view in enumerate(views):
        out[row, :dim] = vecs[row_of[view.whole]]
        if view.clause is not None:
            out[row, dim : 2 * dim] = out[row, :dim]
            out[row, 2 * dim : 3 * dim] = vecs[row_of[view.clause]]
            out[row, -1] = 1.0
    return out


def _hashed(views: Sequence[_View], space: HashSpace) -> csr_matrix:
    from scipy.sparse import csr_matrix

    columns: list[int] = []
    weights: list[float] = []
    ends = [0]
    for view in views:
        start = 0
        for hashes, buckets in (
            (_hashes(_grams("w", view.tokens)), space.words),
            (chain.from_iterable(map(_piece_hashes, view.tokens)), space.pieces),
            (_hashes(_around(view)), space.around),
        ):
            block = {start + found % buckets for found in hashes}
            columns.extend(sorted(block))
            weights.extend([len(block) ** -0.5] * len(block) if block else ())
            start += buckets
        ends.append(len(columns))
    return csr_matrix(
        (np.array(weights, np.float32), np.array(columns, np.int32), np.array(ends, np.int32)),
        shape=(len(views), space.size),
    )


def _grams(prefix: str, tokens: Sequence[str]) -> Iterable[str]:
    yield from (f"{prefix} {token}" for token in tokens)
    yield from (f"{prefix} {a} {b}" for a, b in pairwise(tokens))


@lru_cache(maxsize=16_384)
def _piece_hashes(token: str) -> tuple[int, ...]:
    """Hashes of a word's pieces; the same few thousand words make up most of the news."""
    if token == MARK:
        return ()
    word = f"<{token[:_LONGEST_WORD]}>"
    return tuple(_hashes(word[i : i + n] for n in _PIECE_LENGTHS for i in range(len(word) - n + 1)))


def _hashes(names: Iterable[str]) -> Iterator[int]:
    return (zlib.crc32(name.encode()) for name in names)


def _around(view: _View) -> Iterable[str]:
    """The words again, told apart by where they stand: in the clause, before or after, near or anywhere."""
    if view.clause is None:
        return
    yield from _grams("text", view.tokens)
    yield from _grams("clause", view.clause_tokens)
    if MARK not in view.tokens:
        yield "unnamed"
        return
    at = view.tokens.index(MARK)
    before, after = view.tokens[:at], view.tokens[at + 1 :]
    yield from (f"before {token}" for token in before)
    yield from (f"after {token}" for token in after)
    yield from (f"near-before {token}" for token in before[-_NEAR_BEFORE:])
    yield from (f"near-after {token}" for token in after[:_NEAR_AFTER])
    yield f"next-before {before[-1] if before else ''}"
    yield f"place {min(4, len(before))}"
    yield f"place-from-end {min(4, len(after))}"
    yield f"short-clause {len(view.clause_tokens) <= _LEAST_CLAUSE_WORDS}"
