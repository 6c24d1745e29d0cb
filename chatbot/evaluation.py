"""How well a version of the knowledge finds what it should: its cases, their ranks, and the gate.

Cases are the questions people wrote or linked, and question variants of the passages, each searched as if no
passage had it. The passage that answers is known by its document and heading, so a case outlives a new
upload. Cases in which the live version holds the answer compare the two, by the paired bootstrap: a passage
that is new cannot make up for one that was lost. Every reason is kept as a code with its figures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chatbot import reranking, retrieval
from chatbot.answerability import Borders
from chatbot.conf import ChatbotSettings
from chatbot.models import Document, EvaluationCase, KnowledgeBase, Passage, QuestionVariant
from services.conf import load
from services.inference.engine import Engine
from services.inference.values import Priority, Vectors
from services.text.language import detect
from services.training.resampling import grouped, interval, resampled

if TYPE_CHECKING:
    from services.search.hybrid import HybridIndex

Place = tuple[int, str]
"""A document and a heading in it."""
FIRST = 5
DEPTH = retrieval.TOP_K
MOST_VARIANTS = 400
"""Question variants that are asked; of more, those whose hashes come first, the same ones every time."""
MOST_WRITTEN = 2_000
MOST_FAILING = 200
LEAST_COMPARED = 5
"""Fewer cases than this have no interval that says anything."""
LOST_CASES, LOST_SHARE = 2, 0.05
METRICS = ("recall_at_1", "recall_at_5", "mrr")
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Case:
    """A question, the places where its answer stands (none when it has no answer), and where it is from."""

    question: str
    places: frozenset[Place]
    hashes: frozenset[str]
    origin: str
    title: str = ""
    row: int | None = None

    @property
    def answerable(self) -> bool:
        return bool(self.places)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a version did with a case. `rank` counts from 1, None beyond DEPTH; `held`: it has the passage.

    `probability`: that the first passage answers, as the assistant judges it; `without`: the same with the
    passage that answers taken away. `among` and `among_without`: that one of the first three does.
    """

    held: bool
    rank: int | None
    answered: bool
    found: tuple[retrieval.Found, ...]
    probability: float = 0.0
    without: float = 0.0
    among: float = 0.0
    among_without: float = 0.0

    @property
    def is_found(self) -> bool:
        return self.rank is not None and self.rank <= FIRST


def cases_of(knowledge_base: KnowledgeBase, live_ids: frozenset[int] = frozenset()) -> list[Case]:
    """The written cases, then question variants of the passages in use and of those the live version holds.

    Variants of removed documents are left out: what is taken away on purpose is not missed. So are variants
    of two places, and written cases whose document is gone for good.
    """
    written = list(_written(knowledge_base))
    known = {_plain(case.question) for case in written}
    variants = [case for case in _variants(knowledge_base, live_ids) if _plain(case.question) not in known]
    variants.sort(key=lambda case: hashlib.sha256(_plain(case.question).encode()).digest())
    return written + variants[:MOST_VARIANTS]


def ask(
    cases: Sequence[Case],
    index: HybridIndex,
    borders: Borders,
    engine: Engine,
    knowledge_base: KnowledgeBase,
    beat: Callable[[int], None] = lambda done: None,
) -> list[Asked]:
    """Ask every case of an index, as a visitor would; `beat` is told how many are done.

    `borders`: those of the index. Raises the engine's SuiteErrors.
    """
    held, settings = _held(index, knowledge_base), load(ChatbotSettings)
    most = reranking.depth(engine, settings)
    asked: list[Asked] = []
    for at in range(0, len(cases), _BATCH):
        batch = cases[at : at + _BATCH]
        for case, language, query_vec in zip(batch, *_questions(batch, index, engine), strict=True):
            searched = retrieval.found_in(
                index, case.question, query_vec, language=language, k=most, held_out=True
            )
            found = reranking.rerank(
                case.question, searched, engine=engine, settings=settings, priority=Priority.BATCH
            ).found
            searched = searched[:DEPTH]
            rank = next((n for n, hit in enumerate(found, 1) if _is_gold(case, hit.passage)), None)
            has = bool(case.places & held[0] or case.hashes & held[1])
            judged = retrieval.judge(searched, borders, knowledge_base.carefulness)
            rest = [hit for hit in searched if not _is_gold(case, hit.passage)]
            without = retrieval.judge(rest, borders, knowledge_base.carefulness)
            answered = judged.zone == "answer"
            told = (judged.probability, without.probability, judged.among, without.among)
            asked.append(Asked(has, rank, answered, tuple(found[:3]), *told))
        beat(at + len(batch))
    return asked


