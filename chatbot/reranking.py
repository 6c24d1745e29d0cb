"""The best passages read once more, each beside the question, by a model that was made for that.

A cross-encoder sees question and passage together, so it tells "how do I cancel" from "can I cancel" where
two vectors do not. It is slow, so only the first passages are read, within a deadline; when it is late or
down they stay in the search's order, and the visitor waits no longer. It decides the order and nothing else:
how likely the question can be answered is judged before, by the search's own scores
(docs/decisions/0014-terms-and-reranking.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chatbot.conf import ChatbotSettings
from chatbot.models import Piece
from chatbot.retrieval import TOP_K, Found
from services.errors import SuiteError
from services.inference.engine import Engine
from services.inference.reranking import is_cross_encoder
from services.inference.runtimes.circuit import Circuit, CircuitOpen
from services.inference.values import Priority
from services.logs import get_logger

log = get_logger(__name__)

READ_CHARS = 1200
"""Of a longer passage the stretch around its nearest piece is read, in characters."""
UNHURRIED_S = 30.0
_slow = Circuit(failures=3, cool_off_s=30.0)


@dataclass(frozen=True, slots=True)
class Reranked:
    """The passages in their last order. `model`: the version that read them; `failed`: why none did.

    Both are empty where nothing was to be read.
    """

    found: list[Found]
    model: str = ""
    failed: str = ""

    def trace(self) -> dict[str, str]:
        """As it is kept with the turn."""
        return {name: told for name, told in (("model", self.model), ("failed", self.failed)) if told}


def wanted(engine: Engine, settings: ChatbotSettings) -> bool:
    """Whether passages are read once more: as the settings say, by late interaction only where they ask."""
    if settings.chatbot_rerank == "auto":
        return any(is_cross_encoder(model) for model in engine.models())
    return settings.chatbot_rerank == "always"


def depth(engine: Engine, settings: ChatbotSettings) -> int:
    """How many passages to search for."""
    return max(TOP_K, settings.chatbot_rerank_passages) if wanted(engine, settings) else TOP_K


def rerank(
    question: str,
    found: Sequence[Found],
    *,
    engine: Engine,
    settings: ChatbotSettings,
    priority: Priority = Priority.INTERACTIVE,
    circuit: Circuit | None = None,
) -> Reranked:
    """The best TOP_K passages, in the model's order where it was asked and came in time; never a SuiteError.

    Of equal scores the search's order holds. Without INTERACTIVE priority nobody waits: the deadline is
    UNHURRIED_S then.
    """
    first, rest = (
        list(found[: settings.chatbot_rerank_passages]),
        list(found[settings.chatbot_rerank_passages :]),
    )
    if len(first) < 2 or not wanted(engine, settings):
        return Reranked(list(found[:TOP_K]))
    in_time_s = settings.chatbot_rerank_s if priority == Priority.INTERACTIVE else UNHURRIED_S
    try:
        with (circuit or _slow).attempt() as attempt:
            try:
                told = engine.rerank(question, _read(first), priority=priority, deadline_s=in_time_s)
            except SuiteError:
                attempt.failed()
                raise
            attempt.succeeded()
    except CircuitOpen:
        return Reranked(list(found[:TOP_K]), failed="left_alone")
    except SuiteError as error:
        log.warning("reranking_failed", code=error.code)
        return Reranked(list(found[:TOP_K]), failed=error.code)
    scored = [replace(hit, rerank=float(score)) for hit, score in zip(first, told.scores, strict=True)]
    scored.sort(key=lambda hit: -(hit.rerank or 0.0))
    return Reranked([*scored, *rest][:TOP_K], model=told.version)


def _read(found: Sequence[Found]) -> list[str]:
    """What the model reads of each passage: its heading and its text, of a long one the nearest stretch."""
    long = [hit.piece_id for hit in found if len(hit.passage.text) > READ_CHARS]
    nearest = dict(Piece.objects.filter(pk__in=long).values_list("pk", "text")) if long else {}
    return [
        f"{hit.passage.heading}\n{_stretch(hit.passage.text, nearest.get(hit.piece_id, ''))}" for hit in found
    ]


def _stretch(text: str, piece: str) -> str:
    if len(text) <= READ_CHARS:
        return text
    middle = max(text.find(piece[:40]), 0) + len(piece) // 2
    start = min(max(middle - READ_CHARS // 2, 0), len(text) - READ_CHARS)
    return text[start : start + READ_CHARS]
