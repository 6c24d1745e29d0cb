"""One queue in front of the models: texts of many callers in, token-budget batches out, answers back.

Each lane (a thread) repeats one step: take the next batch of the highest priority, run its model, settle
its callers. Nothing lingers to fill a batch: what arrives while the lanes are busy is merged, what arrives
when they are idle runs at once. A higher priority waits for one batch at most, however large the job
under way; models of the same priority take turns.

Every future is settled: with the answer, ModelFailed, DeadlineExceeded or Unavailable. A batch that does
not fit into memory is halved until it does.
Knows nothing of text, tokenizers or runtimes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from services.errors import DeadlineExceeded, ModelFailed, Overloaded, SuiteError, Unavailable
from services.inference.meters import Meter
from services.inference.planning import Answers, Call, Line, Text, TokenIds
from services.inference.values import Priority
from services.logs import get_logger

log = get_logger(__name__)

Run = Callable[[Sequence[TokenIds]], Answers]

_KEPT_FOR_PEOPLE = 0.25
"""The part of the queue that only interactive callers may fill."""
_CLOSING = "The inference service is shutting down."
_DIED = "The inference loop has stopped; restart the process."


@dataclass(slots=True, eq=False)
class Served:
    """A model on the queue. `run` takes the token ids of a batch; `lanes` threads may call it at once.

    It returns float32 (n, dim); with `dim` None, a list of n float32 arrays (tokens, anything).
    """

    name: str
    run: Run
    dim: int | None
    token_budget: int
    lanes: int = 1
    packed_up_to: int = 0
    """Texts of so many tokens need not be of one length to share a batch."""
    running: int = 0
    retired: bool = False
    """Another took its place: it answers what is still sent to it, and is off the queue in between."""
    lines: dict[Priority, Line] = field(default_factory=lambda: {priority: Line() for priority in Priority})

    def room_for(self, count: int) -> Answers:
        """Where the answers of so many texts go."""
        return [None] * count if self.dim is None else np.empty((count, self.dim), np.float32)


class Batcher:
    """The queue and its lanes. `on_death` is called once when a lane dies of something that is no answer."""

    def __init__(
        self,
        *,
        queue_texts: int,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_death: Callable[[], None] | None = None,
    ) -> None:
        self._queue_texts = queue_texts
        self._meter = meter or Meter()
        self._clock = clock
        self._on_death = on_death
        self._models: list[Served] = []
        self._waiting = 0
        self._waiting_tokens = 0
        self._tokens_per_s = 0.0
        self._stopped = ""
        self._changed = threading.Condition()
        """Lanes wait here for work."""
        self._lanes: list[threading.Thread] = []

    @property
    def alive(self) -> bool:
        """Whether every lane still works; false after `close` and after a lane died."""
        return not self._stopped and all(lane.is_alive() for lane in self._lanes)

    @property
    def waiting(self) -> int:
        """Texts in the queue that no lane has taken yet."""
        return self._waiting

    @property
    def lanes(self) -> int:
        """Threads that run batches."""
        return len(self._lanes)

    def serve(self, model: Served) -> Served:
        """Put a model on the queue; lanes are added when it can use more than there are."""
        with self._changed:
            self._models = [*self._models, model]
            while len(self._lanes) < model.lanes and not self._stopped:
                lane = threading.Thread(target=self._work, name=f"inference-{len(self._lanes)}", daemon=True)
                self._lanes.append(lane)
                lane.start()
        return model

    def retire(self, model: Served) -> None:
        """Take a model off the queue once what waits for it is answered.

        A caller that chose it before, and is still tokenising, is answered by it all the same.
        """
        with self._changed:
            model.name = f"{model.name} (retired)"
            model.retired = True
            self._drop_if_idle(model)

    def submit(
        self,
        model: Served,
        token_ids: Sequence[TokenIds],
        *,
        priority: Priority = Priority.NORMAL,
        deadline: float | None = None,
        admitted: bool = False,
    ) -> Future[Answers]:
        """Queue texts; the future gives the model's answers in their order. `deadline` is on the clock.

        `admitted` says that this goes on with a call that was let in before, so a full queue takes it.
        Raises Overloaded when the queue is full (nothing was queued) and Unavailable when it is stopped.
        """
        call = Call(model.room_for(len(token_ids)), len(token_ids), deadline)
        if not token_ids:
            call.succeed()
            return call.future
        with self._changed:
            if not self.alive:
                raise Unavailable(self._stopped or _DIED)
            if not admitted:
                self._admit(len(token_ids), priority)
            if model.retired and model not in self._models:
                self._models = [*self._models, model]
            model.lines[priority].add([Text(call, row, ids) for row, ids in enumerate(token_ids)])
            self._waiting += len(token_ids)
            self._waiting_tokens += sum(map(len, token_ids))
            self._meter.queue(self._waiting)
            self._changed.notify(len(token_ids))
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
        batch: list[Text] = []
        try:
            while (taken := self._take()) is not None:
                model, batch = taken
                if batch:
                    self._answer(model, batch)
                with self._changed:
                    model.running -= 1
                    self._drop_if_idle(model)
                    if self._waiting:
                        self._changed.notify()
        except BaseException as error:  # a bug, or an exit asked for inside the model
            log.exception("inference_lane_died", error=type(error).__name__)
            self._stop(_DIED, under_way=batch)
            if self._on_death is not None:
                self._on_death()

    def _take(self) -> tuple[Served, list[Text]] | None:
        """The next batch, without the texts nobody waits for any more; None when stopped."""
        with self._changed:
            while not self._stopped:
                for priority in Priority:
                    for model in self._models:
                        if model.running >= model.lanes:
                            continue
                        line = model.lines[priority]
                        batch = line.next_batch(model.token_budget, model.lanes, model.packed_up_to)
                        if batch is not None:
                            return model, self._taken(model, batch)
                self._changed.wait()
        return None

    def _taken(self, model: Served, batch: list[Text]) -> list[Text]:
        model.running += 1
        self._models = [*(other for other in self._models if other is not model), model]  # others first
        self._waiting -= len(batch)
        self._waiting_tokens -= sum(len(text.ids) for text in batch)
        return [text for text in batch if self._still_wanted(text.call)]

    def _still_wanted(self, call: Call) -> bool:
        if call.deadline is not None and self._clock() >= call.deadline:
            call.fail(DeadlineExceeded("The answer did not come in time; its work was dropped."))
        return not call.future.done()

    def _answer(self, model: Served, batch: list[Text]) -> None:
        started = self._clock()
        try:
            answers = _checked(model.run([text.ids for text in batch]), model, len(batch))
        except Exception as error:
            if _is_out_of_memory(error) and len(batch) > 1:
                log.warning("batch_halved", model=model.name, texts=len(batch))
                half = len(batch) // 2
                self._answer(model, batch[:half])
                self._answer(model, batch[half:])
                return
            log.exception("model_failed", model=model.name, texts=len(batch))
            for call in _calls(batch):
                failure = _failure(error)
                failure.__cause__ = error
                call.fail(failure)
            return
        self._measure(model, batch, self._clock() - started)
        self._settle(batch, answers)

    def _settle(self, batch: list[Text], answers: Answers) -> None:
        if isinstance(answers, np.ndarray):
            finite = [bool(row) for row in np.asarray(np.isfinite(answers).all(axis=1))]
        else:
            finite = [bool(np.isfinite(answer).all()) for answer in answers]
        with self._changed:
            for row, text in enumerate(batch):
                if not finite[row]:
                    text.call.fail(ModelFailed("The model returned numbers that are not finite."))
                text.call.answers[text.row] = answers[row]
                text.call.left -= 1
        for call in _calls(batch):
            if call.left == 0:
                call.succeed()

    def _measure(self, model: Served, batch: list[Text], took_s: float) -> None:
        tokens = sum(len(text.ids) for text in batch)
        self._meter.batch(len(batch), tokens, took_s)
        rate = tokens * model.lanes / max(took_s, 1e-6)
        self._tokens_per_s = 0.8 * self._tokens_per_s + 0.2 * rate if self._tokens_per_s else rate

    def _drop_if_idle(self, model: Served) -> None:
        has_work = model.running > 0 or any(line for line in model.lines.values())
        if model.retired and not has_work:
            self._models = [other for other in self._models if other is not model]

    def _stop(self, reason: str, under_way: Sequence[Text] = ()) -> None:
        with self._changed:
            self._stopped = self._stopped or reason
            lines = [line for model in self._models for line in model.lines.values()]
            waiting = [*under_way, *(text for line in lines for text in line.clear())]
            self._waiting = self._waiting_tokens = 0
            self._changed.notify_all()
        for call in _calls(waiting):
            call.fail(Unavailable(reason))


def _calls(texts: Iterable[Text]) -> list[Call]:
    return list({id(text.call): text.call for text in texts}.values())


def _checked(answers: Answers, model: Served, texts: int) -> Answers:
    if model.dim is None:
        if len(answers) != texts:
            raise ValueError(f"{len(answers)} answers for {texts} texts")
        return answers
    vecs = np.asarray(answers, np.float32)
    if vecs.shape != (texts, model.dim):
        raise ValueError(f"shape {vecs.shape} for {texts} texts")
    return vecs


def _failure(error: Exception) -> SuiteError:
    if isinstance(error, SuiteError):
        return type(error)(error.detail)
    if _is_out_of_memory(error):
        return ModelFailed("The model ran out of memory, even for one text.")
    return ModelFailed("The model raised an error.")


def _is_out_of_memory(error: Exception) -> bool:
    """Python's, CUDA's (a RuntimeError of torch) and what OpenVINO says when an allocation fails."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(
        sign in said for sign in ("out of memory", "bad_alloc", "allocate memory", "failed to allocate")
    )
