"""Is the right FAQ entry found for a question put in other words?

`python -m benchmarks.faq --data DIR [--json FILE] [--seed N] [--variants N]`: DIR holds faqs.jsonl (id,
question, answers: a text or a list of texts) and queries.jsonl (query, faq_id). The product's own pieces,
index, default weights and encoder are used as they are.

With --variants N, N of each entry's queries (drawn by the seed, from entries that have more) become question
variants of it: they enter the index, the weights are fitted on them, and only the other queries are asked.

Where DIR has a terms.csv (words that mean the same, a group a row) the product is measured with these terms,
as a person would have told it, and without them.

A query in a language that the encoder does not understand is searched by words alone, as the product does.
Ranks are over all entries, ties at mid-rank; an entry that the index does not return has no rank and counts
as missed.
"""

from __future__ import annotations

import csv
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.command import arguments, serving_engine, write
from services.inference.engine import Engine
from services.inference.values import Priority, Vectors
from services.search.equivalents import Equivalents
from services.search.fitting import fit_on_variants
from services.search.fusion import rrf
from services.search.hybrid import HybridIndex, ViewWeights
from services.search.lexical import LexicalIndex
from services.search.pieces import cut_passage
from services.search.understanding import understands
from services.text.language import detect

BATCH_TEXTS = 256
REFERENCE = (
    "For reference, StackFAQ's 519 queries: BM25 .67, dense on the question .931, RRF of five views .83."
)
Ranks = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Entry:
    """One FAQ entry."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Query:
    """A question and the place of its entry."""

    text: str
    gold: int


def run(data: Path, seed: int, variants: int, engine: Engine) -> tuple[dict[str, float], list[str]]:
    """The metrics, and the table as lines."""
    entries, queries = read(data)
    queries, taken = take_variants(queries, variants, random.Random(seed))
    pieces = cut(entries, taken)
    vecs = embed(engine, [embedded for *_, embedded in pieces])
    built_from: dict[str, Any] = {
        "piece_ids": range(len(pieces)),
        "passage_ids": [place for place, *_ in pieces],
        "kinds": [kind for _, kind, _, _ in pieces],
        "texts": [text for _, _, text, _ in pieces],
        "vecs": vecs,
    }
    weights = fit_on_variants(**built_from) if variants else ViewWeights()
    version = engine.encoder().version
    index = HybridIndex.build(**built_from, encoder_version=version, weights=weights)
    told = terms(data)
    query_vecs = embed(engine, [query.text for query in queries])
    words, meaning = baselines(entries, queries, built_from, query_vecs)
    gold = np.asarray([query.gold for query in queries])
    ranks = {
        "BM25": ranked(words, gold),
        "dense, on the question": ranked(meaning, gold),
        "RRF of the two": ranked(fused(words, meaning), gold),
        "this project": index_ranks(index, queries, query_vecs, engine),
    }
    if told:
        with_terms = HybridIndex.build(
            **built_from, encoder_version=version, weights=weights, equivalents=told
        )
        ranks["this project, terms told"] = index_ranks(with_terms, queries, query_vecs, engine)
    ours = ranks["this project"]
    metrics = {
        "recall_at_1": recall(ours, 1),
        "recall_at_5": recall(ours, 5),
        "mrr": reciprocal(ours),
        "bm25_recall_at_1": recall(ranks["BM25"], 1),
        "dense_recall_at_1": recall(ranks["dense, on the question"], 1),
    }
    if told:
        ours = ranks["this project, terms told"]
        metrics |= {"terms_recall_at_1": recall(ours, 1), "terms_recall_at_5": recall(ours, 5)}
    return metrics, table(ranks, entries, queries, taken, weights)


def read(data: Path) -> tuple[list[Entry], list[Query]]:
    """The entries and the queries of a folder."""
    rows = [json.loads(line) for line in (data / "faqs.jsonl").open(encoding="utf-8") if line.strip()]
    places = {row["id"]: place for place, row in enumerate(rows)}
    entries = [Entry(row.get("question") or "", _joined(row.get("answers"))) for row in rows]
    asked = [json.loads(line) for line in (data / "queries.jsonl").open(encoding="utf-8") if line.strip()]
    return entries, [Query(row["query"], places[row["faq_id"]]) for row in asked]


def terms(data: Path) -> Equivalents | None:
    """The words that mean the same, where the folder has a file of them."""
    if not (data / "terms.csv").exists():
        return None
    with (data / "terms.csv").open(encoding="utf-8-sig", newline="") as file:
        return Equivalents([[cell for cell in row if cell.strip()] for row in csv.reader(file)])


def _joined(answers: str | Sequence[str] | None) -> str:
    return answers if isinstance(answers, str) else "\n\n".join(answers or ())


def take_variants(
    queries: list[Query], count: int, draw: random.Random
) -> tuple[list[Query], dict[int, list[str]]]:
    """The queries that are left to ask, and up to `count` of each entry's that became variants."""
    of_entry: dict[int, list[Query]] = defaultdict(list)
    for query in queries:
        of_entry[query.gold].append(query)
    taken: dict[int, list[str]] = {}
    left: list[Query] = []
    for gold, mine in of_entry.items():
        draw.shuffle(mine)
        given = min(count, len(mine) - 1)
        taken[gold] = [query.text for query in mine[:given]]
        left += mine[given:]
    return left, taken


