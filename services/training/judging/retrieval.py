"""An encoder or a reranker against the live one: where the right text comes among all, or among the alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from services.errors import SuiteError
from services.inference.local import LocalEngine
from services.inference.values import Priority
from services.training import gate
from services.training.dataset import Example
from services.training.judging import Case, Judged, told
from services.training.order import Watch
from services.training.retrieval_metrics import ranks as ranked
from services.training.retrieval_metrics import summary

_CANDIDATES = 20
"""A reranker is given this many texts that the live encoder finds most alike, the right one among them."""


def judge(case: Case, watch: Watch) -> Judged:
    """recall@1/5, MRR, nDCG@10 over the test questions; the gate compares their reciprocal ranks."""
    reranks = case.recipe.serves == "reranker"
    engine = case.challenger(**({"reranker": str(case.made)} if reranks else {"encoder": str(case.made)}))
    ranks = reranked if reranks else embedded
    try:
        ours = ranks(engine, case.engine, case.test)
        version = engine.models()[1 if reranks else 0].version
    finally:
        engine.close()
    watch.stage("baseline")
    live_version = ""
    try:
        live = ranks(case.engine, case.engine, case.test)
        live_version = case.engine.models()[1 if reranks else 0].version
    except SuiteError as error:
        watch.line(f"Nothing to compare with: {error.detail}")
        live = np.full(len(ours), float(_CANDIDATES))
    watch.stage("gate")
    verdict = gate.judge_scores(1 / ours, 1 / live, least_gain=case.order.least_gain, seed=case.order.seed)
    report = {
        "metrics": figures(ours),
        "live": figures(live),
        "live_version": live_version,
        "version": version,
        "gate": told(verdict),
    }
    base = case.engine.encoder()
    return Judged(figures(ours), report, verdict, live_version, base.name, base.version)


def embedded(engine: LocalEngine, _: LocalEngine, examples: Sequence[Example]) -> NDArray[np.float64]:
    """The rank of each question's own text among all of them, by vectors; ties at mid-rank."""
    texts = list(dict.fromkeys(e.second for e in examples))
    own = np.array([texts.index(e.second) for e in examples])
    questions = engine.embed([e.text for e in examples], priority=Priority.BATCH)
    scores = questions @ engine.embed(texts, priority=Priority.BATCH).T
    return ranked(scores, own)


def reranked(engine: LocalEngine, finder: LocalEngine, examples: Sequence[Example]) -> NDArray[np.float64]:
    """The rank of each question's own text among the most alike ones, by the reranker."""
    texts = list(dict.fromkeys(e.second for e in examples))
    questions = finder.embed([e.text for e in examples], priority=Priority.BATCH)
    scores = questions @ finder.embed(texts, priority=Priority.BATCH).T
    found = []
    for row, example in enumerate(examples):
        alike = [texts[at] for at in np.argsort(-scores[row])[:_CANDIDATES]]
        others = [text for text in alike if text != example.second][: _CANDIDATES - 1]
        told = engine.rerank(example.text, [example.second, *others], priority=Priority.BATCH).scores
        found.append(float(ranked(told[None, :], np.zeros(1, np.int64))[0]))
    return np.array(found, np.float64)


def figures(ranks: NDArray[np.float64]) -> dict[str, float]:
    """The metrics of these ranks, rounded."""
    return {"rows": float(len(ranks)), **summary(ranks)}
