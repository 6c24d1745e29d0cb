"""Is every sentence of an answer said by the passages it may rest on? One by one, without a second LLM call.

A sentence is kept when some span of a passage (a sentence, or two or three neighbours) is near enough in
meaning and has all its numbers, dates, codes, addresses and names, and says yes and no where it does. The
passage's heading counts as said in each of its spans. Anything else is dropped, with the first thing that
was wrong. A sentence that is only polite ("You're welcome.") or only asks claims nothing: it is supported,
without a citation. "Yes." alone does claim something, and no span says it.

What it cannot see: a claim that leaves out a condition, one drawn from two passages (it is dropped), and a
wrong word that is neither a name nor a fact nor an opposite. Chinese names are seen only in Latin letters
or between quotation marks. Knows no database: passages come as text, and citations point into them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Literal

from services.inference.engine import Engine
from services.inference.values import Priority, Vectors
from services.search.likeness import Likeness
from services.search.understanding import understands
from services.text.courtesy import says_nothing
from services.text.facts import Fact, facts, states
from services.text.names import unknown_names
from services.text.placement import misplaced
from services.text.polarity import disagreement
from services.text.sentences import sentences

Reason = Literal["", "number", "date", "code", "url", "negation", "unsupported"]

SUPPORT = 0.5
"""Least probability that a span says the sentence: said and not said cost the same. It is a property of the
curve, not of a data set; `services.search.likeness` tells what the curve was fitted on."""
WINDOW = 3
"""Most neighbouring sentences that one sentence of an answer may rest on together."""
CLOSE = 0.1
"""Spans this much less likely than the best are not tried: a number of theirs is about something else."""
TRIED = 12
"""Most spans that are looked into; single sentences come first."""
SENTENCES_READ = 120
CHARS_READ = 40_000
"""Characters of all passages that are looked at, the best passage's first."""
SENTENCES_JUDGED, CHARS_JUDGED = 60, 12_000
"""What an answer may have of both; what comes after is not supported, whatever it says."""
LONGEST = 1000, 2000
"""Characters: a longer sentence of an answer is not supported, a longer one of a passage not looked at."""

_WRONG: dict[str, Reason] = {
    "number": "number",
    "time": "number",
    "date": "date",
    "code": "code",
    "url": "url",
}


@dataclass(frozen=True, slots=True)
class Passage:
    """What an answer may rest on. `blocks`: (start, end) of paragraphs, items and rows in `text`, if known.

    `title` is its heading, with those above it before " › ".
    """

    id: str
    text: str
    title: str = ""
    blocks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a sentence is said: `text[start:end]` of that passage, in characters; `score` as in Judged."""

    passage_id: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One sentence of an answer. `reason` is empty when it is supported.

    `score` is the probability that the best span says it, 0 to 1, by likeness alone. A supported sentence
    without a citation claims nothing.
    """

    text: str
    supported: bool
    reason: Reason
    citation: Citation | None
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """Neighbouring sentences of a passage, at `text[start:end]` of it; `first` and `count` name them."""

    passage: Passage
    start: int
    end: int
    first: int = 0
    count: int = 1

    @property
    def text(self) -> str:
        """Their words."""
        return self.passage.text[self.start : self.end]


def check(
    answer: str,
    passages: Sequence[Passage],
    *,
    language: str,
    engine: Engine,
    threshold: float = SUPPORT,
    deadline_s: float | None = 10.0,
) -> list[Judged]:
    """Judge an answer's sentences, in order, against the passages it may rest on, best passage first.

    `language` as `services.text.language.detect` gives; in one that the encoder does not read, likeness is
    told by words alone. `threshold`: least probability that a span says a sentence, 0 to 1; lower keeps more.
    Without passages every claim is unsupported. The time it takes is bounded: of a longer answer than
    CHARS_JUDGED or SENTENCES_JUDGED the rest is not supported, of longer passages the rest is not looked at.
    Raises the engine's SuiteErrors.
    """
    said, rest = _within_bounds(answer)
    claims = [text for text in said if not says_nothing(text)]
    singles = list(islice(_read(passages), SENTENCES_READ))
    likeness = _likeness(claims, singles, language, engine, deadline_s)
    spans = list(_windows(singles))
    judged = []
    for text in said:
        if says_nothing(text):
            judged.append(Judged(text, True, "", None, 1.0))
        else:
            judged.append(_judge(text, spans, likeness, threshold))
    return [*judged, *(Judged(text, False, "unsupported", None, 0.0) for text in rest)]


def _within_bounds(answer: str) -> tuple[list[str], list[str]]:
    """The sentences that are judged, and what is too much: further ones, or a text cut off in the midst."""
    said = answer_sentences(answer[:CHARS_JUDGED])
    rest = [answer[CHARS_JUDGED:].strip()] if len(answer) > CHARS_JUDGED else []
    if rest and said:
        rest[0] = f"{said.pop()} {rest[0]}"  # its end was cut off
    return said[:SENTENCES_JUDGED], [*said[SENTENCES_JUDGED:], *rest]


def answer_sentences(answer: str) -> list[str]:
    """The sentences of an answer, without Markdown's marks, item numbers and source marks ("[1]")."""
    plain = _MARKS.sub("", _LINK.sub(r"\1 \2", answer))
    found = []
    for span in sentences(plain):
        text = _ITEM.sub("", span.of(plain)).strip()
        if text:
            found.append(text)
    return found


