"""How often is the next item among the first ten, over the whole catalogue?

`python -m benchmarks.recommend --data DIR [--json FILE] [--seed N]`

DIR holds items.jsonl {id, title, text, brand}, train.jsonl {user, items} and test.jsonl {user, history,
target}. Everything is trained and fitted on train.jsonl alone: of test.jsonl a row's history is what
its answer is asked for, and nothing else. All items are ranked, an item of the history never (a target
that is in it is a miss), ties stand in the middle. `unseen` targets are in no training history.

Ours is the product's own path, profiles -> candidates -> ranking, with the encoder as it is served and
the blend fitted by `recommender.blending`. The baselines are trained in the same run.
Intervals: 95 %, bootstrap over users. Floors on Amazon Industrial: HR@10 .158, NDCG@10 .108, unseen .14.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import recommend_baselines as baselines
from benchmarks.command import arguments, conditions, cores, serving_engine, write
from recommender.blending import FitSettings, learn_blend
from recommender.candidates import (
    BoughtTogether,
    Reach,
    Source,
    Standing,
    TextNeighbours,
    WordNeighbours,
    collect,
    look_alikes,
)
from recommender.covisitation import CoVisitation, History
from recommender.profiles import Event, Profile, ProfileSettings, fold
from recommender.ranking import Blend
from recommender.words import WordIndex
from services.inference.engine import Engine
from services.inference.values import Priority

Floats = NDArray[np.float32]
FIRST = 10
TEXT_CHARS = 300
"""Of an item's text, after title and brand: where products say what they are."""
PROFILE = ProfileSettings()


@dataclass(frozen=True, slots=True)
class Data:
    """A folder's content, items as rows of the catalogue. users: of each query, for the bootstrap."""

    titles: list[str]
    texts: list[str]
    train: list[list[int]]
    queries: list[list[int]]
    targets: NDArray[np.int64]
    users: list[str]
    unseen: NDArray[np.bool_]

    @property
    def n(self) -> int:
        """Items in the catalogue."""
        return len(self.titles)


def main() -> None:
    """Parse, measure, print, write."""
    args = arguments(__doc__).parse_args()
    with serving_engine() as engine:
        metrics = measure(read(args.data), engine, args.seed)
    show(metrics)
    write(args.json, metrics)


def read(folder: Path) -> Data:
    """The folder's rows. An id that items.jsonl lacks is dropped from histories; as a target it is a miss."""
    titles: list[str] = []
    texts: list[str] = []
    row_of: dict[str, int] = {}
    for item in _lines(folder / "items.jsonl"):
        if (key := str(item["id"])) in row_of:
            continue
        row_of[key] = len(row_of)
        title, brand, text = (str(item.get(name) or "").strip() for name in ("title", "brand", "text"))
        titles.append(". ".join(part for part in (title, brand) if part))
        texts.append(text)
    train = [_rows(user["items"], row_of) for user in _lines(folder / "train.jsonl")]
    tests = list(_lines(folder / "test.jsonl"))
    targets = np.array([row_of.get(str(test["target"]), -1) for test in tests], dtype=np.int64)
    seen = {item for items in train for item in items}
    return Data(
        titles=titles,
        texts=texts,
        train=[items for items in train if items],
        queries=[_rows(test["history"], row_of) for test in tests],
        targets=targets,
        users=[str(test.get("user")) for test in tests],
        unseen=np.array([target not in seen for target in targets.tolist()], dtype=np.bool_),
    )


