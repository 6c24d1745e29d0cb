"""How likely the best passage answers the question, and what is done at that likelihood.

Ordering passages is the fusion's business; here it is decided whether to answer at all. A few signs of how
the search went (how near the best passage is, how far ahead of the next, whether words and meaning agree) are
weighed by a logistic regression into a probability. The weights that come with the product were learned from
questions whose passage was there, and the same questions with it taken away; a knowledge base with question
variants moves them toward its own cases (`calibration.py`).

Three zones: answer, offer up to three entries to choose from, refuse. How careful the operator wants to be
moves their borders. Knows no rows and no encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
T = TypeVar("T")
Zone = Literal["answer", "offer", "refuse"]

SIGNS = ("dense", "lexical", "score", "margin", "lead", "agree")
"""dense: best cosine of the first four; lexical: best coverage of the first four; score: fused score of the
first; margin: the first's score over the second's; lead: the first's cosine over the mean of the next four;
agree: 1 where the first is also first by words."""
_NEAR = 4
_BESIDE = 5
_PENALTY = 20.0
"""Cases that the weights that come with the product count as, against a knowledge base's own."""


class Scored(Protocol):
    """A passage as the search found it."""

    @property
    def score(self) -> float:
        """Fused, higher is better."""
        ...

    @property
    def dense(self) -> float:
        """Cosine of its nearest piece; 0 where meaning was not compared."""
        ...

    @property
    def lexical(self) -> float:
        """Its share of the question's words, 0 to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Border:
    """P = sigmoid(weights · (signs - mean) / width + bias); each a tuple in the order of SIGNS.

    `cases` counts the knowledge base's own questions it was moved by; `curve` is the reliability of what it
    says of questions left out of the fit: (mean probability, share that was right, count) for each bin.
    """

    mean: tuple[float, ...]
    width: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    cases: int = 0
    curve: tuple[tuple[float, float, int], ...] = ()

    def parts(self, signs: Floats) -> NDArray[np.float64]:
        """signs float32 (n, 6) -> (n, 6): what each adds to the logit; a sign that is NaN says nothing."""
        z = (np.atleast_2d(signs) - np.array(self.mean)) / np.array(self.width)
        parts: NDArray[np.float64] = np.nan_to_num(z, nan=0.0) * np.array(self.weights)
        return parts

    def probability(self, signs: Floats) -> Floats:
        """signs float32 (n, 6) -> float32 (n,), 0 to 1."""
        logit = self.parts(signs).sum(axis=1) + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-logit.clip(-30, 30))), np.float32)

    def as_json(self) -> dict[str, Any]:
        """As it is kept beside the index."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Border:
        """What `as_json` gave. Raises KeyError or TypeError when it is something else."""
        return cls(
            mean=tuple(kept["mean"]),
            width=tuple(kept["width"]),
            weights=tuple(kept["weights"]),
            bias=float(kept["bias"]),
            cases=int(kept["cases"]),
            curve=tuple((float(p), float(share), int(n)) for p, share, n in kept["curve"]),
        )


FAQ = Border(
    mean=(0.5546, 0.245, 0.4407, 0.0871, 0.1418, 0.5629),
    width=(0.163, 0.163, 0.1482, 0.0942, 0.1183, 0.4957),
    weights=(0.0, 0.0, 0.6751, 0.6273, 0.5674, 0.4357),
    bias=-1.0611,
)
"""Where the first passage is an entry under a question: whether that very entry answers. Learned from the
training parts of BANKING77 and CLINC150 as entries, the rest asked (`benchmarks/fit_borders.py`)."""
OFFERS = Border(
    mean=FAQ.mean,
    width=FAQ.width,
    weights=(0.0, 0.0, 0.8797, 0.0, 0.8576, 0.0),
    bias=-0.5256,
)
"""The same, from the same: whether one of the first three entries answers. Entries near the question and near
one another leave open which it is, and are worth offering all the same."""
DOCUMENTS = Border(
    mean=(0.502, 0.2004, 0.3886, 0.0662, 0.1121, 0.5269),
    width=(0.162, 0.162, 0.1475, 0.0932, 0.1172, 0.4959),
    weights=(0.3151, 0.1508, 0.9474, 0.0, 0.0, 0.0),
    bias=-0.9588 + 0.9,
)
"""Where it is a section of a document: whether one of the first three answers. How far the first is ahead
says little there, for neighbouring sections speak of the same. The .9 is for what visitors ask: most of it
can be answered, where only a third of the learned cases could."""
WORDS = Border(
    mean=(0.0, 0.1, 0.0, 0.0, 0.0, 0.0),
    width=(1.0, 0.02, 1.0, 1.0, 1.0, 1.0),
    weights=(0.0, 1.0, 0.0, 0.0, 0.0, 0.0),
    bias=1.6,
)
"""Where the encoder does not read the language: by words alone, from a tenth of what could be covered on. Not
calibrated: there is no set for it."""


@dataclass(frozen=True, slots=True)
class Borders:
    """One border for each kind of first passage."""

    faq: Border = FAQ
    documents: Border = DOCUMENTS
    words: Border = WORDS
    offers: Border = OFFERS

    def of(self, found: Sequence[Scored], is_faq: bool) -> Border:
        """The one for these passages."""
        if not any(hit.dense > 0 for hit in found):
            return self.words
        return self.faq if is_faq else self.documents

    def as_json(self) -> dict[str, Any]:
        """As they are kept beside the index."""
        return {name: getattr(self, name).as_json() for name in ("faq", "documents", "words", "offers")}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Borders:
        """What `as_json` gave; those that came with the product for anything else."""
        try:
            own = {name: Border.from_json(kept[name]) for name in ("faq", "documents", "words")}
            return cls(**own, offers=Border.from_json(kept["offers"]) if "offers" in kept else OFFERS)
        except (KeyError, TypeError, ValueError):
            return cls()


