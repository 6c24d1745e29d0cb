"""★ The visitor's question, start to finish: read this file to know what happens to it.

message -> intents -> masking -> follow-up -> retrieval -> answerability -> reranking, where there is a model
for it -> phrasing or extraction -> reply.
Each call is one room. Nothing here writes: `tasks.answer_turn` keeps what this returns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from chatbot import followups, generation, intents, phrasing, replies, reranking, retrieval
from chatbot.answerability import Judged, Zone
from chatbot.conf import ChatbotSettings
from chatbot.generation import Sentence
from chatbot.models import Inbox
from chatbot.retrieval import Found
from services.inference.engine import Engine
from services.storage import Storage
from services.text.language import detect
from services.text.masking import mask

LANGUAGES = {"en", "zh-hans"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A message with what was said before it.

    `form` is the conversation's open form; `earlier` (role, text), oldest first; `heading` that of the
    passage the last answer cites; `chosen` the passage the visitor picked from those offered; `key` names
    the message.
    """

    text: str
    inbox: Inbox
    locale: str
    now: datetime
    form: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[tuple[str, str], ...] = ()
    heading: str = ""
    chosen: int | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the visitor gets, as JSON, the form that stays open, and what is kept of how it came about."""

    outcome: str
    payload: dict[str, Any]
    trace: dict[str, Any]
    model_version: str
    form: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Considered:
    """What was found for a message, and what is to be done about it.

    `question` is without personal data, `searched` stands alone where the question leans on earlier ones,
    `spoken` its language. `zone` is the judgement's, and always "answer" for a passage the visitor picked.
    `reranking` says which model put the passages in order, or why none did; empty where none was to.
    """

    question: str
    searched: str
    spoken: str
    found: list[Found]
    judged: Judged
    zone: Zone
    reranking: Mapping[str, str] = field(default_factory=dict)


def reply(
    asked: Asked,
    *,
    engine: Engine,
    storage: Storage,
    settings: ChatbotSettings,
    on_sentence: Callable[[Sentence], None] = lambda sentence: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Reply:
    """Answer a message, or say honestly that the answer is not there.

    The reply is in the language of the message where that is spoken, else in the visitor's. `on_sentence` and
    `cancelled` as in `phrasing.phrase`. Raises the engine's and the index's SuiteErrors; nothing was written.
    """
    spoken = detect(asked.text, default=asked.locale)
    language = spoken if spoken in LANGUAGES else asked.locale
    knowledge_base = asked.inbox.knowledge_base
    if asked.chosen is None:
        wish = intents.decide(
            asked.text, asked.form, asked.inbox, engine, asked.now, language, settings=settings, key=asked.key
        )
        if wish.kind != "nothing":
            outcome, payload = replies.of_intent(wish)
            return Reply(outcome, payload, {"intent": dict(wish.trace)}, wish.model_version, wish.form)
    else:
        wish = intents.Decision("nothing", language, form=asked.form)
    seen = consider(asked, engine=engine, storage=storage, settings=settings)
    said = say(asked, seen, engine=engine, settings=settings, on_sentence=on_sentence, cancelled=cancelled)
    index, care, encoder = knowledge_base.index_path, knowledge_base.carefulness, engine.encoder().version
    trace = {
        "config_id": config_id(index, care, encoder, settings, seen.reranking.get("model", "")),
        "index": index,
        "carefulness": care,
        "encoder": encoder,
        "intent": dict(wish.trace),
        "follow_up": seen.searched != seen.question,
        "answerable": seen.judged.trace(),
        "hits": [hit.trace() for hit in seen.found],
        **({"reranking": dict(seen.reranking)} if seen.reranking else {}),
        **said.trace,
    }
    return replace(said, payload={**said.payload, "language": language}, trace=trace, form=wish.form)


def consider(asked: Asked, *, engine: Engine, storage: Storage, settings: ChatbotSettings) -> Considered:
    """What the knowledge has on a message, and whether that answers it. Raises as `reply`."""
    spoken = detect(asked.text, default=asked.locale)
    knowledge_base = asked.inbox.knowledge_base
    question = mask(asked.text, region=settings.chatbot_phone_region.upper()).text
    searched = followups.resolve(
        question, asked.earlier, language=spoken, engine=engine, heading=asked.heading
    )
    found = retrieval.picked(knowledge_base, asked.chosen) if asked.chosen is not None else []
    picked = bool(found)
    if not picked:
        most = reranking.depth(engine, settings)
        found = retrieval.search(
            knowledge_base, searched, language=spoken, engine=engine, storage=storage, k=most
        )
    borders = retrieval.borders_of(knowledge_base, storage)
    judged = retrieval.judge(found[: retrieval.TOP_K], borders, knowledge_base.carefulness)
    if picked or judged.zone == "refuse":  # the order decides nothing then
        found = found[: retrieval.TOP_K]
        return Considered(question, searched, spoken, found, judged, "answer" if picked else "refuse")
    last = reranking.rerank(searched, found, engine=engine, settings=settings)
    return Considered(question, searched, spoken, last.found, judged, judged.zone, last.trace())


def say(
    asked: Asked,
    seen: Considered,
    *,
    engine: Engine,
    settings: ChatbotSettings,
    on_sentence: Callable[[Sentence], None] = lambda sentence: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Reply:
    """An answer in a model's words or in the passages' own, entries to choose from, or a refusal."""
    language = seen.spoken if seen.spoken in LANGUAGES else asked.locale
    version = engine.encoder().version
    if seen.zone == "refuse":
        return Reply("refusal", replies.refusal(language), {}, version)

    if seen.zone == "offer":
        offered = replies.worth_offering(seen.found)
        excerpts = generation.excerpts(seen.searched, offered, language=seen.spoken, engine=engine)
        return Reply("choices", replies.choices(excerpts, language), {}, version)
    said = phrasing.phrase(
        seen.question,
        seen.found,
        history=asked.earlier,
        language=seen.spoken,
        engine=engine,
        settings=settings,
        on_sentence=on_sentence,
        cancelled=cancelled,
    )
    if said is None:
        limit = settings.chatbot_answer_sentences
        sentences = generation.extract(
            seen.searched, seen.found, language=seen.spoken, engine=engine, limit=limit
        )
        return Reply("answer", replies.answer(sentences), {}, version)
    return Reply("answer", replies.answer(said.sentences), {"phrasing": said.trace}, said.model_version)


def config_id(
    index: str, carefulness: float, encoder_version: str, settings: ChatbotSettings, reranker: str = ""
) -> str:
    """A short name for all that decides an answer: index, how careful to be, encoder, settings, reranker."""
    parts = [index, f"{carefulness:.3f}", encoder_version, settings.model_dump_json()]
    parts += [reranker] if reranker else []
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]
