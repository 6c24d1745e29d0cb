"""The answer without a language model: the sentences of the best passages that carry it, in order.

Every sentence is copied from a passage, so each has its source by construction; nothing is rephrased.
A sentence's worth is its cosine with the question plus a little for being a neighbour of the best one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from chatbot.models import Passage, Piece
from chatbot.retrieval import Found, reads
from services.inference.engine import Engine
from services.inference.values import Priority
from services.search.tokens import tokenize
from services.text.sentences import sentences

NEAR_BEST = 0.80
"""Share of the best passage's score a further passage needs to add sentences."""
KEEP = 0.78
"""Share of the best sentence's score a further sentence needs."""
SENTENCES_READ = 60
FAQ_CHARS = 600
"""Longest answer of an FAQ entry that is given as its author wrote it, in characters."""
ITEMS = 6
"""Most list items that are given with the sentence that announces them."""
WORDS = 0.25
"""What shared words count beside the cosine: numbers, names and codes are better compared as they stand."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer: its words and where they stand in its passage (characters)."""

    text: str
    passage: Passage
    start: int
    end: int
    is_item: bool = False


def extract(
    question: str, found: Sequence[Found], *, language: str, engine: Engine, limit: int
) -> list[Sentence]:
    """At most `limit` sentences that answer the question, in reading order, best passage first.

    One that announces a list ("You need:") brings its items, beyond the limit. A short first passage (an FAQ
    answer) is given whole. Empty when nothing was found.
    """
    if not found:
        return []
    best = found[0]
    whole = _sentences(best.passage)
    if _is_short_entry(best.passage):
        return whole
    candidates = whole[:SENTENCES_READ]
    for other in found[1:3]:
        if other.worth >= NEAR_BEST * best.worth and len(candidates) < SENTENCES_READ:
            candidates += _sentences(other.passage)[: SENTENCES_READ - len(candidates)]
    if len(candidates) < 2:
        return candidates
    (scores,) = _scores(question, [candidates], language, engine)
    scores[[s.passage.pk != best.passage.pk for s in candidates]] *= 0.95
    return _with_lists(_choose(candidates, scores, limit), candidates)


def excerpts(question: str, found: Sequence[Found], *, language: str, engine: Engine) -> list[Sentence]:
    """Of each passage the sentence that answers the question best.

    The search knows the nearest stretch of each passage already: within it words choose. Where that is a
    title or a variant, all its sentences are compared, those of all passages in one call.
    """
    stretches = dict(
        Piece.objects.filter(pk__in=[hit.piece_id for hit in found], kind=Piece.Kind.BODY).values_list(
            "pk", "text"
        )
    )
    own = [_worth_showing(question, hit, stretches.get(hit.piece_id, "")) for hit in found]
    own = [said for said in own if said]
    open_ones = [said for said in own if len(said) > 1]
    scores = iter(_scores(question, open_ones, language, engine))
    return [_choose(said, next(scores), 1)[0] if len(said) > 1 else said[0] for said in own]


def _worth_showing(question: str, hit: Found, stretch: str) -> list[Sentence]:
    """The sentence of the nearest stretch that has most of the question's words; else all there are."""
    said = _sentences(hit.passage)[:SENTENCES_READ]
    if _is_short_entry(hit.passage):
        return said[:1]
    near = [sentence for sentence in said if sentence.text in stretch]
    if len(near) < 2:
        return near or said
    return [near[int(np.argmax(_by_words(question, [sentence.text for sentence in near])))]]


def _is_short_entry(passage: Passage) -> bool:
    return bool(passage.variants) and len(passage.text) <= FAQ_CHARS


def _scores(
    question: str, groups: Sequence[list[Sentence]], language: str, engine: Engine
) -> list[np.ndarray]:
    """float32 (n,) for each group of sentences: what each is worth, by words within its group."""
    texts = [[_in_context(sentence) for sentence in group] for group in groups]
    scores = [_by_words(question, group) for group in texts]
    if not texts or not reads(engine, language):
        return scores
    flat = [text for group in texts for text in group]
    vecs = engine.embed([question, *flat], priority=Priority.INTERACTIVE, deadline_s=10.0)
    cosines = np.split(vecs[1:] @ vecs[0], np.cumsum([len(group) for group in texts])[:-1])
    return [cosine + WORDS * words for cosine, words in zip(cosines, scores, strict=True)]


def _choose(candidates: list[Sentence], scores: np.ndarray, limit: int) -> list[Sentence]:
    order = np.argsort(-scores, kind="stable")
    top = float(scores[order[0]])
    chosen = [int(i) for i in order[:limit] if scores[i] >= KEEP * top]
    first_passage = candidates[int(order[0])].passage.pk
    chosen = [i for i in chosen if candidates[i].passage.pk == first_passage or scores[i] >= 0.9 * top]
    kept, seen = [], set()
    for i in sorted(chosen, key=lambda i: (candidates[i].passage.pk != first_passage, i)):
        if candidates[i].text not in seen:
            seen.add(candidates[i].text)
            kept.append(candidates[i])
    return kept


def _with_lists(chosen: Sequence[Sentence], candidates: Sequence[Sentence]) -> list[Sentence]:
    """What announces something, with that: the items, or else the sentence, that follow."""
    kept: dict[tuple[int, int], Sentence] = {}
    for sentence in chosen:
        said = [sentence]
        if _announces(sentence):
            said += _following(sentence, candidates)
        kept |= {(one.passage.pk, one.start): one for one in said}
    return list(kept.values())


def _announces(sentence: Sentence) -> bool:
    return sentence.text.rstrip().endswith((":", "："))


def _following(sentence: Sentence, candidates: Sequence[Sentence]) -> list[Sentence]:
    own = [one for one in candidates if one.passage.pk == sentence.passage.pk and one.start >= sentence.end]
    items = list(takewhile(lambda one: one.is_item, own))
    return items[:ITEMS] or own[:1]


def _by_words(question: str, texts: list[str]) -> np.ndarray:
    """float32 (n,): the share of the question's terms each text has, rare terms counting more."""
    terms = list(dict.fromkeys(tokenize(question, query=True)))
    has = np.array([[term in found for term in terms] for found in map(set, map(tokenize, texts))])
    if not has.size:
        return np.zeros(len(texts), dtype=np.float32)
    rarity = np.log(1 + len(texts) / (1 + has.sum(axis=0)))
    return (has @ rarity / max(float(rarity.sum()), 1e-9)).astype(np.float32)


def _sentences(passage: Passage) -> list[Sentence]:
    """A passage's sentences; a table row or a list item counts as one."""
    made = []
    for block in passage.blocks:
        start, end = block["start"], block["end"]
        if block["kind"] == "row":
            made.append(Sentence(passage.text[start:end], passage, start, end, is_item=True))
            continue
        is_item = block["kind"] == "item"
        for part in sentences(passage.text[start:end]):
            at, to = start + part.start, start + part.end
            made.append(Sentence(passage.text[at:to], passage, at, to, is_item))
    if len(made) > 1 and _announces(made[-1]):  # what it announces stands elsewhere
        made.pop()
    return made


def _in_context(sentence: Sentence) -> str:
    """The sentence under its heading: "5 business days." alone says too little to be compared."""
    heading = sentence.passage.heading.rsplit(" › ", 1)[-1]
    return f"{heading}: {sentence.text}"
