"""FakeEngine: deterministic answers without weights. Ships with the product; drives the fast tests.

`embed` hashes words and character trigrams into `dim` buckets, so texts that share words are near one
another: enough for ranking tests to mean something, with no model on disk.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, Sequence

import numpy as np

from services.inference.meters import Meter, Report
from services.inference.values import (
    ChatMessage,
    ClassScores,
    Delta,
    EncoderInfo,
    Entity,
    Finished,
    GenerateEvent,
    ModelInfo,
    Pair,
    Priority,
    Relevance,
    Sampling,
    Tagged,
    Vectors,
)

_WORD = re.compile(r"\w+", re.UNICODE)


class FakeEngine:
    """The Engine Protocol over hashed bags of words. `calls` counts embedded texts.

    `rerank` compares those bags; `classify` draws one of `labels` by the text's hash; `tag` finds words
    that begin with a capital; `generate` says `says`, or repeats the last message, word by word.
    """

    def __init__(
        self,
        dim: int = 384,
        version: str = "fake-1",
        fail_with: Exception | None = None,
        labels: tuple[str, ...] = ("negative", "neutral", "positive"),
        says: str = "",
    ) -> None:
        self.dim = dim
        self.version = version
        self.fail_with = fail_with
        self.labels = labels
        self.says = says
        self.calls = 0
        self._meter = Meter()

    def embed(
        self, texts: Sequence[str], *, priority: Priority = Priority.NORMAL, deadline_s: float | None = None
    ) -> Vectors:
        """As the Protocol says; raises `fail_with` when that was given."""
        with self._meter.measured("embed", len(texts)):
            self._fail_if_told()
            self.calls += len(texts)
            vecs = np.zeros((len(texts), self.dim), dtype=np.float32)
            for row, text in enumerate(texts):
                for feature, weight in _features(text):
                    vecs[row, _bucket(feature, self.dim)] += weight
                norm = float(np.linalg.norm(vecs[row]))
                if norm == 0.0:
                    vecs[row, 0] = norm = 1.0
                vecs[row] /= norm
            return vecs

    async def aembed(
        self, texts: Sequence[str], *, priority: Priority = Priority.NORMAL, deadline_s: float | None = None
    ) -> Vectors:
        """As `embed`."""
        return self.embed(texts)

    def rerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Relevance:
        """Cosine of the two bags of words, 0 to 1."""
        vecs = self.embed([query, *texts])
        return Relevance(np.asarray(vecs[1:] @ vecs[0], np.float32).clip(0, 1), self.version)

    async def arerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Relevance:
        """As `rerank`."""
        return self.rerank(query, texts)

    def classify(
        self,
        task: str,
        pairs: Sequence[Pair],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> ClassScores:
        """A label drawn by the hash of the text, with four times the probability of each other."""
        with self._meter.measured("classify", len(pairs)):
            self._fail_if_told()
            probs = np.ones((len(pairs), len(self.labels)), np.float32)
            for row, (text, towards) in enumerate(pairs):
                probs[row, _bucket(f"{task} {text} {towards or ''}", len(self.labels))] = 4.0
            return ClassScores(self.labels, probs / probs.sum(axis=1, keepdims=True), self.version)

    async def aclassify(
        self,
        task: str,
        pairs: Sequence[Pair],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> ClassScores:
        """As `classify`."""
        return self.classify(task, pairs)

    def tag(
        self,
        task: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Tagged:
        """Words that begin with a capital are a NAME."""
        with self._meter.measured("tag", len(texts)):
            self._fail_if_told()
            return Tagged(tuple(map(_names, texts)), self.version)

    async def atag(
        self,
        task: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Tagged:
        """As `tag`."""
        return self.tag(task, texts)

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        """`says`, or the last message, word by word, up to `max_tokens` words."""
        with self._meter.measured("generate", 1):
            self._fail_if_told()
            words = re.findall(r"\s*\S+", self.says or messages[-1].content)
            for word in words[: sampling.max_tokens]:
                yield Delta(word)
            told = min(len(words), sampling.max_tokens)
            prompt = sum(len(message.content.split()) for message in messages)
            yield Finished("stop" if told == len(words) else "length", prompt, told, self.version)

    def encoder(self) -> EncoderInfo:
        """A fixed identity; `version` is the one given."""
        return EncoderInfo("fake", self.version, self.dim, 512, "fake", "cpu")

    def models(self) -> tuple[ModelInfo, ...]:
        """The encoder alone."""
        return (ModelInfo("embed", "encoder", "fake", self.version, "fake", "cpu", loaded=True),)

    def report(self) -> Report:
        """As the Protocol says."""
        return self._meter.report(queue=0, lanes=1, alive=True)

    def warm(self) -> None:
        """Nothing to load."""

    def probe(self, deadline_s: float) -> None:
        """As `embed`."""
        self.embed(["ready"])

    @property
    def alive(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Nothing to stop."""

    def _fail_if_told(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with


def _names(text: str) -> tuple[Entity, ...]:
    words = (word for word in _WORD.finditer(text) if word[0][0].isupper())
    return tuple(Entity(word.start(), word.end(), "NAME", 0.9) for word in words)


def _features(text: str) -> list[tuple[str, float]]:
    words = _WORD.findall(text.lower())
    grams = [w[i : i + 3] for w in words for i in range(max(1, len(w) - 2))]
    return [(w, 1.0) for w in words] + [("#" + g, 0.3) for g in grams]


def _bucket(feature: str, dim: int) -> int:
    return int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "big") % dim
