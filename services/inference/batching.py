"""One queue in front of a model: texts of many callers in, token-budget batches out, answers back.

Each lane (a thread; a runtime says how many batches it runs well at once) repeats one step: take the
next batch of the highest priority, run it, settle its callers. Nothing lingers to fill a batch: what
arrives while the lanes are busy is merged, what arrives when they are idle runs at once. A higher
priority waits for one batch at most, however large the job under way.

Every future is settled: with the answer, ModelFailed, DeadlineExceeded or Unavailable.
Knows nothing of text, tokenizers or runtimes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np

from services.errors import DeadlineExceeded, ModelFailed, Overloaded, Unavailable
from services.inference.planning import Call, Line, Text, TokenIds
from services.inference.values import Priority, Vectors
from services.logs import get_logger

log = get_logger(__name__)

Run = Callable[[Sequence[TokenIds]], Vectors]

_KEPT_FOR_PEOPLE = 0.25
"""The part of the queue that only interactive callers may fill."""
_CLOSING = "The inference service is shutting down."
_DIED = "The inference loop has stopped; restart the process."


class Batcher:
    """`run` takes the token ids of a batch and returns float32 (n, dim); `lanes` threads call it."""

    def __init__(
        self,
        run: Run,
        *,
        dim: int,
        token_budget: int,
        queue_texts: int,
        lanes: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._dim = dim
        self._budget = token_budget
        self._queue_texts = queue_texts
        self._clock = clock
        self._lines = {priority: Line() for priority in Priority}
        self._waiting = 0
        self._waiting_tokens = 0
        self._tokens_per_s = 0.0
        self._stopped = ""
        self._changed = threading.Condition()
        self._lanes = [
            threading.Thread(target=self._work, name=f"inference-{lane}", daemon=True)
            for lane in range(lanes)
        ]
        for lane in self._lanes:
            lane.start()

    @property
    def alive(self) -> bool:
        """Whether every lane still works; false after `close` and after a lane died."""
        return not self._stopped and all(lane.is_alive() for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Texts in the queue that no lane has taken yet."""
        return self._waiting

    def submit(
        self,
        token_ids: Sequence[TokenIds],
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        admitted: bool = False,
    ) -> Future[Vectors]:
        """Queue texts; the future gives float32 (n, dim) in their order. `deadline` is on the clock.

        `admitted` says that this goes on with a call that was let in before, so a full queue takes it.
        Raises Overloaded when the queue is full (nothing was queued) and Unavailable when it is stopped.
        """
        call = Call(np.empty((len(token_ids), self._dim), np.float32), len(token_ids), deadline)
        if not token_ids:
            call.succeed()
            return call.future
        with self._changed:
            if not self.alive:
                raise Unavailable(self._stopped or _DIED)
            if not admitted:
                self._admit(len(token_ids), priority)
            self._lines[priority].add([Text(call, row, ids) for row, ids in enumerate(token_ids)])
            self._waiting += len(token_ids)
            self._waiting_tokens += sum(map(len, token_ids))
            self._changed.notify_all()
        return call.future

    def close(self) -> None:
        """Stop the lanes after the batch they run; whoever waits is settled with Unavailable."""
        self._stop(_CLOSING)
        for lane in self._lanes:
            if lane is not threading.current_thread():
                lane.join(timeout=30.0)

    def _admit(self, texts: int, priority: Priority) -> None:
        """A call larger than the whole queue is let in when nothing else waits."""
        limit = self._queue_texts
        if priority is not Priority.INTERACTIVE:
            limit = max(1, round(limit * (1 - _KEPT_FOR_PEOPLE)))
        if self._waiting and self._waiting + texts > limit:
            wait_s = self._waiting_tokens / self._tokens_per_s if self._tokens_per_s else 1.0
            raise Overloaded(
                "Too many texts wait for the model; nothing was started.",
                retry_after_s=round(min(max(wait_s, 0.1), 60.0), 1),
            )

    def _work(self) -> None:
        batch: list[Text] | None = []
        try:
            while (batch := self._take()) is not None:
                if batch:
                    self._answer(batch)
        except BaseException as error:  # a bug, or an exit asked for inside the model
            log.exception("inference_lane_died", error=type(error).__name__)
            self._stop(_DIED, under_way=batch or [])

    def _take(self) -> list[Text] | None:
        """The next batch, without the texts nobody waits for any more; None when stopped."""
        with self._changed:
            while not self._stopped:
                for priority in Priority:
                    batch = self._lines[priority].next_batch(self._budget, len(self._lanes))
                    if batch is not None:
                        self._waiting -= len(batch)
                        self._waiting_tokens -= sum(len(text.ids) for text in batch)
                        return [text for text in batch if self._still_wanted(text.call)]
                self._changed.wait()
        return None

    def _still_wanted(self, call: Call) -> bool:
        if call.deadline is not None and self._clock() >= call.deadline:
            call.fail(DeadlineExceeded("The answer did not come in time; its work was dropped."))
        return not call.future.done()

    def _answer(self, batch: list[Text]) -> None:
        started = self._clock()
        try:
            vecs = np.asarray(self._run([text.ids for text in batch]), np.float32)
            if vecs.shape != (len(batch), self._dim):
                raise ValueError(f"shape {vecs.shape} for {len(batch)} texts")
        except Exception as error:
            log.exception("model_failed", texts=len(batch))
            for call in _calls(batch):
                failure = ModelFailed("The model raised an error.")
                failure.__cause__ = error
                call.fail(failure)
            return
        self._measure(batch, self._clock() - started)
        self._settle(batch, vecs)

    def _settle(self, batch: list[Text], vecs: Vectors) -> None:
        finite = np.asarray(np.isfinite(vecs).all(axis=1))
        with self._changed:
            for row, text in enumerate(batch):
                if not finite[row]:
                    text.call.fail(ModelFailed("The model returned numbers that are not finite."))
                text.call.vecs[text.row] = vecs[row]
                text.call.left -= 1
        for call in _calls(batch):
            if call.left == 0:
                call.succeed()

    def _measure(self, batch: list[Text], took_s: float) -> None:
        rate = sum(len(text.ids) for text in batch) * len(self._lanes) / max(took_s, 1e-6)
        self._tokens_per_s = 0.8 * self._tokens_per_s + 0.2 * rate if self._tokens_per_s else rate

    def _stop(self, reason: str, under_way: Sequence[Text] = ()) -> None:
        with self._changed:
            self._stopped = self._stopped or reason
            waiting = [*under_way, *(text for line in self._lines.values() for text in line.clear())]
            self._waiting = self._waiting_tokens = 0
            self._changed.notify_all()
        for call in _calls(waiting):
            call.fail(Unavailable(reason))


def _calls(texts: Sequence[Text]) -> list[Call]:
    return list({id(text.call): text.call for text in texts}.values())
