"""★ The visitor's question, start to finish: read this file to know what happens to it.

question -> retrieval -> answerability -> generation -> the reply, with its sources and its trace.
Each call is one room. Nothing here writes: `tasks.answer_turn` keeps what this returns.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from chatbot import answerability, generation, retrieval
from chatbot.conf import ChatbotSettings
from chatbot.models import KnowledgeBase
from services.inference.engine import Engine
from services.storage import Storage
from services.text.language import detect

LANGUAGES = {"en", "zh-hans"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the visitor gets, as JSON, and what is kept of how it came about."""

    outcome: str
    payload: dict[str, Any]
    trace: dict[str, Any]
    model_version: str


def reply(
    question: str,
    knowledge_base: KnowledgeBase,
    *,
    locale: str,
    engine: Engine,
    storage: Storage,
    settings: ChatbotSettings,
) -> Reply:
    """Answer a question from a knowledge base, or say honestly that it is not there.

    The reply is in the language of the question where that is spoken, else in the visitor's.
    Raises the engine's and the index's SuiteErrors; nothing was written.
    """
    spoken = detect(question, default=locale)
    language = spoken if spoken in LANGUAGES else locale
    found = retrieval.search(knowledge_base, question, language=spoken, engine=engine, storage=storage)
    if answerability.answerable(
        found,
        min_similarity=settings.chatbot_min_similarity,
        min_coverage=settings.chatbot_min_coverage,
    ):
        sentences = generation.extract(
            question, found, language=spoken, engine=engine, limit=settings.chatbot_answer_sentences
        )
        outcome, payload = "answer", _answer(sentences)
    else:
        outcome, payload = "refusal", _refusal(language)
    trace = {
        "config_id": config_id(knowledge_base, settings, engine),
        "index": knowledge_base.index_path,
        "hits": [hit.trace() for hit in found],
    }
    return Reply(outcome, {**payload, "language": language}, trace, engine.encoder().version)


def config_id(knowledge_base: KnowledgeBase, settings: ChatbotSettings, engine: Engine) -> str:
    """A short name for everything that decides an answer: index, encoder, settings."""
    parts = (knowledge_base.index_path, engine.encoder().version, settings.model_dump_json())
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def _answer(sentences: list[generation.Sentence]) -> dict[str, Any]:
    """Sentences and their sources; sentences that follow one another in a passage share one source."""
    said: list[dict[str, Any]] = []
    runs: list[list[generation.Sentence]] = []
    for sentence in sentences:
        if runs and _goes_on(runs[-1][-1], sentence):
            runs[-1].append(sentence)
        else:
            runs.append([sentence])
        said.append({"text": sentence.text, "citation": len(runs)})
    citations = [_citation(n, run[0], run[-1]) for n, run in enumerate(runs, start=1)]
    return {"text": " ".join(s["text"] for s in said), "sentences": said, "citations": citations}


def _goes_on(before: generation.Sentence, after: generation.Sentence) -> bool:
    """Whether nothing but white space stands between two sentences of one passage."""
    if before.passage.pk != after.passage.pk or after.start < before.end:
        return False
    return not before.passage.text[before.end : after.start].strip()


def _citation(n: int, first: generation.Sentence, last: generation.Sentence) -> dict[str, Any]:
    passage, start, end = first.passage, first.start, last.end
    url = f"/help/{passage.document_id}/?passage={passage.pk}&start={start}&end={end}#passage-{passage.pk}"
    quote = passage.text[start:end]
    return {
        "n": n,
        "document": passage.document.title,
        "section": passage.heading,
        "quote": quote,
        "url": url,
        "passage": passage.pk,
        "start": start,
        "end": end,
        "hash": hashlib.sha256(quote.encode()).hexdigest()[:16],
    }


def _refusal(language: str) -> dict[str, Any]:
    with translation.override(language):
        text = _("I could not find an answer to this in our help pages, so I would rather not guess.")
        advice = pgettext("refusal", "Please put it in other words, or write to our support team.")
    said = [{"text": text, "citation": None}, {"text": advice, "citation": None}]
    return {"text": f"{text} {advice}", "sentences": said, "citations": []}