def cut(entries: Sequence[Entry], variants: dict[int, list[str]]) -> list[tuple[int, str, str, str]]:
    """(place of the entry, kind, text, text to embed) of every piece."""
    return [
        (place, piece.kind, piece.text, piece.embedded)
        for place, entry in enumerate(entries)
        for piece in cut_passage(entry.question, entry.answer, variants.get(place, ()), is_faq=True)
    ]


def embed(engine: Engine, texts: Sequence[str]) -> Vectors:
    """Vectors float32 (n, dim), a few hundred texts at a time."""
    batches = [texts[at : at + BATCH_TEXTS] for at in range(0, len(texts), BATCH_TEXTS)]
    vecs = [engine.embed(batch, priority=Priority.BATCH) for batch in batches]
    return np.concatenate(vecs) if vecs else np.zeros((0, engine.encoder().dim), dtype=np.float32)


def baselines(
    entries: Sequence[Entry], queries: Sequence[Query], pieces: dict[str, Any], query_vecs: Vectors
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores (queries, entries) of BM25 over whole entries, and of the cosine with the entry's question.

    An entry without a question is compared by its nearest piece. Neither baseline sees the variants.
    """
    lexical = LexicalIndex.build(range(len(entries)), [f"{e.question}\n{e.answer}" for e in entries])
    words = np.stack([lexical.scores(query.text) for query in queries])
    meaning = np.full((len(queries), len(entries)), -1.0, dtype=np.float32)
    for place, kind, vec in zip(pieces["passage_ids"], pieces["kinds"], pieces["vecs"], strict=True):
        if kind == "title" or (kind == "body" and not entries[place].question.strip()):
            meaning[:, place] = np.maximum(meaning[:, place], query_vecs @ vec)
    return words, meaning


def fused(words: NDArray[np.float32], meaning: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (queries, entries) of reciprocal rank fusion over the two full rankings."""
    totals = np.zeros_like(words)
    for row in range(len(words)):
        keys, scores = rrf([np.argsort(-words[row], kind="stable"), np.argsort(-meaning[row], kind="stable")])
        totals[row, keys] = scores
    return totals


def ranked(scores: NDArray[np.float32], gold: NDArray[np.int64]) -> Ranks:
    """The rank of each query's gold entry, ties at mid-rank."""
    own = scores[np.arange(len(gold)), gold][:, None]
    ranks: Ranks = 1 + (scores > own).sum(axis=1) + ((scores == own).sum(axis=1) - 1) / 2
    return ranks


def index_ranks(index: HybridIndex, queries: Sequence[Query], query_vecs: Vectors, engine: Engine) -> Ranks:
    """The rank that the product's index gives each gold entry; infinite when it is not returned."""
    version = engine.encoder().version
    ranks = np.full(len(queries), np.inf)
    for row, query in enumerate(queries):
        known = understands(engine.embed, version, detect(query.text))
        vecs = query_vecs[row : row + 1]
        if known and (other := index.reworded(query.text)) is not None:
            vecs = np.concatenate([vecs, engine.embed([other])])
        hits = index.search(query.text, vecs if known else None, k=len(index))
        own = next((hit.score for hit in hits if hit.passage_id == query.gold), None)
        if own is not None:
            beside = sum(hit.score == own for hit in hits) - 1
            ranks[row] = 1 + sum(hit.score > own for hit in hits) + beside / 2
    return ranks


def recall(ranks: Ranks, k: int) -> float:
    """The share of gold entries ranked k or better."""
    return round(float((ranks <= k).mean()), 4)


def reciprocal(ranks: Ranks) -> float:
    """The mean of 1 / rank."""
    return round(float((1 / ranks).mean()), 4)


def table(
    ranks: dict[str, Ranks],
    entries: Sequence[Entry],
    queries: Sequence[Query],
    taken: dict[int, list[str]],
    weights: ViewWeights,
) -> list[str]:
    """What is printed."""
    variants = sum(map(len, taken.values()))
    lines = [f"{len(entries)} entries, {len(queries)} queries, {variants} variants"]
    lines += ["weights: " + ", ".join(f"{name} {share:.2f}" for name, share in asdict(weights).items()), ""]
    lines.append(f"{'':26}{'R@1':>8}{'R@5':>8}{'MRR':>8}")
    for name, found in ranks.items():
        lines.append(f"{name:26}{recall(found, 1):8.3f}{recall(found, 5):8.3f}{reciprocal(found):8.3f}")
    return [*lines, "", REFERENCE]


def main() -> None:
    parser = arguments("Recall of the right FAQ entry.", "folder with faqs.jsonl and queries.jsonl")
    parser.add_argument("--variants", type=int, default=0, help="queries of each entry that become variants")
    args = parser.parse_args()
    with serving_engine() as engine:
        metrics, lines = run(args.data, args.seed, args.variants, engine)
    print("\n".join(lines))
    write(args.json, metrics)


if __name__ == "__main__":
    main()
