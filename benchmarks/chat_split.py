"""Where the time of an answer goes: the same questions in this process, every part on a clock of its own.

A part's time is without that of the parts it calls: what the database takes inside the retrieval counts as
the database's. Waking the visitor and HTTP are not here; the difference to what visitors measure is theirs.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch


class Clocks:
    """Nested stopwatches: starting one stops the one outside it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time inside belongs to this part."""
        self._note()
        self._running.append(name)
        self.calls[name] += 1
        try:
            yield
        finally:
            self._note()
            self._running.pop()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, on the clock of a part."""

        def wrapped(*args: Any, **options: Any) -> Any:
            with self.part(name):
                return function(*args, **options)

        return wrapped

    def _note(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.spent[self._running[-1]] += now - self._since
        self._since = now


def split(asked: Sequence[str], warm: int = 10) -> dict[str, float]:
    """Milliseconds a question takes in each part, on average, and how often the encoder and the database
    are called (`…_calls`), in a process that `benchmarks.chat_load.learn` has set up."""
    from django.db import connection

    from chatbot import dialogue, followups, generation, intents, retrieval, turns
    from services.inference.engine import get_engine
    from services.search.hybrid import HybridIndex
    from services.search.lexical import LexicalIndex

    clocks = Clocks()
    _answer(asked[:warm])
    places: list[tuple[str, Any, str]] = [
        ("embed", get_engine(), "embed"),
        ("lexical", LexicalIndex, "coverage"),
        ("dense", HybridIndex, "_near"),
        ("dense", HybridIndex, "_compare"),
        ("search", retrieval, "search"),
        ("judge", retrieval, "judge"),
        ("sentences", generation, "extract"),
        ("intents", intents, "decide"),
        ("follow_up", followups, "resolve"),
        ("claim", turns, "claim"),
        ("read", turns, "asked"),
        ("write", turns, "settle"),
        ("dialogue", dialogue, "reply"),
    ]
    with ExitStack() as stack:
        for name, owner, function in places:
            stack.enter_context(patch.object(owner, function, clocks.timed(name, getattr(owner, function))))
        stack.enter_context(connection.execute_wrapper(_database(clocks)))
        began = time.perf_counter()
        _answer(asked[warm:], clocks)
        passed = time.perf_counter() - began
    count = max(len(asked) - warm, 1)
    told = {name: round(1000 * spent / count, 2) for name, spent in sorted(clocks.spent.items())}
    told["whole"] = round(1000 * passed / count, 2)
    for name in ("embed", "database"):
        told[f"{name}_calls"] = round(clocks.calls[name] / count, 1)
    return told


def _answer(asked: Sequence[str], clocks: Clocks | None = None) -> None:
    from django.utils import timezone

    from chatbot import events, tasks
    from chatbot.models import Conversation, Inbox

    inbox = Inbox.objects.get()
    for number, text in enumerate(asked):
        if number % 10 == 0:
            talk = Conversation.objects.create(inbox=inbox, token_hash="split")
        with (clocks or Clocks()).part("question"):
            event, _ = events.append(talk, "visitor_message", {"text": text}, now=timezone.now())
        turn = talk.turns.get(question_seq=event.seq)
        with (clocks or Clocks()).part("turn"):
            tasks.answer_turn(turn.pk)


def _database(clocks: Clocks) -> Callable[..., Any]:
    def wrapper(execute: Callable[..., Any], *args: Any) -> Any:
        with clocks.part("database"):
            return execute(*args)

    return wrapper
