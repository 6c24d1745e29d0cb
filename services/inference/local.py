"""The engine in this process: tokenise in the caller's thread, batch on the lanes, answer in order.

Loads each model on first use, once, however many threads ask. One queue serves all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

import numpy as np

from services.errors import InvalidInput, Unavailable
from services.inference import heads, reranking, tagging, tuned
from services.inference.batching import Batcher
from services.inference.cache import VectorCache, build_cache
from services.inference.conf import InferenceSettings
from services.inference.engine import Engine
from services.inference.fake import FakeEngine
from services.inference.meters import Meter, Report
from services.inference.serving import ServedModels, TunedModel
from services.inference.steps import Steps, arun, deadline_at, run
from services.inference.values import (
    ChatMessage,
    ClassScores,
    EncoderInfo,
    GenerateEvent,
    ModelInfo,
    Pair,
    Priority,
    Relevance,
    Sampling,
    Tagged,
    Vectors,
)
from services.registry.store import ModelStore

_CHUNK_TEXTS = 256
"""A large call is tokenised and queued in pieces of this many texts: the models begin while it goes on, and
its memory stays bounded."""
_FIRST_CHUNK_TEXTS = 64
_CHUNKS_AHEAD = 6
_HEAVY_CHARS = 20_000
"""Texts longer than this in all are tokenised in a thread, so that an event loop is not held up."""
_POOL_THREADS = 16

T = TypeVar("T")


def build_engine(
    settings: InferenceSettings,
    *,
    store: ModelStore | None = None,
    redis_url: str = "",
    on_death: Callable[[], None] | None = None,
) -> Engine:
    """The engine the settings ask for; it loads nothing before it is used."""
    if settings.inference_url:
        from services.inference.remote import RemoteEngine

        return RemoteEngine(settings)
    if settings.inference_runtime == "fake":
        return FakeEngine()
    cache = build_cache(settings.inference_cache_mib, redis_url)
    return LocalEngine(settings, store=store, cache=cache, on_death=on_death)


class LocalEngine:
    """The Engine Protocol over models in this process (or behind the endpoints the settings name)."""

    def __init__(
        self,
        settings: InferenceSettings,
        *,
        store: ModelStore | None = None,
        cache: VectorCache | None = None,
        on_death: Callable[[], None] | None = None,
    ) -> None:
        self._meter = Meter()
        self._cache = VectorCache(0) if cache is None else cache
        self._batcher = Batcher(
            queue_texts=settings.inference_queue_texts, meter=self._meter, on_death=on_death
        )
        self._models = ServedModels(settings, self._batcher, store)
        self._pool = ThreadPoolExecutor(_POOL_THREADS, thread_name_prefix="inference-call")
        self._closed = False

    def embed(
        self, texts: Sequence[str], *, priority: Priority = Priority.NORMAL, deadline_s: float | None = None
    ) -> Vectors:
        """As the Protocol says. A large call goes through in pieces, the next tokenised meanwhile."""
        deadline = deadline_at(deadline_s)
        return self._run("embed", texts, self._embedding(texts, priority, deadline), deadline)

    async def aembed(
        self, texts: Sequence[str], *, priority: Priority = Priority.NORMAL, deadline_s: float | None = None
    ) -> Vectors:
        """As the Protocol says."""
        deadline = deadline_at(deadline_s)
        heavy = self._cache.is_shared or self._models.encoder.loaded is None
        steps = self._embedding(texts, priority, deadline)
        return await self._arun("embed", texts, steps, deadline, heavy)

    def rerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Relevance:
        """As the Protocol says."""
        deadline = deadline_at(deadline_s)
        return self._run("rerank", texts, self._reranking(query, texts, priority, deadline), deadline)

    async def arerank(
        self,
        query: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Relevance:
        """As the Protocol says."""
        deadline = deadline_at(deadline_s)
        heavy = self._models.reranker.loaded is None
        return await self._arun(
            "rerank", texts, self._reranking(query, texts, priority, deadline), deadline, heavy
        )

    def classify(
        self,
        task: str,
        pairs: Sequence[Pair],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> ClassScores:
        """As the Protocol says."""
        deadline = deadline_at(deadline_s)
        return self._run("classify", pairs, self._classifying(task, pairs, priority, deadline), deadline)

    async def aclassify(
        self,
        task: str,
        pairs: Sequence[Pair],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> ClassScores:
        """As the Protocol says."""
        deadline = deadline_at(deadline_s)
        steps = self._classifying(task, pairs, priority, deadline)
        return await self._arun("classify", pairs, steps, deadline, heavy=True)

    def tag(
        self,
        task: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Tagged:
        """As the Protocol says."""
        deadline = deadline_at(deadline_s)
        return self._run("tag", texts, self._tagging(task, texts, priority, deadline), deadline)

    async def atag(
        self,
        task: str,
        texts: Sequence[str],
        *,
        priority: Priority = Priority.NORMAL,
        deadline_s: float | None = None,
    ) -> Tagged:
        """As the Protocol says."""
        deadline = deadline_at(deadline_s)
        steps = self._tagging(task, texts, priority, deadline)
        return await self._arun("tag", texts, steps, deadline, heavy=True)

    async def generate(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling = Sampling(),  # noqa: B008 - frozen
        *,
        deadline_s: float | None = None,
    ) -> AsyncGenerator[GenerateEvent]:
        """As the Protocol says."""
        self._require_open()
        if not messages:
            raise InvalidInput("There is no message to continue.", field="messages")
        with self._meter.measured("generate", 1):
            generator = await _in(self._pool, self._models.generator.get)
            async with aclosing(generator.chat(messages, sampling, deadline_s)) as events:
                async for event in events:
                    yield event

    def encoder(self) -> EncoderInfo:
        """As the Protocol says."""
        self._require_open()
        return self._models.encoder.get().info

    def models(self) -> tuple[ModelInfo, ...]:
        """As the Protocol says."""
        return self._models.models()

    def report(self) -> Report:
        """As the Protocol says."""
        return self._meter.report(queue=self._batcher.waiting, lanes=self._batcher.lanes, alive=self.alive)

    def warm(self) -> None:
        """As the Protocol says."""
        self._run("embed", ("warm",), self._embedding(("warm",), Priority.INTERACTIVE, None, False), None)

    def probe(self, deadline_s: float) -> None:
        """Run the encoder once, past any cache: what `/ready` wants to know. Raises as `embed` does."""
        deadline = deadline_at(deadline_s)
        run(self._embedding(("ready",), Priority.INTERACTIVE, deadline, False), deadline)

    def close(self) -> None:
        """As the Protocol says."""
        self._closed = True
        self._batcher.close()
        self._models.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def alive(self) -> bool:
        """As the Protocol says; a model that is not loaded yet counts as alive."""
        return not self._closed and self._batcher.alive

    def _embedding(
        self, texts: Sequence[str], priority: Priority, deadline: float | None, cached: bool = True
    ) -> Steps[Vectors]:
        encoder = self._models.encoder.get()
        info = encoder.info
        vecs = np.empty((len(texts), info.dim), np.float32)
        keys: list[bytes] = []
        wanted: Sequence[int] = range(len(texts))
        if cached and self._cache.enabled:
            keys = [self._cache.key(info.version, text) for text in texts]
            found = self._cache.find(keys, info.dim)
            self._meter.cache(len(found), len(texts) - len(found))
            for at, vec in found.items():
                vecs[at] = vec
            wanted = [at for at in wanted if at not in found]
        under_way: deque[tuple[Sequence[int], Future[Vectors]]] = deque()
        try:
            for rows in _pieces(wanted):
                future = encoder.submit(
                    [texts[at] for at in rows],
                    priority=priority,
                    deadline=deadline,
                    admitted=rows[0] != wanted[0],
                )
                under_way.append((rows, future))
                if len(under_way) > _CHUNKS_AHEAD:
                    self._placed(vecs, under_way[0][0], (yield under_way[0][1]), keys)
                    under_way.popleft()
            while under_way:
                self._placed(vecs, under_way[0][0], (yield under_way[0][1]), keys)
                under_way.popleft()
        finally:
            for _, future in under_way:  # after a failure only: what nobody waits for is not run
                future.cancel()
        return vecs

    def _placed(self, vecs: Vectors, rows: Sequence[int], answer: Vectors, keys: list[bytes]) -> None:
        vecs[rows] = answer
        if keys:
            self._cache.keep({keys[at]: answer[row] for row, at in enumerate(rows)})

    def _reranking(
        self, query: str, texts: Sequence[str], priority: Priority, deadline: float | None
    ) -> Steps[Relevance]:
        reranker = self._models.reranker.get()
        if not texts:
            return Relevance(np.empty(0, np.float32), reranker.version)
        if reranker.is_cross_encoder:
            ids = reranker.tokenise.pairs([query] * len(texts), texts)
        else:
            ids = reranker.tokenise([query, *texts])
        answers = yield from self._queued(reranker.served, ids, priority, deadline)
        if reranker.is_cross_encoder:
            return Relevance(reranking.from_logits(answers), reranker.version)
        return Relevance(reranking.late_interaction(answers[0], answers[1:]), reranker.version)

    def _classifying(
        self, task: str, pairs: Sequence[Pair], priority: Priority, deadline: float | None
    ) -> Steps[ClassScores]:
        model = self._models.task(task, "classifier").get()
        if model.head is not None:
            return (yield from self._by_head(model.head, pairs, priority, deadline))
        if model.tuned is not None:
            return (yield from self._by_tuned(model.tuned, pairs, priority, deadline))
        files, tokenise = model.loaded.files, model.loaded.tokenise
        if not pairs:
            return ClassScores(files.labels, np.empty((0, len(files.labels)), np.float32), files.version)
        if all(second is None for _, second in pairs):
            ids = tokenise([text for text, _ in pairs])
        else:
            ids = [
                (tokenise([text]) if second is None else tokenise.pairs([text], [second]))[0]
                for text, second in pairs
            ]
        logits = yield from self._queued(model.served, ids, priority, deadline)
        logits = np.asarray(logits, np.float32) / files.temperature
        if files.exclusive:
            return ClassScores(files.labels, heads.softmax(logits), files.version)
        probs = np.asarray(1.0 / (1.0 + np.exp(-logits.clip(-30, 30))), np.float32)
        return ClassScores(files.labels, probs, files.version, exclusive=False)

    def _by_head(
        self, head: heads.LoadedHead, pairs: Sequence[Pair], priority: Priority, deadline: float | None
    ) -> Steps[ClassScores]:
        """A head is a layer on the encoder's vectors; those go through the queue and the cache."""
        heads.require_encoder(head.manifest, self._models.encoder.get().info.version)
        if not pairs:
            return heads.nothing(head)
        reading = heads.reading_for(head, pairs)
        vecs = yield from self._embedding(reading.wordings, priority, deadline)
        return heads.answer(head, reading, vecs)

    def _by_tuned(
        self, model: TunedModel, pairs: Sequence[Pair], priority: Priority, deadline: float | None
    ) -> Steps[ClassScores]:
        """A layer on the vectors of an encoder of its own."""
        labels = model.layer.head.labels
        if not pairs:
            return ClassScores(labels, np.empty((0, len(labels)), np.float32), model.layer.version)
        reading, wordings = tuned.wordings(pairs)
        ids = model.encoder.tokenise(wordings)
        vecs = yield from self._queued(model.served, ids, priority, deadline)
        return tuned.answer(model.layer, reading, np.asarray(vecs, np.float32))

    def _tagging(
        self, task: str, texts: Sequence[str], priority: Priority, deadline: float | None
    ) -> Steps[Tagged]:
        model = self._models.task(task, "tagger").get()
        files, tokenise = model.loaded.files, model.loaded.tokenise
        if not texts:
            return Tagged((), files.version)
        windows = tokenise.windows(texts)
        logits = yield from self._queued(model.served, [window.ids for window in windows], priority, deadline)
        found = tagging.entities(len(texts), windows, logits, files.labels, files.temperature)
        return Tagged(found, files.version)

    def _queued(
        self, served: Any, ids: Sequence[Sequence[int]], priority: Priority, deadline: float | None
    ) -> Steps[Any]:
        future = self._batcher.submit(served, ids, priority=priority, deadline=deadline)
        try:
            return (yield future)
        finally:
            future.cancel()

    def _run(self, operation: str, texts: Sequence[Any], steps: Steps[T], deadline: float | None) -> T:
        _require_list(texts)
        self._require_open()
        with self._meter.measured(operation, len(texts)):
            return run(steps, deadline)

    async def _arun(
        self, operation: str, texts: Sequence[Any], steps: Steps[T], deadline: float | None, heavy: bool
    ) -> T:
        _require_list(texts)
        self._require_open()
        heavy = heavy or sum(len(text) for text in texts) > _HEAVY_CHARS
        with self._meter.measured(operation, len(texts)):
            return await arun(steps, deadline, self._pool, heavy=heavy)

    def _require_open(self) -> None:
        if self._closed:
            raise Unavailable("The inference service is shutting down.")


def _require_list(texts: Sequence[Any]) -> None:
    if isinstance(texts, str):
        raise TypeError("texts is a sequence of strings, not one string")


def _pieces(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    """The first of a large call is smaller: the models have something to do sooner."""
    first = _FIRST_CHUNK_TEXTS if len(rows) > _CHUNK_TEXTS else _CHUNK_TEXTS
    if len(rows):
        yield rows[:first]
    yield from (rows[start : start + _CHUNK_TEXTS] for start in range(first, len(rows), _CHUNK_TEXTS))


async def _in(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    import asyncio

    return await asyncio.get_running_loop().run_in_executor(pool, work)
