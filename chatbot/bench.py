"""The bench: why a question is answered as it is, by the very functions that answer visitors.

`dialogue.consider` finds and judges, `dialogue.say` speaks; here their scores are only taken apart: what
each view of a passage adds, which view put the first before the second, the smallest change of one weight
that would put another first, what each sign adds to the decision. A past turn is asked once more, and what
was kept of it is laid beside what comes of it today. Writes nothing; leaves intents to their own page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from django.utils.translation import gettext as _

from chatbot import dialogue, retrieval, turns
from chatbot.answerability import SIGNS, Borders, Zones, zones
from chatbot.conf import ChatbotSettings
from chatbot.dialogue import Asked, Considered, Reply
from chatbot.models import Inbox, KnowledgeBase, KnowledgeVersion, Passage, Piece, Turn
from chatbot.retrieval import Found
from services.errors import InvalidInput
from services.inference.engine import Engine
from services.search.tokens import tokenize
from services.storage import Storage
from services.text.language import HAN
from services.text.masking import mask

VIEWS = ("question", "best_piece", "whole", "words")
"""The views of a passage, in the order of the index's features."""
QUESTION = VIEWS.index("question")
MOST_EARLIER = 4
_WORD = re.compile(rf"[{HAN}]+|[^\W_{HAN}]+(?:[-_./,'’][^\W_{HAN}]+)*")


@dataclass(frozen=True, slots=True)
class Row:
    """A passage found. `parts`: what each view adds to its score; `piece`: (text, is the question's word).

    `by_variant`: whether it would be first with a question variant in this wording, as far as meaning goes;
    None where that says nothing (the first itself, or a search by words alone).
    """

    rank: int
    found: Found
    parts: tuple[float, ...]
    piece: tuple[tuple[str, bool], ...]
    by_variant: bool | None


@dataclass(frozen=True, slots=True)
class Change:
    """One view's weight, of all four summing to one, from which another passage would be first."""

    view: str
    now: float
    then: float
    first: Found


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of the decision. `value` is None where there is nothing to tell it by; `part`: of the logit."""

    name: str
    value: float | None
    usual: float
    part: float


@dataclass(frozen=True, slots=True)
class Looked:
    """All there is to see of one question. `ahead`: (view, by how much the first is ahead by it), most first.

    `border`: "faq", "documents" or "words"; "" where nothing was found.
    """

    asked: Asked
    seen: Considered
    reply: Reply
    by_meaning: bool
    shares: tuple[float, ...]
    rows: tuple[Row, ...]
    ahead: tuple[tuple[str, float], ...]
    change: Change | None
    zones: Zones
    signs: tuple[Sign, ...]
    border: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A passage of a past answer beside today's; None where it was not found then, or is not now."""

    passage_id: int
    passage: Passage | None
    rank: int | None
    score: float | None
    rank_now: int | None
    score_now: float | None

    @property
    def same(self) -> bool:
        """Whether place and score are what they were."""
        return (self.rank, self.score) == (self.rank_now, self.score_now)


@dataclass(frozen=True, slots=True)
class Replayed:
    """A past turn asked once more. `changes`: what differs in what decides an answer, in sentences."""

    turn: Turn
    looked: Looked
    rows: tuple[Kept, ...]
    identical: bool
    config_id: str
    changes: tuple[str, ...]
    zone: str
    probability: float | None


def question(
    text: str, knowledge_base: KnowledgeBase, *, locale: str, earlier: Sequence[str], now: datetime,
    settings: ChatbotSettings,
) -> Asked:  # fmt: skip
    """A typed question as a visitor's message. Raises InvalidInput, naming the field and the remedy."""
    text, most = text.strip(), settings.chatbot_question_chars
    if not text or len(text) > most:
        raise InvalidInput(_("Write a question of at most %(n)d characters.") % {"n": most}, field="question")
    asked = [line.strip() for line in earlier if line.strip()]
    if len(asked) > MOST_EARLIER or any(len(line) > most for line in asked):
        told = {"lines": MOST_EARLIER, "n": most}
        raise InvalidInput(
            _("Give at most %(lines)d earlier questions, one a line, of at most %(n)d characters each.")
            % told,
            field="earlier",
        )
    region = settings.chatbot_phone_region.upper()
    said = tuple(("visitor", mask(line, region=region).text) for line in asked)
    return Asked(text, Inbox(knowledge_base=knowledge_base), locale, now, earlier=said)


