"""A language model's wording of what the found passages say, sentence by sentence, each one proved first.

    passages, without orders -> prompt -> model -> sentence -> grounding -> shown, or dropped

Whatever goes wrong (the model is slow, down, broken, bribed by a document, does not know) ends in None, and
the caller gives the extractive answer. No word of an error reaches the visitor. A model that did not even
begin, three times in a row, is left alone for a while, so that visitors need not wait for it.
Touches no row: what is said goes out through `on_sentence`; `cancelled` says that nobody wants it any more.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from chatbot import grounding, prompts
from chatbot.conf import ChatbotSettings
from chatbot.generation import Sentence
from chatbot.injection import foreign, gives_orders, visible, without_orders
from chatbot.models import Passage
from chatbot.retrieval import Found
from services.errors import SuiteError
from services.inference.engine import Engine
from services.inference.following import TICK_S, follow
from services.inference.runtimes.circuit import Circuit, CircuitOpen
from services.inference.values import Delta, Finished, GenerateEvent, Sampling
from services.logs import get_logger
from services.text.language import detect, is_chinese
from services.text.sentences import sentences

log = get_logger(__name__)

PASSAGES = 4
"""Passages a model is given: more of them make small models mix things up."""
MOST_SENTENCES = 2 * prompts.SENTENCES
MOST_CHARS = 6000
"""Characters after which a model that does not stop is not read on."""
_THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL | re.IGNORECASE)
_ENDED = re.compile(r"[.!?。！？…][\"'”’」』）)\]\s*\d【】\[]*$")
_silent = Circuit(failures=3, cool_off_s=30.0)


@dataclass(frozen=True, slots=True)
class Phrased:
    """An answer in a model's words: `sentences` with what each rests on, `passage.text[start:end]`.

    `trace` holds the prompt's version, tokens, milliseconds and what was dropped and why; nobody's words.
    """

    sentences: tuple[Sentence, ...]
    model_version: str
    trace: dict[str, Any]


class _GaveUp(Exception):
    """The answer is not to be the model's; the message is the reason, for the log."""


def has_generator(engine: Engine) -> bool:
    """Whether the engine serves a model that writes."""
    return any(model.kind == "generator" for model in engine.models())


def phrase(
    question: str,
    found: Sequence[Found],
    *,
    history: Sequence[tuple[str, str]] = (),
    language: str,
    engine: Engine,
    settings: ChatbotSettings,
    on_sentence: Callable[[Sentence], None] = lambda sentence: None,
    cancelled: Callable[[], bool] = lambda: False,
    circuit: Circuit = _silent,
) -> Phrased | None:
    """The answer in the model's words, or None where the extractive answer is to be given.

    `question` and `history` ((role, text), oldest first; roles "visitor" and "bot") without personal data.
    `on_sentence` is called with each supported sentence as soon as it is complete. `cancelled` is asked about
    ten times a second. Both run in the calling thread, so they may use the database; nothing else here does.
    `circuit` is what remembers a model that does not begin.
    Blocks for CHATBOT_PHRASE_S seconds at most, and CHATBOT_FIRST_WORDS_S when nothing comes. Never raises a
    SuiteError.
    """
    if not found or not has_generator(engine):
        return None
    writing = _Writing(question, list(found)[:PASSAGES], history, language, engine, settings, circuit)
    try:
        return writing.run(on_sentence, cancelled)
    except _GaveUp as reason:
        log.info("phrasing_given_up", reason=str(reason))
    except CircuitOpen:
        log.info("phrasing_given_up", reason="left_alone")
    except SuiteError as error:
        log.info("phrasing_given_up", reason=error.code)
    except Exception:  # the extractive answer is whole and waiting: no bug here may cost the visitor that
        log.exception("phrasing_bug")
    return None


def joined(said: Sequence[Sentence], language: str) -> str:
    """Sentences as one text: with spaces between them, without in Chinese."""
    return ("" if is_chinese(language) else " ").join(sentence.text for sentence in said)