def measure(data: Data, engine: Engine, seed: int) -> dict[str, Any]:
    """The metrics, with intervals and conditions."""
    started = time.perf_counter()
    vecs = embed(data, engine)
    embedded = time.perf_counter()
    keys = np.arange(data.n, dtype=np.int64)
    ours, blend, request_ms = recommend(data, keys, vecs, seed)
    ranks = {"ours": ours}
    learnt = time.perf_counter()
    for name, scores in rivals(data, vecs, seed):
        ranks[name] = place(scores, data)
    metrics: dict[str, Any] = {}
    for name, rank in ranks.items():
        suffix = "" if name == "ours" else f"_{name}"
        metrics[f"hr10{suffix}"] = round(float(hits(rank).mean()), 5)
        metrics[f"ndcg10{suffix}"] = round(float(gains(rank).mean()), 5)
        metrics[f"hr10_unseen{suffix}"] = (
            round(float(hits(rank[data.unseen]).mean()), 5) if data.unseen.any() else None
        )
    metrics["frozen_ndcg10"] = metrics["ndcg10_frozen"]
    metrics |= intervals(ranks, data.users, seed)
    return metrics | {
        "targets": len(data.targets),
        "targets_unseen": int(data.unseen.sum()),
        "items": data.n,
        "request_ms": round(request_ms, 2),
        "embed_s": round(embedded - started, 1),
        "fit_and_rank_s": round(learnt - embedded, 1),
        "total_s": round(time.perf_counter() - started, 1),
        "encoder": engine.encoder().version,
        "blend": {term.name: [round(term.weight, 3), round(term.cold, 3)] for term in blend.terms},
        "cold_bias": round(blend.cold_bias, 3),
        "fit": dict(blend.facts or {}),
        "seed": seed,
        **conditions(cores()),
    }


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a .jsonl file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def _rows(ids: Sequence[Any], row_of: dict[str, int]) -> list[int]:
    """Catalogue rows of ids, in order, without those that are not in the catalogue."""
    return [row_of[str(item)] for item in ids if str(item) in row_of]


def embed(data: Data, engine: Engine) -> Floats:
    """float32 (n, dim), L2-normalised; zero for an item without words."""
    whole = [f"{title}. {text[:TEXT_CHARS]}" for title, text in zip(data.titles, data.texts, strict=True)]
    vecs = engine.embed(whole, priority=Priority.BATCH)
    wordless = [not (title or text) for title, text in zip(data.titles, data.texts, strict=True)]
    return np.where(np.array(wordless, dtype=np.bool_)[:, None], np.float32(0.0), vecs)


def recommend(
    data: Data, keys: NDArray[np.int64], vecs: Floats, seed: int
) -> tuple[NDArray[np.float64], Blend, float]:
    """The rank of each target in the product's answers, the blend, and milliseconds a request."""
    vec_of = {row: vec for row, vec in enumerate(vecs) if vec.any()}
    titles = WordNeighbours(WordIndex.build(keys, data.titles), "titles")
    joined = [f"{title} {text}" for title, text in zip(data.titles, data.texts, strict=True)]
    words = WordNeighbours(WordIndex.build(keys, joined), "words")
    text = TextNeighbours(keys, vecs)
    alike = look_alikes(keys, vecs)

    def build(histories: Sequence[History]) -> tuple[CoVisitation, list[Source]]:
        table = CoVisitation.fit(histories)
        popular = Standing("popular", table.keys, table.counts)
        return table, [text, titles, words, BoughtTogether(table), Reach(table, keys, alike), popular]

    def profile_of(history: History) -> Profile:
        events = [Event(item, 1.0, at_s) for item, at_s in history]
        return fold(events, vec_of, float(len(history)), PROFILE)

    histories = [timed(items) for items in data.train]
    blend = learn_blend(histories, keys, build, profile_of, FitSettings(seed=seed))
    table, sources = build(histories)
    ranks = np.empty(len(data.targets))
    started = time.perf_counter()
    for row, query in enumerate(data.queries):
        scores = blend.score(collect(profile_of(timed(query)), sources, table, keys))
        ranks[row] = rank_of(scores, query, int(data.targets[row]))
    return ranks, blend, 1000.0 * (time.perf_counter() - started) / max(len(ranks), 1)


def timed(items: Sequence[int]) -> list[tuple[int, float]]:
    """A history as the product has it; the data has an order and no times, so each event is a second on."""
    return [(item, float(at_s)) for at_s, item in enumerate(items)]