def look(asked: Asked, *, engine: Engine, storage: Storage, settings: ChatbotSettings) -> Looked:
    """Ask a question as a visitor would, and take the answer apart. Raises the engine's SuiteErrors."""
    seen = dialogue.consider(asked, engine=engine, storage=storage, settings=settings)
    reply = dialogue.say(asked, seen, engine=engine, settings=settings)
    base = asked.inbox.knowledge_base
    by_meaning = any(hit.dense > 0 for hit in seen.found)
    shares = retrieval.view_shares(base, engine, storage, by_meaning=by_meaning)
    found = [hit for hit in seen.found if hit.views]
    weighed = sorted(found, key=lambda hit: -hit.score)  # a reranker may have put them in another order
    return Looked(
        asked,
        seen,
        reply,
        by_meaning,
        shares,
        tuple(_rows(found, shares, seen.searched, by_meaning)),
        _ahead(weighed, shares),
        smallest_change(weighed, shares),
        zones(base.carefulness),
        _signs(seen),
        _border(seen, retrieval.borders_of(base, storage)),
    )


def replay(
    turn: Turn, *, now: datetime, engine: Engine, storage: Storage, settings: ChatbotSettings
) -> Replayed:
    """Ask a past question once more. Raises InvalidInput when it was not answered from the knowledge."""
    if "hits" not in turn.trace:
        raise InvalidInput(
            _("This message was not answered from the knowledge: there is nothing to compare."), field="turn"
        )
    asked = turns.asked(turn, now)
    looked = look(asked, engine=engine, storage=storage, settings=settings)
    rows = tuple(_beside(turn.trace["hits"], looked.seen.found))
    told = turn.trace.get("answerable", {})
    same_decision = told == looked.seen.judged.trace()
    return Replayed(
        turn,
        looked,
        rows,
        all(row.same for row in rows) and same_decision,
        _config_id(asked.inbox.knowledge_base, settings, engine, looked.seen),
        tuple(_changes(turn, asked.inbox.knowledge_base, settings, engine, looked.seen)),
        str(told.get("zone", "")),
        told.get("probability"),
    )


def smallest_change(found: Sequence[Found], shares: Sequence[float]) -> Change | None:
    """The smallest change of one weight, to two decimals, that puts another passage first; None without one.

    The other weights keep their proportions: a weight w_i set to x makes them (1 - x) / (1 - w_i) of what
    they were, so the lead of the first over a rival is a straight line in x, and crosses zero once at most.
    """
    best: tuple[float, int, float] | None = None
    for at, share in enumerate(shares):
        if share >= 1:
            continue
        for rival in found[1:]:
            lead = [a - b for a, b in zip(found[0].views, rival.views, strict=True)]
            others = sum(w * d for n, (w, d) in enumerate(zip(shares, lead, strict=True)) if n != at)
            others /= 1 - share
            if others == lead[at]:
                continue
            crossing = others / (others - lead[at])
            # A hundredth beyond the crossing, away from the weight as it is.
            x = (math.floor(crossing * 100) + (crossing >= share)) / 100
            x = x - 0.01 if crossing < share and x == crossing else x
            if 0 <= x <= 1 and (best is None or abs(x - share) < best[0]):
                best = (abs(x - share), at, x)
    if best is None:
        return None
    _size, at, x = best
    moved = [x if n == at else w * (1 - x) / (1 - shares[at]) for n, w in enumerate(shares)]
    first = max(found, key=lambda hit: sum(w * v for w, v in zip(moved, hit.views, strict=True)))
    return None if first is found[0] else Change(VIEWS[at], shares[at], x, first)


def marked(text: str, query: str) -> tuple[tuple[str, bool], ...]:
    """A text in stretches, each with whether it is one of the question's words, as the search sees words."""
    terms = set(tokenize(query, query=True))
    inside = [False] * len(text)
    for word in _WORD.finditer(text):
        start, run = word.start(), word.group()
        if re.match(f"[{HAN}]", run):
            for term in terms:
                for hit in re.finditer(re.escape(term), run):
                    inside[start + hit.start() : start + hit.end()] = [True] * len(term)
        elif terms & set(tokenize(run)):
            inside[start : word.end()] = [True] * len(run)
    cuts = [0, *(n for n in range(1, len(text)) if inside[n] != inside[n - 1]), len(text)]
    return tuple((text[a:b], inside[a]) for a, b in pairwise(cuts) if a < b)