@dataclass
class _Writing:
    question: str
    found: list[Found]
    history: Sequence[tuple[str, str]]
    language: str
    engine: Engine
    settings: ChatbotSettings
    circuit: Circuit
    nonce: str = field(default_factory=prompts.new_nonce)
    said: list[Sentence] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.passages = [_without_orders(hit.passage) for hit in self.found]
        self.rows = {str(hit.passage.pk): hit.passage for hit in self.found}

    def run(self, on_sentence: Callable[[Sentence], None], cancelled: Callable[[], bool]) -> Phrased:
        """Raises _GaveUp and the engine's SuiteErrors."""
        finished: Finished | None = None
        text = _Sentences()
        with closing(self._events(cancelled)) as events:
            for event in events:
                if isinstance(event, Delta):
                    complete = text.take(event.text)
                elif isinstance(event, Finished):
                    finished = event
                    complete = text.rest(cut=event.reason == "length")
                else:
                    raise _GaveUp(event.code)
                for sentence in complete:
                    self._hear(sentence, on_sentence)
                if finished or len(self.said) >= MOST_SENTENCES or len(text.all) > MOST_CHARS:
                    break
        if prompts.UNKNOWN in text.all:
            raise _GaveUp("does_not_know")
        if finished is None and len(self.said) < MOST_SENTENCES:
            raise _GaveUp("no_end")
        if not self.said:
            raise _GaveUp("nothing_supported")
        return Phrased(tuple(self.said), self._version(finished), self._trace(finished))

    def _events(self, cancelled: Callable[[], bool]) -> Generator[GenerateEvent]:
        """The model's events, within the limits. Raises _GaveUp when one is passed, and CircuitOpen."""
        messages = prompts.answer_messages(
            self.question,
            [
                prompts.Source(n, passage.title, passage.text)
                for n, passage in enumerate(self.passages, start=1)
            ],
            earlier=self.history,
            language=self.language,
            nonce=self.nonce,
        )
        sampling = Sampling(max_tokens=self.settings.chatbot_phrase_tokens)
        begun, asked = False, self.began
        with (
            self.circuit.attempt() as attempt,
            closing(follow(self.engine, messages, sampling, deadline_s=self._left_s())) as events,
        ):
            for event in events:
                if time.monotonic() - asked >= TICK_S or event is None:
                    asked = time.monotonic()
                    if cancelled():
                        raise _GaveUp("cancelled")
                if self._left_s() <= 0:
                    raise _GaveUp("too_slow")
                if event is None:
                    if not begun and self._passed_s() > self.settings.chatbot_first_words_s:
                        attempt.failed()
                        raise _GaveUp("did_not_begin")
                    continue
                if isinstance(event, Delta) and event.text.strip() and not begun:
                    begun = True
                    attempt.succeeded()
                yield event

    def _hear(self, sentence: str, on_sentence: Callable[[Sentence], None]) -> None:
        """Judge what the model said; what holds is kept and handed on."""
        if prompts.UNKNOWN in sentence:
            raise _GaveUp("does_not_know")
        judged = grounding.check(
            visible(sentence).strip(),
            self.passages,
            language=self.language,
            engine=self.engine,
            deadline_s=max(self._left_s(), 0.05),
        )
        for one in judged:
            reason = self._why_not(one)
            if any(one.text == kept.text for kept in self.said):
                continue
            if reason or one.citation is None:
                self.dropped[reason] += 1
                continue
            row = self.rows[one.citation.passage_id]
            kept = Sentence(one.text, row, one.citation.start, one.citation.end)
            self.said.append(kept)
            on_sentence(kept)

    def _why_not(self, one: grounding.Judged) -> str:
        """Why a sentence is not to be shown; "" when it may be."""
        if not one.supported:
            return one.reason
        if _is_fragment(one.text):
            return "fragment"
        if one.citation is None:
            return "claims_nothing"  # courtesies and questions back: nothing a source could carry
        source = next(p for p in self.passages if p.id == one.citation.passage_id)
        if foreign(one.text, f"{source.title}\n{source.text}"):
            return "link"
        if gives_orders(one.text) or prompts.leaks(one.text, self.nonce):
            return "injection"
        return ""

    def _passed_s(self) -> float:
        return time.monotonic() - self.began

    def _left_s(self) -> float:
        return self.settings.chatbot_phrase_s - self._passed_s()

    def _version(self, finished: Finished | None) -> str:
        if finished is not None:
            return finished.version
        return next((m.version or m.name for m in self.engine.models() if m.kind == "generator"), "")

    def _trace(self, finished: Finished | None) -> dict[str, Any]:
        return {
            "prompt": prompts.PROMPT_VERSION,
            "passages": [hit.passage.pk for hit in self.found],
            "prompt_tokens": finished.prompt_tokens if finished else 0,
            "completion_tokens": finished.completion_tokens if finished else 0,
            "dropped": dict(self.dropped),
            "ms": round(1000 * self._passed_s()),
        }


class _Sentences:
    """Cuts a text that comes in pieces into sentences, each as soon as the next one has begun."""

    def __init__(self) -> None:
        self.all = ""
        self._told = 0

    def take(self, piece: str) -> list[str]:
        """The sentences that are complete now."""
        self.all += piece
        said = self._said()
        spans = sentences(said[self._told :])[:-1]
        complete = [span.of(said[self._told :]) for span in spans]
        if spans:
            self._told += spans[-1].end
        return complete

    def rest(self, *, cut: bool) -> list[str]:
        """What is left at the end; without its last sentence when the text was cut off in it."""
        left = self._said()[self._told :]
        complete = [span.of(left) for span in sentences(left)]
        if cut and complete and not _ENDED.search(complete[-1]):
            complete.pop()
        return complete

    def _said(self) -> str:
        """Without what a model thinks aloud before it speaks."""
        return _THINKING.sub("", self.all)


def _is_fragment(text: str) -> bool:
    """Whether a text is a heading or a label rather than a sentence: few words, and no end."""
    least = 8 if is_chinese(detect(text)) else 30
    return not _ENDED.search(text) and len(text) < least and len(text.split()) < 4


def _without_orders(row: Passage) -> grounding.Passage:
    """A passage for the model and for the proof; places in its text are those of the row's."""
    blocks = tuple((block["start"], block["end"]) for block in row.blocks)
    title = "" if gives_orders(row.heading) else row.heading
    return grounding.Passage(str(row.pk), without_orders(row.text, blocks), title, blocks)