def rivals(data: Data, vecs: Floats, seed: int) -> list[tuple[str, Floats]]:
    """Every baseline's scores: float32 (queries, n)."""
    train, queries, n = data.train, data.queries, data.n
    return [
        ("pop", baselines.pop(train, queries, n)),
        ("itemknn", baselines.itemknn(train, queries, n)),
        ("ease", baselines.ease(train, queries, n)),
        ("als", baselines.als(train, queries, n, seed)),
        ("tfidf", baselines.tfidf(data.titles, queries)),
        ("frozen", baselines.nearest(vecs, queries)),
    ]


def place(scores: Floats, data: Data) -> NDArray[np.float64]:
    """The rank of each target by scores (queries, n)."""
    rows = zip(scores, data.queries, data.targets.tolist(), strict=True)
    return np.array([rank_of(row, query, target) for row, query, target in rows])


def rank_of(scores: Floats, history: Sequence[int], target: int) -> float:
    """1 for the best; ties in the middle; infinite for a target in the history or not in the catalogue."""
    if target < 0 or target in history:
        return float("inf")
    left = scores.copy()
    left[list(history)] = -np.inf
    return float((left > left[target]).sum() + ((left == left[target]).sum() + 1) / 2)


def hits(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for a target among the first ten."""
    return (ranks <= FIRST).astype(np.float64)


def gains(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """NDCG@10 of one target: 1 / log2(1 + rank) among the first ten, else 0."""
    return np.where(ranks <= FIRST, 1.0 / np.log2(1.0 + ranks), 0.0)


def intervals(
    ranks: dict[str, NDArray[np.float64]], users: Sequence[str], seed: int
) -> dict[str, list[float]]:
    """95 % intervals of ours, and of its lead over the baseline that is best on that metric.

    A user's targets are drawn together: they are not independent.
    """
    found: dict[str, list[float]] = {}
    rng = np.random.default_rng(seed)
    _, owner = np.unique(users, return_inverse=True)
    n_users = int(owner.max(initial=-1)) + 1
    draws = rng.multinomial(n_users, np.full(n_users, 1.0 / n_users), size=2000)
    sizes = draws @ np.bincount(owner, minlength=n_users)

    def interval(per_target: NDArray[np.float64]) -> list[float]:
        means = (draws @ np.bincount(owner, weights=per_target, minlength=n_users)) / sizes
        return [round(float(edge), 5) for edge in np.percentile(means, [2.5, 97.5])]

    for metric, of in (("hr10", hits), ("ndcg10", gains)):
        best = max((name for name in ranks if name != "ours"), key=lambda name: float(of(ranks[name]).mean()))
        found[f"{metric}_interval"] = interval(of(ranks["ours"]))
        found[f"{metric}_lead_over_{best}_interval"] = interval(of(ranks["ours"]) - of(ranks[best]))
    return found


def show(metrics: dict[str, Any]) -> None:
    """The table: ours, the baselines of this run, the published reference."""
    print(f"{'':12}{'HR@10':>9}{'NDCG@10':>9}{'unseen':>9}")
    rows = ("", "_pop", "_itemknn", "_ease", "_als", "_tfidf", "_frozen")
    for suffix in rows:
        unseen = metrics[f"hr10_unseen{suffix}"]
        print(
            f"{suffix[1:] or 'trefoil':12}{metrics[f'hr10{suffix}']:9.4f}{metrics[f'ndcg10{suffix}']:9.4f}"
            + (f"{unseen:9.4f}" if unseen is not None else f"{'-':>9}")
        )
    print(f"{'MiniOneRec':12}{0.1586:9.4f}{0.1167:9.4f}{'-':>9}  published, Amazon Industrial, more training")
    print()
    for name, value in metrics.items():
        if name.endswith("_interval"):
            print(f"{name.removesuffix('_interval').replace('_', ' ')}: {value[0]:+.4f} to {value[1]:+.4f}")
    told = ["items", "targets", "targets_unseen", "request_ms", "embed_s", "fit_and_rank_s", "total_s"]
    told += ["encoder", "cpu", "cores", "date", "commit", "seed"]
    print("\n" + ", ".join(f"{key} {metrics[key]}" for key in told))


if __name__ == "__main__":
    main()