_MARKS = re.compile(r"\s?\[\d{1,2}\](?!\()|【[^】]{1,20}】|\*\*|__(?=\w)|(?<=\w)__|`|^#{1,6} +", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
_ITEM = re.compile(r"^\s*(?:[-*+•·]\s+|\(?\d{1,2}[.)、:]\s+|(?:[Ss]tep|步骤)\s?\d{1,2}\s?[:：.]\s*)")


def _likeness(
    claims: Sequence[str], singles: Sequence[Span], language: str, engine: Engine, deadline_s: float | None
) -> Likeness:
    info = engine.encoder()

    def embed(texts: Sequence[str]) -> Vectors:
        return engine.embed(texts, priority=Priority.INTERACTIVE, deadline_s=deadline_s)

    return Likeness(
        claims,
        [span.text for span in singles],
        [span.passage.title for span in singles],
        embed=embed if info.reads(language) and understands(embed, info.version, language) else None,
        encoder_version=info.version,
        language=language,
    )


def _judge(text: str, spans: Sequence[Span], likeness: Likeness, threshold: float) -> Judged:
    if len(text) > LONGEST[0]:
        return Judged(text, False, "unsupported", None, 0.0)
    if (exact := _verbatim(text, spans)) is not None:
        return Judged(text, True, "", _citation(exact, 1.0), 1.0)
    probabilities = likeness.probabilities(text, [(span.first, span.count) for span in spans])
    best = float(probabilities.max(initial=0.0))
    order = sorted(zip(probabilities.tolist(), spans, strict=True), key=lambda pair: -pair[0])
    near = [pair for pair in order if pair[0] >= max(threshold, best - CLOSE)]
    near.sort(key=lambda pair: pair[1].count > 1)
    verdicts = [(score, span, *what_is_wrong(text, span)) for score, span in near[:TRIED]]
    for score, span, wrong, _ in verdicts:
        if not wrong and not any(
            opposed and (other_score >= score or other.count < span.count)
            for other_score, other, _, opposed in verdicts
        ):
            return Judged(text, True, "", _citation(span, score), best)
    reason: Reason = next((wrong for *_, wrong, _ in verdicts if wrong), "unsupported")
    return Judged(text, False, reason, None, best)


def what_is_wrong(text: str, span: Span) -> tuple[Reason, bool]:
    """The first thing of a sentence that a span and its heading do not say, "" when there is none.

    And whether the span says the opposite: then no wider span, and none less like the sentence, may say it.
    """
    heading, source = span.passage.title, span.text
    given = _facts(source)
    words = f"{heading}\n{source}"
    for fact in _facts(text):
        if not fact.firm:
            continue
        if not states([*given, *_facts(heading)], fact, words):
            return _WRONG[fact.kind], False
        if misplaced(text, fact, source, given):
            return _WRONG[fact.kind], True
    if found := disagreement(text, source, heading.rsplit(" › ", 1)[-1]):
        return "negation", found == "opposed"
    if unknown_names(text, f"{words}\n{_before(span)}"):
        return "unsupported", False
    return "", False


_POINTS_BACK = re.compile(
    r"\b(?:it|its|they|their|them|he|his|him|she|her|this|these|that|those|such)\b|[其该此它他她这那]",
    re.IGNORECASE,
)


def _before(span: Span) -> str:
    """What "it" and "they" of a span may stand for: a few hundred characters before it."""
    return span.passage.text[max(0, span.start - 400) : span.start] if _POINTS_BACK.search(span.text) else ""


@lru_cache(maxsize=4096)
def _facts(text: str) -> tuple[Fact, ...]:
    return tuple(facts(text))


def _verbatim(text: str, spans: Sequence[Span]) -> Span | None:
    """The span that is the sentence to the letter, but for spaces, quotation marks and the final stop."""
    flat = _flat(text)
    return next(
        (span for span in spans if len(span.text) <= 2 * len(text) + 9 and _flat(span.text) == flat), None
    )


@lru_cache(maxsize=4096)
def _flat(text: str) -> str:
    return re.sub(r"[\s\"'“”‘’*_`]+", "", text).rstrip(".。!！").lower()


def _citation(span: Span, score: float) -> Citation:
    return Citation(span.passage.id, span.start, span.end, round(score, 4))


def _read(passages: Sequence[Passage]) -> Iterator[Span]:
    """The passages' sentences, within CHARS_READ."""
    left = CHARS_READ
    for passage in passages:
        if left <= 0:
            return
        yield from _sentences(passage, left)
        left -= len(passage.text)


def _sentences(passage: Passage, most: int) -> Iterator[Span]:
    """A passage's sentences in its first `most` characters; `first` is left to `_windows`."""
    for start, end in passage.blocks or ((0, len(passage.text)),):
        end = min(end, most)
        for part in sentences(passage.text[start:end]):
            if part.end - part.start <= LONGEST[1]:
                yield Span(passage, start + part.start, start + part.end)


def _windows(singles: Sequence[Span]) -> Iterator[Span]:
    """One to WINDOW neighbours of one passage; a question alone says nothing. `first` counts in `singles`."""
    for first, span in enumerate(singles):
        for count in range(1, WINDOW + 1):
            last = first + count - 1
            if last >= len(singles) or singles[last].passage is not span.passage:
                break
            if not singles[last].text.endswith(("?", "？")):
                yield Span(span.passage, span.start, singles[last].end, first, count)
