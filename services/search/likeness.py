"""How likely a span of text says a sentence, by meaning and by shared words: one likeness, one fitted curve.

Meaning is the cosine of the two vectors. Encoders differ in what they call alike: one gives unrelated
sentences a cosine of .1, another of .7. So ten unrelated everyday sentences are embedded once for each
encoder, and the cosine is counted from their mean: 0 is as alike as two of those, 1 is the same. A span of
several sentences is compared by the sum of their vectors, weighted by length; its heading is added where
that is nearer. Words are the share of the sentence's terms that the span or its heading has; in Chinese, of
its terms and of its characters. A number, date or code that both have counts as a word; one that the span
lacks does not count against it: whoever asks compares them one by one, and so does whoever asks with
negations. In a language that the encoder does not read, words alone decide.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from services.search.rows import Vectors
from services.search.tokens import tokenize
from services.text.facts import Fact, agree, facts
from services.text.language import HAN

Embed = Callable[[Sequence[str]], Vectors]

MEANING = 0.7
"""Weight of meaning in the likeness; words have the rest."""
CURVE = (14.0, 0.58)
WORDS_CURVE = (9.0, 0.55)
"""(steepness, likeness where the probability is one half) of the logistic curve, with meaning and without.

Fitted on five sets, each weighing the same: sentences reworded and sentences of neighbouring passages (an
encyclopedia, a shop's help pages, English and Chinese), what people asked in other words on a question site
and the nearest other question there, and 140 sentences as a language model writes them about the help pages,
half of them not said there. With any one set left out the half lies between .55 and .60.
"""
HEADING_WEIGHT = 0.5
PIECE_COST = 0.03
"""What each further piece of a span takes off its likeness, so that the tightest span that says it wins."""

_UNRELATED = {
    "en": (
        "The parcel arrives on Tuesday.",
        "He plays the violin in an orchestra.",
        "Our kitchen needs a new coat of paint.",
        "The company reported higher profits.",
        "Whales feed on small sea animals.",
        "Click the button to reset your password.",
        "The old bridge was closed last winter.",
        "She grows tomatoes on her balcony.",
        "The court will hear the case in May.",
        "Charge the battery before the first use.",
    ),
    "zh": (
        "包裹星期二送到。",
        "他在乐团里拉小提琴。",
        "我们的厨房需要重新粉刷。",
        "公司公布的利润有所增长。",
        "鲸鱼以海里的小动物为食。",
        "点击按钮即可重置密码。",
        "那座老桥去年冬天就封闭了。",
        "她在阳台上种番茄。",
        "法院将在五月开庭审理。",
        "首次使用前请给电池充电。",
    ),
}
_CHARACTER = re.compile(f"[{HAN}]")
_COMMON_CHARACTERS = frozenset(
    "的了吗呢吧啊是在有和与及或我你您他它们会要就都也很请对于为以其此该这那能可不没无"
)
_NEGATIONS = frozenset(
    ("not", "never", "no", "none", "without", "cannot", "nor", "neither", "nobody", "noth")
)
_lock = threading.Lock()
_zeros: dict[tuple[str, str], float] = {}


def cosine_of_unrelated(embed: Embed, encoder_version: str, language: str) -> float:
    """The mean cosine of sentences that have nothing to do with one another; asked once an encoder."""
    known = language.split("-")[0] if language.split("-")[0] in _UNRELATED else "en"
    with _lock:
        zero = _zeros.get((encoder_version, known))
    if zero is None:
        vecs = embed(_UNRELATED[known])
        zero = float((vecs @ vecs.T)[np.triu_indices(len(vecs), 1)].mean())
        with _lock:
            _zeros[encoder_version, known] = zero
    return zero


class Likeness:
    """Some sentences against spans of some pieces of text, all embedded in one call.

    `texts`: the sentences; `pieces`: what spans are made of, in order; `headings`: each piece's own.
    `embed`: texts -> float32 (n, dim), L2-normalised, or None to compare by words alone.
    """

    def __init__(
        self,
        texts: Sequence[str],
        pieces: Sequence[str],
        headings: Sequence[str],
        *,
        embed: Embed | None,
        encoder_version: str = "",
        language: str = "en",
    ) -> None:
        self._texts, self._pieces, self._headings = texts, pieces, headings
        self._embed, self._version, self._language = embed, encoder_version, language

    def probabilities(self, text: str, spans: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """float64 (n,): P that each span (first piece, number of pieces) says the text, one of `texts`."""
        by_words = np.array([self._shared(text, first, count) for first, count in spans])
        further = PIECE_COST * np.array([count - 1 for _, count in spans])
        if self._embed is None or not spans:
            return _logistic(by_words - further, *WORDS_CURVE)
        zero = cosine_of_unrelated(self._embed, self._version, self._language)
        own = self._vecs[text]
        cosines = np.array([self._cosine(own, first, count) for first, count in spans])
        alike = MEANING * (cosines - zero) / (1 - zero) + (1 - MEANING) * by_words
        return _logistic(alike - further, *CURVE)

    @cached_property
    def _vecs(self) -> dict[str, Vectors]:
        assert self._embed is not None
        wanted = list(dict.fromkeys([*self._texts, *self._pieces, *filter(None, self._headings)]))
        return dict(zip(wanted, self._embed(wanted), strict=True))

    def _cosine(self, own: Vectors, first: int, count: int) -> float:
        pieces = self._pieces[first : first + count]
        whole = _unit(np.sum([self._vecs[piece] * len(piece) for piece in pieces], axis=0))
        best = float(whole @ own)
        if heading := self._headings[first]:
            best = max(best, float(_unit(whole + HEADING_WEIGHT * self._vecs[heading]) @ own))
        return best

    def _shared(self, text: str, first: int, count: int) -> float:
        texts = {self._headings[first], *self._pieces[first : first + count]}
        agreed = self._agreed(text, texts)
        shares = []
        for asked, has in (self._terms, self._characters):
            if asked[text]:
                found = asked[text] & set().union(*(has[own] for own in texts))
                shares.append((len(found) + agreed) / (len(asked[text]) + agreed))
        return sum(shares) / len(shares) if shares else float(agreed > 0)

    def _agreed(self, text: str, texts: set[str]) -> int:
        """How many of a sentence's facts these texts have. Those they lack count neither way: see above."""
        given = [fact for own in texts for fact in _facts(own)]
        return sum(any(agree(own, fact) for own in given) for fact in _facts(text) if fact.firm)

    @cached_property
    def _terms(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        return (
            {
                text: set(tokenize(_bare(text), self._language, query=True)) - _NEGATIONS
                for text in self._texts
            },
            {text: set(tokenize(_bare(text), self._language)) for text in {*self._pieces, *self._headings}},
        )

    @cached_property
    def _characters(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        return (
            {text: _han(text) for text in self._texts},
            {text: _han(text) for text in {*self._pieces, *self._headings}},
        )


def _bare(text: str) -> str:
    """The text with its numbers, dates, codes and addresses blanked out."""
    for fact in _facts(text):
        text = text[: fact.start] + " " * (fact.end - fact.start) + text[fact.end :]
    return text


@lru_cache(maxsize=4096)
def _facts(text: str) -> tuple[Fact, ...]:
    return tuple(facts(text))


def _han(text: str) -> set[str]:
    return set(_CHARACTER.findall(_bare(text))) - _COMMON_CHARACTERS


def _unit(vec: Vectors) -> Vectors:
    return np.asarray(vec / max(float(np.linalg.norm(vec)), 1e-9), dtype=np.float32)


def _logistic(alike: NDArray[np.float64], steepness: float, half: float) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-steepness * (alike - half))), dtype=np.float64)
