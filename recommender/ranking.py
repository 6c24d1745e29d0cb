"""Candidates in order: a calibrated blend, then diversity, then what may never be shown, and why.

    score(item) = sum over content sources    phi · (weight + (1 - g) · cold)
                + sum over behaviour sources  phi · g · weight
                + (1 - g) · cold_bias
    phi = ln(1 + source score / scale)        g = counts / (counts + trust)

g is how much is known of an item. Evidence from behaviour counts in that proportion, so its absence says
nothing against an item nobody has touched; such an item is judged by its content, with the weights that
predicted new items best, and `cold_bias` keeps it level with the others. Scores are log-odds up to a
constant, so `chances` are probabilities. The weights come from `blending`, or are `UNTUNED`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.candidates import Candidates, Source
from recommender.profiles import Profile
from services.errors import InvalidInput
from services.search.ranking import Keys, Scores

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
TRUST = 3.0
POOL = 200
"""The best candidates among which diversity chooses."""


@dataclass(frozen=True, slots=True)
class Term:
    """One source in the blend. `scale`: a score that is neither high nor low; `cold`: more on new items."""

    name: str
    behaviour: bool
    scale: float
    weight: float
    cold: float = 0.0


@dataclass(frozen=True, slots=True)
class Blend:
    """The weights. A source without a term says nothing; a term whose source is missing counts as 0."""

    terms: tuple[Term, ...]
    cold_bias: float = 0.0
    trust: float = TRUST
    facts: Mapping[str, Any] | None = None
    """How the weights were found (cases, seed, figures), for whoever reads the file."""

    def parts(self, candidates: Candidates) -> Floats:
        """What each source adds: float32 (n, len(candidates.names)), without the cold bias."""
        terms = {term.name: term for term in self.terms}
        known = candidates.counts / (candidates.counts + self.trust)
        parts = np.zeros(candidates.scores.shape, dtype=np.float32)
        for column, name in enumerate(candidates.names):
            if (term := terms.get(name)) is None or (term.weight == 0.0 and term.cold == 0.0):
                continue
            phi = np.log1p(np.maximum(candidates.scores[:, column], 0.0) / term.scale)
            trusted = known if term.behaviour else 1.0
            parts[:, column] = phi * (term.weight * trusted + term.cold * (1.0 - known))
        return parts

    def score(self, candidates: Candidates) -> Scores:
        """Log-odds of each candidate, up to a constant of the request: float32 (n,)."""
        known = candidates.counts / (candidates.counts + self.trust)
        blended = self.parts(candidates).sum(axis=1) + self.cold_bias * (1.0 - known)
        return np.asarray(blended, dtype=np.float32)

    def to_json(self) -> str:
        """The blend as one JSON object."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Blend:
        """What `to_json` wrote. Raises InvalidInput."""
        try:
            raw = json.loads(text)
            terms = tuple(Term(**term) for term in raw.pop("terms"))
            blend = cls(terms=terms, **raw)
            numbers = [blend.cold_bias, blend.trust]
            numbers += [x for t in terms for x in (t.scale, t.weight, t.cold)]
            usable = np.isfinite(numbers).all() and blend.trust > 0 and all(t.scale > 0 for t in terms)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidInput("This is not a blend.", field="blend") from error
        if not usable:
            raise InvalidInput("A weight of the blend is not a usable number.", field="blend")
        return blend

    def save(self, path: Path) -> None:
        """Write the JSON to a file."""
        path.write_text(self.to_json() + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Blend:
        """Read what `save` wrote. Raises InvalidInput."""
        return cls.from_json(path.read_text(encoding="utf-8"))


UNTUNED = Blend(
    terms=(
        Term("text", False, 0.1, 0.2),
        Term("text_last", False, 0.1, 0.2),
        Term("text_best", False, 0.1, 0.2),
        Term("titles_last", False, 0.1, 0.2),
        Term("titles_best", False, 0.1, 0.2),
        Term("words", False, 0.1, 0.2),
        Term("words_last", False, 0.1, 0.2),
        Term("words_best", False, 0.1, 0.2),
        Term("together", True, 0.02, 0.3),
        Term("following", True, 0.02, 0.3),
        Term("reach", False, 0.001, 0.6),
        Term("popular", True, 5.0, 0.3),
    )
)
"""Round numbers for a shop that has too little behaviour to fit: content and behaviour about even."""


def chances(scores: Scores) -> Scores:
    """Scores (n,) as probabilities of being the next item, summing to one."""
    if len(scores) == 0:
        return scores
    raised = np.exp(scores.astype(np.float64) - float(scores.max()))
    return (raised / raised.sum()).astype(np.float32)


def eligible(
    keys: Keys,
    *,
    hidden: Collection[int] = (),
    expired: Collection[int] = (),
    out_of_stock: Collection[int] = (),
    excluded: Collection[int] = (),
    blocked: Collection[int] = (),
    seen: Collection[int] = (),
    allowed: Collection[int] | None = None,
) -> NDArray[np.bool_]:
    """Which of keys (n,) may be in the answer, whatever was cached before: bool (n,). Asked last.

    Nothing that any of the collections names, nothing outside `allowed`, nothing a second time.
    """
    never = frozenset().union(hidden, expired, out_of_stock, excluded, blocked, seen)
    may = ~np.isin(keys, np.fromiter(never, dtype=np.int64, count=len(never)))
    if allowed is not None:
        may &= np.isin(keys, np.fromiter(allowed, dtype=np.int64, count=len(allowed)))
    once = np.zeros(len(keys), dtype=np.bool_)
    once[np.unique(keys, return_index=True)[1]] = True
    return may & once


def diversify(scores: Scores, vecs: Floats, n: int, diversity: float) -> Ints:
    """Rows of the n chosen, in order, by maximal marginal relevance.

    Each choice has the largest (1 - diversity) · relevance - diversity · nearness to those before it,
    with scores (m,) scaled to 0..1 over the pool and cosines of vecs (m, dim) at least 0 (Carbonell and
    Goldstein, "The use of MMR", 1998). 0 is the order of the scores; ties go to the earlier row.
    """
    order = np.argsort(-scores, kind="stable")
    if diversity <= 0.0 or n <= 1 or len(order) <= 1:
        return order[:n].astype(np.int64)
    pool, rest = order[: max(POOL, n)], order[max(POOL, n) :]
    relevance = scores[pool].astype(np.float64)
    relevance = (relevance - relevance.min()) / (float(np.ptp(relevance)) or 1.0)
    nearest = np.zeros(len(pool))
    gain = (1.0 - diversity) * relevance
    chosen: list[int] = []
    for _ in range(min(n, len(pool))):
        best = int(np.argmax(gain - diversity * nearest))
        chosen.append(best)
        gain[best] = -np.inf
        nearest = np.maximum(nearest, vecs[pool] @ vecs[pool[best]])
    return np.concatenate([pool[chosen], rest])[:n].astype(np.int64)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is in the answer: the source that says most for it, and the item of the user's history
    that contributes most over all sources (None: nothing of the user's own, as for popular items).
    """

    source: str
    because: int | None
    type: str = ""


def reasons(
    candidates: Candidates, rows: Ints, blend: Blend, profile: Profile, sources: Sequence[Source]
) -> list[Reason]:
    """A reason for each of the candidates at `rows`, from the very parts its score is made of.

    What a source adds is divided among the history as its own `shares` say.
    """
    parts = np.maximum(blend.parts(candidates)[rows], 0.0)
    keys = candidates.keys[rows]
    found = []
    if not profile.empty and len(rows):
        shares = np.concatenate([source.shares(profile, keys) for source in sources], axis=2)
        whole = shares.sum(axis=0)
        owed = np.einsum("hns,ns->hn", shares, np.where(whole > 0, parts / np.where(whole > 0, whole, 1), 0))
        best = owed.argmax(axis=0)
        found = [int(profile.items[h]) if owed[h, i] > 0 else None for i, h in enumerate(best)]
    because = found or [None] * len(rows)
    names = [candidates.names[column] for column in parts.argmax(axis=1)] if parts.size else [""] * len(rows)
    return [
        Reason(name, item, profile.types.get(item, "") if item is not None else "")
        for name, item in zip(names, because, strict=True)
    ]