@dataclass(frozen=True, slots=True)
class Zones:
    """Answered from `answer` on, offered from `offer` on, refused below.

    Answering goes by whether the first passage answers, offering by whether one of the first three does.
    """

    answer: float
    offer: float

    def of(self, probability: float, among: float) -> Zone:
        """What is done at that probability of the first passage, and of one among the first three."""
        if probability >= self.answer:
            return "answer"
        return "offer" if among >= self.offer else "refuse"


@dataclass(frozen=True, slots=True)
class Judged:
    """The probability that the first passage answers, what is done about it, and the signs it rests on.

    `border`: the one that weighed them; None where nothing was found. `among`: the probability that one of
    the first three answers.
    """

    probability: float
    zone: Zone
    signs: tuple[float, ...]
    border: Border | None = None
    among: float = 0.0

    def trace(self) -> dict[str, Any]:
        """As it is kept with the turn."""
        told = {
            name: round(value, 4) for name, value in zip(SIGNS, self.signs, strict=True) if np.isfinite(value)
        }
        return {
            "probability": round(self.probability, 4),
            "among": round(self.among, 4),
            "zone": self.zone,
            "signs": told,
        }


def zones(carefulness: float) -> Zones:
    """The borders for a wish between 0 (answer whenever it may be right) and 1 (only when nearly sure)."""
    care = min(max(carefulness, 0.0), 1.0)
    return Zones(answer=0.64 + 0.36 * care, offer=0.05 + 0.5 * care)


def judge(found: Sequence[Scored], is_faq: bool, borders: Borders, carefulness: float) -> Judged:
    """What to do about a question that found these passages, best first; none found is always refused.

    `is_faq`: the first of them is an entry under a question.
    """
    seen = signs(found)
    if not found:
        return Judged(0.0, "refuse", tuple(map(float, seen)))
    border = borders.of(found, is_faq)
    probability = float(border.probability(seen)[0])
    among = (
        max(probability, float(borders.offers.probability(seen)[0])) if border is borders.faq else probability
    )
    zone = zones(carefulness).of(probability, among)
    return Judged(probability, zone, tuple(map(float, seen)), border, among)


def one_each(found: Sequence[T], entry_of: Callable[[T], Hashable]) -> list[T]:
    """The best passage of each entry or section: parts of one that was cut are not each other's rivals."""
    best: dict[Hashable, T] = {}
    for hit in found:
        best.setdefault(entry_of(hit), hit)
    return list(best.values())


def is_entry(heading: str, variants: Sequence[str] = ()) -> bool:
    """Whether a passage is an entry under a question, and not a section of a document."""
    return bool(variants) or heading.rstrip().endswith(("?", "？"))


def signs(found: Sequence[Scored]) -> Floats:
    """float32 (6,), in the order of SIGNS; NaN where there is nothing to tell it by."""
    if not found:
        return np.full(len(SIGNS), np.nan, np.float32)
    first, beside = found[0], found[1:_BESIDE]
    with_meaning = any(hit.dense > 0 for hit in found)
    nan = float("nan")
    return np.array(
        [
            max(hit.dense for hit in found[:_NEAR]) if with_meaning else nan,
            max(hit.lexical for hit in found[:_NEAR]),
            first.score if with_meaning else nan,
            first.score - beside[0].score if beside else nan,
            first.dense - sum(hit.dense for hit in beside) / len(beside) if beside and with_meaning else nan,
            float(first.lexical >= max(hit.lexical for hit in found)),
        ],
        np.float32,
    )


def fit(cases: Floats, right: NDArray[np.bool_], start: Border, penalty: float = _PENALTY) -> Border:
    """`start` moved toward these cases: logistic regression drawn to its weights and bias.

    cases: float32 (n, 6), as `signs` gives them; right: whether the first passage answered. Few cases
    move it little. Without both outcomes it is `start`.
    """
    from scipy.optimize import minimize

    if not right.any() or right.all():
        return start
    z = np.nan_to_num((cases - np.array(start.mean)) / np.array(start.width), nan=0.0).astype(np.float64)
    x = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    prior = np.array([*start.weights, start.bias])
    sign = np.where(right, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (x @ weights)
        told = np.logaddexp(0, -margin)
        away = weights - prior
        slope = -(sign / (1 + np.exp(margin.clip(-30, 30)))) @ x
        return float(told.sum() + penalty / 2 * away @ away), slope + penalty * away

    bounds = [(0.0, None)] * len(SIGNS) + [(None, None)]
    found = minimize(loss, prior, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Border(start.mean, start.width, tuple(map(float, found[:-1])), float(found[-1]), cases=len(right))


def reliability(
    probs: Floats, right: NDArray[np.bool_], bins: int = 10
) -> tuple[tuple[float, float, int], ...]:
    """(mean probability, share that was right, count) of each bin of equal width that holds any."""
    place = np.minimum((probs * bins).astype(int), bins - 1)
    return tuple(
        (float(probs[place == at].mean()), float(right[place == at].mean()), int((place == at).sum()))
        for at in range(bins)
        if (place == at).any()
    )