def report(
    cases: Sequence[Case], asked: Sequence[Asked], live: Sequence[Asked] | None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The figures with the gate's verdict, and the failing cases, both as JSON values.

    `asked` and `live` are in the order of the cases; without a live version nothing is compared, everything
    passes, and failing is what is not found.
    """
    before = live if live is not None else asked
    compared = [n for n, case in enumerate(cases) if case.answerable and before[n].held]
    lost = _lost(cases, asked, live) if live is not None else []
    gains = _gains(cases, asked, live, compared) if live is not None else {}
    reasons = (
        _reasons(gains, lost, len(compared)) if live is not None else [{"code": "first", "blocks": False}]
    )
    if not cases:
        reasons = [{"code": "no_cases", "blocks": False}]
    told: dict[str, Any] = {
        "cases": len(cases),
        "compared": len(compared),
        "new": sum(mine.held and not old.held for mine, old in zip(asked, before, strict=True)),
        "this": _figures(cases, asked, compared),
        "live": _figures(cases, live, compared) if live is not None else None,
        "gains": gains,
        "reasons": reasons,
        "passed": not any(reason["blocks"] for reason in reasons),
    }
    return told, list(_failing(cases, asked, live))[:MOST_FAILING]


def _reasons(gains: Mapping[str, Any], lost: Sequence[int], n: int) -> list[dict[str, Any]]:
    """Why the version passes or is blocked, each a code with its figures."""
    reasons: list[dict[str, Any]] = []
    if n and len(lost) >= LOST_CASES and len(lost) / n >= LOST_SHARE:
        reasons.append({"code": "lost", "blocks": True, "lost": len(lost), "n": n, "share": len(lost) / n})
    if 0 < n < LEAST_COMPARED:
        reasons.append({"code": "few", "blocks": False, "n": n, "least": LEAST_COMPARED})
    for metric in ("mrr", "recall_at_5"):
        if n >= LEAST_COMPARED and gains[metric]["high"] < 0:
            reasons.append({"code": "falls", "blocks": True, "metric": metric, "n": n, **gains[metric]})
    if not any(reason["blocks"] for reason in reasons) and n >= LEAST_COMPARED:
        reasons.append({"code": "holds", "blocks": False, "metric": "mrr", "n": n, **gains["mrr"]})
    return reasons or [{"code": "no_cases", "blocks": False}]


def _gains(
    cases: Sequence[Case], asked: Sequence[Asked], live: Sequence[Asked], compared: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Each metric's gain over the live version with its 95 % interval; cases of a place stay together."""
    if not compared:
        return {}
    places: dict[frozenset[Place], int] = {}
    groups = np.asarray([places.setdefault(cases[n].places, len(places)) for n in compared], np.int64)
    change = _scores([asked[n] for n in compared]) - _scores([live[n] for n in compared])
    units = np.concatenate([change, np.ones((len(compared), 1))], axis=1).astype(np.float32)
    sums = resampled(grouped(units, groups), seed=0)
    gains = {}
    for at, metric in enumerate(METRICS):
        low, high = interval(sums[:, at] / sums[:, -1])
        gain = {"gain": float(change[:, at].mean()), "low": low, "high": high}
        gains[metric] = {name: round(value, 4) for name, value in gain.items()}
    return gains


def _figures(
    cases: Sequence[Case], asked: Sequence[Asked], compared: Sequence[int]
) -> dict[str, float | None]:
    """The metrics over the cases compared; refusals over the cases without an answer."""
    means = _scores([asked[n] for n in compared]).mean(axis=0) if compared else [None] * len(METRICS)
    told: dict[str, float | None] = {
        metric: None if mean is None else round(float(mean), 4)
        for metric, mean in zip(METRICS, means, strict=True)
    }
    without = [one for case, one in zip(cases, asked, strict=True) if not case.answerable]
    answered = [one for one in asked if one.answered]
    told["refused"] = _share(not one.answered for one in without)
    told["refused_wrongly"] = _share(not asked[n].answered for n in compared)
    told["answered_right"] = _share(one.rank == 1 for one in answered)
    return told


def _lost(cases: Sequence[Case], asked: Sequence[Asked], live: Sequence[Asked]) -> list[int]:
    """Cases whose passage is there no longer, or is no longer found among the first."""
    return [
        n
        for n, (case, now, then) in enumerate(zip(cases, asked, live, strict=True))
        if case.answerable and then.held and (not now.held or (then.is_found and not now.is_found))
    ]


def _failing(
    cases: Sequence[Case], asked: Sequence[Asked], live: Sequence[Asked] | None
) -> Iterator[dict[str, Any]]:
    """The cases to look at, worst first: the passage is gone, is not found, or should have been refused."""
    rows = []
    for n, case in enumerate(cases):
        now, then = asked[n], live[n] if live is not None else None
        why = _why(case, now, then)
        if why:
            place = next(iter(case.places), (0, ""))
            row: dict[str, Any] = {
                "why": why,
                "question": case.question,
                "origin": case.origin,
                "case": case.row,
            }
            row |= {"document": place[0], "title": case.title, "heading": place[1]}
            row |= {"rank": now.rank, "rank_before": then.rank if then else None}
            row["found"] = [
                {
                    "passage": hit.passage.pk,
                    "heading": hit.passage.heading,
                    "title": hit.passage.document.title,
                }
                for hit in now.found
            ]
            rows.append(row)
    order = ("gone", "lost", "answers", "missed")
    yield from sorted(rows, key=lambda row: order.index(str(row["why"])))


def _why(case: Case, now: Asked, then: Asked | None) -> str:
    if not case.answerable:
        return "answers" if now.answered and (then is None or not then.answered) else ""
    if now.is_found:
        return ""
    if then is None or not then.held:
        return "missed"
    if not now.held:
        return "gone"
    return "lost" if then.is_found else "missed"


def _scores(asked: Sequence[Asked]) -> NDArray[np.float64]:
    """float64 (n, 3), in the order of METRICS."""
    ranks = np.asarray([one.rank or np.inf for one in asked], np.float64)
    return np.stack([ranks <= 1, ranks <= FIRST, 1 / ranks], axis=1).astype(np.float64)


def _share(which: Iterator[bool]) -> float | None:
    told = list(which)
    return round(sum(told) / len(told), 4) if told else None


def _questions(
    cases: Sequence[Case], index: HybridIndex, engine: Engine
) -> tuple[list[str], list[Vectors | None]]:
    """Each question's language, and the vectors of its wordings where the encoder reads that."""
    languages = [detect(case.question, default="en") for case in cases]
    read = [n for n, language in enumerate(languages) if retrieval.reads(engine, language)]
    vecs: list[Vectors | None] = [None] * len(cases)
    asked = [retrieval.wordings(index, cases[n].question) for n in read]
    if read:
        made = engine.embed([text for texts in asked for text in texts], priority=Priority.BATCH)
        for n, own in zip(read, np.split(made, np.cumsum([len(texts) for texts in asked])[:-1]), strict=True):
            vecs[n] = own
    return languages, vecs


def _held(index: HybridIndex, knowledge_base: KnowledgeBase) -> tuple[set[Place], set[str]]:
    """The places and the content hashes of an index's passages."""
    ids = set(index.passage_ids.tolist())
    rows = Passage.objects.filter(document__knowledge_base=knowledge_base)
    told = rows.values_list("pk", "document_id", "heading", "content_hash")
    held = [row for row in told if row[0] in ids]
    return {(document, heading) for _pk, document, heading, _hash in held}, {row[3] for row in held}


def _is_gold(case: Case, passage: Passage) -> bool:
    return (passage.document_id, passage.heading) in case.places or passage.content_hash in case.hashes


def _written(knowledge_base: KnowledgeBase) -> Iterator[Case]:
    rows = list(knowledge_base.cases.select_related("document")[:MOST_WRITTEN])
    wanted = {(row.document_id, row.heading) for row in rows}
    hashes: dict[Place, set[str]] = {}
    documents = {row.document_id for row in rows if row.document_id}
    told = Passage.objects.filter(document__in=documents).values_list(
        "document_id", "heading", "content_hash"
    )
    for document, heading, digest in told:
        if (document, heading) in wanted:
            hashes.setdefault((document, heading), set()).add(digest)
    for row in rows:
        if not row.answerable:
            yield Case(row.question, frozenset(), frozenset(), row.origin, row=row.pk)
        elif row.document is not None:
            place = (row.document.pk, row.heading)
            digests = frozenset(hashes.get(place, ()))
            yield Case(row.question, frozenset({place}), digests, row.origin, row.document.title, row.pk)


def _variants(knowledge_base: KnowledgeBase, live_ids: frozenset[int]) -> Iterator[Case]:
    """One case for each question variant; where one has moved, its passage in use is the one that answers."""
    rows = Passage.objects.filter(document__knowledge_base=knowledge_base).exclude(
        document__state=Document.State.REMOVED
    )
    by_hand = _by_hand(knowledge_base)
    fields = ("pk", "document_id", "heading", "content_hash", "variants", "retired_at", "document__title")
    owners: dict[str, dict[str, Any]] = {}
    for pk, document, heading, digest, variants, retired_at, title in rows.values_list(*fields):
        if retired_at is not None and pk not in live_ids:
            continue
        said = [str(variant).strip() for variant in variants] + by_hand.get((document, heading), [])
        for question in dict.fromkeys(filter(None, said)):
            owner = owners.setdefault(_plain(question), {"question": question, "title": title})
            kind = "used" if retired_at is None else "live"
            owner.setdefault(kind, []).append(((document, heading), digest))
    for owner in owners.values():
        held = owner.get("used") or owner["live"]
        places = frozenset(place for place, _digest in held)
        if len(places) == 1:
            hashes = frozenset(digest for _place, digest in held)
            yield Case(owner["question"], places, hashes, EvaluationCase.Origin.VARIANT, owner["title"])


def _by_hand(knowledge_base: KnowledgeBase) -> dict[Place, list[str]]:
    """The question variants that people gave, by the place of their passage."""
    found: dict[Place, list[str]] = {}
    rows = QuestionVariant.objects.filter(document__knowledge_base=knowledge_base)
    for document, heading, question in rows.values_list("document_id", "heading", "question"):
        found.setdefault((document, heading), []).append(question)
    return found


def _plain(question: str) -> str:
    return " ".join(question.casefold().split())
