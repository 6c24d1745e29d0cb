"""The blend's weights, fitted on the shop's own behaviour: can they tell what came next?

Half the users' last items are held back, by turns, and every source is made again from what is left. A
sample of items is taken out of it altogether, as if they had been added yesterday: so the weights for
new items are fitted on items that are new to the sources, and nothing is assumed of them but that they
are like the others. Each held-back item makes a slate: itself, the best of every source, and some at
random that stand for the rest of the catalogue.

The weights maximise the likelihood of the held-back items among their slates, a conditional logit
(McFadden, "Conditional logit analysis of qualitative choice behavior", 1974): convex, so the same
histories and seed give the same weights. No weight is below 0: more evidence never lowers an item.

Likelihood alone would bury new items a little, for there are few of them. So their bias is then raised
until the new items among the targets reach the first ten nearly as often (`keep_cold`) as in the ranking of
the content source that finds them best on its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from recommender.candidates import Candidates, Source, collect
from recommender.covisitation import CoVisitation, History
from recommender.profiles import Profile
from recommender.ranking import TRUST, UNTUNED, Blend, Term
from services.search.ranking import Keys

Floats = NDArray[np.float32]
Build = Callable[[Sequence[History]], tuple[CoVisitation, Sequence[Source]]]
"""Makes the table and the sources from histories alone."""
FIRST = 10


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How the weights are fitted."""

    folds: int = 2
    users: float = 0.5
    """Share of users whose last items are held back in a fold."""
    tail: int = 3
    """Up to this many last items of a user are held back."""
    new_items: float = 0.05
    """Share of the items taken out of a fold, to stand for new ones."""
    cases: int = 2000
    """Most held-back items of a fold."""
    best: int = 30
    random: int = 100
    ridge: float = 1e-3
    keep_cold: float = 0.9
    fewest: int = 50
    """With fewer cases there is nothing to fit, and the blend is the untuned one."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fold:
    """Histories to make the sources from, and (history before, item that came next) to predict."""

    kept: list[History]
    cases: list[tuple[History, int]]


@dataclass(frozen=True, slots=True)
class Slate:
    """A target (row 0) and its rivals. offsets: ln of how many items of the catalogue each row stands for."""

    candidates: Candidates
    offsets: Floats


def learn_blend(
    histories: Sequence[History],
    keys: Keys,
    build: Build,
    profile_of: Callable[[History], Profile],
    settings: FitSettings | None = None,
) -> Blend:
    """Hold out, build, predict, fit. `keys`: the whole catalogue, int64 (n,), ascending."""
    settings = settings or FitSettings()
    slates: list[Slate] = []
    sources: Sequence[Source] = ()
    for number in range(settings.folds):
        rng = np.random.default_rng([settings.seed, number])
        fold = hold_out(histories, keys, settings, rng)
        table, sources = build(fold.kept)
        for history, target in fold.cases:
            profile = profile_of(history)
            candidates = collect(profile, sources, table, keys)
            slates.append(slate(candidates, target, profile.seen, settings, rng))
    behaviour = {name: source.behaviour for source in sources for name in source.names}
    return fit_blend(slates, behaviour, settings)


def hold_out(
    histories: Sequence[History], keys: Keys, settings: FitSettings, rng: np.random.Generator
) -> Fold:
    """Hold back the last items of some users and everything about some items.

    An item the user already has is no case (it would be masked), nor one outside the catalogue.
    """
    hidden = set(rng.choice(keys, int(settings.new_items * len(keys)), replace=False).tolist())
    known = set(keys.tolist())
    kept: list[History] = []
    cases: list[tuple[History, int]] = []
    for history in histories:
        cut = len(history)
        if cut >= 2 and rng.random() < settings.users:
            cut = max(1, cut - int(rng.integers(1, settings.tail + 1)))
        for at in range(cut, len(history)):
            target = history[at][0]
            if target in known and all(item != target for item, _ in history[:at]):
                cases.append((history[:at], target))
        kept.append([event for event in history[:cut] if event[0] not in hidden])
    if len(cases) > settings.cases:
        chosen = np.sort(rng.choice(len(cases), settings.cases, replace=False))
        cases = [cases[i] for i in chosen]
    return Fold(kept, cases)


def slate(
    candidates: Candidates,
    target: int,
    seen: frozenset[int],
    settings: FitSettings,
    rng: np.random.Generator,
) -> Slate:
    """The target, the best of every source, and a random sample of the rest."""
    n = len(candidates.keys)
    row = int(np.searchsorted(candidates.keys, target))
    chosen = np.zeros(n, dtype=np.bool_)
    best = min(settings.best, n)
    top = np.argpartition(-candidates.scores, best - 1, axis=0)[:best]
    chosen[top[np.take_along_axis(candidates.scores, top, axis=0) > 0]] = True
    masked = np.isin(candidates.keys, np.fromiter(seen, dtype=np.int64, count=len(seen)))
    masked[row] = True
    rest = np.flatnonzero(~(chosen | masked))
    sample = rng.choice(rest, min(settings.random, len(rest)), replace=False)
    rivals = np.flatnonzero(chosen & ~masked)
    rows = np.concatenate([[row], rivals, sample])
    offsets = np.zeros(len(rows), dtype=np.float32)
    if len(sample):
        offsets[-len(sample) :] = np.log(len(rest) / len(sample))
    picked = Candidates(
        candidates.keys[rows], candidates.names, candidates.scores[rows], candidates.counts[rows]
    )
    return Slate(picked, offsets)


def fit_blend(
    slates: Sequence[Slate], behaviour: dict[str, bool], settings: FitSettings | None = None
) -> Blend:
    """The weights that make the targets likeliest. `behaviour`: of each source name, as its source says."""
    settings = settings or FitSettings()
    if len(slates) < settings.fewest:
        return UNTUNED
    joined = _Joined.of(slates)
    names = slates[0].candidates.names
    scales = [_typical(joined.scores[:, column]) for column in range(len(names))]
    known = (joined.counts / (joined.counts + TRUST))[:, None]
    phi = np.log1p(np.maximum(joined.scores, 0.0) / np.array(scales, dtype=np.float32))
    gated = np.array([behaviour[name] for name in names])
    warm = np.where(gated, phi * known, phi)
    cold = phi[:, ~gated] * (1.0 - known)
    weights, loss = _most_likely(np.hstack([warm, cold, 1.0 - known]), joined, settings.ridge)
    extra = iter(weights[len(names) : -1])
    terms = tuple(
        Term(name, bool(gated[i]), scales[i], float(weights[i]), 0.0 if gated[i] else float(next(extra)))
        for i, name in enumerate(names)
    )
    blend = Blend(terms, float(weights[-1]))
    return _unburied(blend, joined, phi[:, ~gated], settings, {"cases": len(slates), "loss": loss})


@dataclass(frozen=True, slots=True)
class _Joined:
    """All slates, one below the other; starts: the rows of the targets; sizes: rows of each slate."""

    names: tuple[str, ...]
    scores: Floats
    counts: Floats
    offsets: Floats
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, slates: Sequence[Slate]) -> _Joined:
        sizes = np.array([len(s.offsets) for s in slates])
        return cls(
            slates[0].candidates.names,
            np.concatenate([s.candidates.scores for s in slates]),
            np.concatenate([s.candidates.counts for s in slates]),
            np.concatenate([s.offsets for s in slates]),
            np.concatenate([[0], np.cumsum(sizes)[:-1]]),
            sizes,
        )

    def ranks(self, scores: Floats) -> NDArray[np.float64]:
        """The place of each target in its slate by scores (rows,), ties in the middle; 1 is the first."""
        target = np.repeat(scores[self.starts], self.sizes)
        above = np.add.reduceat((scores > target).astype(np.float64), self.starts)
        level = np.add.reduceat((scores == target).astype(np.float64), self.starts)
        return above + (level + 1.0) / 2.0


def _typical(scores: Floats) -> float:
    """The median of the scores above 0; 1 where there is none."""
    positive = scores[scores > 0]
    return float(np.median(positive)) if len(positive) else 1.0


def _most_likely(features: Floats, joined: _Joined, ridge: float) -> tuple[NDArray[np.float64], float]:
    """Weights (f,) for features (rows, f), all but the last at least 0, and the mean loss."""
    spread = features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    scaled = (features / spread).astype(np.float32)
    target = scaled[joined.starts].mean(axis=0, dtype=np.float64)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scores = scaled @ weights.astype(np.float32) + joined.offsets
        highest = np.maximum.reduceat(scores, joined.starts)
        raised = np.exp(scores - np.repeat(highest, joined.sizes))
        total = np.add.reduceat(raised, joined.starts)
        chance = raised / np.repeat(total, joined.sizes)
        value = float((np.log(total) + highest - scores[joined.starts]).mean(dtype=np.float64))
        slope = (chance @ scaled).astype(np.float64) / len(joined.starts) - target
        return value + ridge * float(weights @ weights), slope + 2.0 * ridge * weights

    bounds = [(0.0, None)] * (features.shape[1] - 1) + [(None, None)]
    found = minimize(loss, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x / spread, float(found.fun)


def _unburied(
    blend: Blend, joined: _Joined, content: Floats, settings: FitSettings, facts: dict[str, float]
) -> Blend:
    """The blend with the least added cold bias under which new targets are found as promised."""
    new = joined.counts[joined.starts] == 0
    facts |= {"new_cases": int(new.sum()), "seed": settings.seed}
    if not new.any():
        return Blend(blend.terms, blend.cold_bias, blend.trust, facts)
    everything = Candidates(np.zeros(0, dtype=np.int64), joined.names, joined.scores, joined.counts)
    scores = blend.score(everything)
    cold = 1.0 - joined.counts / (joined.counts + blend.trust)

    def found(ranking: NDArray[Any]) -> float:
        return float((joined.ranks(ranking)[new] <= FIRST).mean())

    goal = settings.keep_cold * max(found(column) for column in content.T)
    low, high = 0.0, 4.0
    if found(scores) >= goal:
        high = 0.0
    while high - low > 0.01:
        middle = (low + high) / 2.0
        if found(scores + np.float32(middle) * cold) >= goal:
            high = middle
        else:
            low = middle
    facts |= {"cold_goal": goal, "cold_found": found(scores + np.float32(high) * cold), "cold_added": high}
    return Blend(blend.terms, blend.cold_bias + high, blend.trust, facts)