def _rows(found: Sequence[Found], shares: Sequence[float], searched: str, by_meaning: bool) -> list[Row]:
    pieces = Piece.objects.in_bulk([hit.piece_id for hit in found])
    rows = []
    for rank, hit in enumerate(found, 1):
        piece = pieces.get(hit.piece_id)
        text = piece.text if piece is not None else hit.passage.text[:256]
        with_variant = hit.score + shares[QUESTION] * (1 - hit.views[QUESTION])
        told = by_meaning and rank > 1 and hit.rerank is None
        by_variant = with_variant > found[0].score if told else None
        parts = tuple(share * view for share, view in zip(shares, hit.views, strict=True))
        rows.append(Row(rank, hit, parts, marked(text, searched), by_variant))
    return rows


def _ahead(found: Sequence[Found], shares: Sequence[float]) -> tuple[tuple[str, float], ...]:
    if len(found) < 2:
        return ()
    pairs = zip(VIEWS, shares, found[0].views, found[1].views, strict=True)
    return tuple(sorted(((name, share * (a - b)) for name, share, a, b in pairs), key=lambda one: -one[1]))


def _signs(seen: Considered) -> tuple[Sign, ...]:
    border = seen.judged.border
    if border is None:
        return ()
    import numpy as np

    parts = border.parts(np.asarray(seen.judged.signs, np.float32))[0]
    return tuple(
        Sign(name, value if math.isfinite(value) else None, usual, float(part))
        for name, value, usual, part in zip(SIGNS, seen.judged.signs, border.mean, parts, strict=True)
    )


def _border(seen: Considered, borders: Borders) -> str:
    names = ("faq", "documents", "words")
    return next((name for name in names if getattr(borders, name) is seen.judged.border), "")


def _beside(hits: Sequence[dict[str, Any]], found: Sequence[Found]) -> list[Kept]:
    """Then and now, in the order of then; what is only found now comes last."""
    today = {hit.passage.pk: (rank, hit.trace()["score"]) for rank, hit in enumerate(found, 1)}
    then = {int(hit["passage"]): (rank, float(hit["score"])) for rank, hit in enumerate(hits, 1)}
    ids = list(dict.fromkeys([*then, *today]))
    passages = Passage.objects.select_related("document").in_bulk(ids)
    nowhere = (None, None)
    return [Kept(pk, passages.get(pk), *then.get(pk, nowhere), *today.get(pk, nowhere)) for pk in ids]


def _config_id(base: KnowledgeBase, settings: ChatbotSettings, engine: Engine, seen: Considered) -> str:
    encoder, reranker = engine.encoder().version, seen.reranking.get("model", "")
    return dialogue.config_id(base.index_path, base.carefulness, encoder, settings, reranker)


def _changes(
    turn: Turn, base: KnowledgeBase, settings: ChatbotSettings, engine: Engine, seen: Considered
) -> list[str]:
    """What decided the answer then and is otherwise now; empty when the configuration is the same."""
    kept, encoder_now = turn.trace, engine.encoder().version
    if kept.get("config_id") == _config_id(base, settings, engine, seen):
        return []
    index, care = str(kept.get("index", "")), kept.get("carefulness")
    encoder = str(kept.get("encoder") or ("" if "phrasing" in kept else turn.model_version))
    told = []
    if index != base.index_path:
        versions = dict(KnowledgeVersion.objects.filter(
            knowledge_base=base, index_path__in=[index, base.index_path]
        ).values_list("index_path", "number"))  # fmt: skip
        now, then = versions.get(base.index_path), versions.get(index)
        if now and then:
            told.append(_("The knowledge was version %(then)d, it is version %(now)d now.")
                        % {"then": then, "now": now})  # fmt: skip
        else:
            told.append(_("The knowledge was another version, which is not kept any more."))
    if encoder and encoder != encoder_now:
        told.append(_("The encoder was %(then)s, it is %(now)s now.") % {"then": encoder, "now": encoder_now})
    if care is not None and care != base.carefulness:
        numbers = {"then": f"{care:.2f}", "now": f"{base.carefulness:.2f}"}
        told.append(_("How careful it is was %(then)s, it is %(now)s now.") % numbers)
    reranker, reranker_now = kept.get("reranking", {}).get("model", ""), seen.reranking.get("model", "")
    if reranker != reranker_now:
        models = {"then": reranker or "–", "now": reranker_now or "–"}
        told.append(_("The reranker was %(then)s, it is %(now)s now.") % models)
    if care is None or not encoder:
        told.append(
            _("How careful it is, the encoder or other settings may have changed: that was not kept.")
        )
    elif kept.get("config_id") != dialogue.config_id(index, care, encoder, settings, reranker):
        told.append(_("Settings of the chatbot have changed (CHATBOT_…)."))
    return told
