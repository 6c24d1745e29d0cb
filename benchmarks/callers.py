"""Many callers of an engine at once: every call's outcome is counted, every answer compared with a known one.

Half of the callers are threads that block, half are tasks of one event loop; each asks again as soon as it is
answered. A call ends `right`, `wrong` (an answer that is not the known one), in the code of a SuiteError, or
`untyped`; one that takes longer than its deadline and `GRACE_S` is `late`, one that never ends is `hanging`.
Used by `benchmarks.cluster` and `benchmarks.faults`, which decide what happens to the servers meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.embed import passage
from services.errors import SuiteError
from services.inference.engine import Engine
from services.inference.remote import Asking, RemoteEngine
from services.inference.values import Pair, Priority

GRACE_S = 5.0
REST_S = 0.1
"""A caller that met an error rests this long, so that servers in trouble are not flooded."""
LEAST_COSINE = 0.99
MOST_APART = 0.05
"""Bfloat16 rounds by how a batch is made up; a neighbour's answer is much further off than this."""
SENTIMENT = "sentiment"


@dataclass(frozen=True, slots=True)
class Known:
    """Right answers, float32: `vecs` (n, dim), `relevance` (queries, n), `probs` (n, labels)."""

    texts: tuple[str, ...]
    queries: tuple[str, ...]
    vecs: NDArray[np.float32]
    relevance: NDArray[np.float32]
    probs: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Question:
    """One call to make: `rows` are the known texts it is about."""

    kind: str
    rows: tuple[int, ...]
    query: int
    priority: Priority


@dataclass(slots=True, eq=False)
class Tally:
    """What came of the calls. `seconds`: of the right answers; `by_priority`: calls, and whether right.

    `untyped`: the first few such errors.
    """

    deadline_s: float
    outcomes: Counter[str] = field(default_factory=Counter)
    by_priority: Counter[tuple[Priority, bool]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    longest_s: float = 0.0
    untyped: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def call(self, priority: Priority) -> Iterator[list[bool]]:
        """Run one call inside; append whether its answer was right."""
        verdict: list[bool] = []
        started = time.monotonic()
        outcome = "untyped"
        try:
            yield verdict
            outcome = "right" if verdict[0] else "wrong"
        except SuiteError as error:
            outcome = error.code
        except Exception as error:
            self.untyped = [*self.untyped, f"{type(error).__name__}: {error}"[:200]][:5]
        finally:
            self._count(outcome, time.monotonic() - started, priority)

    def _count(self, outcome: str, took_s: float, priority: Priority) -> None:
        with self._lock:
            self.by_priority[priority, outcome == "right"] += 1
            self.outcomes[outcome] += 1
            self.outcomes["late"] += took_s > self.deadline_s + GRACE_S
            self.longest_s = max(self.longest_s, took_s)
            if outcome == "right":
                self.seconds.append(took_s)

    @property
    def calls(self) -> int:
        """Calls that ended, one way or another."""
        return sum(count for outcome, count in self.outcomes.items() if outcome not in {"late", "hanging"})

    def metrics(self) -> dict[str, Any]:
        """Flat: how many calls ended how, and how long the right answers took."""
        took = np.asarray(self.seconds or [0.0])
        errors = set(self.outcomes) - {"right", "wrong", "late", "hanging", "untyped"}
        return {
            "calls": self.calls,
            **{name: self.outcomes[name] for name in ("right", "wrong", "untyped", "late", "hanging")},
            "typed_errors": sum(self.outcomes[name] for name in errors),
            **{f"error_{name}": self.outcomes[name] for name in sorted(errors)},
            **{f"answered_{one.name.lower()}": self._answered(one) for one in Priority},
            **{f"p{at}_ms": round(1000 * float(np.percentile(took, at)), 1) for at in (50, 95, 99)},
            "longest_call_s": round(self.longest_s, 2),
            "first_untyped": self.untyped[0] if self.untyped else "",
        }

    def _answered(self, priority: Priority) -> float:
        right, other = (self.by_priority[priority, was] for was in (True, False))
        return round(right / max(1, right + other), 3)


class CountingEngine(RemoteEngine):
    """A RemoteEngine that counts the calls answered only when asked again, and the asks beyond the first."""

    again = 0
    answered_again = 0

    def _asking(self, *args: Any) -> Asking:
        asking = super()._asking(*args)
        found, asks = None, 0
        try:
            while True:
                step = asking.send(found)
                asks += hasattr(step, "url")
                found = yield step
        except StopIteration as done:
            self.answered_again += asks > 1
            return bytes(done.value)
        finally:
            self.again += max(0, asks - 1)
            asking.close()


class Crowd:
    """Callers of one engine. `weights`: how often embed, rerank and classify are asked, relatively."""

    def __init__(
        self,
        engine: Engine,
        known: Known,
        *,
        callers: int,
        deadline_s: float,
        weights: Mapping[str, int],
        most_texts: int,
        seed: int = 0,
    ) -> None:
        self.tally = Tally(deadline_s)
        self._engine = engine
        self._known = known
        self._kinds, self._weights = list(weights), list(weights.values())
        self._most_texts = most_texts
        self._over = threading.Event()
        draws = [random.Random(seed * 10_000 + number) for number in range(callers)]
        self._in_tasks = draws[: callers // 2]
        self._threads = [
            threading.Thread(target=self._block, args=(rng,), daemon=True) for rng in draws[callers // 2 :]
        ]
        self._loop_thread = threading.Thread(target=lambda: asyncio.run(self._await_all()), daemon=True)
        self._tasks_left = len(self._in_tasks)

    def start(self) -> None:
        """Every caller begins to ask."""
        for thread in (*self._threads, self._loop_thread):
            thread.start()

    def stop(self) -> Tally:
        """Let every caller finish the call it is in; those that do not in time are hanging."""
        self._over.set()
        ends = time.monotonic() + self.tally.deadline_s + 2 * GRACE_S
        for thread in (*self._threads, self._loop_thread):
            thread.join(max(0.0, ends - time.monotonic()))
        hanging = sum(thread.is_alive() for thread in self._threads)
        self.tally.outcomes["hanging"] = hanging + (self._tasks_left if self._loop_thread.is_alive() else 0)
        return self.tally

    def _block(self, rng: random.Random) -> None:
        while not self._over.is_set():
            asked = self._question(rng)
            with self.tally.call(asked.priority) as verdict:
                verdict.append(_ask(self._engine, self._known, asked, self.tally.deadline_s))
            if not verdict:
                time.sleep(REST_S)

    async def _await_all(self) -> None:
        await asyncio.gather(*(self._await(rng) for rng in self._in_tasks))

    async def _await(self, rng: random.Random) -> None:
        while not self._over.is_set():
            asked = self._question(rng)
            with self.tally.call(asked.priority) as verdict:
                verdict.append(await _aask(self._engine, self._known, asked, self.tally.deadline_s))
            if not verdict:
                await asyncio.sleep(REST_S)
        self._tasks_left -= 1

    def _question(self, rng: random.Random) -> Question:
        rows = rng.sample(range(len(self._known.texts)), rng.randint(1, self._most_texts))
        kind = rng.choices(self._kinds, self._weights)[0]
        return Question(
            kind, tuple(rows), rng.randrange(len(self._known.queries)), rng.choice(list(Priority))
        )


def learn(engine: Engine, texts: int = 256, queries: int = 4, seed: int = 0) -> Known:
    """Ask an engine that is left in peace; every text differs from every other."""
    rng = random.Random(seed)
    asked = tuple(f"{passage(None, rng.randint(4, 16), rng)} {number}" for number in range(texts))
    wanted = tuple(passage(None, 5, rng) for _ in range(queries))
    return Known(
        asked,
        wanted,
        engine.embed(asked),
        np.stack([engine.rerank(query, asked).scores for query in wanted]),
        engine.classify(SENTIMENT, [(text, None) for text in asked]).probs,
    )


def learn_vectors(engine: Engine, texts: int = 256, seed: int = 0) -> Known:
    """As `learn`, for callers that only embed."""
    rng = random.Random(seed)
    asked = tuple(f"{passage(None, rng.randint(4, 16), rng)} {number}" for number in range(texts))
    nothing = np.empty((0, texts), np.float32)
    return Known(asked, ("",), engine.embed(asked), nothing, nothing)


def _ask(engine: Engine, known: Known, asked: Question, deadline_s: float) -> bool:
    texts = [known.texts[row] for row in asked.rows]
    if asked.kind == "embed":
        return _same_vecs(known, asked, engine.embed(texts, priority=asked.priority, deadline_s=deadline_s))
    if asked.kind == "rerank":
        query = known.queries[asked.query]
        found = engine.rerank(query, texts, priority=asked.priority, deadline_s=deadline_s)
        return _near(found.scores, known.relevance[asked.query, list(asked.rows)])
    pairs = _pairs(texts)
    probs = engine.classify(SENTIMENT, pairs, priority=asked.priority, deadline_s=deadline_s).probs
    return _near(probs, known.probs[list(asked.rows)])


async def _aask(engine: Engine, known: Known, asked: Question, deadline_s: float) -> bool:
    texts = [known.texts[row] for row in asked.rows]
    if asked.kind == "embed":
        vecs = await engine.aembed(texts, priority=asked.priority, deadline_s=deadline_s)
        return _same_vecs(known, asked, vecs)
    if asked.kind == "rerank":
        query = known.queries[asked.query]
        found = await engine.arerank(query, texts, priority=asked.priority, deadline_s=deadline_s)
        return _near(found.scores, known.relevance[asked.query, list(asked.rows)])
    scores = await engine.aclassify(SENTIMENT, _pairs(texts), priority=asked.priority, deadline_s=deadline_s)
    return _near(scores.probs, known.probs[list(asked.rows)])


def _pairs(texts: Sequence[str]) -> list[Pair]:
    return [(text, None) for text in texts]


def _same_vecs(known: Known, asked: Question, vecs: NDArray[np.float32]) -> bool:
    right = known.vecs[list(asked.rows)]
    return vecs.shape == right.shape and bool((np.sum(vecs * right, axis=1) > LEAST_COSINE).all())


def _near(found: NDArray[np.float32], right: NDArray[np.float32]) -> bool:
    return found.shape == right.shape and bool(np.abs(found - right).max() < MOST_APART)
